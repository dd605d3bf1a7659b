#!/usr/bin/env bash
# A small XRD-CT scan from nothing: simulate, integrate, say what was written and how to look at it.
#   scripts/demo.sh [FOLDER=demo]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-demo}
xrdct=target/release/xrdct

step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

if [ $# -gt 0 ] && [ -e "$folder" ]; then
    echo "demo: $folder exists; name a folder that does not" >&2
    exit 5
fi
rm -rf "$folder"
mkdir -p "$folder"
step $xrdct simulate --phantom --rotations 30 --translations 31 --output "$folder/scan"
step $xrdct integrate --poni "$folder/scan/geometry.poni" --output "$folder/scan.h5" --slow 30 --fast 31 --npt 500 \
    --unit q_A^-1 --error-model poisson "$folder/scan"
step $xrdct info "$folder/scan.h5"
# Lines that each phase has to itself, q in 1/A (attribute `region` of /phantom/<phase>_lines in truth.h5).
step $xrdct tomo "$folder/scan.h5" --output "$folder/tomo.h5" \
    --region LaB6=2.077:2.199 --region CeO2=1.950:2.072 --region Al2O3=2.402:2.524
step $xrdct plot "$folder/tomo.h5" --truth "$folder/scan/truth.h5" --output "$folder/overview.png"
step $xrdct report "$folder/scan.h5" --tomo "$folder/tomo.h5" --truth "$folder/scan/truth.h5" --output "$folder/report.html"
