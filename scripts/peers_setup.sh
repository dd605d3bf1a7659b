#!/usr/bin/env bash
# The peers of `xrdct bench table1 --peers` and `xrdct bench tomo --peers` (pyFAI, silx, FabIO, PyOpenCL, scikit-image) for a GPU node without a network.
#
#   scripts/peers_setup.sh collect [FOLDER] [PYTHON]   with a network: wheels into FOLDER (dist/wheels) for python PYTHON (3.12)
#   scripts/peers_setup.sh install [FOLDER] [TARGET]   on the node: installs them into TARGET (/tmp/xrdct-peers); says what to
#                                                      give to --peers
#
# The node's own python3 must bring numpy, scipy, h5py, matplotlib and MarkupSafe. OpenCL is the driver's: TARGET/python tells
# the loader (which PyOpenCL's wheel brings) where its libnvidia-opencl.so.1 is.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'peers: %s\n' "$*"; }
die() { printf 'peers: %s\n' "$*" >&2; exit 1; }

# What reading CBF and integrating import and a scientific python has not (hdf5plugin, 46 MB, they do without); versions as in
# scripts/setup.sh.
wheels=(pyFAI==2026.9.0 fabio==2026.6.0 silx==3.1.3 numexpr pyopencl pytools platformdirs siphash24 mako
        scikit-image==0.26.0 lazy_loader networkx imageio tifffile pillow)

case "${1:-}" in
collect)
    folder=${2:-dist/wheels} python=${3:-3.12}
    rm -rf "$folder"
    platforms=()
    for version in 39 34 31 28 27 24 17 12 5; do platforms+=(--platform "manylinux_2_${version}_x86_64"); done
    python3 -m pip --disable-pip-version-check download -q --no-deps --only-binary=:all: --implementation cp \
        --python-version "$python" "${platforms[@]}" --platform manylinux2014_x86_64 -d "$folder" "${wheels[@]}" \
        || die "pip could not bring: ${wheels[*]} (is PyPI reachable?)"
    say "$(du -sh "$folder" | cut -f 1) of wheels for python $python in $folder"
    ;;
install)
    folder=${2:-wheels} target=${3:-/tmp/xrdct-peers}
    [ -d "$folder" ] || folder=dist/wheels
    [ -d "$folder" ] || die "no folder of wheels: scripts/peers_setup.sh collect, on a machine with a network"
    mkdir -p "$target/icd"
    target=$(cd "$target" && pwd)
    python3 -m pip --disable-pip-version-check install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
        --target "$target/site" "$folder"/*.whl || die "pip could not install the wheels of $folder"
    library=$({ ldconfig -p | sed -n 's/.*libnvidia-opencl\.so\.1.*=> //p'
                ls /usr/local/nvidia/lib64/libnvidia-opencl.so.1 /usr/lib64/libnvidia-opencl.so.1 \
                   /usr/lib/x86_64-linux-gnu/libnvidia-opencl.so.1; } 2>/dev/null | head -n 1 || true)
    if [ -n "$library" ]; then
        echo "$library" >"$target/icd/nvidia.icd"
    else
        say "no libnvidia-opencl.so.1 here: rows with OpenCL will say so"
    fi
    cat >"$target/python" <<WRAPPER
#!/bin/sh
# Written by scripts/peers_setup.sh: the node's python with the peers, and OpenCL from the driver.
export PYTHONPATH="$target/site\${PYTHONPATH:+:\$PYTHONPATH}"
[ ! -e "$target/icd/nvidia.icd" ] || export OCL_ICD_VENDORS="$target/icd"
${library:+export LD_LIBRARY_PATH="$(dirname "$library")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"}
exec "$(command -v python3)" "\$@"
WRAPPER
    chmod +x "$target/python"
    "$target/python" -c 'import fabio, h5py, numpy, pyFAI, silx; print("peers: pyFAI", pyFAI.version, "silx", silx.version)' \
        || die "the peers cannot be imported"
    "$target/python" -c 'import pyopencl; print("peers:", [d.name for p in pyopencl.get_platforms() for d in p.get_devices()])' \
        || say "OpenCL does not work: rows with OpenCL will say so"
    say "xrdct bench table1 --peers=$target/python"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
