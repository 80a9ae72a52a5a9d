# SPDX-License-Identifier: BSD-3-Clause
# Entry points. `make help` lists them. What is built and how; what is measured is harness/'s business.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SECONDARY:

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

.PHONY: all
all: $(BUILD)/epoll_server $(BUILD)/uring_server $(BUILD)/lwip_server $(BUILD)/on-lwip $(BUILD)/libstackduel_preload.so \
     $(BUILD)/loadgen $(BUILD)/openload $(BUILD)/canned_server $(BUILD)/tsc_hz $(BUILD)/minimal_epoll $(BUILD)/build-info.json

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

bench-library: ready $(BUILD)/lwip_pinger ## wrk under the preload library against a bare lwIP client (root)
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

LWIP_SRC ?= $(BUILD)/deps/lwip-2.1.3
DPDK_AT_LEAST := 21.11
LLHTTP := /usr/share/llhttp
LLHTTP_INCLUDE := /usr/share/include/llhttp

.PHONY: deps ready
deps: ## install what is missing: Debian packages (root), lwIP's source
	@ci/deps.sh packages
	@$(if $(filter $(BUILD)/deps/%,$(LWIP_SRC)),ci/deps.sh lwip $(BUILD)/deps,:)
	@pkg-config --atleast-version=$(DPDK_AT_LEAST) libdpdk || \
	    { echo "DPDK $$(pkg-config --modversion libdpdk) is too old: $(DPDK_AT_LEAST) or newer is needed" >&2; exit 3; }

# The tools that find libraries may have come just now, so a second make looks for them.
ready: deps
	@$(MAKE) --no-print-directory all

# --- lwIP: a copy of the source with our series applied ----------------------------------------------

