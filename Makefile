# Everything a person needs; each target installs what it lacks.

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
SAMPAN := $(TARGET)/release/sampan
.PHONY: run stop test build ui lint bench packages browser

run: build ## a cluster with the example on it
	@SAMPAN=$(SAMPAN) sh examples/run.sh

stop: ## ends that cluster, without trace
	@SAMPAN=$(SAMPAN) sh examples/stop.sh

build: packages ui ## the release binary, whole
	cargo build --release --locked --package sampan --bin sampan

ui: ## the web UI's files, where npm is installed
	@sh scripts/ui.sh

test: browser ui ## every test
	@sh scripts/ui-checks.sh
	cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	cargo test --quiet --locked --manifest-path crates/shim/Cargo.toml --target-dir $(TARGET)/shim
	sh scripts/tools.sh $(TARGET)/tools
	PATH="$$PATH:$(TARGET)/tools/kubectl-1.37" SAMPAN_TEST_TOOLS=$(TARGET)/tools cargo nextest run --workspace --locked --profile $(if $(CI),ci,default)

lint: packages
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy
	if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; else echo 'cargo-deny is not installed: its checks did not run'; fi

bench: build
	SAMPAN=$(SAMPAN) cargo run --release --locked --package bench -- $(ARGS)

packages:
	@sh scripts/packages.sh

browser: ## what packages installs, and a browser for the test of the web UI
	@sh scripts/packages.sh browser
