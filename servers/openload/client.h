/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread of the open-loop client: its connections, each with at most one request in flight, and its share
 * of the schedule. Latency is counted from when a request was meant to leave, so that a server that stalls
 * delays what it is asked meanwhile, too (Gil Tene's coordinated omission, as wrk2 counts it).
 *
 * How it waits: epoll_pwait2() with nanoseconds until `spin` before the next request is due, and asking
 * without waiting from then on; with every connection busy it sleeps until an answer comes.
 * Must not know options, other threads or how results are printed. */
#ifndef STACKDUEL_CLIENT_H
#define STACKDUEL_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "backlog.h"
#include "common/histogram.h"
#include "http/answer.h"

#define CLIENT_PATH_MAX 4096

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
    const volatile int *stop; /* not 0: the load ends early */
};

/* Times are of CLOCK_MONOTONIC, in ns. */
struct client_interval {
    uint64_t start; /* of the load */
    uint64_t begin; /* of what is measured */
    uint64_t end;
};

struct link {
    int fd; /* -1: none */
    bool asked;
    uint32_t sent;     /* bytes of the request */
    uint32_t received; /* bytes of the answer */
    uint64_t intended; /* when its request was meant to leave, ns */
};

struct client_tally {
    uint64_t requests;       /* answered whole in the interval */
    uint64_t total_requests; /* since it began */
    uint64_t total_connects;
    uint64_t waited; /* of the interval, sent late because no connection was free */
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
    struct link *links;
    uint32_t *free; /* a ring of links that stand and were not asked; in turn, so that all are used */
    uint32_t free_first, free_count;
    uint32_t standing, in_flight;
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

uint64_t clock_ns(void);

/* False with *problem set: no memory, or no epoll. client_free() in any case. */
bool client_init(struct client *client, const struct client_order *order);
void client_free(struct client *client);

/* Opens all connections and asks once on each, so that the answer is known and nothing is cold. False with
 * *problem set where that fails. */
bool client_open(struct client *client);

/* The load, and until what is in flight is answered. False with *problem set where it had to end early. */
bool client_run(struct client *client, const struct client_interval *interval);

#endif
