#!/usr/bin/env bash
# On a GPU node, in a folder that `make dist` made: the GPU suite, and the product's own answers on the CPU and the GPU side by side.
#   scripts/test_gpu.sh            fails without a GPU
# XRDCT_TEST_DATA names the folder of real frames, if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
bin/xrdct info
skip=()
[ -d "${XRDCT_TEST_DATA:-}" ] || skip=(--skip needs_data::)
[ "$(nvidia-smi -L 2>/dev/null | wc -l)" -ge 2 ] || { skip+=(--skip needs_two_gpus::); one_gpu=yes; }
bin/tests-test cuda::gpu --include-ignored --nocapture --test-threads=1 "${skip[@]}"
[ -d "${XRDCT_TEST_DATA:-}" ] || echo "LEFT OUT: tests of needs_data: XRDCT_TEST_DATA names no folder of real frames"
[ -z "${one_gpu:-}" ] || echo "LEFT OUT: tests of needs_two_gpus: nvidia-smi does not list two"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bin/xrdct simulate --output "$scratch/frames" --detector PilatusCdTe2M --frames 40 >/dev/null
for device in cpu cuda; do
    bin/xrdct convert --device $device --output "$scratch/$device-stack.h5" "$scratch/frames"
    bin/xrdct integrate --device $device --poni "$scratch/frames/geometry.poni" --error-model poisson --sums \
        --output "$scratch/$device.h5" "$scratch/frames"
done
if ! python3 -c 'import h5py, numpy' 2>/dev/null; then
    echo "the suite passed; comparing the files too needs python3 with h5py and numpy, which are not here"
    exit 0
fi
python3 - "$scratch" <<'PYTHON'
import sys
import h5py
import numpy

folder = sys.argv[1]
cpu, gpu = (h5py.File(f"{folder}/{d}-stack.h5")["/entry_0000/data/data"][()] for d in ("cpu", "cuda"))
assert numpy.array_equal(cpu, gpu), "convert: pixels differ"
cpu, gpu = (h5py.File(f"{folder}/{d}.h5")["/entry_0000/xrdct"] for d in ("cpu", "cuda"))

def values(entry, name):
    if name != "normalization":
        return entry[name][()]
    # A row for each set of valid pixels, and which one each frame has.
    return entry["sums/norms"]["normalization"][entry["sums/norms_of"][()]]

for name in ("result/intensity", "result/errors", "sums/signal", "sums/variance", "normalization"):
    a, b = values(cpu, name), values(gpu, name)
    assert numpy.any(a), name
    off = numpy.max(numpy.abs(a - b) / numpy.where(a == 0, 1, numpy.abs(a)))
    assert off < 1e-6, (name, off)
    print(f"{name}: largest relative difference {off:.1e}")
print("the GPU's answers are the CPU's")
PYTHON
