# Every target does its own set-up first. On a fresh machine (cargo, a C compiler, python3 with pip):
#   make demo     build, simulate a small XRD-CT scan, integrate it, say how to look at it
#   make test     the whole test suite, with pyFAI as the judge
# XRDCT_NO_NVCC=1 builds without CUDA kernels.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
# What scripts/setup.sh found or brought: cmake, libclang, nvcc.
ENV := . .tools/env &&
PROFILE := --release --locked

.PHONY: help advisories setup oracle slurm build demo test test-gpu lint format doc bench bench-peers bench-gpu dist dist-peers clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## bring the build tools that this machine lacks into .tools/
	@scripts/setup.sh

oracle: setup
	@scripts/setup.sh oracle

# A cluster of one node for the tests; where Debian's packages cannot be had, they are left out, aloud.
slurm: setup
	@scripts/setup.sh slurm

build: setup ## the program: target/release/xrdct
	@$(ENV) cargo build $(PROFILE)

demo: build ## simulate a small XRD-CT scan, integrate it, show what came out
	@scripts/demo.sh

# What is left out on purpose: make test WITHOUT=needs_oracle (no network), WITHOUT="needs_oracle needs_slurm needs_data".
WITHOUT ?=

test: setup $(if $(filter needs_oracle,$(WITHOUT)),,oracle) $(if $(filter needs_slurm,$(WITHOUT)),,slurm) ## the whole test suite; says what it leaves out where there are no real data
	@$(ENV) WITHOUT="$(WITHOUT)" scripts/test.sh $(PROFILE)

test-gpu: setup ## the suites that need a GPU; fails without one
	@$(ENV) WITHOUT="$(WITHOUT)" scripts/test.sh $(PROFILE) --test tests -- --ignored gpu

# What clang-format lays out.
C_FILES = find cuda tests/gpu \( -name '*.cu' -o -name '*.cuh' -o -name '*.h' -o -name '*.cpp' -o -name '*.c' \) -exec
CLANG_FORMAT = .tools/format/bin/clang-format

format: ## lay out all sources
	@scripts/setup.sh format
	cargo fmt
	$(C_FILES) $(CLANG_FORMAT) -i {} +

lint: setup ## formatting and clippy, warnings as errors
	@scripts/setup.sh format
	cargo fmt --check
	$(C_FILES) $(CLANG_FORMAT) --dry-run --Werror {} +
	$(ENV) cargo clippy $(PROFILE) --all-targets -- -D warnings
	cargo clippy $(PROFILE) -p xrdct-fuzz --no-default-features -- -D warnings

advisories: ## known holes in the crates that xrdct is built of: RustSec's of today, else the snapshot in .ci/
	@scripts/advisories.py check

doc: setup ## the API documentation, warnings as errors
	@$(ENV) RUSTDOCFLAGS="-D warnings" cargo doc $(PROFILE) --no-deps

# What a bench is told: make bench BENCH="decode --save", BENCH='"corridor, CPU pool"', BENCH=--list.
BENCH ?=

bench: oracle ## CPU benches beside their ceilings; fails when one lost 10 % of the best that this class of machine reached
	@$(ENV) cargo bench --locked --bench cpu -- $(BENCH)

bench-gpu: setup ## the same for the GPU; fails without one
	@$(ENV) cargo bench --locked --bench gpu -- $(BENCH)

bench-peers: build oracle ## CPU rows of the paper's Table 1 beside FabIO + pyFAI, same frames, same cores, one session
	@target/release/xrdct bench table1 --count 200 --runs 3 --source mem --peers=.tools/oracle/bin/python \
	    --rows sequential-cpu,cpu-pool,read,peer $(BENCH)

dist-peers: ## wheels of the peers for a GPU node without a network, into dist/wheels
	@scripts/peers_setup.sh collect

dist: setup ## a folder that runs on a node without a tool chain: program, tests, scripts
	@$(ENV) scripts/dist.sh

clean: ## what cargo built; .tools/ stays
	@cargo clean
