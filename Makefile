# Every target sets up what it needs first (tools/setup). Artifacts go outside the clone, so that clones share them.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/ebbtide/target
.DEFAULT_GOAL := help
.PHONY: help setup build demo test bench soak fuzz lint

# The tests stop the process at named steps of a commit; all checks build that way, so that dependencies compile once.
CHECKED := --features failpoints

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Installs or names what build and tests need: compiler, OpenSSL headers, Java, Maven, Python, the real servers
	@tools/setup test

build: ## Builds the release program
	@tools/setup build
	cargo build --release --locked

demo: ## Synthetic traffic through the whole of Ebbtide, in the terminal; needs no Java and no Python
	@tools/setup build
	cargo run --locked $(CHECKED) -- demo $(DEMO)

lint: ## Formatting and lints, warnings as errors
	@tools/setup build
	cargo fmt --check
	cargo clippy --locked $(CHECKED) --all-targets -- -D warnings

test: lint ## Lints, then all tests with a real Kafka, a real schema registry and three foreign readers
	@tools/setup test
	cargo test --locked $(CHECKED)

bench: ## Kafka to durable commit against a bare consumer, release build (BENCH="--records N" for another size)
	@tools/setup test
	cargo bench --locked $(BENCH)

soak: ## The crash test for long: 200 kills and more under load (SOAK_KILLS=N for another number)
	@tools/setup test
	SOAK_KILLS=$(or $(SOAK_KILLS),200) cargo test --locked $(CHECKED) --test it -- --nocapture kills::

fuzz: ## Random schemas, random and spoilt messages, our decoder against apache-avro, for FUZZ_SECONDS (1800)
	@tools/setup build
	cargo test --locked $(CHECKED) --test fuzz -- --seconds $(or $(FUZZ_SECONDS),1800) --seed $(or $(FUZZ_SEED),0)
