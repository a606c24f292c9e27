# `make demo` shows the router at work; `make test` proves it. Both install what they need.

CARGO ?= cargo
TARGET ?= target
VENV := $(TARGET)/venv
RHEA := $(TARGET)/rhea
PROTON_VERSION := 0.40.0
RHEA_VERSION := 3.0.5
# Debian packages that Proton's Python client is built with and that the tests call.
PACKAGES := libssl-dev libsasl2-dev pkg-config cmake python3-venv curl openssl

.PHONY: build demo test lint unit peers fmt fuzz-smoke bench help

help:
	@echo "make demo            two routers, mTLS, an HTTP service across the mesh; ARGS=--once ends by itself"
	@echo "make test            everything that proves the router, third-party peers included"
	@echo "make build           target/release/skrouterd"
	@echo "make lint            formatting and clippy"
	@echo "make bench           criterion benchmarks of the hot paths"
	@echo "make fuzz-smoke      a minute of each fuzz target (needs cargo-fuzz and a nightly toolchain)"

build:
	$(CARGO) build --release --locked --bin skrouterd

demo: build
	$(CARGO) run --release --locked --quiet --package interop-tests --bin demo -- $(ARGS)

test: lint peers
	$(CARGO) build --locked --bin skrouterd
	INTEROP_REQUIRE_PEERS=1 INTEROP_PYTHON=$(abspath $(VENV)/bin/python) \
	INTEROP_NODE_MODULES=$(abspath $(RHEA)/node_modules) \
	$(CARGO) test --workspace --locked --features router-engine/sim

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

fmt:
	$(CARGO) fmt --all

bench:
	$(CARGO) bench --package benches

peers: $(VENV)/.proton-$(PROTON_VERSION) $(RHEA)/.rhea-$(RHEA_VERSION)

$(VENV)/.proton-$(PROTON_VERSION):
	@missing="$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(PACKAGES) 2>&1 | grep -v '^installed ' || true)"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(PACKAGES); \
	fi
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet python-qpid-proton==$(PROTON_VERSION)
	touch $@

$(RHEA)/.rhea-$(RHEA_VERSION):
	mkdir -p $(RHEA)
	cd $(RHEA) && npm install --silent --no-save --no-audit --no-fund rhea@$(RHEA_VERSION)
	touch $@

fuzz-smoke:
	cd amqp-core && for target in $$($(CARGO) fuzz list); do \
	  $(CARGO) +nightly fuzz run $$target -- -max_total_time=60 || exit 1; \
	done
