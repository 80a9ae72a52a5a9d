# SPDX-License-Identifier: BSD-3-Clause
# Entry points. `make help` lists them. What is built and how; what is measured is harness/'s business.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

PYTHON := /usr/bin/python3
CC = gcc
CLANG := clang
BUILD := build
LWIP := 2.1.3
LWIP_SRC ?= $(BUILD)/deps/lwip-$(LWIP)
SLOW_CYCLES := 300
FUZZ_SECONDS := 60
SOAK_SECONDS := 600
HARNESS = $(PYTHON) -m harness

# Variables of the build. All others are the harness's: they go to ./stackduel, whose table knows which command takes
# which. A variable of the environment that has the same name is not meant.
BUILD_KEYS := LWIP LWIP_SRC BUILD PYTHON CC CLANG CFLAGS CPPFLAGS LDFLAGS FUZZ_SECONDS SOAK_SECONDS SLOW_CYCLES
given = $(if $(filter command,$(firstword $(origin $(1)))),$($(1)))
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
FORWARDED := $(filter-out $(BUILD_KEYS),$(GIVEN))
# one word for the shell, whatever is in it; what is forwarded stays as it was typed, also a $
quoted = '$(subst ','\'',$(1))'
forward = $(foreach key,$(filter-out $(1),$(FORWARDED)),$(call quoted,$(key)=$(value $(key))))
COMMANDS := bench latency reproduce noise shell profile conformance report compare export bundle verify reference gate trend doctor
WIRES := $(basename $(notdir $(wildcard topologies/wires/*.toml)))
# A make below this one has the variables of the build alone: the others are for the command that this one calls.
MAKEOVERRIDES =
MAKE_AGAIN = $(MAKE) --no-print-directory \
  $(foreach key,$(filter $(BUILD_KEYS),$(GIVEN)),$(call quoted,$(key)=$(value $(key))))
# `make` alone, and what builds or tests, takes none of the harness's variables.
$(if $(FORWARDED),$(if $(filter $(COMMANDS) ablate bench-% vm-test vm-shell,$(MAKECMDGOALS)),,\
  $(error $(shell $(HARNESS) unused $(call quoted,$(or $(firstword $(MAKECMDGOALS)),all)) \
    $(call quoted,$(firstword $(FORWARDED))) 2>&1))))

.PHONY: help $(COMMANDS) $(WIRES:%=bench-%) ablate bench-app bench-library restore vm-deps vm-test vm-shell path deps ready
help: ## this list
	@$(HARNESS) help-targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{printf "  %-17s %s\n", $$1, $$2}'
	@echo "Variables, as in 'make bench-tap PLAN=quick ROUNDS=5': BUILD, LWIP_SRC=DIR, CC, CFLAGS, and of each target:"
	@$(HARNESS) variables

# --- measuring: the help of these targets is in harness/cli/commands.py ------------------------------

# A rehearsal installs and builds nothing, nor does what only lists or reads a run.
READY := $(if $(filter-out 0,$(call given,DRY_RUN)),,ready)
bench: $(if $(call given,NIC)$(call given,RESUME)$(call given,WIRE),$(READY))
noise profile: $(if $(call given,RUN),,ready)
latency reproduce conformance: $(READY)
shell: ready
$(COMMANDS) restore:
	@$(HARNESS) $@ $(call forward)

ablate: $(READY)
	@$(HARNESS) bench ablate $(call forward)
	@$(HARNESS) bench obligations $(call forward)
$(WIRES:%=bench-%): bench-%: $(READY)
	@$(HARNESS) bench $* $(call forward)

bench-app: $(READY)
	@$(if $(filter redis nginx,$(call given,APP)),,echo 'bench-app: which program? APP=redis or APP=nginx' >&2; exit 2)
	@$(HARNESS) bench $(call quoted,$(APP)) $(call forward,APP)

bench-library: ready test-programs ## wrk under the preload library against a bare lwIP client (root)
	@$(PYTHON) ci/bench_library.py

# --- a virtual machine, and what all needs -----------------------------------------------------------

vm-deps: ready
	@PYTHON='$(PYTHON)' ci/deps.sh packages vm

vm-test: vm-deps ## make bench in a virtual machine with emulated NICs, PLAN=quick; VM=faults|kernel|ssh|all: what else can be tried there
	@ci/vm/vm.py test $(if $(call given,PLAN),--plan $(call quoted,$(value PLAN))) $(foreach name,$(call given,VM),$(call quoted,$(name)))

vm-shell: vm-deps ## a shell in that virtual machine, or a script piped in; NIC=e1000e|virtio|virtio-mq
	@ci/vm/vm.py shell $(if $(call given,NIC),--nic $(call quoted,$(NIC)))

# What Meson or the loader cannot name is said before anything is done.
path:
	@tree=$$(pwd -P); case $$tree in *@*@*|*' '*';'*|*';'*' '*) false ;; \
	  *) printf %s "$$tree" | LC_ALL=C.UTF-8 grep -qzxE '[^:\\[:cntrl:]]*' ;; esac || { printf '%s\n' \
	  'a path with a colon, a backslash, two @, a line end, a semicolon and a blank, or bytes that are not UTF-8 cannot be built in: move this directory' >&2; exit 3; }

deps: path ## install what is missing: Debian packages (root), lwIP's source
	@PYTHON='$(PYTHON)' ci/deps.sh packages
	@$(if $(PINNED),ci/deps.sh lwip $(BUILD)/deps $(LWIP),:)

# The tools that find libraries may have come just now, so a second make looks for them.
ready: deps
	@$(MAKE_AGAIN) all

# --- building: Meson knows how, in a directory for each variant (ci/variant.sh) --------------------------

PINNED := $(filter $(BUILD)/deps/%,$(LWIP_SRC))
$(if $(word 2,$(BUILD)),$(error BUILD=$(BUILD): make has no target with a blank in its name))
VARIANTS := $(BUILD) $(BUILD)/checked $(BUILD)/threads $(BUILD)/fuzz $(BUILD)/aarch64
.PHONY: $(VARIANTS:%=%/build.ninja) all test-programs system-programs slow soak fuzz clean distclean
$(VARIANTS:%=%/build.ninja): path
	@$(foreach key,CC CLANG LWIP_SRC SLOW_CYCLES,$(key)=$(call quoted,$($(key)))) \
	 $(foreach key,CFLAGS CPPFLAGS LDFLAGS,$(key)=$(call quoted,$(call given,$(key)))) \
	 LWIP_PINNED=$(if $(PINNED),true,false) ci/variant.sh $(@D)

all: $(BUILD)/build.ninja ## the servers and load tools that are measured
	@ninja --quiet -C $(BUILD)

test-programs: $(BUILD)/build.ninja
	@ninja --quiet -C $(BUILD) conformance faulty_wire lwip_pinger

slow: $(BUILD)/build.ninja ## servers that lose SLOW_CYCLES=300 cycles a request, for tests of the measurement
	@ninja --quiet -C $(BUILD) slow

soak: all ## clients that come and go for SOAK_SECONDS=600: does lwip_server lose memory? (root)
	@$(PYTHON) ci/soak.py --build $(BUILD) --seconds $(SOAK_SECONDS)

fuzz: $(BUILD)/fuzz/build.ninja ## frames into lwIP's input path for FUZZ_SECONDS=60, with libFuzzer (clang)
	@ninja --quiet -C $(BUILD)/fuzz servers/tests/fuzz_stack
	@servers/tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_SECONDS)

# --- tests -------------------------------------------------------------------------------------------

.PHONY: test check check-aside test-c test-threads test-fuzz test-cross test-lwip test-harness test-system test-long lint check-globals
test: deps ## everything to passed tests (root for the ones in namespaces; without it they are skipped, and say so)
	@$(MAKE_AGAIN) check

# What only computes runs beside the system tests, which wait much, at the lowest priority; each prints when it ends.
check: system-programs
	@$(MAKE_AGAIN) --jobs=2 --output-sync test-system check-aside
check-aside:
	@nice -n 19 $(MAKE_AGAIN) --jobs=1 lint test-harness check-globals test-c test-lwip test-threads

MESON_TEST := meson test --num-processes $(shell nproc) --timeout-multiplier 5 --print-errorlogs
test-c: ## C modules under ASan and UBSan
test-fuzz: ## 50,000 frames into lwIP's input path under ASan and UBSan, the same ones every time
test-lwip: ## lwIP's unit tests with our options and patches
check-globals: ## no variable that the cores of a server share
test-c test-fuzz test-lwip check-globals: $(BUILD)/checked/build.ninja
	@$(MESON_TEST) -C $(BUILD)/checked --suite $(lastword $(subst -, ,$@))

test-threads: $(BUILD)/threads/build.ninja ## stacks on several cores under TSan
	@$(MESON_TEST) -C $(BUILD)/threads --suite threads

# Not the launcher's checks: they read programs of the machine, which are for another processor.
test-cross: $(BUILD)/aarch64/build.ninja ## all of the C code cross-compiled for aarch64, its tests under qemu-user (ci/README.md: where)
	@ninja --quiet -C $(BUILD)/aarch64
	@$(MESON_TEST) -C $(BUILD)/aarch64 --suite c --suite lwip --no-suite c-preload

PYTEST := $(PYTHON) -m pytest -q -rs -p no:cacheprovider
test-harness: ## the harness, without root
	@$(PYTEST) -n 2 harness/tests --ignore=harness/tests/system

system-programs: all test-programs slow $(BUILD)/checked/build.ninja
	@ninja --quiet -C $(BUILD)/checked all conformance fuzz_preload

test-system: system-programs ## servers and short runs in real namespaces, in two shards; then what must have the machine (root)
	@$(PYTEST) -n 2 --dist loadfile -m 'not exclusive and not long' harness/tests/system
	@$(PYTEST) -m 'exclusive and not long' harness/tests/system

test-long: deps system-programs ## what takes minutes: soak, noise, more random calls, lwIP 2.2.1, the other release of Debian (root)
	@$(PYTEST) -m long harness/tests/system
	@$(MAKE_AGAIN) BUILD='$(BUILD)/lwip-2.2.1' LWIP=2.2.1 deps
	@$(MAKE_AGAIN) BUILD='$(BUILD)/lwip-2.2.1' LWIP=2.2.1 test-c test-lwip check-globals
	@ci/on-debian.sh other sh -c 'make deps && make all lint test-c test-harness'

lint: ## types of the harness, rooms of harness and servers, format of the C code
	@PYTHON=$(PYTHON) ci/lint.sh

clean: ## remove what was built, keep the fetched source
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

distclean: ## remove everything that can be made again
	@rm -rf $(BUILD) reports/out
