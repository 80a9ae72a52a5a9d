/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"

#include "counters_file.h"
#include "eal_start.h"
#include "engine_state.h"
#include "libc.h"
#include "own_descriptors.h"
#include "signals.h"

/* Turns without a packet before a thread that may sleep does so. */
#define IDLE_TURNS 256
/* The longest that an acknowledgement waits for data to ride on, as the kernel's TCP_DELACK_MIN. */
#define DELAYED_ACK_MS 40

struct engine_state engine = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static __thread int cancel_state; /* of this thread, when it took the lock */

/* --- the lock --------------------------------------------------------------------------------------- */

static void take_mutex(void) {
    if (pthread_mutex_trylock(&engine.mutex) != 0) {
        engine.queued++; /* who drives gives way */
        pthread_mutex_lock(&engine.mutex);
        engine.queued--;
    }
}

void engine_lock(void) {
    int before;

    /* First, so that a signal's handler that comes to us between here and the next line is let through. */
    signals_hold();
    /* A thread that were cancelled in here would keep the lock. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    take_mutex();
    cancel_state = before;
    /* Whoever has the lock is DPDK's main lcore, so that it uses the caches of the packet pools. */
    RTE_PER_LCORE(_lcore_id) = 0;
}

void engine_unlock(void) {
    int before = cancel_state;

    pthread_mutex_unlock(&engine.mutex);
    pthread_setcancelstate(before, NULL);
    signals_release();
}

bool engine_inside(void) {
    return signals_held();
}

/* --- what others do at fork and at the end ------------------------------------------------------------ */

void engine_at_fork(void (*hook)(void)) {
    engine.at_fork = hook;
}

void engine_at_exit(void (*hook)(void)) {
    engine.at_exit = hook;
}

void engine_on_silent_neighbour(void (*hook)(uint32_t neighbour)) {
    engine.on_silent = hook;
}

static void before_fork(void) {
    if (!engine_inside()) {
        take_mutex();
    }
}

static void after_fork_in_parent(void) {
    if (!engine_inside()) {
        pthread_mutex_unlock(&engine.mutex);
    }
}

static void after_fork_in_child(void) {
    pthread_mutex_init(&engine.mutex, NULL);
    engine.queued = engine.waiting = 0;
    if (engine.state == STARTED) {
        engine.state = FORKED;
        if (engine.at_fork != NULL) {
            engine.at_fork();
        }
        counters_file_leave();
        own_descriptors_leave();
    }
}

