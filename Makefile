# SPDX-License-Identifier: BSD-3-Clause
# Entry points. `make help` lists them. What is built and how; what is measured is harness/'s business.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

PYTHON := /usr/bin/python3
CC = gcc
BUILD := build
HARNESS = $(PYTHON) -m harness

# Variables of the build. All others are the harness's: they go to ./stackduel, whose table knows which command takes
# which. A variable of the environment that has the same name is not meant.
BUILD_KEYS := LWIP_SRC BUILD PYTHON CC CLANG FUZZ_SECONDS SOAK_SECONDS SLOW_CYCLES
GIVEN := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
FORWARDED := $(filter-out $(BUILD_KEYS),$(GIVEN))
given = $(if $(filter command,$(firstword $(origin $(1)))),$($(1)))
forward = $(foreach key,$(filter-out $(1),$(FORWARDED)),'$(key)=$($(key))')
COMMANDS := bench latency reproduce noise shell report compare bundle verify reference gate trend doctor
# A make below this one has the variables of the build alone: the others are for the command that this one calls.
MAKEOVERRIDES =
MAKE_AGAIN = $(MAKE) --no-print-directory $(foreach key,$(filter $(BUILD_KEYS),$(GIVEN)),'$(key)=$($(key))')
# each forwards to the command of its name; `make` alone, and what builds or tests, takes none of their variables
FORWARDING := $(COMMANDS) ablate bench-% vm-test vm-shell
ifneq ($(FORWARDED),)
ifeq ($(filter $(FORWARDING),$(MAKECMDGOALS)),)
$(error $(shell $(PYTHON) -m harness unused '$(or $(firstword $(MAKECMDGOALS)),all)' $(FORWARDED) 2>&1))
endif
endif

.PHONY: help
help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{printf "  %-17s %s\n", $$1, $$2}'
	@echo "Variables, as in 'make bench-tap PLAN=quick ROUNDS=5': BUILD, LWIP_SRC=DIR, and of each target:"
	@$(HARNESS) variables

# --- measuring -------------------------------------------------------------------------------------

# A rehearsal installs and builds nothing.
READY := $(if $(filter-out 0,$(call given,DRY_RUN)),,ready)

.PHONY: $(COMMANDS) ablate bench-app bench-library restore
.PHONY: bench-tap bench-afpacket bench-afxdp bench-shm bench-veth bench-shm-loadgen bench-scale bench-ablate
bench-tap: ## measure lwIP against the kernel's servers on the TAP wire, to a finished report (root)
bench-afpacket: ## the same with lwIP on a veth through AF_PACKET (root)
bench-afxdp: ## the same with lwIP on a veth through AF_XDP (root)
bench-shm: ## lwIP at both ends over shared memory against the kernel at both ends of a veth (root)
bench-veth: ## the kernel's servers alone over a veth, and a minimal epoll loop: is the baseline a fair one? (root)
bench-shm-loadgen: ## our own load generator against lwIP over shared memory and the kernel over a veth (root)
bench-scale: ## the same from 1 to a million connections, SWEEP_TO=10000000 for more (root)
ablate: bench-ablate ## what each optimisation of the lwIP server is worth: added one by one, and each left out alone (root)

bench-tap bench-afpacket bench-afxdp bench-shm bench-veth bench-shm-loadgen bench-scale bench-ablate: bench-%: $(READY)
	@$(HARNESS) bench $* $(call forward)

bench-app: $(READY) ## APP=redis|nginx, unmodified, on both stacks as bench-shm has them (root)
	@$(if $(filter redis nginx,$(call given,APP)),,echo 'bench-app: which program? APP=redis or APP=nginx' >&2; exit 2)
	@$(HARNESS) bench '$(APP)' $(call forward,APP)

# Without a NIC it lists what there is.
bench: $(if $(call given,NIC)$(call given,RESUME)$(call given,WIRE),$(READY)) ## measure on a NIC bound to DPDK: NIC=… CLIENT=…; WIRE=tap|…: on that wire (root)
	@$(HARNESS) bench $(call forward)