PATCHES := $(foreach folder,fixes scale fastpath,$(sort $(wildcard servers/stack/patches/$(folder)/*.patch)))
LWIP := $(BUILD)/lwip

# Changes only when LWIP_SRC does.
$(BUILD)/lwip-source: FORCE
	@mkdir -p $(BUILD)
	@echo '$(LWIP_SRC)' | cmp -s - $@ || echo '$(LWIP_SRC)' > $@

$(LWIP)/.patched: $(PATCHES) $(BUILD)/lwip-source
	@test -f $(LWIP_SRC)/src/core/tcp.c || { echo "no lwIP source in $(LWIP_SRC): run 'make deps'" >&2; exit 3; }
	@rm -rf $(LWIP) && mkdir -p $(LWIP)
	@cp -r $(LWIP_SRC)/src $(LWIP_SRC)/test $(LWIP)/
	@find $(LWIP) -type f -exec sed -i 's/\r$$//' {} +
	@for patch in $(PATCHES); do patch -s -d $(LWIP) -p1 --fuzz=0 --no-backup-if-mismatch < $$patch || exit 1; done
	@touch $@

LWIP_CORE := init def inet_chksum ip mem memp netif pbuf raw stats sys tcp tcp_in tcp_out timeouts udp
LWIP_IPV4 := etharp icmp ip4 ip4_addr ip4_frag
LWIP_FILES := $(LWIP_CORE:%=core/%) $(LWIP_IPV4:%=core/ipv4/%) netif/ethernet
# Files of ours that lwIP calls, once it is patched.
LWIP_OWN_FILES := stack/lwip/tcp_timer stack/lwip/tcp_wheel

# --- objects: two variants, and two more of the stack ------------------------------------------------
# release is measured; checked has sanitizers and every assertion of lwIP, and is what the tests use. The
# library's stack is one in the process, the servers' one in each thread (servers/stack/arch/cc.h).

WARNINGS := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow
# Whole-program: lwIP is many small functions in many files.
CFLAGS_release := -O2 -g -DNDEBUG -flto=auto
CFLAGS_checked := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# Data races; DPDK's rings with atomics that the sanitizer understands, where they have both.
CFLAGS_threads := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -Wno-tsan -DRTE_USE_C11_MEM_MODEL
# lwIP and DPDK read unaligned words on purpose; the machines they run on allow it.
CFLAGS_checked += -fno-sanitize=alignment
# The stack's objects are linked into servers and into a shared library, where no name of theirs may meet one of
# the program's.
SHARED_CFLAGS := -fPIC -fvisibility=hidden
# What is thread-local, DPDK's number of the lcore too, is found without a call: all are there when a program starts.
SHARED_CFLAGS += -ftls-model=initial-exec
CFLAGS_release-library := $(CFLAGS_release) -DSTACK_PROCESS_WIDE
CFLAGS_checked-library := $(CFLAGS_checked) -DSTACK_PROCESS_WIDE
# Strict: without it llhttp takes any byte after CR for LF.
LLHTTP_CFLAGS := -DLLHTTP_STRICT_MODE=1 -I$(LLHTTP_INCLUDE)
BASE_CFLAGS := -std=gnu11 -MMD -MP -Iservers $(LLHTTP_CFLAGS)
LWIP_INCLUDES := -I$(LWIP)/src/include -Iservers -Iservers/stack
DPDK_CFLAGS = $(shell pkg-config --cflags libdpdk)
DPDK_LIBS = $(shell pkg-config --libs libdpdk)

STACK_FILES := stack port/port port/port_report port/port_shared port/port_sleep port/steer port/devargs mbuf_pbuf tcp_packet expected lookahead pool checksum memory
SERVER_FILES := $(addprefix lwip/,lwip_server lwip_http lwip_report cores tcp_queue)
COMMON_FILES := $(addprefix http/,http http_known http_parser http_pool http_site) $(addprefix common/,options counters measures)
KERNEL_FILES := $(addprefix kernel/,kernel_listen kernel_steer kernel_threads)
URING_FILES := $(addprefix kernel/,uring_server uring_connection kernel_ring)
LLHTTP_FILES := api http llhttp

objects = $(addprefix $(BUILD)/obj/$(1)/,$(addsuffix .o,$(2)))
common_objects = $(call objects,$(1),$(COMMON_FILES) $(LLHTTP_FILES:%=lib/llhttp/%))
stack_objects = $(call objects,$(1),$(STACK_FILES:%=stack/%) $(LWIP_FILES:%=lib/lwip/%) $(LWIP_OWN_FILES) common/measures)

define variant
$(BUILD)/obj/$(1)/lib/lwip/%.o: $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) -std=gnu11 -MMD -MP -Wall -Werror $$(CFLAGS_$(1)) $(SHARED_CFLAGS) $(LWIP_INCLUDES) -c $(LWIP)/src/$$*.c -o $$@

$(BUILD)/obj/$(1)/stack/lwip/%.o: servers/stack/lwip/%.c $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) -std=gnu11 -MMD -MP $(WARNINGS) $$(CFLAGS_$(1)) $(SHARED_CFLAGS) $(LWIP_INCLUDES) -c $$< -o $$@

$(BUILD)/obj/$(1)/lib/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $$(@D)
	$(CC) -std=gnu11 -MMD -MP $$(CFLAGS_$(1)) $(LLHTTP_CFLAGS) -c $$< -o $$@

$(BUILD)/obj/$(1)/stack/%.o: servers/stack/%.c $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $$(CFLAGS_$(1)) $(SHARED_CFLAGS) $(LWIP_INCLUDES) $$(DPDK_CFLAGS) -c $$< -o $$@

$(patsubst %,$(BUILD)/obj/$(1)/%.o,$(SERVER_FILES)): $(BUILD)/obj/$(1)/%.o: servers/%.c $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $$(CFLAGS_$(1)) $(LWIP_INCLUDES) $$(DPDK_CFLAGS) -c $$< -o $$@

$(BUILD)/obj/$(1)/preload/%.o: servers/preload/%.c $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) -D_GNU_SOURCE $(WARNINGS) $$(CFLAGS_$(1)) $(SHARED_CFLAGS) $(LWIP_INCLUDES) $$(DPDK_CFLAGS) -c $$< -o $$@

$(BUILD)/obj/$(1)/loadgen/%.o: servers/loadgen/%.c
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $$(CFLAGS_$(1)) $$(DPDK_CFLAGS) -c $$< -o $$@

$(BUILD)/obj/$(1)/%.o: servers/%.c
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $$(CFLAGS_$(1)) $(SHARED_CFLAGS) -c $$< -o $$@
endef
$(eval $(call variant,release))
$(eval $(call variant,checked))
$(eval $(call variant,threads))
$(eval $(call variant,release-library))
$(eval $(call variant,checked-library))

$(BUILD)/epoll_server: $(call objects,release,kernel/epoll_server $(KERNEL_FILES)) $(call common_objects,release)
	$(CC) $(CFLAGS_release) $^ -pthread -o $@

$(BUILD)/uring_server: $(call objects,release,$(URING_FILES) $(KERNEL_FILES)) $(call common_objects,release)
	$(CC) $(CFLAGS_release) $^ -luring -pthread -o $@

# The client's ceiling, and the rate of the time stamp counter: what figures are judged by, not measured themselves.
$(BUILD)/canned_server: $(call objects,release,tools/canned_server) $(call common_objects,release)
	$(CC) $(CFLAGS_release) $^ -o $@

$(BUILD)/checked/canned_server: $(call objects,checked,tools/canned_server) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ -o $@

$(BUILD)/tsc_hz: servers/tools/tsc_hz.c
	$(CC) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(WARNINGS) $(CFLAGS_release) $< -lm -o $@

$(BUILD)/lwip_server: $(call objects,release,$(SERVER_FILES) stack/port/eal) $(call common_objects,release) $(call stack_objects,release)
	$(CC) $(CFLAGS_release) $^ $(DPDK_LIBS) -o $@

$(BUILD)/checked/epoll_server: $(call objects,checked,kernel/epoll_server $(KERNEL_FILES)) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ -pthread -o $@

$(BUILD)/checked/uring_server: $(call objects,checked,$(URING_FILES) $(KERNEL_FILES)) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ -luring -pthread -o $@

$(BUILD)/checked/lwip_server: $(call objects,checked,$(SERVER_FILES) stack/port/eal) $(call common_objects,checked) $(call stack_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ $(DPDK_LIBS) -o $@

# A slowdown that is known, to try whether a measurement finds it: the release build, but for two files that are compiled
# with a busy loop of SLOW_CYCLES cycles of the time stamp counter for each request that has been parsed.
SLOW_CYCLES := 300
SLOW_SERVERS := $(BUILD)/slow/epoll_server $(BUILD)/slow/lwip_server
SLOW_FILES := http/http common/counters
slow_objects = $(filter-out $(call objects,release,$(SLOW_FILES)),$(1)) $(call objects,slow,$(SLOW_FILES))

.PHONY: slow
slow: $(SLOW_SERVERS) ## servers that lose SLOW_CYCLES=300 cycles a request, for tests of the measurement

# Changes only when SLOW_CYCLES does.
$(BUILD)/slow/cycles: FORCE
	@case '$(SLOW_CYCLES)' in '' | *[!0-9]*) echo "SLOW_CYCLES: '$(SLOW_CYCLES)' is no number of cycles" >&2; exit 2 ;; esac
	@mkdir -p $(@D)
	@echo '$(SLOW_CYCLES)' | cmp -s - $@ || echo '$(SLOW_CYCLES)' > $@

$(call objects,slow,$(SLOW_FILES)): $(BUILD)/obj/slow/%.o: servers/%.c $(BUILD)/slow/cycles
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_release) $(SHARED_CFLAGS) -D_GNU_SOURCE -DSLOW_CYCLES=$(SLOW_CYCLES) -c $< -o $@

$(BUILD)/slow/epoll_server: $(call slow_objects,$(call objects,release,kernel/epoll_server $(KERNEL_FILES)) $(call common_objects,release))
	$(CC) $(CFLAGS_release) $^ -pthread -o $@

$(BUILD)/slow/lwip_server: $(call slow_objects,$(call objects,release,$(SERVER_FILES) stack/port/eal) $(call common_objects,release) $(call stack_objects,release))
	$(CC) $(CFLAGS_release) $^ $(DPDK_LIBS) -o $@

# Of stack/, what knows no lwIP.
PORT_FILES := $(addprefix stack/port/,port port_report port_shared port_sleep steer)
LOADGEN_PARTS := http/answer common/histogram $(addprefix loadgen/,deadlines turns $(addprefix tcp/,answer_packet connection segment template arp))
LOADGEN_FILES := $(LOADGEN_PARTS) $(addprefix loadgen/,loadgen generator actions modes link report) $(PORT_FILES) stack/port/eal stack/port/devargs
$(BUILD)/loadgen: $(call objects,release,$(LOADGEN_FILES)) $(call common_objects,release)
	$(CC) $(CFLAGS_release) $^ $(DPDK_LIBS) -o $@

$(BUILD)/checked/loadgen: $(call objects,checked,$(LOADGEN_FILES)) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ $(DPDK_LIBS) -o $@

# The open-loop client of kernel sockets: it knows no DPDK.
OPENLOAD_PARTS := openload/schedule openload/backlog openload/client openload/report http/answer common/histogram
$(BUILD)/openload: $(call objects,release,openload/openload $(OPENLOAD_PARTS)) $(call common_objects,release)
	$(CC) $(CFLAGS_release) $^ -pthread -lm -o $@

$(BUILD)/checked/openload: $(call objects,checked,openload/openload $(OPENLOAD_PARTS)) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ -pthread -lm -o $@

LAUNCHER_FILES := $(addprefix preload/,$(addprefix launcher/,on_lwip program_check library_check) settings rules) common/options stack/port/devargs
$(BUILD)/on-lwip: $(call objects,release,$(LAUNCHER_FILES))
	$(CC) $(CFLAGS_release) $^ -lelf -o $@

$(BUILD)/checked/on-lwip: $(call objects,checked,$(LAUNCHER_FILES))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $^ -lelf -o $@

PRELOAD_FILES := $(addprefix preload/,intercept settings rules $(addprefix sockets/,calls socket tcp_socket udp_socket descriptor) \
                   $(addprefix events/,epoll_set poll) $(addprefix engine/,engine signals libc counters_file)) common/options common/counters
$(BUILD)/libstackduel_preload.so: $(call objects,release-library,$(PRELOAD_FILES)) $(call stack_objects,release-library)
	$(CC) $(CFLAGS_release) -shared -Wl,-z,defs $^ $(DPDK_LIBS) -o $@

$(BUILD)/checked/libstackduel_preload.so: $(call objects,checked-library,$(PRELOAD_FILES)) $(call stack_objects,checked-library)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) -shared $^ $(DPDK_LIBS) -o $@

$(BUILD)/faulty_wire: servers/tests/sim/faulty_wire.c servers/tests/sim/wire_faults.c servers/tests/sim/wire_faults.h
	$(CC) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(WARNINGS) $(CFLAGS_release) $(filter %.c,$^) -o $@

$(BUILD)/minimal_epoll: servers/tools/minimal_epoll.c
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_release) $< -o $@

$(BUILD)/lwip_pinger: servers/tools/lwip_pinger.c $(call stack_objects,release)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_release) $(LWIP_INCLUDES) $(DPDK_CFLAGS) $(filter %.c %.o,$^) $(DPDK_LIBS) -o $@

# The same cases on kernel sockets and under the preload library, and random calls.
CONFORMANCE := $(sort $(wildcard servers/tests/conformance/conformance*.c))
$(BUILD)/conformance: $(CONFORMANCE) servers/tests/conformance/conformance.h
	$(CC) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(WARNINGS) $(filter-out -DNDEBUG,$(CFLAGS_release)) $(CONFORMANCE) -pthread -o $@

$(BUILD)/checked/conformance: $(CONFORMANCE) servers/tests/conformance/conformance.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(WARNINGS) $(CFLAGS_checked) $(CONFORMANCE) -pthread -o $@

$(BUILD)/checked/fuzz_preload: servers/tests/conformance/fuzz_preload.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(WARNINGS) $(CFLAGS_checked) $< -pthread -o $@

$(BUILD)/build-info.json: $(BUILD)/epoll_server $(BUILD)/uring_server $(BUILD)/lwip_server
	@printf '{"cc": "%s", "cflags": "%s", "dpdk": "%s", "lwip": "2.1.3", "lwip_source": "%s"}\n' \
	    "$$($(CC) --version | head -n 1)" "$(CFLAGS_release)" "$$(pkg-config --modversion libdpdk)" \
	    "$(if $(filter $(BUILD)/deps/%,$(LWIP_SRC)),pinned,LWIP_SRC)" > $@

# --- tests -------------------------------------------------------------------------------------------

C_TESTS := test_http test_http_known test_options test_measures test_pool test_devargs test_kernel_steer test_kernel_ring \
           test_rules test_settings test_program_check test_library_check test_openload
STACK_TESTS := test_mbuf_pbuf test_port test_steer test_cores test_stack test_lwip_patches \
               test_lwip_scale test_memory test_tcp_packet test_expected \
               test_wheel test_timers test_timers_random test_timers_idle
LOADGEN_TESTS := test_loadgen_parts test_loadgen_connection
TEST := $(BUILD)/test

VPATH := $(sort $(dir $(wildcard servers/tests/*/test_*.c)))
$(TEST)/%: %.c $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_checked) -MF $@.d $(filter %.c %.o,$^) -lcmocka $(LIBS_$*) -o $@

