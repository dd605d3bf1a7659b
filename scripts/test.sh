#!/usr/bin/env bash
# cargo test, which says at its end what it left out and why. No test passes in silence for want of something: it fails, or it
# stands in a module that is left out here by its name.
#   scripts/test.sh [OPTIONS OF cargo test] [-- OPTIONS OF THE TESTS]
# needs_data     where there is no folder of real data (XRDCT_TEST_DATA, default ../shared/data), or with WITHOUT=needs_data
# needs_oracle   with WITHOUT=needs_oracle
# needs_two_gpus where ignored tests are asked for and nvidia-smi does not list two
# needs_slurm    where scripts/setup.sh found no packages of Slurm, or with WITHOUT=needs_slurm
set -euo pipefail
cd "$(dirname "$0")/.."

data=${XRDCT_TEST_DATA:-../shared/data}
declare -A why=()
[ -d "$data" ] || why[needs_data]="there is no $data (XRDCT_TEST_DATA names the folder of real data)"
gpus=$(nvidia-smi -L 2>/dev/null | wc -l) || true
case " $* " in
*ignored*) [ "$gpus" -ge 2 ] || why[needs_two_gpus]="nvidia-smi lists $gpus GPUs" ;;
esac
[ ! -e .tools/slurm.why ] || why[needs_slurm]=$(cat .tools/slurm.why)
for module in ${WITHOUT:-}; do
    case $module in
    needs_data | needs_oracle | needs_slurm) why[$module]="WITHOUT=$module" ;;
    *) echo "test: WITHOUT=$module: only needs_data, needs_oracle and needs_slurm can be left out" >&2; exit 2 ;;
    esac
done

cargo=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do cargo+=("$1"); shift; done
[ $# -eq 0 ] || shift

# Tests of a module that would have been run.
count() { # module, then options of the tests
    local module=$1; shift
    local list=(cargo test "${cargo[@]}" --quiet --test tests -- --list "$@")
    local all ignored=0
    all=$("${list[@]}" 2>/dev/null | grep -c "\b$module::.*: test$") || true
    case " $* " in *ignored*) ;; *) ignored=$("${list[@]}" --ignored 2>/dev/null | grep -c "\b$module::.*: test$") || true ;; esac
    echo $((all - ignored))
}
skip=()
for module in "${!why[@]}"; do skip+=(--skip "$module::"); done
say_what_is_left_out() {
    for module in "${!why[@]}"; do
        printf '\nLEFT OUT: %s tests of %s: %s\n' "$(count "$module" "$@")" "$module" "${why[$module]}"
    done
}
arguments=("$@")
trap 'say_what_is_left_out "${arguments[@]}"' EXIT
cargo test "${cargo[@]}" -- "$@" "${skip[@]}"
