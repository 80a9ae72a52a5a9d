/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "lwip/netif.h"

#include "claim.h"
#include "counters_file.h"
#include "eal_start.h"
#include "engine_state.h"
#include "libc.h"
#include "own_descriptors.h"
#include "signals.h"

#define KERNEL_CHECK_US 20
#define LINK_WAIT_SECONDS 5
/* As the launcher's for a machine or a program that cannot do it. */
#define EXIT_CANNOT 3

const struct settings *engine_settings(void) {
    static struct settings settings;
    char error[256];

    if (!engine.settings_read) {
        engine.settings_read = true;
        engine_watch_forks();
        if (settings_from_environment(&settings, error, sizeof(error)) != 0) {
            eal_say("%s; all sockets stay with the kernel (programs are to be started with on-lwip)", error);
        } else {
            engine.settings = &settings;
        }
    }
    return engine.settings;
}

static int start_stack(const struct settings *settings) {
    char error[512];
    int code = stack_start(&settings->stack, error, sizeof(error));

    if (code != 0) {
        eal_say("%s", error);
    }
    return code;
}

__attribute__((constructor)) static void remember_process(void) {
    engine.loaded = getpid();
}

static int start(const struct settings *settings) {
    sigset_t all, before;
    int code;

    if (!eal_can_start(settings)) {
        return -ENETDOWN;
    }
    if (settings->counters_path != NULL && counters_file_open(settings->counters_path) != 0) {
        eal_say("counters: %s: %s", settings->counters_path, strerror(errno));
        return -ENETDOWN;
    }
    /* A signal is for the program's threads: one that another takes would not end a wait of theirs. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = eal_start(settings, start_stack);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        return -ENETDOWN;
    }
    own_descriptors_end();
    stack_on_silent_neighbour(engine.on_silent);
    engine.tsc_hz = rte_get_tsc_hz();
    engine.kernel_check_tsc = engine.tsc_hz / 1000000 * KERNEL_CHECK_US;
    signals_guard(eal_remove_traces);
    return 0;
}

/* No program knows what to do when its sockets never work: those that serve would ask again and again. The
 * reason has been said. Who starts such a process anew as it ends shall not be busy with that. */
__attribute__((noreturn)) static void refuse(void) {
    if (getpid() != engine.loaded) {
        (void)sleep(1);
    }
    libc()->_exit(EXIT_CANNOT);
}

static void say_conflict(pid_t holder, const char *consequence) {
    struct in_addr address = {engine_address()};
    char text[INET_ADDRSTRLEN];

    if (!engine.conflict_said) {
        engine.conflict_said = true;
        eal_say("lwIP at %s is process %d's alone: %s %d (%s)",
                inet_ntop(AF_INET, &address, text, sizeof(text)), holder, consequence, getpid(),
                program_invocation_short_name);
    }
}

/* EAL, which would know it, does not run yet. */
static uint64_t measure_tsc_hz(void) {
    const struct timespec ms = {.tv_nsec = 1000000};
    struct timespec began, now;
    uint64_t tsc = rte_rdtsc();

    clock_gettime(CLOCK_MONOTONIC, &began);
    nanosleep(&ms, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (rte_rdtsc() - tsc) * 1000000000u /
           ((uint64_t)(now.tv_sec - began.tv_sec) * 1000000000u + (uint64_t)now.tv_nsec -
            (uint64_t)began.tv_nsec);
}

/* 0, or -EBUSY while another process has the stack. */
static int start_alone(const struct settings *settings) {
    pid_t holder = claim_holder(settings);
    int code = 0;

    if (holder == 0) {
        own_descriptors_begin();
        code = claim_take(settings);
    }
    if (holder != 0 || code == -EADDRINUSE) {
        say_conflict(holder, "until it ends, nothing reaches process");
        engine.tsc_hz = engine.tsc_hz != 0 ? engine.tsc_hz : measure_tsc_hz();
        return -EBUSY;
    }
    if (code != 0) {
        eal_say("the mark that lwIP runs here: %s", strerror(-code));
    }
    if (code != 0 || start(settings) != 0) {
        refuse();
    }
    engine.owner = getpid();
    engine.state = STARTED;
    return 0;
}

int engine_start(void) {
    switch (engine.state) {
    case STARTED:
        return 0;
    case NOT_STARTED:
        return start_alone(engine_settings()) == 0 ? 0 : -ENETDOWN;
    case FORKED:
        say_conflict(engine.owner, "forked after it had started, its sockets do not work in process");
        return -ENETDOWN;
    default:
        return -ENETDOWN;
    }
}

bool engine_available(void) {
    pid_t holder = engine.state == STARTED       ? 0
                   : engine.state == NOT_STARTED ? claim_holder(engine_settings())
                                                 : engine.owner;

    if (holder != 0) {
        say_conflict(holder, "the kernel has the sockets of process");
    }
    return holder == 0;
}

void engine_refuse_served(void) {
    (void)engine_start(); /* which says why it cannot */
    refuse();
}

void engine_rights_go(bool also_without_sockets) {
    const struct settings *settings;

    if (engine_inside() || engine.state != NOT_STARTED ||
        (socket_counters.sockets == 0 && !(also_without_sockets && getpid() == engine.loaded))) {
        return;
    }
    engine_lock();
    settings = engine_settings();
    if (settings != NULL && (socket_counters.sockets > 0 || claim_holder(settings) == 0)) {
        unsigned seen = signals_seen(false);

        while (engine_start() != 0 && engine.state == NOT_STARTED && signals_seen(false) == seen) {
            engine_unlock();
            (void)poll(NULL, 0, CLAIM_CHECK_MS);
            engine_lock();
        }
    }
    engine_unlock();
}

bool engine_started(void) {
    return engine.state == STARTED;
}

int engine_start_linked(void) {
    uint64_t deadline;
    int code = engine_start();

    if (code != 0) {
        return code;
    }
    deadline = engine_deadline((int64_t)LINK_WAIT_SECONDS * 1000000000);
    while (!netif_is_link_up(netif_default)) {
        (void)stack_poll();
        if (rte_rdtsc() > deadline) {
            eal_say("the port's link is down: is there somebody at the other end?");
            return -ENETDOWN;
        }
    }
    return 0;
}

uint32_t engine_address(void) {
    const struct settings *settings = engine_settings();

    return settings == NULL ? INADDR_ANY : settings->stack.address;
}

bool engine_is_local(uint32_t address) {
    return address == INADDR_ANY || address == engine_address();
}

size_t engine_largest_datagram(void) {
    return netif_default->mtu - 20u - 8u; /* headers of IPv4 and UDP */
}
