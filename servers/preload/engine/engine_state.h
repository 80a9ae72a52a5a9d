/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the engine share: engine.c (lock, turns, end) and engine_start.c. All under the lock. */
#ifndef STACKDUEL_ENGINE_STATE_H
#define STACKDUEL_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Between two looks whether another process has given up the stack. */
#define CLAIM_CHECK_MS 50

struct settings;

extern struct engine_state {
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
} engine;

/* From now on a child of fork() finds the stack to be its parent's. */
void engine_watch_forks(void);

#endif
