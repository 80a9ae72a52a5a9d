/* SPDX-License-Identifier: BSD-3-Clause */
#include "uring_connection.h"

#include "kernel_listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REST_LIMIT = 64 * 1024, /* bytes that wait to be parsed, before the client is held back */
    LINGER_MS = 2000,       /* after our FIN: time for the client to read the last response and close */
};

static void tag(struct io_uring_sqe *submission, struct uring_connection *c, enum uring_tag what) {
    io_uring_sqe_set_data64(submission, (uintptr_t)c | what);
}

struct io_uring_sqe *uring_submission(struct uring *u) {
    struct io_uring_sqe *submission;
    while ((submission = io_uring_get_sqe(&u->ring.ring)) == NULL) {
        io_uring_submit(&u->ring.ring);
    }
    return submission;
}

static void release(struct uring *u, struct uring_connection *c) {
    u->counters.common.retransmits += kernel_retransmits(c->fd);
    u->counters.common.closes++;
    if (c->lingering) {
        TAILQ_REMOVE(&u->lingering, c, linger_link);
    }
    http_close(&u->http, &c->http);
    free(c->rest);
    close(c->fd);
    c->fd = -1;
    SLIST_INSERT_HEAD(&u->free, c, free_link);
    fd_slots_give();
}

static bool at_rest(const struct uring_connection *c) {
    return !c->receiving && !c->sending;
}

static void cancel(struct uring *u, uint64_t of, int fd, unsigned flags) {
    struct io_uring_sqe *submission = uring_submission(u);
    io_uring_prep_cancel64(submission, of, (int)flags);
    submission->fd = fd;
    submission->flags |= IOSQE_CQE_SKIP_SUCCESS;
    tag(submission, NULL, URING_CANCEL);
}

/* Ends a connection: nothing new begins, what is under way is cancelled, and the last completion gives the
 * connection back. */
static void end(struct uring *u, struct uring_connection *c) {
    bool ends_already = c->ending;
    c->ending = true;
    if (at_rest(c)) {
        release(u, c);
    } else if (!ends_already) {
        cancel(u, 0, c->fd, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL);
    }
}

static void fail(struct uring *u, struct uring_connection *c) {
    if (!c->ending) {
        u->counters.common.errors_socket++;
    }
    end(u, c);
}

/* Ends our side and waits for the client's. The last response is with the kernel: a close() now would reset
 * the connection if the client is still sending, and the reset could overtake the response (RFC 9112 9.6). */
static void linger(struct uring *u, struct uring_connection *c) {
    if (c->input_ended) {
        end(u, c);
        return;
    }
    shutdown(c->fd, SHUT_WR); /* fails only on a connection that is gone, which receiving will show */
    free(c->rest);
    c->rest = NULL;
    c->rest_start = c->rest_end = 0;
    c->lingering = true;
    c->deadline = kernel_now_ms() + LINGER_MS;
    TAILQ_INSERT_TAIL(&u->lingering, c, linger_link);
}

/* Submits a receive, which stands until the buffers run out, the client ends, or it is cancelled. */
static void receive(struct uring *u, struct uring_connection *c) {
    struct io_uring_sqe *submission = uring_submission(u);
    io_uring_prep_recv_multishot(submission, c->fd, NULL, 0, 0);
    submission->flags |= IOSQE_BUFFER_SELECT;
    submission->buf_group = KERNEL_RING_BUFFER_GROUP;
    tag(submission, c, URING_RECEIVE);
    c->receiving = true;
}

/* Sends what is queued. The kernel waits for room until it has taken all of it. */
static void send_pending(struct uring *u, struct uring_connection *c) {
    struct iovec pieces[KERNEL_RING_PIECES];
    int count = http_pending(&u->http, &c->http, pieces, KERNEL_RING_PIECES);
    if (count == 0) {
        return;
    }
    struct io_uring_sqe *submission = uring_submission(u);
    unsigned flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (count == 1) {
        io_uring_prep_send(submission, c->fd, pieces[0].iov_base, pieces[0].iov_len, (int)flags);
    } else {
        struct kernel_ring_message *message = kernel_ring_message(&u->ring, submission);
        memcpy(message->pieces, pieces, (size_t)count * sizeof(pieces[0]));
        message->header = (struct msghdr){.msg_iov = message->pieces, .msg_iovlen = (size_t)count};
        io_uring_prep_sendmsg(submission, c->fd, &message->header, flags);
    }
    tag(submission, c, URING_SEND);
    c->sending = true;
}

/* Parses what waits, as far as there is room for answers. */
static void parse_rest(struct uring *u, struct uring_connection *c) {
    if (c->rest == NULL) {
        return;
    }
    c->rest_start += http_input(&u->http, &c->http, c->rest + c->rest_start, c->rest_end - c->rest_start);
    if (c->rest_start < c->rest_end) {
        return;
    }
    free(c->rest);
    c->rest = NULL;
    c->rest_start = c->rest_end = 0;
}

