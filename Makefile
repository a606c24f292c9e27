# `make demo` shows the router at work, `make test` proves it. `make help` lists the rest.

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

CARGO    ?= cargo
PYTHON   ?= python3
NPM      ?= npm
NODE     ?= node
# Where cargo builds, and where the tests' foreign clients are installed.
TARGET   := $(abspath $(or $(CARGO_TARGET_DIR),target))
VENV     := $(TARGET)/venv
RHEA     := $(TARGET)/rhea
PEERS    := interop-tests/peers

# For `make demo`, for instance ARGS=--once.
ARGS     ?=
# Empty lets lints be warnings.
CLIPPY_FLAGS ?= -D warnings
# The simulation of whole networks in virtual time.
FEATURES := --features router-engine/sim

# The interop tests mostly wait for processes, so more of them than cores may run at a time.
TEST_THREADS ?= 4

.PHONY: help build release man docs install completions deb image image-check demo test test-rust lint deny format check-scripts bench-check tools peers sans-io loom wasm hostile applications soak
.PHONY: fuzz-smoke clean

help:
	@echo 'make build       debug build of everything'
	@echo 'make release     optimised router and tools: target/release/skrouterd, skmanage, skstat'
	@echo 'make man         man pages of the tools: target/man'
	@echo 'make install     router, tools, man pages, completions, unit and default configuration (PREFIX, DESTDIR)'
	@echo 'make deb         the same as a Debian package: target/skrouterd_*.deb'
	@echo 'make image       container image, without pulling anything: target/image/skupper-router.oci.tar (IMAGE, IMAGE_BASE)'
	@echo 'make image-check runs what is in it, as another user, on a file system that cannot be written'
	@echo 'make docs        the book: target/book (installs mdbook below target/ if it is not there)'
	@echo 'make demo        HTTP service through two routers; ARGS=--once ends by itself'
	@echo 'make test        formatting, lints and all tests, installing what they need'
	@echo 'make lint        formatting and lints only'
	@echo 'make deny        licences, sources and advisories of dependencies, where cargo-deny is installed; part of make lint'
	@echo 'make bench-check counts instructions of the paths that traffic takes; fails where they are 3 % above the record; part of make test'
	@echo 'make format      formats the sources'
	@echo 'make sans-io     fails when the protocol crates reach for the operating system; part of make lint'
	@echo 'make loom        all interleavings of the threads that share streams and mailboxes'
	@echo 'make wasm        the protocol crates for a platform without an operating system (WASM_FLAGS: see there)'
	@echo 'make hostile     ten minutes of hostile input'
	@echo 'make applications  what takes minutes with real applications: a gibibyte each way, silence, a long benchmark'
	@echo 'make soak        a thousand simulated networks of each kind (SOAK_SEEDS; SOAK_FIRST is the first seed)'
	@echo 'make fuzz-smoke  one minute per fuzz target: AMQP, the port, TLS, certificates, heads of TCP'
	@echo '                 streams, configuration, SASL, proxies (needs cargo-fuzz and a nightly toolchain)'

build:
	$(CARGO) build --workspace --locked

release:
	$(CARGO) build --release --locked --package skrouterd --package tools --bin skrouterd --bin skmanage --bin skstat

man:
	mkdir -p $(TARGET)/man
	for tool in skmanage skstat; do $(CARGO) run --quiet --locked --package tools --bin $$tool -- --man > $(TARGET)/man/$$tool.1 || exit 1; done

# One that is installed does as well.
MDBOOK   ?= $(or $(shell command -v mdbook),$(TARGET)/mdbook/bin/mdbook)

# The reference of the configuration is made from the schema first.
docs: $(MDBOOK)
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --locked --package skrouterd --test book reference
	$(MDBOOK) build docs

$(TARGET)/mdbook/bin/mdbook:
	$(CARGO) install mdbook --version 0.5.4 --no-default-features --locked --root $(TARGET)/mdbook

