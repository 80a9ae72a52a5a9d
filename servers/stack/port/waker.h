/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends the sleep of a core, from any thread. Must not know what it sleeps for. */
#ifndef STACKDUEL_WAKER_H
#define STACKDUEL_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <rte_common.h>

/* One a core, on a cache line of its own: who hands packets over looks at it. */
struct waker {
    atomic_bool asleep; /* or about to be: set before the core looks for work for the last time */
    int fd;             /* of eventfd(2); the core waits for it with everything else */
} __rte_cache_aligned;

/* Whatever the core is doing; async-signal-safe. */
static inline void waker_wake(const struct waker *waker) {
    const uint64_t one = 1;

    /* Full: then it is awake already. */
    (void)!write(waker->fd, &one, sizeof(one));
}

/* After work has been put where the core finds it: costs a system call only if the core sleeps. */
static inline void waker_wake_if_asleep(const struct waker *waker) {
    atomic_thread_fence(
        memory_order_seq_cst); /* the work first, then the look; the sleeper does the reverse */
    if (atomic_load_explicit(&waker->asleep, memory_order_relaxed)) {
        waker_wake(waker);
    }
}

#endif
