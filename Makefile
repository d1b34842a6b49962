# A thin front for Meson: `make help` lists what there is. CONTRIBUTING.md says more.

BUILD = build
PREFIX ?= /usr/local
SOAK_MINUTES ?= 60
FUZZ_SECONDS ?= 60
PYTHON = $(shell scripts/find-python)

$(BUILD)/syncline: $(BUILD)/build.ninja
	@ninja -C $(BUILD) syncline

$(BUILD)/build.ninja:
	@for tool in cc meson ninja pkg-config; do command -v $$tool >/dev/null || \
		{ echo "$$tool is missing: run scripts/install-deps.sh" >&2; exit 1; }; done
	@meson setup $(BUILD) --prefix=$(PREFIX) || \
		{ echo "the set-up failed; if a library or a tool is missing: run scripts/install-deps.sh" >&2; exit 1; }

help:
	@echo "make                 build/syncline"
	@echo "make demo            installs what is missing, builds, shows two servers keeping each other up to date"
	@echo "make check           installs what is missing, builds, runs every test (STEPS='unit system' for some of them)"
	@echo "make soak            kills and cuts at random for SOAK_MINUTES=$(SOAK_MINUTES)"
	@echo "make fuzz            libFuzzer on every fuzz target, FUZZ_SECONDS=$(FUZZ_SECONDS) each"
	@echo "make bench           catching up and latency beside MariaDB's own replication"
	@echo "make install         to PREFIX=$(PREFIX), which counts when build/ is made; DESTDIR is honoured"
	@echo "make deps            what building and the demo need, through apt; check-deps: what the tests need, too"
	@echo "make format, clean"

deps:
	@scripts/install-deps.sh build

check-deps:
	@scripts/install-deps.sh build check

demo: deps
	@$(MAKE) --no-print-directory $(BUILD)/syncline
	@$(BUILD)/syncline demo

check: check-deps
	@scripts/check.py $(STEPS)

soak: check-deps
	@$(MAKE) --no-print-directory $(BUILD)/syncline
	SYNCLINE=$(CURDIR)/$(BUILD)/syncline SOAK_MINUTES=$(SOAK_MINUTES) $(PYTHON) -m pytest -s -m soak tests/system

fuzz:
	@scripts/install-deps.sh build fuzz
	@scripts/fuzz.sh $(FUZZ_SECONDS)

bench: check-deps
	@$(MAKE) --no-print-directory $(BUILD)/syncline
	SYNCLINE=$(CURDIR)/$(BUILD)/syncline $(PYTHON) bench/run.py

# Builds as whoever calls it; with sudo, build first, so that the build folder doesn't become root's.
install: $(BUILD)/syncline
	@meson install -C $(BUILD) --no-rebuild

format:
	@git ls-files -z --cached --others --exclude-standard '*.c' '*.h' | xargs -0 "$$(scripts/find-clang-format)" -i

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz

.PHONY: $(BUILD)/syncline help deps check-deps demo check soak fuzz bench install format clean