latency: $(READY) ## latency against offered load, open loop, up to saturation: WIRE=tap|afpacket|afxdp|shm|shm-loadgen|nic (root)
reproduce: $(READY) ## PAPER=tinyhttpd|iip|fstack: its points measured on WIRE=tap, ours beside theirs; DRY_RUN=1: plan and differences (root)
noise: $(if $(call given,RUN),,ready) ## WIRE=tap CONTENDERS=epoll against themselves, COMPARISONS=20: what this machine can tell apart (root); RUN=<id>: again
shell: ready ## a shell in the client's namespace of WIRE=tap|afpacket|afxdp|shm|veth|shm-loadgen, its servers up (root)
report: ## charts and pages of RUN=<id>|reference|DIR again, from its files alone
compare: ## one report over several runs: RUNS="a b"
bundle: ## RUN=<id>|reference|DIR with its report and the hash of every file, as one archive
verify: ## BUNDLE=FILE: are its files as they were packed, and does its report come out the same?
reference: ## make RUN=<id> the committed reference run, with the charts that README shows
gate: ## fail where HEAD=<run> (the newest) is worse than BASE="<run> …", by more than noise and THRESHOLD=3 percent; ./stackduel gate tells exit 1 from 2
trend: ## METRIC=gain|requests_per_sec|p99|… over RUNS="a b c"|"last N": POINT=64 CONTENDER=lwip; marks where it changed
doctor: ## what this machine can run, and what is missing; NIC=…: whether a run can use that NIC
restore: ## undo what a killed run left on this machine (root)

$(filter-out bench,$(COMMANDS)) restore:
	@$(HARNESS) $@ $(call forward)

bench-library: ready test-programs ## wrk under the preload library against a bare lwIP client (root)
	@$(PYTHON) ci/bench_library.py

# --- a virtual machine -----------------------------------------------------------------------------

# What only the machine needs is asked for here, and not of who measures without it.
.PHONY: vm-deps vm-test vm-shell
vm-deps: ready
	@ci/deps.sh packages vm

vm-test: vm-deps ## make bench in a virtual machine with emulated NICs, PLAN=quick; VM=faults|kernel|ssh|all: what else can be tried there
	@ci/vm/vm.py test $(if $(call given,PLAN),--plan '$(PLAN)') $(foreach name,$(call given,VM),'$(name)')

vm-shell: vm-deps ## a shell in that virtual machine, or a script piped in; NIC=e1000e|virtio|virtio-mq
	@ci/vm/vm.py shell $(if $(call given,NIC),--nic '$(NIC)')

# --- what it needs ---------------------------------------------------------------------------------

.PHONY: deps ready
deps: ## install what is missing: Debian packages (root), lwIP's source
	@ci/deps.sh packages
	@$(if $(PINNED),ci/deps.sh lwip $(BUILD)/deps,:)

# The tools that find libraries may have come just now, so a second make looks for them.
ready: deps
	@$(MAKE_AGAIN) all

# --- building: Meson knows how, in a directory for each variant -----------------------------------------
# release is measured; checked has sanitizers and every assertion of lwIP, and is what the tests use; threads looks for
# data races; fuzz has libFuzzer.

LWIP_SRC ?= $(BUILD)/deps/lwip-2.1.3
PINNED = $(filter $(BUILD)/deps/%,$(LWIP_SRC))
SLOW_CYCLES := 300
FUZZ_SECONDS := 60
SOAK_SECONDS := 600
CLANG := clang
CHECKED := $(BUILD)/checked
THREADS := $(BUILD)/threads
FUZZ := $(BUILD)/fuzz
VARIANTS := $(BUILD) $(CHECKED) $(THREADS) $(FUZZ)
UNOPTIMISED := -Doptimization=1 -Db_ndebug=false -Db_lto=false

SET_UP = CC='$(COMPILER)' meson setup -Dlwip_src='$(abspath $(LWIP_SRC))' -Dlwip_pinned=$(if $(PINNED),true,false) $(VARIANT)
CCACHE := $(if $(shell command -v ccache),ccache )
$(VARIANTS:%=%/build.ninja): COMPILER = $(CCACHE)$(CC)
$(BUILD)/build.ninja: VARIANT = -Dslow_cycles=$(SLOW_CYCLES)
$(CHECKED)/build.ninja: VARIANT = $(UNOPTIMISED) -Db_sanitize=address,undefined
$(THREADS)/build.ninja: VARIANT = $(UNOPTIMISED) -Db_sanitize=thread
$(FUZZ)/build.ninja: VARIANT = $(UNOPTIMISED) -Db_sanitize=address,undefined -Dfuzzer=true -Dwerror=false -Db_lundef=false
$(FUZZ)/build.ninja: COMPILER = $(CLANG)

# Changes only when the settings of that variant do.
$(VARIANTS:%=%/set-up): FORCE
	@mkdir -p $(@D)
	@echo "$(SET_UP)" | cmp -s - $@ || echo "$(SET_UP)" > $@

