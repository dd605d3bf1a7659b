#!/usr/bin/env bash
# Whole corridor beside FabIO + pyFAI: the same simulated frames, the same cores, one run, files in the page cache.
#   scripts/bench_peers.sh [FRAMES=200] [THREADS=2]
set -euo pipefail
cd "$(dirname "$0")/.."
frames=${1:-200}
threads=${2:-2}
folder=$(mktemp -d "${TMPDIR:-/tmp}/xrdct-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
echo "simulating $frames frames of Pilatus CdTe 2M ..."
target/release/xrdct simulate --output "$folder/frames" --detector PilatusCdTe2M --frames "$frames" >/dev/null
OMP_NUM_THREADS=$threads .tools/oracle/bin/python scripts/bench_peers.py \
    --xrdct target/release/xrdct --frames "$folder/frames" --threads "$threads"
