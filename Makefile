# `make` builds, `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

# The compiler's output goes to $(BUILD); the daemons and the client are in $(BIN) afterwards.
BUILD ?= .build
BIN := $(BUILD)/release
PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
PROGRAMS := twinspace twinspace-proxy twinspace-server

# The Swift runtime goes into the programs, so that they run where no Swift is installed. Only the system's libraries
# are linked dynamically.
SWIFT_BUILD := $(SWIFT) build --scratch-path $(BUILD)
RELEASE_FLAGS := -c release --static-swift-stdlib

PACKAGES := libuv1-dev libpcre2-dev libmicrohttpd-dev libedit-dev pkg-config python3 ieee-data iproute2 iptables gcc spin

# More options for `make bench`, such as --only put --rounds 3; Tests/bench/bench.py --help lists them.
BENCH_FLAGS ?=

# What the Python suites read to find the programs.
export TWINSPACE_BIN := $(abspath $(BIN))
export PYTHONDONTWRITEBYTECODE := 1

# The commands behind the targets of the same names. `make test` calls them directly, because make would turn exit
# code 77 (skipped) into a failure.
RELEASE := timeout 1800 $(SWIFT_BUILD) $(RELEASE_FLAGS)
UNIT := timeout 1800 $(SWIFT) test --scratch-path $(BUILD) --disable-xctest && \
	timeout 300 python3 -m unittest discover --start-directory Tests/support
LINT := scripts/lint.sh
SIMULATE := $(BIN)/twinspace-sim
# How many seeds `make sim` runs, and from which one on: 1, where SEED does not say it.
SEEDS ?= 20000
SEED ?=
# A build of the simulator alone, with the bugs that it has to find.
PLANTED := $(SWIFT) build --scratch-path $(BUILD)/planted $(RELEASE_FLAGS) -Xswiftc -DPLANTED_BUGS \
	--product twinspace-sim && $(BUILD)/planted/release/twinspace-sim --planted all --seeds 2000
# Slips of a programmer, in a copy of the sources: one build, each switched on alone.
MUTANTS := SWIFT=$(SWIFT) python3 Tests/mutants/run.py --build $(BUILD)/mutants
# More options for it, such as --only 'tail-*' or --both; Tests/mutants/run.py --help lists them.
MUTANTS_FLAGS ?=
# Optimized, as what is shipped: it takes a tenth of the time, and the compiler ends lives as early there. Leaks are not
# looked for: a pointer in an enum carries the case in its upper bits, so whatever a global holds that way counts as one.
ASAN := ASAN_OPTIONS=detect_leaks=0 timeout 3600 $(SWIFT) test --scratch-path $(BUILD)/asan -c release \
	-Xswiftc -enable-testing --disable-xctest --sanitize address
MODEL := scripts/when-there.sh Tests/model/check.py
PROCESSES := python3 scripts/suites.py Tests/processes
HOSTILE := scripts/when-there.sh Tests/hostile/run.py
# More options for `make hostile`, such as --hour or --scene churn; --list names the scenes.
HOSTILE_FLAGS ?=
DEMO := scripts/when-there.sh Tests/demo/demo.py
BENCH := scripts/when-there.sh Tests/bench/bench.py
# Every part of the benchmark for a moment, and without what would have to be installed: that it runs is all it shows.
BENCH_SMOKE := $(BENCH) --quick --without redis --only put,get,values,memory,large,soak,scan
DOCKER := scripts/when-there.sh Tests/docker/docker_test.py $(BIN)

##@ Everyday
.PHONY: build
build: deps  ## the release build, to .build/release/ (the default)
	$(RELEASE)

.PHONY: test
test: deps  ## everything that CI runs, in timed stages, with a table at the end
	@python3 scripts/stages.py --logs $(BUILD)/test-logs \
	  --stage lint       300 -       '$(LINT)' \
	  --stage unit      1800 -       '$(UNIT)' \
	  --stage release   1800 -       '$(RELEASE)' \
	  --stage simulate   600 release '$(SIMULATE) --seed 1 --seeds 2000' \
	  --stage planted   1800 -       '$(PLANTED)' \
	  --stage model      900 -       '$(MODEL)' \
	  --stage processes 1800 release '$(PROCESSES)' \
	  --stage demo       300 release '$(DEMO)' \
	  --stage docker     900 release '$(DOCKER)' \
	  --stage bench      300 release '$(BENCH_SMOKE)'