demo:
	$(CARGO) build --release --locked --package skrouterd --package interop-tests --bin skrouterd --bin demo
	$(TARGET)/release/demo $(ARGS)

test: tools peers lint test-rust bench-check

# --- lints

lint: check-scripts sans-io deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(FEATURES) -- $(CLIPPY_FLAGS)

format:
	$(CARGO) fmt --all

# Advisories need their database from the network; the rest does not.
deny:
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	    echo 'note: dependencies were not looked at: cargo-deny is not installed (cargo install --locked cargo-deny)'; \
	else \
	    set -x; $(CARGO) deny --locked --offline check --hide-inclusion-graph licenses bans sources || exit 1; \
	    if $(CARGO) deny --locked fetch >/dev/null 2>&1; then $(CARGO) deny --locked check --hide-inclusion-graph advisories; \
	    else echo 'note: advisories were not looked at: their database cannot be fetched'; fi; \
	fi

check-scripts:
	$(PYTHON) -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' $(PEERS)/*.py benches/*.py
	for script in $(PEERS)/rhea/*.js; do $(NODE) --check $$script || exit 1; done

# The compiler's own lints (clippy.toml of these crates) name the place; this sees what they cannot.
sans-io:
	CARGO='$(CARGO)' .ci/sans-io

# Where rustup cannot get the target, a compiler that comes with the source of its standard library does as well:
# RUSTC=... RUSTC_BOOTSTRAP=1 WASM_FLAGS='-Z build-std=std,panic_abort'.
WASM_FLAGS ?=
wasm:
	$(CARGO) check --locked --target wasm32-unknown-unknown $(WASM_FLAGS) --package amqp-core --package router-engine

# --- installation

# Below DESTDIR, for packages. A configuration that is there is left alone.
PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
MANDIR      := $(DESTDIR)$(PREFIX)/share/man/man1
BINDIR      := $(DESTDIR)$(PREFIX)/bin
TOOLS       := skmanage skstat

install: release man completions
	install -D -m 755 $(TARGET)/release/skrouterd $(DESTDIR)$(PREFIX)/sbin/skrouterd
	for tool in $(TOOLS); do \
	    install -D -m 755 $(TARGET)/release/$$tool $(BINDIR)/$$tool && \
	    install -D -m 644 $(TARGET)/man/$$tool.1 $(MANDIR)/$$tool.1 && \
	    install -D -m 644 $(TARGET)/completions/$$tool.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$tool && \
	    install -D -m 644 $(TARGET)/completions/$$tool.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$tool && \
	    install -D -m 644 $(TARGET)/completions/$$tool.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$tool.fish \
	    || exit 1; \
	done
	ln -sf skmanage $(BINDIR)/qdmanage
	ln -sf skstat $(BINDIR)/qdstat
	[ -e $(DESTDIR)$(SYSCONFDIR)/skupper-router/skrouterd.conf ] || \
	    install -D -m 640 packaging/skrouterd.conf $(DESTDIR)$(SYSCONFDIR)/skupper-router/skrouterd.conf
	[ -e $(DESTDIR)$(SYSCONFDIR)/sasl2/skrouterd.conf ] || \
	    install -D -m 644 packaging/sasl.conf $(DESTDIR)$(SYSCONFDIR)/sasl2/skrouterd.conf
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/lib/sysusers.d
	sed 's|/usr/sbin|$(PREFIX)/sbin|; s|/etc/|$(SYSCONFDIR)/|' packaging/skrouterd.service > $(DESTDIR)$(UNITDIR)/skrouterd.service
	sed 's|/usr/sbin|$(PREFIX)/sbin|' packaging/skrouterd-site@.service > $(DESTDIR)$(UNITDIR)/skrouterd-site@.service
	install -m 644 packaging/skrouterd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/skrouterd.conf
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/skrouterd/copyright

completions:
	mkdir -p $(TARGET)/completions
	for tool in $(TOOLS); do for shell in bash zsh fish; do \
	    $(CARGO) run --quiet --release --locked --package tools --bin $$tool -- --completions $$shell \
	        > $(TARGET)/completions/$$tool.$$shell || exit 1; done; done

# A Debian package of the same files, without more than dpkg.
deb: DEB := $(TARGET)/deb
deb:
	rm -rf $(DEB)
	$(MAKE) install PREFIX=/usr UNITDIR=/lib/systemd/system DESTDIR=$(DEB)
	find $(DEB) -type f -path '*/sbin/*' -o -type f -path '*/bin/*' | xargs strip
	packaging/debian-control $(VERSION) $(DEB)
	dpkg-deb --root-owner-group --build $(DEB) $(TARGET)/skrouterd_$(VERSION)_$$(dpkg --print-architecture).deb

# --- the container image

# The image's version is the one that the router tells.
VERSION     = $(shell sed -n 's/^pub const VERSION: &str = "\(.*\)";$$/\1/p' router-engine/src/lib.rs)
IMAGE       ?= localhost/skupper-router:$(VERSION)
# Another image than none at all, for instance debian:12-slim; then it brings the libraries.
IMAGE_BASE  ?= scratch
IMAGES      := $(TARGET)/image
BUILDAH     := buildah --storage-driver vfs --root $(IMAGES)/storage --runroot $(IMAGES)/run

image: release
	@command -v buildah >/dev/null || { echo 'make image needs buildah: apt-get install buildah'; exit 1; }
	$(PYTHON) packaging/rootfs --programs $(TARGET)/release --out $(IMAGES)/rootfs --version $(VERSION) \
	    $(if $(filter scratch,$(IMAGE_BASE)),,--programs-only)
	$(BUILDAH) build --isolation chroot --timestamp 0 --build-arg VERSION=$(VERSION) --build-arg BASE=$(IMAGE_BASE) \
	    --tag $(IMAGE) --file packaging/Containerfile $(IMAGES)
	rm -f $(IMAGES)/skupper-router.oci.tar
	$(BUILDAH) push --digestfile $(IMAGES)/digest $(IMAGE) oci-archive:$(IMAGES)/skupper-router.oci.tar
	@printf '%s\n%s ' $(IMAGES)/skupper-router.oci.tar "$$(cat $(IMAGES)/digest)"; du -h $(IMAGES)/skupper-router.oci.tar | cut -f1

# As root: the image as a container runtime would run it.
image-check: export IMAGE_ARCHIVE := $(IMAGES)/skupper-router.oci.tar
image-check: image
	$(CARGO) test --locked --package interop-tests --test image -- --nocapture

# --- tests

# With peers required, a test that would leave itself out for want of one fails instead.
test-rust: export INTEROP_PYTHON ?= $(VENV)/bin/python
test-rust: export INTEROP_NODE_MODULES ?= $(RHEA)/node_modules
test-rust: export INTEROP_REQUIRE_PEERS = 1
test-rust:
	$(CARGO) build --locked --bin skrouterd
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; \
	    $(CARGO) nextest run --workspace --locked $(FEATURES) --no-fail-fast --test-threads $(TEST_THREADS) && \
	    $(CARGO) test --workspace --locked --doc; \
	else \
	    set -x; $(CARGO) test --workspace --locked $(FEATURES) --no-fail-fast -- --test-threads $(TEST_THREADS); \
	fi
	@[ -n "$$UPSTREAM_SKROUTERD" ] || echo 'note: tests beside the C router were left out: UPSTREAM_SKROUTERD is not set'

# Only the protocol crates are built for it, so it takes a minute and a half. BENCH_FLAGS=--update records.
BENCH_FLAGS ?=
bench-check:
	$(CARGO) build --release --locked --package benches --bin instructions
	$(PYTHON) benches/instructions.py --program $(TARGET)/release/instructions $(BENCH_FLAGS)

# Other code is compiled with this flag, so it has a place of its own.
loom: export CARGO_TARGET_DIR := $(TARGET)/loom
loom: export RUSTFLAGS := --cfg loom
loom:
	$(CARGO) test --locked --package router-engine --test loom

# Five kinds of harm, one after the other, for so long each.
hostile: export INTEROP_HOSTILE_SECONDS ?= 120
hostile:
	$(CARGO) build --locked --bin skrouterd
	$(CARGO) test --locked --package interop-tests --test hostile -- --nocapture --test-threads 1

# A quarter of an hour. INTEROP_IDLE_SECONDS: how long the silent ones say nothing, twice.
applications: export INTEROP_PYTHON ?= $(VENV)/bin/python
applications: export INTEROP_REQUIRE_PEERS = 1
applications: tools peers
	$(CARGO) build --locked --bin skrouterd
	$(CARGO) test --locked --package interop-tests --test applications -- --ignored --nocapture --test-threads 2

# Half an hour or more. Optimised, and with the checks of state that tests have.
SOAK_SEEDS ?= 1000
SOAK_FIRST ?= 0
soak: export SIM_COUNT := $(SOAK_SEEDS)
soak: export SIM_FIRST := $(SOAK_FIRST)
soak: export MESH_SEEDS := $(SOAK_SEEDS)
soak: export MESH_FIRST := $(SOAK_FIRST)
soak: export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS := true
soak: export CARGO_TARGET_DIR := $(TARGET)/soak
soak:
	$(CARGO) test --release --locked --package router-engine $(FEATURES) --test sim random_ -- --nocapture
	$(CARGO) test --release --locked --package router-engine $(FEATURES) --lib mesh::tests::convergence -- --nocapture

fuzz-smoke:
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || { echo 'cargo-fuzz is not installed'; exit 1; }
	@for crate in */fuzz; do \
	    for target in $$(cd $$crate && $(CARGO) +nightly fuzz list); do \
	        (set -x; cd $$crate && $(CARGO) +nightly fuzz run $$target -- -max_total_time=60) || exit 1; \
	    done; \
	done

