# What to type. Everything listens on loopback and cleans up after itself.

CARGO ?= cargo
FUZZ_SECONDS ?= 600
ENDURANCE_SECONDS ?= 120
# requests that schemathesis makes up for each route and each of its ways
EXAMPLES ?= 20
SCHEMATHESIS ?= $(or $(CARGO_TARGET_DIR),target)/schemathesis
PROSODY_13 ?= $(or $(CARGO_TARGET_DIR),target)/prosody-13
# the test programs that start a server
LIVE = $(patsubst tests/%.rs,--test %,$(shell grep -l '^mod support;' tests/*.rs))

.PHONY: help demo test test-prosody-13 test-api test-captures endurance bench bench-record fuzz lint install-deps captures

help:
	@echo "make demo          hold three rooms on a real Prosody, kill it, and watch them come back"
	@echo "make test          all tests, the live ones on a real Prosody"
	@echo "make test-prosody-13"
	@echo "                   the live tests on Prosody 13: the installed one, that of INNKEEPER_PROSODY, or Debian's, fetched and not installed"
	@echo "make test-api      the HTTP interface against its description, by schemathesis (in a Python environment of its own)"
	@echo "make test-captures DIR=…"
	@echo "                   explain the captures in a folder, and compare with what is expected of them"
	@echo "make endurance     webhooks while the daemon and the receivers are killed every ten seconds, for $(ENDURANCE_SECONDS) s"
	@echo "make bench         time and memory for 10, 100 and 1000 rooms, beside what the server itself needs"
	@echo "make bench-record  one room's last day among ten million recorded events, and 1,000 more a second"
	@echo "make fuzz          fuzz the XML layer and the readers of captures, $(FUZZ_SECONDS) s for each target (needs cargo-fuzz and a nightly toolchain)"
	@echo "make captures      record packet_captures/*.har again, on a real Prosody"
	@echo "make lint          formatting, clippy and documentation, warnings denied"
	@echo "make install-deps  install Prosody and a C compiler with apt-get where they are missing"

demo: install-deps
	$(CARGO) build --bin innkeeper --example demo
	@exec "$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/examples/demo"

# the live tests wait for servers most of the time, so that more of them than there are cores run at once
test: install-deps
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-6} $(CARGO) test --no-fail-fast

# not a part of CI: a mirror need not have the package
test-prosody-13: install-deps
	@program="$$INNKEEPER_PROSODY"; [ -n "$$program" ] || program=$$(tests/prosody/fetch-13.sh "$(PROSODY_13)") || exit 1; \
	echo "the live tests run on $$program"; \
	INNKEEPER_PROSODY="$$program" RUST_TEST_THREADS=$${RUST_TEST_THREADS:-6} $(CARGO) test --no-fail-fast $(LIVE)

# more of them say more: EXAMPLES=200 takes some minutes
test-api: install-deps
	@tests/api/venv.sh "$(SCHEMATHESIS)"
	SCHEMATHESIS="$(abspath $(SCHEMATHESIS))/bin/schemathesis" EXAMPLES=$(EXAMPLES) $(CARGO) test --test api -- --ignored --nocapture

test-captures:
	@test -d "$(DIR)" || { echo "make test-captures DIR=…: no folder of captures at \"$(DIR)\"" >&2; exit 1; }
	INNKEEPER_CAPTURES="$(abspath $(DIR))" $(CARGO) test --test captures -- --ignored --nocapture foreign

endurance: install-deps
	INNKEEPER_ENDURANCE=$(ENDURANCE_SECONDS) $(CARGO) test --test webhook_endurance -- --nocapture

bench: install-deps
	$(CARGO) bench --bench hold -- $(SECTIONS)

# ten million recorded events: some gigabytes in the temporary folder, and some minutes
bench-record:
	$(CARGO) bench --bench record -- $(ROWS)

# the bundled SQLite defines one symbol twice, which the sanitizer takes for an error before anything runs
fuzz:
	cd fuzz && for target in $$($(CARGO) +nightly fuzz list); do \
		ASAN_OPTIONS=detect_odr_violation=0 $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

install-deps:
	@tests/demo/install-deps.sh

captures: install-deps
	$(CARGO) test --test record_captures -- --ignored --test-threads=1
