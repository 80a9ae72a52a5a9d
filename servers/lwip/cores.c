/* SPDX-License-Identifier: BSD-3-Clause */
#include "cores.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "stack/port/waker.h"

#define START_CHECK_US 1000

enum state { STARTING, SERVING, ENDED };

struct core {
    atomic_uint reported; /* the round of reports it took part in last */
    atomic_uint state;
    _Atomic(const struct waker *) waker;
} __rte_cache_aligned;

static struct {
    atomic_bool stop_asked;
    atomic_bool report_asked;
    atomic_uint in_handler; /* threads that are in on_signal() */
    atomic_uint round;      /* of reports; core 0 counts */
    unsigned printed;       /* the last round that was complete */
    unsigned count;
    int (*body)(unsigned core);
    struct core core[CORES_MAX];
} cores = {.count = 1};

static void wake(unsigned core) {
    const struct waker *waker = atomic_load(&cores.core[core].waker);

    if (waker != NULL) {
        waker_wake(waker);
    }
}

/* May run on any thread of the process, also on one of DPDK's. */
static void on_signal(int number) {
    atomic_fetch_add(&cores.in_handler, 1);
    atomic_store(number == SIGUSR1 ? &cores.report_asked : &cores.stop_asked, true);
    wake(0);
    atomic_fetch_sub(&cores.in_handler, 1);
}

void cores_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static int run(void *argument) {
    unsigned core = (unsigned)(uintptr_t)argument;
    int code = cores.body(core);

    atomic_store(&cores.core[core].state, ENDED);
    return code;
}

static int first_failure(void) {
    unsigned lcore;
    int failure = 0;

    RTE_LCORE_FOREACH_WORKER(lcore) {
        int code = rte_eal_wait_lcore(lcore);

        failure = failure != 0 ? failure : code;
    }
    return failure;
}

int cores_start(unsigned count, int (*body)(unsigned core)) {
    unsigned core = 1, lcore;
    bool ended = false;

    cores.count = count;
    cores.body = body;
    RTE_LCORE_FOREACH_WORKER(lcore) {
        if (core < count) {
            rte_eal_remote_launch(run, (void *)(uintptr_t)core++, lcore);
        }
    }
    for (core = 1; core < count; core++) {
        while (atomic_load(&cores.core[core].state) == STARTING) {
            usleep(START_CHECK_US);
        }
        ended |= atomic_load(&cores.core[core].state) == ENDED;
    }
    if (!ended) {
        return 0;
    }
    atomic_store(&cores.stop_asked, true);
    return first_failure();
}

void cores_serving(unsigned core, const struct waker *waker) {
    atomic_store(&cores.core[core].waker, waker);
    atomic_store(&cores.core[core].state, SERVING);
}

bool cores_stopping(void) {
    return atomic_load_explicit(&cores.stop_asked, memory_order_relaxed);
}

/* Core 0 hands the wish on when the last one has been fulfilled. */
static void begin_round(void) {
    atomic_store(&cores.report_asked, false);
    atomic_fetch_add(&cores.round, 1);
    for (unsigned core = 1; core < cores.count; core++) {
        wake(core);
    }
}

bool cores_report_due(unsigned core) {
    unsigned round;

    if (core == 0 && atomic_load_explicit(&cores.report_asked, memory_order_relaxed) &&
        cores.printed == atomic_load_explicit(&cores.round, memory_order_relaxed)) {
        begin_round();
    }
    round = atomic_load_explicit(&cores.round, memory_order_acquire);
    return round != atomic_load_explicit(&cores.core[core].reported, memory_order_relaxed);
}

void cores_reported(unsigned core) {
    unsigned round = atomic_load_explicit(&cores.round, memory_order_relaxed);

    atomic_store_explicit(&cores.core[core].reported, round, memory_order_release);
    wake(0);
}

bool cores_report_complete(void) {
    unsigned round = atomic_load_explicit(&cores.round, memory_order_relaxed);

    if (round == cores.printed) {
        return false;
    }
    for (unsigned core = 0; core < cores.count; core++) {
        if (atomic_load_explicit(&cores.core[core].reported, memory_order_acquire) != round) {
            return false;
        }
    }
    cores.printed = round;
    return true;
}

void cores_join(void) {
    atomic_store(&cores.stop_asked, true);
    for (unsigned core = 1; core < cores.count; core++) {
        wake(core);
    }
    (void)first_failure();
    atomic_store(&cores.core[0].waker, NULL);
    while (atomic_load(&cores.in_handler) > 0) {
        rte_pause(); /* who is in there may still use it */
    }
}