$(TEST)/test_kernel_steer: $(call objects,checked,kernel/kernel_steer)
$(TEST)/test_kernel_ring: $(call objects,checked,kernel/kernel_ring)
LIBS_test_kernel_ring := -luring
$(TEST)/test_pool: $(call objects,checked,stack/pool)
$(TEST)/test_devargs: $(call objects,checked,stack/port/devargs)
$(TEST)/test_rules: $(call objects,checked,preload/rules)
$(TEST)/test_settings: $(call objects,checked,preload/settings preload/rules)
$(TEST)/test_program_check: $(call objects,checked,preload/launcher/program_check)
$(TEST)/test_library_check: $(call objects,checked,preload/launcher/library_check)
LIBS_test_program_check := -lelf
$(TEST)/test_openload: $(call objects,checked,$(OPENLOAD_PARTS))
LIBS_test_openload := -lm

# Ports made of its own rings, which only the driver itself can make.
LIBS_test_cores := -lrte_net_ring

$(STACK_TESTS:%=$(TEST)/%): $(TEST)/%: %.c $(call stack_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_checked) $(LWIP_INCLUDES) $(DPDK_CFLAGS) -MF $@.d $(filter %.c %.o,$^) $(DPDK_LIBS) $(LIBS_$*) -lcmocka -o $@

