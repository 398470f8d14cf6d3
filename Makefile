# `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Says what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Builds the program: target/release/staticreg
	cargo build --release

.PHONY: run
run: ## Serves on 127.0.0.1:8093, with counts in memory unless STATICREG_DB_URL says otherwise
	cargo run --release

.PHONY: lint
lint: lint-tools ## Formatting, clippy, who depends on whom, licences, advisories, dependencies that nothing uses
	cargo fmt --all --check
	scripts/check-arrows
	cargo machete
	cargo deny --log-level error check licenses bans sources
	scripts/check-advisories
	cargo clippy --workspace --all-targets --all-features -- -D warnings

.PHONY: lint-tools
lint-tools: ## Installs what lint needs
	@command -v cargo-machete >/dev/null || cargo install --quiet --locked cargo-machete@0.9.2
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2

# Tests wait more than they compute, for servers, for clients and for time to pass: more of them at once than there are
# cores.
export RUST_TEST_THREADS ?= $(shell expr 2 '*' $$(nproc))

.PHONY: test
test: test-tools compose-check install-check ## Installs what the tests need and runs all of them
	@# The program itself is built too, because adapters/cli has tests that run it; tests/e2e runs the same.
	cargo test --workspace

.PHONY: test-fast
test-fast: ## The tests that need no package of Debian, no server and no browser: quick once built
	@# Unit tests need none of these; of the integration tests, those that are named. The whole workspace is asked, so that
	@# nothing is built anew.
	cargo test --workspace --exclude staticreg-test-support --lib --test api --test pages --test server \
		--test counting --test distribution --test document --test histories --test spool

.PHONY: simulate
simulate: ## Plays histories of servers, kills and failing stores; SEED=... HISTORIES=... say which and how many
	SIMULATE_SEED=$(SEED) SIMULATE_HISTORIES=$(or $(HISTORIES),20000) \
		cargo test --release -p staticreg-simulation -- --nocapture

.PHONY: fuzz
fuzz: test-tools ## Fuzzes what reads untrusted input, a minute each; SECONDS=... says how long
	SECONDS_EACH=$(or $(SECONDS),60) scripts/fuzz

.PHONY: test-e2e
test-e2e: test-tools ## The tests of the real program among real parts
	cargo build
	cargo test -p staticreg-e2e

.PHONY: test-tools
test-tools: ## Installs what the tests need (apt-get, as root or with sudo)
	@scripts/install-test-tools

.PHONY: compose-check
compose-check: test-tools ## Checks compose/compose.yaml
	@scripts/check-compose

.PHONY: install-check
install-check: test-tools ## Checks workflows, systemd unit, Helm chart and manifests
	@scripts/check-install

.PHONY: bench
bench: test-tools ## Measures how much it takes; PARTS=growth MILLIONS=1,10,50 measures growth alone; see docs/performance.md
	cargo build --release -p staticreg -p staticreg-load
	target/release/staticreg-load $(if $(MILLIONS),--millions $(MILLIONS)) $(PARTS)

.PHONY: openapi
openapi: ## Writes api-spec/openapi.json anew
	cargo run --quiet -- openapi > target/openapi.json
	mv target/openapi.json api-spec/openapi.json

.PHONY: manifests
manifests: test-tools ## Writes ops/kubernetes/staticreg.yaml anew
	scripts/render-manifests > target/staticreg.yaml
	mv target/staticreg.yaml ops/kubernetes/staticreg.yaml

.PHONY: schema
schema: ## Writes sql/event_schema.sql anew
	scripts/event-schema > target/event_schema.sql
	mv target/event_schema.sql sql/event_schema.sql
