# Every target sets up what it needs first (tools/setup). Artifacts go outside the clone, so that clones share them.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/ebbtide/target
.DEFAULT_GOAL := help
.PHONY: help setup build demo test bench soak weeks life topics clouds fuzz lint prose sanitize

# The tests nest schemas deeper than the default stack of a thread allows without optimisation (RUST_MIN_STACK).
# Tests stop the process at named steps of a commit. All checks build with this feature, so that dependencies compile once.
CHECKED := --features failpoints

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Installs or names what build and tests need: compiler, OpenSSL headers, Java, Maven, Python, the real servers
	@tools/setup test

build: ## Builds the release program
	@tools/setup build
	cargo build --release --locked

demo: ## Shows synthetic traffic in all of Ebbtide, in the terminal; needs no Java and no Python (DEMO="--seconds 20")
	@tools/setup build
	cargo build --locked --profile demo -p ebbtide-demo
	$(CARGO_TARGET_DIR)/demo/ebbtide-demo $(DEMO)

lint: prose ## Words (as `make prose`), formatting and lints, warnings as errors
	@tools/setup build
	cargo fmt --all --check
	cargo clippy --locked $(CHECKED) --workspace --all-targets -- -D warnings

prose: ## Words of documents, comments and messages, and unique names of public types; seconds (PROSE=--count for numbers)
	@tools/setup prose
	tools/prose/check $(PROSE)

test: lint ## Lints, then all tests with a real Kafka, a real schema registry, an object store and four foreign readers
	@tools/setup test
	RUST_MIN_STACK=16777216 cargo test --locked $(CHECKED) --workspace

# The stable toolchain includes the sanitizer; only its flag needs the bootstrap variable.
sanitize: ## The tests of the crate with unsafe code, under the address sanitizer and its leak check
	@tools/setup build
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/sanitize \
		cargo test --locked -p kafka-topic-id --target $$(rustc -vV | sed -n 's/^host: //p') --tests

bench: ## Each stage, then Kafka to durable commit against a bare consumer, then memory with all products (about 15 minutes)
	@tools/setup test
	cargo bench --locked --bench stages
	cargo bench --locked --bench decode
	cargo bench --locked --bench rewrite
	cargo bench --locked --bench compact
	cargo bench --locked --bench expiry
	cargo bench --locked --bench lookup
	cargo bench --locked --bench writers
	cargo bench --locked --bench ingest -- $(BENCH)
	cargo bench --locked --bench ingest -- --all-products --partitions 64 --records 2000000 --runs 1

soak: ## Long crash tests: 200 kills under load, and 300 while it sweeps too (SOAK_KILLS=N, SOAK_SWEEP_KILLS=N for other numbers); 10,000 orders of tasks and crashes, 5,000 histories (SOAK_HISTORIES=N, SOAK_HISTORIES_FROM=SEED) and 5,000 of Kafka topics (SOAK_TOPICS=N, SOAK_TOPICS_FROM=SEED); a retention life of eight months
	@tools/setup test
	cargo test --release --locked -p ebbtide-maintenance --lib -- --ignored --nocapture interleavings::
	cargo test --release --locked $(CHECKED) --test it -- --ignored --nocapture histories::
	cargo test --release --locked $(CHECKED) --test it -- --ignored --nocapture topics::
	SOAK_KILLS=$(or $(SOAK_KILLS),200) SOAK_SWEEP_KILLS=$(or $(SOAK_SWEEP_KILLS),300) \
		cargo test --release --locked $(CHECKED) --test it -- --nocapture kills
	$(MAKE) weeks
	$(MAKE) life

# In release mode: a day is three seconds, and two cores also run Kafka and the checks.
weeks: ## Five weeks of a retention life in three minutes (alone on the machine)
	@tools/setup test
	cargo test --release --locked $(CHECKED) --test it -- --ignored --nocapture life::five

life: ## Eight months of a retention life in 15 minutes, and docs/life.svg drawn from them (alone on the machine)
	@tools/setup test
	LIFE_KEEP=$(CARGO_TARGET_DIR)/life cargo test --release --locked $(CHECKED) --test it -- --ignored --nocapture life::eight
	"$$(tools/servers python)/bin/python" -B tests/python/life_picture.py $(CARGO_TARGET_DIR)/life/samples.jsonl $(CARGO_TARGET_DIR)/life/events.jsonl docs/life.svg

topics: ## Random histories of Kafka topics, more than in `make test`, 200 or SOAK_TOPICS=N: transactions, gaps, retention, topics created again, kills (about 20 minutes)
	@tools/setup test
	SOAK_TOPICS=$(or $(SOAK_TOPICS),200) \
		cargo test --locked $(CHECKED) --test it -- --ignored --nocapture topics::

clouds: ## The main job with the emulator of Azure's object store (needs npm; two minutes the first time, then one)
	@tools/setup test
	cargo test --locked $(CHECKED) --test it -- --ignored object_store::

fuzz: ## Random schemas, random and damaged messages, our decoder compared with apache-avro, for FUZZ_SECONDS (1800)
	@tools/setup build
	cargo test --locked -p ebbtide-policy --test fuzz -- --seconds $(or $(FUZZ_SECONDS),1800) --seed $(or $(FUZZ_SEED),0)