$(TEST)/threads/%: %.c $(call stack_objects,threads)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_threads) $(LWIP_INCLUDES) $(DPDK_CFLAGS) -MF $@.d $(filter %.c %.o,$^) $(DPDK_LIBS) $(LIBS_$*) -lcmocka -o $@

# lwIP with our series, with statistics of its memory, which may fail: on a simulated wire (sim), and fuzzed (fuzz) with
# an allocation for each element of its pools, so that a use after its end is seen.
SIM_TESTS := test_wire_faults test_wire_churn
SIM_INCLUDES := -Iservers/tests/sim $(LWIP_INCLUDES)
SIM_FILES := $(LWIP_FILES:%=lib/lwip/%) $(LWIP_OWN_FILES) lwip/lwip_http lwip/tcp_queue $(addprefix stack/,checksum pool expected mbuf_pbuf) \
             $(addprefix tests/sim/,wire_faults lwip_checks sim_http sim_cut sim_memory)
SIM_LINK := -Wl,--wrap=memp_malloc,--wrap=mem_malloc
SIM_FLAGS_sim :=
SIM_FLAGS_fuzz := -DSIM_HEAP
sim_objects = $(addprefix $(BUILD)/obj/$(1)/,$(addsuffix .o,$(2) $(SIM_FILES))) $(call common_objects,checked)

