/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel server as a program, from its command line to its end: what epoll_server and uring_server do in
 * the same order. Must not know how one waits for a socket. */
#ifndef STACKDUEL_KERNEL_MAIN_H
#define STACKDUEL_KERNEL_MAIN_H

#include "http/http.h"
#include "kernel_options.h"
#include "kernel_threads.h"

/* Of the process: set before the threads start, only read from then on. */
struct kernel_process {
    struct kernel_options options;
    struct http_site site;
    int listeners[KERNEL_THREADS_MAX]; /* one a thread */
};

/* Reads the options that `table` has, makes the responses, listens, and runs the threads of `service` until
 * they have been stopped. Returns the exit code; ends the program with one line where it cannot. */
int kernel_main(struct kernel_process *process, const struct option_table *table,
                const struct kernel_service *service, int argc, char *argv[]);

#endif
