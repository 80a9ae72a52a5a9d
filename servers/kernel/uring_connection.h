/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection on io_uring: what is under way for it, and what follows from each completion. Must not know
 * how connections are accepted, nor how completions are waited for.
 *
 * One receive stands for as long as the connection does (multishot); it ends by itself when buffers run out,
 * and is cancelled while the client does not read its answers. One send is under way at a time, of all
 * answers that wait.
 */
#ifndef STACKDUEL_URING_CONNECTION_H
#define STACKDUEL_URING_CONNECTION_H

#include "http/http.h"
#include "kernel_ring.h"
#include "kernel_threads.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* What a completion is about: the low bits of its user_data. Above them: the connection of the first two. */
enum uring_tag {
    URING_RECEIVE,
    URING_SEND,
    URING_CANCEL, /* nobody waits for it */
    URING_ACCEPT,
    URING_ASKED,
    URING_TIMER,
    URING_TAG_MASK = 7,
};

struct uring_connection {
    struct http_connection http;
    int fd;           /* −1: free */
    bool receiving;   /* its completions will come */
    bool sending;     /* its completion will come */
    bool cancelling;  /* that receive */
    bool input_ended; /* the client sends no more */
    bool lingering;   /* our FIN is sent, input is discarded */
    bool ending;      /* given back as soon as nothing is under way */
    char *rest;       /* what was received and not parsed yet: rest[rest_start..rest_end); NULL: nothing */
    size_t rest_start, rest_end;
    int64_t deadline;      /* ms, of lingering */
    uint64_t acknowledged; /* bytes, as kernel_keeps_up() has it */
    TAILQ_ENTRY(uring_connection) linger_link;
    SLIST_ENTRY(uring_connection) free_link;
};

/* Of one thread. */
struct uring {
    struct kernel_ring ring;
    struct http_server http;
    struct kernel_counters counters;
    struct uring_connection *connections; /* [fd_slots()], written to as they come into use */
    size_t connections_used;              /* those from the front that were ever in use */
    SLIST_HEAD(, uring_connection) free;
    TAILQ_HEAD(, uring_connection) lingering; /* by deadline */
    struct http_clock clock;
    bool accept_paused; /* until a connection ends or some time has passed */
};

/* An empty submission; when the queue is full, what stands in it is submitted first. */
struct io_uring_sqe *uring_submission(struct uring *uring);

/* Begins a connection, which owns fd from now on. False: there is no place, fd is the caller's still. */
bool uring_open(struct uring *uring, int fd);

/* Handles a completion of the connection's receive, or of its send. */
void uring_received(struct uring *uring, struct uring_connection *connection,
                    const struct io_uring_cqe *completion);
void uring_sent(struct uring *uring, struct uring_connection *connection, int result);

/* Ends the lingering that took too long. */
void uring_expire(struct uring *uring);

/* Looks at some of the connections: who takes longer than `limits` is ended. */
void uring_tick(struct uring *uring, const struct http_limits *limits);

/* Closes all at once: nothing may be submitted any more. */
void uring_close_all(struct uring *uring);

#endif
