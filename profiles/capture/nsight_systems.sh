#!/bin/sh
# Timeline of a run with its NVTX ranges: profiles/capture/nsight_systems.sh OUT COMMAND...
# Example: profiles/capture/nsight_systems.sh /tmp/run target/release/xrdct integrate --device cuda --poni P -o R.h5 scan/
set -eu
out=$1
shift
# The corridor alone, without start-up and closing: CAPTURE=run (an NVTX range; its name is no registered string).
exec env NSYS_NVTX_PROFILER_REGISTER_ONLY=0 nsys profile ${CAPTURE:+--capture-range=nvtx --nvtx-capture="$CAPTURE"} --trace=cuda,nvtx,osrt --force-overwrite true --output "$out" "$@"
