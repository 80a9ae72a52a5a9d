/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread of the open-loop client knows: its order, its connections, what it has counted. */
#ifndef STACKDUEL_OPENLOAD_STATE_H
#define STACKDUEL_OPENLOAD_STATE_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "backlog.h"
#include "common/histogram.h"
#include "http/answer.h"

#define CLIENT_PATH_MAX 4096
#define SECOND UINT64_C(1000000000) /* in ns */

enum failure { FAILED_CONNECT, FAILED_RESET, FAILED_TIMEOUT, FAILED_CONTENT, FAILED_STATUS, FAILURES };

/* What it is to do; the same for all threads but `connections` and `share`. */
struct client_order {
    struct sockaddr_in server;
    const char *path;
    uint32_t body_size;
    uint32_t connections; /* of this thread */
    uint64_t rate;        /* requests/s of all threads; 0: closed loop, the next when the answer is there */
    bool poisson;
    uint64_t seed;
    uint32_t share, shares; /* which thread of how many */
    uint64_t spin_ns;
    const volatile sig_atomic_t *stop; /* not 0: the load ends early */
};

/* Times are of CLOCK_MONOTONIC, in ns. */
struct client_interval {
    uint64_t start; /* of the load */
    uint64_t begin; /* of what is measured */
    uint64_t end;
};

/* A connection. */
struct link {
    int fd; /* -1: none */
    bool asked;
    bool opening;      /* again: nothing can be sent yet */
    bool has_answered; /* since it was opened */
    bool is_last;      /* the server closes behind the present answer */
    uint32_t serial;   /* how often it was opened */
    uint32_t sent;     /* bytes of the request */
    uint32_t received; /* bytes of the answer */
    uint64_t intended; /* when its request was meant to leave, ns */
};

/* Makes the key that an event names. A connection that was opened again since then has another one. */
static inline uint64_t link_key(uint32_t index, uint32_t serial) {
    return (uint64_t)serial << 32 | index;
}

struct client_tally {
    uint64_t requests;       /* answered whole in the interval */
    uint64_t total_requests; /* since it began */
    uint64_t total_connects;
    uint64_t reconnects; /* of them, in place of one that the server closed between two answers */
    uint64_t waited;     /* of the interval, sent late because no connection was free */
    uint64_t backlog_middle, backlog_end;
    uint64_t busy_ns;          /* of the interval, not waiting */
    uint64_t oldest_unsent_ns; /* at the end of the interval */
    uint64_t failures[FAILURES];
};

struct client {
    struct client_order order;
    struct client_interval interval;
    struct backlog backlog;
    struct answer answer;
    struct answer last_answer; /* the same from a server that closes the connection behind it */
    struct link *links;
    uint32_t *free; /* a ring of links that stand and were not asked; in turn, so that all are used */
    uint32_t free_first, free_count;
    uint32_t standing; /* in use: free, asked or opening again */
    uint32_t in_flight;
    enum failure loss;   /* of the connection that was lost last */
    int connect_error;   /* an errno, where that is FAILED_CONNECT */
    uint64_t free_since; /* when a connection was last free again after none was */
    int epoll;
    bool worked; /* in this turn */
    bool middle_seen;
    char request[CLIENT_PATH_MAX + 128];
    uint32_t request_size;
    struct client_tally tally;
    struct histogram latencies; /* ns, of requests whose time lies in the interval */
    struct histogram lag;       /* ns from then until it was sent, of those that a connection was free for */
    char problem[160];          /* why it cannot go on; "" */
};

static inline uint64_t clock_ns(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Tells whether a time lies in what is measured. */
static inline bool client_is_inside(const struct client *client, uint64_t time) {
    return time >= client->interval.begin && time < client->interval.end;
}

/* Says why it cannot go on; the first reason stays. */
static inline void client_fail(struct client *client, const char *what) {
    if (client->problem[0] == '\0') {
        snprintf(client->problem, sizeof(client->problem), "%s", what);
    }
}

#endif