.PHONY: demo
demo: build  ## the main job: a real registry goes in while the active server is killed
	timeout --kill-after=30 300 $(DEMO)

.PHONY: bench
bench: build  ## beside Redis and a bare relay: rates, latencies, CPU, memory, takeovers; to specs/benchmarks.md
	timeout --kill-after=30 7200 $(BENCH) $(BENCH_FLAGS)

##@ Parts of `test`
.PHONY: unit-test
unit-test: deps  ## the debug build, the unit tests, and those of what the Python suites share
	$(UNIT)

.PHONY: process-test
process-test: build  ## suites of real processes: kills, freezes, limits, bad input
	timeout --kill-after=30 1800 $(PROCESSES)

.PHONY: hostile
hostile: build  ## many and rude clients, clocks that jump, neighbours that lie: HOSTILE_FLAGS="--hour"
	timeout --kill-after=30 $(if $(findstring --hour,$(HOSTILE_FLAGS)),5400,900) $(HOSTILE) $(HOSTILE_FLAGS)

.PHONY: sim
sim: build  ## SEEDS=20000 simulated suites with random faults, from SEED=1 on
	$(SIMULATE) --seed $(or $(SEED),1) --seeds $(SEEDS)

.PHONY: planted-test
planted-test: deps  ## bugs planted on purpose, each of which the simulator has to find
	$(PLANTED)

.PHONY: mutants
mutants: deps  ## slips of a programmer, each found by the simulator or a unit test: MUTANTS_FLAGS= (an hour or two)
	$(MUTANTS) $(MUTANTS_FLAGS)

.PHONY: model
model: deps  ## every order of events of the takeover protocol's model, and without its rules, one by one
	timeout --kill-after=30 900 $(MODEL)

.PHONY: docker-test
docker-test: build  ## the compose file on a real Docker engine; started for the test when none runs
	timeout --kill-after=30 900 $(DOCKER)

.PHONY: lint
lint:  ## layout of the Swift files, syntax of the scripts
	timeout 300 $(LINT)

.PHONY: format
format:  ## lays the Swift files out
	$(SWIFT) format --in-place --parallel --recursive Sources Tests Package.swift

##@ Fuzzing and sanitizing
.PHONY: asan
asan: deps  ## the unit tests under AddressSanitizer, optimized as they are shipped
	$(ASAN)

# How many random pairs of pattern and subject, and from which seed (a random one where there is none).
PAIRS ?= 1000000
# How long libFuzzer runs. (SECONDS is a variable of bash.)
SECONDS_TO_RUN ?= $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600)

.PHONY: fuzz-regex
fuzz-regex: deps  ## random expressions, compared with CPython 3.11: PAIRS=1000000 SEED=
	nice -n 5 scripts/fuzz-regex.sh $(BUILD) differential $(PAIRS) $(SEED)

.PHONY: fuzz-parser
fuzz-parser: deps  ## any bytes as expressions, under libFuzzer, then CPython: SECONDS=600
	nice -n 5 scripts/fuzz-regex.sh $(BUILD) parser $(SECONDS_TO_RUN)

##@ Installing
.PHONY: deps
deps:  ## installs the system packages that are missing (apt)
	@scripts/deps.sh $(PACKAGES)

.PHONY: install
install: build  ## programs and completions, to PREFIX (default /usr/local); DESTDIR is honoured
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 0755 $(PROGRAMS:%=$(BIN)/%) "$(DESTDIR)$(PREFIX)/bin/"
	scripts/install-completions.sh $(BIN)/twinspace "$(DESTDIR)$(PREFIX)/share"

.PHONY: docker
docker: build  ## the image twinspace: from the sources in the Swift image, or, without a registry, from this build
	docker/image.sh auto twinspace $(BIN)

.PHONY: clean
clean:  ## removes everything that was built
	rm -rf $(BUILD)

.PHONY: help
help:  ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