void engine_watch_forks(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* --- driving ---------------------------------------------------------------------------------------- */

void engine_batch(unsigned events) {
    engine.batch = events;
}

void engine_sent(void) {
    if (engine.batch > 1) {
        engine.batch--;
    } else if (engine.state == STARTED) {
        stack_flush();
    }
}

uint64_t engine_deadline(int64_t ns) {
    return ns < 0 ? ENGINE_NEVER : rte_rdtsc() + (uint64_t)((double)ns * (double)engine.tsc_hz / 1e9);
}

bool engine_kernel_due(uint64_t *last) {
    uint64_t now = rte_rdtsc();

    if (now - *last < engine.kernel_check_tsc) {
        return false;
    }
    *last = now;
    return true;
}

static void keep_time(void) {
    uint32_t now_ms = stack_now_ms();

    if (now_ms - engine.acknowledged_ms >= DELAYED_ACK_MS) {
        engine.acknowledged_ms = now_ms;
        tcp_fasttmr();
    }
    counters_file_keep(now_ms);
}

bool engine_turn(void) {
    bool busy;

    if (engine_start() != 0) {
        return false;
    }
    stack_resume();
    busy = stack_poll();
    keep_time();
    return busy;
}

/* Between two turns: others get the lock, and where that is wanted the thread sleeps. */
static void give_way(const struct engine_wait *wait, unsigned idle_turns) {
    uint32_t sleep_us = engine.settings->idle_sleep_us;
    bool sleeps = sleep_us > 0 && idle_turns > IDLE_TURNS;

    if (!sleeps && engine.queued == 0 && engine.waiting == 1) {
        return;
    }
    pthread_mutex_unlock(&engine.mutex);
    if (sleeps) {
        struct timespec time = {sleep_us / 1000000, (long)(sleep_us % 1000000) * 1000};

        (void)libc()->ppoll(wait->kernel, wait->kernel_count, &time, NULL);
    } else {
        sched_yield();
    }
    take_mutex();
    RTE_PER_LCORE(_lcore_id) = 0;
}

/* A handler may use the sockets, and leave the wait by longjmp(). */
static void let_handlers_run(void) {
    if (signals_kept()) {
        engine_unlock();
        engine_lock();
    }
}

/* The same while the stack is another process's, which may end: what is known already, and what the kernel
 * has. */
static int wait_without_stack(const struct engine_wait *wait) {
    unsigned seen = signals_at_start(wait->restart);
    const struct timespec time = {.tv_nsec = CLAIM_CHECK_MS * 1000000};

    do {
        if (wait->ready(wait->argument)) {
            return 1;
        }
        let_handlers_run();
        if (signals_seen(wait->restart) != seen) {
            return -EINTR;
        }
        if (wait->deadline != ENGINE_NEVER && rte_rdtsc() >= wait->deadline) {
            return 0;
        }
        pthread_mutex_unlock(&engine.mutex);
        (void)libc()->ppoll(wait->kernel, wait->kernel_count, &time, NULL);
        take_mutex();
    } while (engine_start() != 0);
    return engine_wait(wait);
}

int engine_wait(const struct engine_wait *wait) {
    unsigned seen = signals_at_start(wait->restart);
    unsigned idle_turns = 0;
    int result;

    if (engine_start() != 0) {
        return wait_without_stack(wait);
    }
    engine.batch = 0;
    engine.waiting++;
    stack_resume();
    for (;;) {
        idle_turns = stack_poll() ? 0 : idle_turns + 1;
        if (wait->ready(wait->argument)) {
            result = 1;
            break;
        }
        engine.waiting--;
        let_handlers_run();
        engine.waiting++;
        if (signals_seen(wait->restart) != seen) {
            result = -EINTR;
            break;
        }
        if (wait->deadline != ENGINE_NEVER && rte_rdtsc() >= wait->deadline) {
            result = 0;
            break;
        }
        keep_time();
        give_way(wait, idle_turns);
    }
    keep_time();
    engine.waiting--;
    return result;
}

/* --- end -------------------------------------------------------------------------------------------- */

static bool all_sent(void) {
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->unsent != NULL || pcb->unacked != NULL) {
            return false;
        }
    }
    return true;
}

/* The kernel would go on sending after the end of a process; here nobody would. */
static void linger(void) {
    uint64_t deadline = engine_deadline((int64_t)engine.settings->linger_ms * 1000000);

    do {
        (void)stack_poll();
    } while (!all_sent() && netif_is_link_up(netif_default) && rte_rdtsc() < deadline);
    /* What is left waits for the peer alone: it goes without RST, which would destroy what the peer has not
     * read. */
    while (tcp_active_pcbs != NULL) {
        tcp_abandon(tcp_active_pcbs, 0);
    }
}

void engine_exit(void) {
    struct timespec until;

    if (engine.state != STARTED || getpid() != engine.owner) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    engine.queued++; /* who drives gives way */
    /* Held for good: threads that still run wait until the process is gone. */
    if (engine_inside() || pthread_mutex_clocklock(&engine.mutex, CLOCK_MONOTONIC, &until) != 0) {
        eal_remove_traces();
        return;
    }
    signals_hold();
    RTE_PER_LCORE(_lcore_id) = 0;
    stack_resume();
    if (engine.at_exit != NULL) {
        engine.at_exit();
    }
    linger();
    counters_file_write();
    engine.state = STOPPED;
    stack_stop();
    eal_end();
}
