# SPDX-License-Identifier: BSD-3-Clause
# Entry points. `make help` lists them. What is built and how; what is measured is harness/'s business.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

PYTHON := /usr/bin/python3
CC = gcc
BUILD := build
HARNESS = $(PYTHON) -m harness

# What a user may set on the command line of make; a variable of the environment that has the same name is not
# meant, and a name that is not here is a mistake.
PLAN_KEYS := WORKLOAD CONNECTIONS ROUNDS DURATION WARMUP BODY_SIZE CONTENDERS CLIENT_CPUS \
             SERVER_CPUS PORT MAX_CONNECTIONS MOST_CONNECTIONS TAP NETEM SOFTIRQ SEED PRECISION BUDGET ATTEMPTS CALIBRATE
KEYS := PLAN RESUME DRY_RUN REPORT PUBLISHED WIRE APP RUN RUNS PAPER BUNDLE LWIP_SRC BUILD PYTHON CC CLANG \
        BASE HEAD THRESHOLD COMPARISONS METRIC POINT CONTENDER RATES LOADS \
        NIC CLIENT FORCE NOIOMMU TUNE VM FUZZ_SECONDS SOAK_SECONDS SLOW_CYCLES $(PLAN_KEYS)
GIVEN := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
UNKNOWN := $(filter-out $(KEYS),$(GIVEN))
ifneq ($(UNKNOWN),)
$(error unknown setting '$(firstword $(UNKNOWN))'; there are: $(KEYS))
endif
given = $(if $(filter command,$(firstword $(origin $(1)))),$($(1)))
SETTINGS = $(foreach key,$(PLAN_KEYS),$(if $(call given,$(key)),--set '$(key)=$(call given,$(key))'))
PLAN_ARGUMENT = $(if $(call given,PLAN),--plan '$(call given,PLAN)')
# of the wire with a NIC; FORCE=0 is not FORCE
set = $(filter-out 0,$(call given,$(1)))
NIC_ARGUMENTS = $(if $(call given,NIC),--nic '$(NIC)') $(if $(call given,CLIENT),--client '$(CLIENT)') \
                $(if $(call set,FORCE),--force) $(if $(call set,NOIOMMU),--noiommu)
PUBLISHED_ARGUMENTS = $(foreach name,$(call given,PUBLISHED),--published '$(name)')

.PHONY: help
help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1;\2/p' Makefile | awk -F';' '{printf "  %-17s %s\n", $$1, $$2}'
	@echo "Settings, as in 'make bench-tap PLAN=quick ROUNDS=5':"
	@echo "  PLAN=quick|default|full|FILE  RESUME=ID  DRY_RUN=1  REPORT=no  PUBLISHED=NAME  PAPER=NAME  LWIP_SRC=DIR"
	@echo "  NIC=PCI-ADDRESS|INTERFACE  CLIENT=if:INTERFACE|ssh:USER@HOST[,if=INTERFACE]  FORCE=1  NOIOMMU=1  TUNE=none|fair|max"
	@echo "  $(PLAN_KEYS)"
	@echo "  PRECISION=3 (percent: rounds until every gain is known so well; 0: exactly ROUNDS)  BUDGET=90s|15m|1h  SEED=N (else drawn)"
	@echo "  BASE=RUN  HEAD=RUN  THRESHOLD=PERCENT  COMPARISONS=N  METRIC=NAME  POINT=CONNECTIONS  CONTENDER=NAME"
	@echo "  of 'make latency': RATES=10000,20000 requests/s, or LOADS=10-110 percent of the best saturation  CONNECTIONS=64"
	@echo "  TAP=net_tap|vhost-net (else vhost-net where it is)  NETEM='delay 5ms jitter 1ms loss 1% duplicate 1% reorder 1%'"
	@echo "  ATTEMPTS=1|2|3: how often a trial is run that something else on the machine disturbs (3)"
	@echo "  CALIBRATE=no: do not look for the client's ceiling first"
	@echo "  SOFTIRQ=default|server|client (whose cores process the packets of kernel contenders)"

# --- measuring -------------------------------------------------------------------------------------

