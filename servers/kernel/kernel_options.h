/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of epoll_server and of uring_server. */
#ifndef STACKDUEL_KERNEL_OPTIONS_H
#define STACKDUEL_KERNEL_OPTIONS_H

#include "common/options.h"
#include "http/http.h"

/* Every field is set, from its row's default when the option was not given. */
struct kernel_options {
    uint32_t address; /* to listen on; 0.0.0.0 = any */
    uint64_t port;
    uint64_t body_size;          /* bytes */
    uint64_t max_connections;    /* those beyond are refused and counted */
    uint64_t backlog;            /* connections half open or waiting for accept */
    uint64_t keepalive_idle;     /* seconds of silence before the first probe */
    uint64_t keepalive_interval; /* seconds between probes */
    uint64_t keepalive_count;    /* unanswered probes after which the connection is reclaimed */
    struct http_limits limits;
    const char *user; /* NULL = not given */
    uint64_t threads;
    const char *cpus;   /* one a thread; "" = not pinned */
    uint64_t busy_poll; /* epoll_server: microseconds; 0 = not given */
    bool spin;          /* epoll_server: no wait sleeps */
};

extern const struct option_table epoll_options;
extern const struct option_table uring_options;

#endif
