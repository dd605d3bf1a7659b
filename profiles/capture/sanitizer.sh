#!/bin/sh
# compute-sanitizer's four tools over the adversarial corpus: profiles/capture/sanitizer.sh TESTS
# TESTS is the integration-test binary (target/release/deps/tests-*, or the one that make dist packs).
set -eu
tests=$1
for tool in memcheck racecheck initcheck synccheck; do
    echo "== $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 9 "$tests" clean_under_the_sanitizer --ignored --test-threads 1
done