define sim_variant
$(BUILD)/obj/$(1)/lib/lwip/%.o: $(LWIP)/.patched servers/tests/sim/lwipopts.h
	@mkdir -p $$(@D)
	$(CC) -std=gnu11 -MMD -MP -Wall -Werror $(CFLAGS_checked) $(SIM_FLAGS_$(1)) $(SIM_INCLUDES) -c $(LWIP)/src/$$*.c -o $$@

$(BUILD)/obj/$(1)/%.o: servers/%.c $(LWIP)/.patched
	@mkdir -p $$(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_checked) $(SIM_FLAGS_$(1)) $(SIM_INCLUDES) $$(DPDK_CFLAGS) -c $$< -o $$@
endef
$(eval $(call sim_variant,sim))
$(eval $(call sim_variant,fuzz))

$(SIM_TESTS:%=$(TEST)/%): $(TEST)/%: $(call sim_objects,sim,tests/sim/sim_net tests/sim/sim_stream) $(BUILD)/obj/sim/tests/sim/%.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $(SIM_LINK) $^ $(DPDK_LIBS) -lcmocka -o $@

# The same target with a driver of our own, for the same inputs every time, and with libFuzzer. lwIP's own fuzz inputs
# begin the corpus.
FUZZ_FILES := $(addprefix tests/fuzz/,fuzz_stack fuzz_peer fuzz_app)
FUZZ_INPUTS := $(LWIP)/test/fuzz/inputs
$(TEST)/fuzz_stack: $(call sim_objects,fuzz,tests/fuzz/fuzz_main $(FUZZ_FILES))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_checked) $(SIM_LINK) $^ $(DPDK_LIBS) -o $@