/* Adds to what waits. False: no memory. */
static bool keep(struct uring_connection *c, const char *data, size_t size) {
    size_t waiting = c->rest_end - c->rest_start;
    if (c->rest_start > 0) {
        memmove(c->rest, c->rest + c->rest_start, waiting);
    }
    char *larger = realloc(c->rest, waiting + size);
    c->rest_start = 0;
    c->rest_end = waiting;
    if (larger == NULL) {
        return false;
    }
    memcpy(larger + waiting, data, size);
    c->rest = larger;
    c->rest_end = waiting + size;
    return true;
}

/* Does what can be done now. The last word on this connection: it may be given back here. */
static void advance(struct uring *u, struct uring_connection *c) {
    if (c->ending) {
        end(u, c);
        return;
    }
    if (!c->lingering) {
        parse_rest(u, c);
        if (c->input_ended && c->rest == NULL) {
            http_input_end(&u->http, &c->http);
        }
        if (!c->sending) {
            send_pending(u, c);
        }
        if (!c->sending && http_finished(&c->http)) {
            linger(u, c);
            if (c->fd < 0 || c->ending) {
                return;
            }
        }
    }
    size_t waiting = c->rest_end - c->rest_start;
    if (!c->receiving && !c->input_ended && waiting <= REST_LIMIT) {
        receive(u, c);
    } else if (c->receiving && !c->cancelling && waiting > REST_LIMIT) {
        cancel(u, (uintptr_t)c | URING_RECEIVE, 0, 0);
        c->cancelling = true;
    }
}

static bool take_input(struct uring *u, struct uring_connection *c, const char *data, size_t size) {
    u->counters.common.bytes_received += size;
    if (c->lingering || c->ending) {
        return true;
    }
    size_t used = c->rest == NULL ? http_input(&u->http, &c->http, data, size) : 0;
    return used == size || keep(c, data + used, size - used);
}

void uring_received(struct uring *u, struct uring_connection *c, const struct io_uring_cqe *completion) {
    int result = completion->res;
    bool failed = result < 0 && result != -ENOBUFS && result != -ECANCELED;
    if (!(completion->flags & IORING_CQE_F_MORE)) {
        c->receiving = false;
        c->cancelling = false;
    }
    if (completion->flags & IORING_CQE_F_BUFFER) {
        unsigned id = completion->flags >> IORING_CQE_BUFFER_SHIFT;
        if (result > 0) {
            failed = !take_input(u, c, kernel_ring_buffer(&u->ring, id), (size_t)result);
        }
        kernel_ring_give_back(&u->ring, id);
    }
    if (result == 0) {
        c->input_ended = true;
    }
    if (failed) {
        fail(u, c);
    } else if (result == 0 && c->lingering) {
        end(u, c);
    } else {
        advance(u, c);
    }
}

void uring_sent(struct uring *u, struct uring_connection *c, int result) {
    size_t size = result > 0 ? (size_t)result : 0;
    c->sending = false;
    u->counters.common.bytes_sent += size;
    http_sent(&u->http, &c->http, size);
    if (result < 0 && result != -ECANCELED) {
        fail(u, c);
    } else {
        advance(u, c);
    }
}

bool uring_open(struct uring *u, int fd) {
    struct uring_connection *c = SLIST_FIRST(&u->free);
    if (!fd_slots_take()) {
        return false;
    }
    if (c != NULL) {
        SLIST_REMOVE_HEAD(&u->free, free_link);
    } else {
        c = &u->connections[u->connections_used++]; /* each thread has as many as there are places */
    }
    memset(c, 0, sizeof(*c));
    http_init(&u->http, &c->http);
    c->fd = fd;
    u->counters.common.accepts++;
    receive(u, c);
    return true;
}

void uring_expire(struct uring *u) {
    int64_t now = kernel_now_ms();
    struct uring_connection *c, *next;
    for (c = TAILQ_FIRST(&u->lingering); c != NULL && c->deadline <= now; c = next) {
        next = TAILQ_NEXT(c, linger_link);
        end(u, c);
    }
}

void uring_tick(struct uring *u, const struct http_limits *limits) {
    size_t count = u->connections_used;
    for (size_t left = http_tick(&u->clock, count); left > 0; left--) {
        struct uring_connection *c = &u->connections[http_look(&u->clock, count)];
        if (c->fd < 0 || c->lingering || c->ending ||
            kernel_keeps_up(&c->http, c->fd, &c->acknowledged, limits, &u->clock)) {
            continue;
        }
        u->counters.common.timeouts++;
        end(u, c);
    }
}

void uring_close_all(struct uring *u) {
    for (size_t i = 0; i < u->connections_used; i++) {
        if (u->connections[i].fd >= 0) {
            release(u, &u->connections[i]);
        }
    }
}