# --- what the tests need

# Debian packages, only where something is missing and we may install it.
tools:
	@missing=; PATH="$$PATH:/usr/sbin"; \
	need() { command -v $$1 >/dev/null 2>&1 || missing="$$missing $$2"; }; \
	need cc build-essential; need cmake cmake; need curl curl; need nginx nginx-light; need pkg-config pkg-config; \
	need openssl openssl; need saslpasswd2 sasl2-bin; need tinyproxy tinyproxy; need gnutls-cli gnutls-bin; \
	need redis-server redis-server; need redis-cli redis-tools; need mariadbd mariadb-server; need ncat ncat; \
	need sshd openssh-server; need ssh openssh-client; need h2load nghttp2-client; need nghttpd nghttp2-server; \
	need haproxy haproxy; need chromium chromium; need chromedriver chromium-driver; need promtool prometheus; \
	need valgrind valgrind; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgres postgresql; \
	need $(PYTHON) python3; need $(NODE) nodejs; need $(NPM) npm; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import sysconfig, os; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
	    || missing="$$missing python3-dev"; \
	pkg-config --exists openssl 2>/dev/null || missing="$$missing libssl-dev"; \
	pkg-config --exists libsasl2 2>/dev/null || missing="$$missing libsasl2-dev"; \
	ls /usr/lib/*/sasl2/libscram.so >/dev/null 2>&1 || missing="$$missing libsasl2-modules"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    set -x; apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing; \
	else \
	    echo "the tests may need these Debian packages:$$missing"; \
	fi

peers: $(VENV)/.installed $(RHEA)/.installed

$(VENV)/.installed: $(PEERS)/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(RHEA)/.installed: $(PEERS)/rhea/package.json
	mkdir -p $(RHEA)
	cp $< $(RHEA)/
	$(NPM) install --prefix $(RHEA) --no-audit --no-fund --loglevel=error
	touch $@

clean:
	$(CARGO) clean