$(LOADGEN_TESTS:%=$(TEST)/%): $(TEST)/%: %.c $(call objects,checked,$(LOADGEN_PARTS)) $(call common_objects,checked)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS_checked) $(DPDK_CFLAGS) -MF $@.d $(filter %.c %.o,$^) $(DPDK_LIBS) -lcmocka -o $@

.PHONY: soak
soak: all ## clients that come and go for SOAK_SECONDS=600: does lwip_server lose memory? (root)
	@$(PYTHON) ci/soak.py --build $(BUILD) --seconds $(SOAK_SECONDS)

# Clang is not among the packages that are installed: nothing else needs it.
CLANG := clang
FUZZ_SECONDS := 60
SOAK_SECONDS := 600
$(BUILD)/fuzz/fuzz_stack: $(wildcard servers/tests/*/*.[ch]) servers/tests/sim/lwipopts.h $(LWIP)/.patched
	@mkdir -p $(@D)
	@command -v $(CLANG) >/dev/null || { echo "make fuzz needs clang with libFuzzer: apt-get install clang" >&2; exit 3; }
	$(CLANG) $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(CFLAGS_checked) -fsanitize=fuzzer $(SIM_FLAGS_fuzz) $(SIM_INCLUDES) $(DPDK_CFLAGS) \
	    $(FUZZ_FILES:%=servers/%.c) $(patsubst %,servers/%.c,$(filter-out lib/lwip/%,$(SIM_FILES))) $(LWIP_FILES:%=$(LWIP)/src/%.c) $(COMMON_FILES:%=servers/%.c) \
	    $(LLHTTP_FILES:%=$(LLHTTP)/%.c) $(SIM_LINK) $(DPDK_LIBS) -o $@

.PHONY: fuzz
fuzz: $(BUILD)/fuzz/fuzz_stack ## frames into lwIP's input path for FUZZ_SECONDS=60, with libFuzzer (clang)
	@mkdir -p $(BUILD)/fuzz/corpus
	@for file in $(FUZZ_INPUTS)/*/*.bin; do { printf '\000\377\377'; cat $$file; } > $(BUILD)/fuzz/corpus/$$(basename $$file); done
	@cd $(BUILD)/fuzz && ./fuzz_stack -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -print_final_stats=1 corpus

# lwIP's own unit tests: its test sources, our options and series.
LWIP_TESTS := tcp/tcp_helper tcp/test_tcp tcp/test_tcp_oos udp/test_udp etharp/test_etharp \
              core/test_def core/test_mem core/test_netif core/test_pbuf core/test_timers
$(TEST)/lwip_unit: servers/tests/lwip_unit/lwip_unit.c servers/tests/lwip_unit/lwipopts.h servers/stack/lwipopts.h $(LWIP)/.patched
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Iservers/tests/lwip_unit $(LWIP_INCLUDES) -I$(LWIP)/test/unit $(CFLAGS_checked) \
	    $< servers/stack/checksum.c servers/stack/pool.c servers/common/measures.c $(LWIP_TESTS:%=$(LWIP)/test/unit/%.c) $(LWIP_FILES:%=$(LWIP)/src/%.c) $(LWIP_OWN_FILES:%=servers/%.c) $(DPDK_CFLAGS) \
	    $$(pkg-config --cflags --libs check) -o $@

.PHONY: test check test-c test-threads test-lwip test-harness test-system lint check-globals
test: deps ## everything to passed tests (root for the ones in namespaces; others say what they skipped)
	@$(MAKE) --no-print-directory check

check: all lint check-globals test-c test-lwip test-harness test-system

test-c: $(C_TESTS:%=$(TEST)/%) $(LOADGEN_TESTS:%=$(TEST)/%) $(STACK_TESTS:%=$(TEST)/%) $(SIM_TESTS:%=$(TEST)/%) test-fuzz ## C modules under ASan and UBSan
	@for program in $(filter-out test-fuzz,$^); do echo "== $$program"; $$program || exit 1; done

.PHONY: test-fuzz
test-fuzz: $(TEST)/fuzz_stack
	@echo "== $<"; $< 50000 --raw $(FUZZ_INPUTS)/*/*.bin

test-threads: $(TEST)/threads/test_cores ## stacks on several cores under TSan
	@echo "== $<"; $<

test-lwip: $(TEST)/lwip_unit ## lwIP's unit tests with our options and patches
	@echo "== $<"; $<

test-harness: ## the harness, without root
	@$(PYTHON) -m pytest -q -rs -p no:cacheprovider harness/tests --ignore=harness/tests/system

PRELOAD_TESTS := $(addprefix $(BUILD)/,conformance checked/on-lwip checked/libstackduel_preload.so checked/fuzz_preload)
test-system: all $(BUILD)/lwip_pinger $(BUILD)/faulty_wire $(BUILD)/checked/loadgen $(BUILD)/checked/openload $(BUILD)/on-lwip $(BUILD)/libstackduel_preload.so $(BUILD)/checked/epoll_server $(BUILD)/checked/uring_server $(BUILD)/checked/lwip_server $(BUILD)/checked/canned_server $(SLOW_SERVERS) $(PRELOAD_TESTS) ## both servers and a short run in real namespaces (root)
	@$(PYTHON) -m pytest -q -rs -p no:cacheprovider harness/tests/system

lint: ## types of the harness, format of the C code
	@$(PYTHON) -m mypy --strict --no-error-summary --explicit-package-bases harness ci/vm
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $$(find servers -name '*.[ch]'); \
	 else echo "clang-format is not installed: format not checked"; fi

check-globals: $(call objects,checked,kernel/epoll_server $(URING_FILES) $(KERNEL_FILES) $(SERVER_FILES)) $(call common_objects,checked) $(call stack_objects,checked) ## no variable that the cores of a server share
	@$(PYTHON) ci/check_globals.py $(sort $^)

.PHONY: clean distclean FORCE
clean: ## remove what was built, keep the fetched source
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

distclean: ## remove everything that can be made again
	@rm -rf $(BUILD) reports/out

-include $(shell find $(BUILD)/obj $(BUILD)/test -name '*.d' 2>/dev/null)
