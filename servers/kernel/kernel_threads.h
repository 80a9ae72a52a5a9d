/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of a kernel server: one body each, on a CPU of its own if it is asked for, which signals ask to
 * report and to stop. Thread 0 is the process's own, so that a server of one thread is a process of one.
 * Nothing is shared while they serve: each writes down what it has counted when it is asked. Must not know
 * what they do.
 */
#ifndef STACKDUEL_KERNEL_THREADS_H
#define STACKDUEL_KERNEL_THREADS_H

#include "common/counters.h"
#include "kernel_options.h"
#include "kernel_steer.h"

#include <stdbool.h>
#include <stdio.h>

struct kernel_counters {
    struct counters common;
    uint64_t
        napi_connections; /* of `accepts`: by a queue that can be polled; counted with --busy-poll alone */
};

/* What the threads do. All but `describe` are called on the thread that they are about. */
struct kernel_service {
    const char *name;               /* in the line of counters */
    void (*start)(unsigned thread); /* one after the other; ends the program with one line if it cannot */
    void (*serve)(unsigned thread); /* until thread_on_control() says so */
    void (*stop)(unsigned thread);  /* every connection ends, and what start() made */
    void (*count)(struct kernel_counters *counters); /* what this thread has counted, also after stop() */
    void (*describe)(FILE *out); /* further members of the line, each after ", "; NULL: none */
};

/* Reads --cpus. Ends the program with one line and exit code 2 if it cannot be followed. */
void kernel_cpus_or_exit(struct kernel_cpus *cpus, const struct kernel_options *options);

/* Runs the threads, from the first one's start to the last one's end, with the READY line and those of
 * counters. To be called on a process of one thread. SIGTERM and SIGINT stop it, SIGUSR1 makes it report. */
void kernel_threads_run(const struct kernel_options *options, const struct kernel_cpus *cpus,
                        const struct kernel_service *service);

/* Returns a descriptor that becomes readable (poll(2)) when the thread is asked something. */
int kernel_thread_fd(unsigned thread);

/* Does what is asked; to be called then. False: the thread is to return from serve(). */
bool thread_on_control(unsigned thread);

#endif
