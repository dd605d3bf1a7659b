#!/usr/bin/env bash
# Brings the build tools that this machine lacks into .tools/ (ignored by git), as PyPI wheels.
#
#   scripts/setup.sh          cmake >= 3.26 (HDF5), libclang (bindgen), nvcc 13.0 (kernels)
#   scripts/setup.sh format   clang-format 20.1.8, as .tools/format/bin/clang-format: others lay out differently
#   scripts/setup.sh oracle   pyFAI 2026.9.0, FabIO, silx, h5py, scikit-image, ASTRA, PoCL, nexusformat: what the tests compare with
#   scripts/setup.sh slurm    Debian's Slurm and ShellCheck, unpacked: the cluster of one node that the tests of `xrdct slurm` start.
#                             Neither root nor installing is needed; where there is no such package, .tools/slurm.why says why
#
# What the machine already has is used and left alone. The result is .tools/env, a file of
# exports that the Makefile reads. XRDCT_NO_NVCC=1 leaves nvcc out (a CPU-only build).
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
tools=$top/.tools
mkdir -p "$tools"
# In a shell that has read .tools/env already, what was brought must not pass for the machine's own.
PATH=${PATH//"$tools/build/bin:"/}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

for need in cargo python3 cc; do
    command -v "$need" >/dev/null || die "'$need' is not on the PATH; xrdct needs cargo, a C compiler and python3 with pip"
done

# A venv without ensurepip (Debian's python3 has none), filled by the machine's own pip.
make_venv() { # folder, then what pip installs
    local dir=$1; shift
    [ -x "$dir/bin/python" ] || python3 -m venv --without-pip "$dir" || die "python3 -m venv failed (is python3 >= 3.9 complete?)"
    python3 -m pip --disable-pip-version-check --python "$dir/bin/python" install -q "$@" \
        || die "pip could not install: $* (is PyPI reachable?)"
}

at_least() { # have, want: true when version have >= want
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

if [ "${1:-}" = oracle ]; then
    stamp=$tools/oracle/.ready-5
    if [ ! -e "$stamp" ]; then
        say "oracles for the tests: pyFAI 2026.9.0, FabIO, silx, h5py, scikit-image, ASTRA, PoCL, nexusformat (one time)"
        make_venv "$tools/oracle" pyFAI==2026.9.0 fabio==2026.6.0 silx==3.1.3 h5py hdf5plugin scikit-image==0.26.0 astra-toolbox==2.5.0 pyopencl==2026.1.4 mako==1.4.3 pocl-binary-distribution==3.0 nexusformat==2.1.0
        touch "$stamp"
    fi
    exit 0
fi

if [ "${1:-}" = format ]; then
    version=20.1.8
    tool=$tools/format/bin/clang-format
    is_that() { [ "$("$1" --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p')" = "$version" ]; }
    if ! is_that "$tool"; then
        if is_that clang-format; then
            say "clang-format: the machine's $(command -v clang-format)"
            mkdir -p "$tools/format/bin"
            ln -sf "$(command -v clang-format)" "$tool"
        else
            say "bringing into .tools: clang-format $version"
            [ ! -L "$tool" ] || rm "$tool"
            make_venv "$tools/format" "clang-format==$version"
        fi
    fi
    exit 0
fi

if [ "${1:-}" = slurm ]; then
    stamp=$tools/slurm/.ready-1
    why=$tools/slurm.why
    cannot() { printf '%s\n' "$*" >"$why"; say "no Slurm for the tests: $*"; exit 0; }
    if [ ! -e "$stamp" ]; then
        say "a Slurm for the tests: Debian's slurmctld, slurmd, slurm-client, shellcheck (one time)"
        for need in apt-get dpkg-deb; do
            command -v "$need" >/dev/null || cannot "'$need' is not on the PATH: the packages are Debian's"
        done
        rm -rf "$tools/slurm"
        mkdir -p "$tools/slurm/apt/lists/partial" "$tools/slurm/apt/archives/partial"
        # Lists and packages of our own: the machine's may be old or absent, and are root's.
        apt=(apt-get -qq -o "Dir::State::Lists=$tools/slurm/apt/lists" -o "Dir::Cache=$tools/slurm/apt"
             -o "APT::Sandbox::User=$(id -un)" -o "Debug::NoLocking=1")
        packages=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins shellcheck)
        said=$("${apt[@]}" update 2>&1) || cannot "apt-get update failed: $(tail -n 1 <<<"$said")"
        lacking=$("${apt[@]}" install --simulate --no-install-recommends "${packages[@]}" 2>&1) \
            || cannot "apt-get knows no way to install ${packages[*]}: $(tail -n 1 <<<"$lacking")"
        mapfile -t lacking < <(awk '/^Inst / { print $2 }' <<<"$lacking")
        mapfile -t packages < <(printf '%s\n' "${packages[@]}" "${lacking[@]}" | sort -u)
        said=$(cd "$tools/slurm/apt/archives" && "${apt[@]}" download "${packages[@]}" 2>&1) \
            || cannot "apt-get could not bring ${packages[*]}: $(tail -n 1 <<<"$said")"
        for package in "$tools"/slurm/apt/archives/*.deb; do dpkg-deb -x "$package" "$tools/slurm"; done
        rm -rf "$tools/slurm/apt" "$why"
        touch "$stamp"
    fi
    exit 0
fi

wheels=()
env=()

if command -v cmake >/dev/null && at_least "$(cmake --version | sed -n '1s/.*version //p')" 3.26; then
    say "cmake: the machine's $(command -v cmake)"
else
    wheels+=("cmake>=3.26,<4")
fi

if ldconfig -p 2>/dev/null | grep -Eq 'libclang(-[0-9]+)?\.so' || ls /usr/lib/llvm-*/lib/libclang.so* >/dev/null 2>&1; then
    say "libclang: the machine's"
else
    wheels+=("libclang>=18,<19")
fi

if [ -n "${XRDCT_NO_NVCC:-}" ]; then
    say "nvcc: left out (XRDCT_NO_NVCC)"
elif command -v nvcc >/dev/null; then
    say "nvcc: the machine's $(command -v nvcc)"
elif [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
    say "nvcc: the machine's $CUDA_HOME/bin/nvcc"
elif [ "$(uname -s)" = Linux ]; then
    wheels+=("nvidia-cuda-nvcc==13.0.*" "nvidia-cuda-crt==13.0.*" "nvidia-nvvm==13.0.*"
             "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cccl==13.0.*")
fi

if [ ${#wheels[@]} -gt 0 ]; then
    stamp=$tools/wheels.ready
    if [ "$(cat "$stamp" 2>/dev/null)" != "${wheels[*]}" ]; then
        say "bringing into .tools: ${wheels[*]}"
        make_venv "$tools/build" "${wheels[@]}"
        printf '%s' "${wheels[*]}" >"$stamp"
    fi
    site=$("$tools/build/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    case " ${wheels[*]}" in *" cmake"*) env+=("export PATH=\"$tools/build/bin:\$PATH\"") ;; esac
    case " ${wheels[*]}" in *" libclang"*)
        env+=("export LIBCLANG_PATH=\"$site/clang/native\""
              # the wheel has no built-in headers (stddef.h, stdint.h): lend it the C compiler's
              "export BINDGEN_EXTRA_CLANG_ARGS=\"-isystem $(cc -print-file-name=include)\"") ;;
    esac
    case " ${wheels[*]}" in *" nvidia-cuda-nvcc"*) env+=("export XRDCT_CUDA_HOME=\"$site/nvidia/cu13\"") ;; esac
fi

{
    echo "# written by scripts/setup.sh; read by the Makefile"
    [ ${#env[@]} -eq 0 ] || printf '%s\n' "${env[@]}"
} >"$tools/env.new"
# Kept when unchanged: its date decides nothing, but a rewrite would confuse a reader of 'ls -l'.
cmp -s "$tools/env.new" "$tools/env" && rm "$tools/env.new" || mv "$tools/env.new" "$tools/env"
say "ready (.tools/env)"
