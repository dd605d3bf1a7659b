#!/bin/sh
# Hardware counters of one launch of each kernel: profiles/capture/nsight_compute.sh OUT BENCH
# BENCH is the GPU bench (target/release/deps/gpu-*, or the one that make dist packs).
# Clocks are left as they are: compare figures of one run only.
set -eu
out=$1
bench=$2
for kernel in exits count_32 prefix_32 pixels_32 packed_wide plain_wide xrdct_bins; do
    ncu --clock-control none --kernel-name "regex:$kernel" --launch-count 1 --set full --force-overwrite \
        --export "$out-$kernel" "$bench" weak --short
    ncu --import "$out-$kernel.ncu-rep" --page details >"$out-$kernel.txt"
done