.PHONY: bench bench-tap bench-afpacket bench-afxdp bench-shm bench-veth bench-shm-loadgen bench-scale bench-ablate ablate bench-app report reproduce bundle verify compare restore doctor shell bench-library reference
bench-tap: ## measure lwIP against epoll on the TAP wire, to a finished report (root)
bench-afpacket: ## the same with lwIP on a veth through AF_PACKET (root)
bench-afxdp: ## the same with lwIP on a veth through AF_XDP (root)
bench-shm: ## lwIP at both ends over shared memory against the kernel at both ends of a veth (root)
bench-veth: ## the kernel's servers alone over a veth, and a minimal epoll loop: is the baseline a fair one? (root)
bench-shm-loadgen: ## our own load generator against lwIP over shared memory and the kernel over a veth (root)
bench-scale: ## the same from 1 to a million connections, MOST_CONNECTIONS=10000000 for more (root)
ablate: bench-ablate ## what each measure of the lwIP server is worth: the ladder, and each left out alone (root)

# REPORT=no: measured here, its report made elsewhere.
RUN_ARGUMENTS = $(if $(call given,RESUME),--resume '$(RESUME)') $(if $(filter no 0,$(call given,REPORT)),--no-report) \
                $(if $(call given,DRY_RUN),--dry-run)

# A rehearsal installs and builds nothing.
bench-tap bench-afpacket bench-afxdp bench-shm bench-veth bench-shm-loadgen bench-scale bench-ablate: bench-%: $(if $(call given,DRY_RUN),,ready)
	@$(HARNESS) bench --wire $* $(PLAN_ARGUMENT) $(SETTINGS) $(PUBLISHED_ARGUMENTS) \
	    $(RUN_ARGUMENTS)

.PHONY: latency
latency: $(if $(call given,DRY_RUN),,ready) ## latency against offered load, open loop, up to saturation: WIRE=tap|afpacket|afxdp|shm|shm-loadgen|nic (root)
	@$(HARNESS) latency --wire '$(or $(call given,WIRE),$(if $(call given,RESUME),,tap))' $(NIC_ARGUMENTS) $(if $(call given,TUNE),--tune '$(TUNE)') \
	    $(if $(call given,RATES),--rates '$(RATES)') $(if $(call given,LOADS),--loads '$(LOADS)') \
	    $(PLAN_ARGUMENT) $(SETTINGS) $(PUBLISHED_ARGUMENTS) $(RUN_ARGUMENTS)

# Without a NIC it lists what there is.
bench: $(if $(call given,DRY_RUN),,$(if $(call given,NIC)$(call given,RESUME),ready)) ## measure on a NIC bound to DPDK: NIC=… CLIENT=… (root)
	@$(HARNESS) bench --wire nic $(NIC_ARGUMENTS) $(if $(call given,TUNE),--tune '$(TUNE)') \
	    $(PLAN_ARGUMENT) $(SETTINGS) $(PUBLISHED_ARGUMENTS) \
	    $(RUN_ARGUMENTS)

bench-app: $(if $(call given,DRY_RUN),,ready) ## APP=redis|nginx, unmodified, on both stacks as bench-shm has them (root)
	@case '$(APP)' in redis | nginx) ;; *) echo 'bench-app: which program? APP=redis or APP=nginx' >&2; exit 2 ;; esac
	@$(HARNESS) bench --wire '$(APP)' $(PLAN_ARGUMENT) $(SETTINGS) $(PUBLISHED_ARGUMENTS) \
	    $(RUN_ARGUMENTS)

report: ## charts and pages of RUN=<id>|reference|DIR again, from its files alone
	@$(HARNESS) report '$(or $(call given,RUN),reference)' $(PUBLISHED_ARGUMENTS)

bundle: ## RUN=<id>|reference|DIR with its report and the hash of every file, as one archive
	@$(HARNESS) bundle '$(or $(call given,RUN),reference)' $(PUBLISHED_ARGUMENTS)

verify: ## BUNDLE=FILE: are its files as they were packed, and does its report come out the same?
	@test -n '$(BUNDLE)' || { echo 'verify: which bundle? BUNDLE=<file>.tar.gz' >&2; exit 2; }
	@$(HARNESS) verify '$(BUNDLE)'

reproduce: $(if $(call given,DRY_RUN),,ready) ## PAPER=tinyhttpd|iip|fstack: its points measured on WIRE=tap, ours beside theirs; DRY_RUN=1: plan and differences (root)
	@test -n '$(call given,PAPER)' || { echo 'reproduce: which paper? PAPER=tinyhttpd|iip|fstack' >&2; exit 2; }
	@$(HARNESS) reproduce '$(PAPER)' --wire '$(or $(call given,WIRE),tap)' $(NIC_ARGUMENTS) \
	    $(if $(call given,TUNE),--tune '$(TUNE)') $(PLAN_ARGUMENT) $(SETTINGS) $(if $(call given,DRY_RUN),--dry-run)

