/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel contender without a system call for each read and write: io_uring, one ring a thread. One call
 * hands over the answers to all requests that the last one brought, and brings the next. Must not know what a
 * request looks like (http.h), nor what a connection does with its bytes (uring_connection.h).
 */
#include "kernel_listen.h"
#include "kernel_main.h"
#include "kernel_options.h"
#include "kernel_ring.h"
#include "kernel_threads.h"
#include "uring_connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kernel_process process;

/* Of the thread that looks at it. */
static __thread struct {
    struct uring uring;
    unsigned thread;
    bool asked;
    bool timer_runs;
    struct __kernel_timespec tick;
} server;

static void start_accepting(void) {
    struct io_uring_sqe *submission = uring_submission(&server.uring);
    io_uring_prep_multishot_accept(submission, process.listeners[server.thread], NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(submission, URING_ACCEPT);
    server.uring.accept_paused = false;
}

static void watch_asked(void) {
    struct io_uring_sqe *submission = uring_submission(&server.uring);
    io_uring_prep_poll_multishot(submission, kernel_thread_fd(server.thread), POLLIN);
    io_uring_sqe_set_data64(submission, URING_ASKED);
}

/* Tells whether anything waits for the clock: a connection, or that accept is tried again. */
static bool needs_timer(void) {
    const struct counters *counters = &server.uring.counters.common;
    return server.uring.accept_paused || !TAILQ_EMPTY(&server.uring.lingering) ||
           (counters->accepts != counters->closes && http_is_limited(&process.options.limits));
}

/* Starts the timer, which runs as long as something is to be looked at. */
static void start_timer_if_needed(void) {
    if (server.timer_runs || !needs_timer()) {
        return;
    }
    struct io_uring_sqe *submission = uring_submission(&server.uring);
    server.tick.tv_nsec = HTTP_TICK_MS * 1000000;
    io_uring_prep_timeout(submission, &server.tick, 0, 0);
    io_uring_sqe_set_data64(submission, URING_TIMER);
    server.timer_runs = true;
}

static void timer_ended(void) {
    server.timer_runs = false;
    uring_expire(&server.uring);
    uring_tick(&server.uring, &process.options.limits);
    if (server.uring.accept_paused) {
        start_accepting();
    }
}

static void accepted(const struct io_uring_cqe *completion) {
    int error = -completion->res;
    if (error <= 0 && !uring_open(&server.uring, completion->res)) {
        kernel_refuse(completion->res);
        server.uring.counters.common.refused++;
    }
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        server.uring.counters.common.errors_socket++;
        server.uring.accept_paused = true; /* else the listener would stay ready and the loop spin */
    } else if (!(completion->flags & IORING_CQE_F_MORE)) {
        start_accepting();
    } /* any other error is the end of that one connection before it began */
}

static void completed(const struct io_uring_cqe *completion) {
    void *connection = (void *)(uintptr_t)(completion->user_data & ~(uint64_t)URING_TAG_MASK);
    switch ((enum uring_tag)(completion->user_data & URING_TAG_MASK)) {
    case URING_RECEIVE:
        uring_received(&server.uring, connection, completion);
        break;
    case URING_SEND:
        uring_sent(&server.uring, connection, completion->res);
        break;
    case URING_ACCEPT:
        accepted(completion);
        break;
    case URING_ASKED:
        server.asked = true;
        if (!(completion->flags & IORING_CQE_F_MORE)) {
            watch_asked();
        }
        break;
    case URING_TIMER:
        timer_ended();
        break;
    default:
        break;
    }
}

/* Handles all that stand in the ring, and those that found no place in it. */
static void read_completions(struct io_uring *ring) {
    do {
        struct io_uring_cqe *completion;
        unsigned head, count = 0;
        io_uring_for_each_cqe(ring, head, completion) {
            completed(completion);
            count++;
        }
        io_uring_cq_advance(ring, count);
    } while (io_uring_cq_has_overflow(ring) && io_uring_get_events(ring) >= 0);
}

static void serve_thread(unsigned thread) {
    struct io_uring *ring = &server.uring.ring.ring;
    bool going_on = true;
    while (going_on) {
        int result = io_uring_submit_and_wait(ring, 1);
        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
            errno = -result;
            kernel_die("cannot wait for", &process.options);
        }
        read_completions(ring);
        start_timer_if_needed();
        if (server.asked) {
            server.asked = false;
            going_on = thread_on_control(thread);
        }
    }
}

static void start_thread(unsigned thread) {
    struct uring *uring = &server.uring;
    char error[256];
    if (kernel_ring_init(&uring->ring, error, sizeof(error)) != 0) {
        fprintf(stderr, "uring_server: %s\n", error);
        exit(3);
    }
    TAILQ_INIT(&uring->lingering);
    server.thread = thread;
    uring->connections =
        malloc(fd_slots() * sizeof(*uring->connections)); /* not written to before it is needed */
    if (uring->connections == NULL ||
        http_server_init(&uring->http, &process.site, &uring->counters.common, fd_slots()) != 0) {
        kernel_die("not enough memory for", &process.options);
    }
    start_accepting();
    watch_asked();
    io_uring_submit(&uring->ring.ring);
}

static void count_thread(struct kernel_counters *counters) {
    const struct uring *uring = &server.uring;
    *counters = uring->counters;
    for (size_t i = 0; i < uring->connections_used; i++) {
        if (uring->connections[i].fd >= 0) {
            counters->common.retransmits += kernel_retransmits(uring->connections[i].fd);
        }
    }
}

static void stop_thread(unsigned thread) {
    struct uring *uring = &server.uring;
    (void)thread;
    io_uring_submit_and_get_events(&uring->ring.ring); /* the last answers */
    read_completions(&uring->ring.ring);
    kernel_ring_free(&uring->ring);
    uring_close_all(uring);
    uring->connections_used = 0;
    free(uring->connections);
    http_server_free(&uring->http);
}

int main(int argc, char *argv[]) {
    static const struct kernel_service service = {"uring",     start_thread, serve_thread,
                                                  stop_thread, count_thread, NULL};

    return kernel_main(&process, &uring_options, &service, argc, argv);
}
