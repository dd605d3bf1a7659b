#!/bin/sh
# Timeline of a run with its NVTX ranges: profiles/capture/nsight_systems.sh OUT COMMAND...
# Example: profiles/capture/nsight_systems.sh /tmp/run target/release/xrdct integrate --device cuda --poni P -o R.h5 scan/
set -eu
out=$1
shift
exec nsys profile --trace=cuda,nvtx,osrt --force-overwrite true --output "$out" "$@"