compare: ## overlay runs: RUNS="a b"
	@test -n '$(RUNS)' || { echo 'compare: which runs? RUNS="<run> <run>"' >&2; exit 2; }
	@$(HARNESS) compare $(foreach run,$(RUNS),'$(run)') $(PUBLISHED_ARGUMENTS)

.PHONY: gate noise trend
gate: ## fail (exit 1) where HEAD=<run> (the newest) is worse than BASE="<run> …", by more than noise and THRESHOLD=3 percent
	@$(HARNESS) gate $(foreach run,$(call given,BASE),--base '$(run)') $(if $(call given,HEAD),--head '$(HEAD)') \
	    $(if $(call given,THRESHOLD),--threshold '$(THRESHOLD)')

noise: $(if $(call given,RUN),,ready) ## WIRE=tap CONTENDERS=epoll against themselves, COMPARISONS=20: what this machine can tell apart (root); RUN=<id>: again
	@$(HARNESS) noise --wire '$(or $(call given,WIRE),tap)' $(PLAN_ARGUMENT) $(SETTINGS) \
	    $(if $(call given,COMPARISONS),--comparisons '$(COMPARISONS)') $(if $(call given,RUN),--run '$(RUN)')

trend: ## METRIC=gain|requests_per_sec|p99|… over RUNS="a b c"|"last N": POINT=64 CONTENDER=lwip; marks where it changed
	@test -n '$(call given,RUNS)' || { echo 'trend: which runs? RUNS="<run> <run> …" or RUNS="last 20"' >&2; exit 2; }
	@$(HARNESS) trend $(foreach run,$(RUNS),'$(run)') $(if $(call given,METRIC),--metric '$(METRIC)') \
	    $(if $(call given,POINT),--point '$(POINT)') $(if $(call given,CONTENDER),--contender '$(CONTENDER)') \
	    $(if $(call given,WIRE),--wire '$(WIRE)')

restore: ## undo what a killed run left on this machine (root)
	@$(HARNESS) restore

doctor: ## what this machine can run, and what is missing; NIC=…: whether a run can use that NIC
	@$(HARNESS) doctor $(NIC_ARGUMENTS)

shell: ready ## a shell in the client's namespace of WIRE=tap|afpacket|afxdp|shm|veth|shm-loadgen, both servers up (root)
	@$(HARNESS) shell --wire '$(or $(call given,WIRE),tap)' $(PLAN_ARGUMENT) $(SETTINGS)

bench-library: ready test-programs ## wrk under the preload library against a bare lwIP client (root)
	@$(PYTHON) ci/bench_library.py

reference: ## make RUN=<id> the committed reference run, with the charts that README shows
	@test -f 'results/runs/$(RUN)/trials.jsonl' || { echo "no run '$(RUN)' under results/runs" >&2; exit 2; }
	@rm -rf results/reference && mkdir -p 'results/reference/$(RUN)'
	@cd 'results/runs/$(RUN)' && cp facts.json plan.json trials.jsonl summary.json '$(CURDIR)/results/reference/$(RUN)'
	@$(HARNESS) report reference
	@cp 'reports/out/$(RUN)/throughput.png' 'reports/out/$(RUN)/gain.png' results/reference/

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
	@$(MAKE) --no-print-directory all

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
test: deps ## everything to passed tests (root for the ones in namespaces; others say what they skipped)
	@$(MAKE) --no-print-directory check

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

test-harness: ## the harness, without root
	@$(PYTHON) -m pytest -q -rs -p no:cacheprovider harness/tests --ignore=harness/tests/system

test-system: all test-programs slow $(CHECKED)/build.ninja ## both servers and a short run in real namespaces (root)
	@ninja --quiet -C $(CHECKED) all conformance fuzz_preload
	@$(PYTHON) -m pytest -q -rs -p no:cacheprovider harness/tests/system

lint: ## types of the harness, rooms of harness and servers, format of the C code
	@$(PYTHON) -m mypy --strict --no-error-summary --explicit-package-bases harness ci/vm
	@$(PYTHON) ci/check_imports.py
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $$(find servers -name '*.[ch]'); \
	 else echo "clang-format is not installed: format not checked"; fi

.PHONY: clean distclean FORCE
clean: ## remove what was built, keep the fetched source
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

distclean: ## remove everything that can be made again
	@rm -rf $(BUILD) reports/out