$(VARIANTS:%=%/build.ninja): %/build.ninja: %/set-up
	@rm -rf $*/meson-private $*/meson-info
	@$(SET_UP) $* > $*/set-up.log 2>&1 || { grep ERROR $*/set-up.log >&2; rm -f $@; exit 3; }

.PHONY: all test-programs slow soak fuzz
all: $(BUILD)/build.ninja ## the servers and load tools that are measured
	@ninja --quiet -C $(BUILD)

test-programs: $(BUILD)/build.ninja
	@ninja --quiet -C $(BUILD) conformance faulty_wire lwip_pinger

slow: $(BUILD)/build.ninja ## servers that lose SLOW_CYCLES=300 cycles a request, for tests of the measurement
	@ninja --quiet -C $(BUILD) slow_epoll_server slow_lwip_server
	@mkdir -p $(BUILD)/slow && ln -sf ../slow_epoll_server $(BUILD)/slow/epoll_server
	@ln -sf ../slow_lwip_server $(BUILD)/slow/lwip_server
	@echo $(SLOW_CYCLES) > $(BUILD)/slow/cycles

soak: all ## clients that come and go for SOAK_SECONDS=600: does lwip_server lose memory? (root)
	@$(PYTHON) ci/soak.py --build $(BUILD) --seconds $(SOAK_SECONDS)

# Clang is not among the packages that are installed: nothing else needs it. lwIP's own fuzz inputs begin the corpus.
fuzz: $(FUZZ)/build.ninja ## frames into lwIP's input path for FUZZ_SECONDS=60, with libFuzzer (clang)
	@ninja --quiet -C $(FUZZ) servers/tests/fuzz_stack
	@mkdir -p $(FUZZ)/corpus
	@for file in $(FUZZ)/lwip/test/fuzz/inputs/*/*.bin; do { printf '\000\377\377'; cat $$file; } > $(FUZZ)/corpus/$$(basename $$file); done
	@cd $(FUZZ) && servers/tests/fuzz_stack -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -print_final_stats=1 corpus

# --- tests -------------------------------------------------------------------------------------------

.PHONY: test check test-c test-threads test-fuzz test-lwip test-harness test-system lint check-globals
test: deps ## everything to passed tests (root for the ones in namespaces; without it they are skipped, and say so)
	@$(MAKE_AGAIN) check

check: all lint check-globals test-c test-lwip test-threads test-harness test-system

MESON_TEST := meson test --num-processes $(shell nproc) --print-errorlogs
test-c: $(CHECKED)/build.ninja ## C modules under ASan and UBSan
	@$(MESON_TEST) -C $(CHECKED) --suite c

test-fuzz: $(CHECKED)/build.ninja ## 50,000 frames into lwIP's input path under ASan and UBSan, the same ones every time
	@$(MESON_TEST) -C $(CHECKED) --suite fuzz

test-lwip: $(CHECKED)/build.ninja ## lwIP's unit tests with our options and patches
	@$(MESON_TEST) -C $(CHECKED) --suite lwip-unit

check-globals: $(CHECKED)/build.ninja ## no variable that the cores of a server share
	@$(MESON_TEST) -C $(CHECKED) --suite globals

test-threads: $(THREADS)/build.ninja ## stacks on several cores under TSan
	@$(MESON_TEST) -C $(THREADS) --suite threads

PYTEST := $(PYTHON) -m pytest -q -rs -p no:cacheprovider
test-harness: ## the harness, without root
	@$(PYTEST) -n 2 harness/tests --ignore=harness/tests/system

.PHONY: system-programs test-long
system-programs: all test-programs slow $(CHECKED)/build.ninja
	@ninja --quiet -C $(CHECKED) all conformance fuzz_preload

test-system: system-programs ## servers and short runs in real namespaces, in two shards; then what must have the machine (root)
	@$(PYTEST) -n 2 --dist loadfile -m 'not exclusive and not long' harness/tests/system
	@$(PYTEST) -m 'exclusive and not long' harness/tests/system

test-long: deps system-programs ## what takes minutes: soak, noise, frames into lwIP (root)
	@$(PYTEST) -m long harness/tests/system

lint: ## types of the harness, rooms of harness and servers, format of the C code
	@$(PYTHON) -m mypy --strict --implicit-reexport --no-error-summary --explicit-package-bases harness ci/vm
	@$(PYTHON) ci/check_imports.py
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $$(find servers -name '*.[ch]'); \
	 else echo "clang-format is not installed: format not checked"; fi

.PHONY: clean distclean FORCE
clean: ## remove what was built, keep the fetched source
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

distclean: ## remove everything that can be made again
	@rm -rf $(BUILD) reports/out
