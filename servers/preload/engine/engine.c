/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"

#include "claim.h"
#include "counters_file.h"
#include "eal_start.h"
#include "libc.h"
#include "own_descriptors.h"
#include "signals.h"

/* Turns without a packet before a thread that may sleep does so. */
#define IDLE_TURNS 256
#define KERNEL_CHECK_US 20
#define LINK_WAIT_SECONDS 5
/* Between two looks whether another process has given up the stack. */
#define CLAIM_CHECK_MS 50
/* As the launcher's for a machine or a program that cannot do it. */
#define EXIT_CANNOT 3
/* The longest that an acknowledgement waits for data to ride on, as the kernel's TCP_DELACK_MIN. */
#define DELAYED_ACK_MS 40

static struct {
    pthread_mutex_t mutex;
    atomic_uint queued; /* threads that want the lock */
    unsigned waiting;   /* threads in engine_wait() */
    unsigned batch;     /* answers that the program is expected to give before it waits again */
    enum { NOT_STARTED, STARTED, FORKED, STOPPED } state;
    bool settings_read;
    bool conflict_said;
    pid_t loaded; /* the process in which the program began */
    struct settings *settings;
    pid_t owner;
    uint64_t tsc_hz;
    uint64_t kernel_check_tsc;
    uint32_t acknowledged_ms; /* when delayed acknowledgements were sent */
    void (*at_fork)(void);
    void (*at_exit)(void);
    void (*on_silent)(uint32_t neighbour);
} engine = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static __thread bool inside;
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
    inside = true;
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
    inside = false;
    pthread_setcancelstate(before, NULL);
}

bool engine_inside(void) {
    return inside;
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
    if (!inside) {
        take_mutex();
    }
}

static void after_fork_in_parent(void) {
    if (!inside) {
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

/* --- start ------------------------------------------------------------------------------------------ */

const struct settings *engine_settings(void) {
    static struct settings settings;
    char error[256];

    if (!engine.settings_read) {
        engine.settings_read = true;
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
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
    if (!eal_can_start(settings)) {
        return -ENETDOWN;
    }
    if (settings->counters_path != NULL && counters_file_open(settings->counters_path) != 0) {
        eal_say("counters: %s: %s", settings->counters_path, strerror(errno));
        return -ENETDOWN;
    }
    if (eal_start(settings, start_stack) != 0) {
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

    if (inside || engine.state != NOT_STARTED ||
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
    if (ns < 0) {
        return ENGINE_NEVER;
    }
    return rte_rdtsc() + (uint64_t)((double)ns * (double)engine.tsc_hz / 1e9);
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

/* The same while the stack is another process's, which may end: what is known already, and what the kernel
 * has. */
static int wait_without_stack(const struct engine_wait *wait) {
    unsigned seen = signals_at_start(wait->restart);
    const struct timespec time = {.tv_nsec = CLAIM_CHECK_MS * 1000000};

    do {
        if (wait->ready(wait->argument)) {
            return 1;
        }
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
    if (inside || pthread_mutex_clocklock(&engine.mutex, CLOCK_MONOTONIC, &until) != 0) {
        eal_remove_traces();
        return;
    }
    inside = true;
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
