#!/usr/bin/env bash
# Packs dist/: the program, the test and bench binaries and the scripts that a node without a tool chain needs.
# Kernels are embedded; glibc and a driver are all it asks for.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf dist
mkdir -p dist/bin dist/scripts
cargo build --release --locked
cp target/release/xrdct dist/bin/

# cargo says in JSON which executable each target became.
executables() {
    cargo "$@" --no-run --message-format=json | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("reason") == "compiler-artifact" and message.get("executable") and message["target"]["kind"] != ["bin"]:
        print(message["target"]["name"], message["target"]["kind"][0], message["executable"])'
}
executables test --release --locked --test tests | while read -r name kind path; do cp "$path" "dist/bin/$name-$kind"; done
executables bench --locked --benches | while read -r name kind path; do
    [ "$kind" != bench ] || cp "$path" "dist/bin/$name-$kind"
done
strip --strip-debug dist/bin/*
cp scripts/test_gpu.sh scripts/peers_setup.sh dist/scripts/
cp -r profiles/capture dist/
# Benches compare with the newest record of a machine's class.
mkdir -p dist/profiles
cp -r profiles/record dist/profiles/
cp README.md LICENSE CHANGELOG.md dist/
target/release/xrdct --version >dist/VERSION
du -sh dist | sed 's/^/dist: /'
