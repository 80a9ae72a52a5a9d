/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel contender: non-blocking sockets, epoll, and http; each thread has all of that for itself.
 * A request costs epoll_wait (shared by all that are ready), one recv and one send; nothing else unless the
 * client does not keep up. Must not know what a request looks like (http.h), nor how it is measured.
 */
#include "common/counters.h"
#include "http/http.h"
#include "kernel_listen.h"
#include "kernel_main.h"
#include "kernel_options.h"
#include "kernel_threads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 256,
    ACCEPTS_PER_WAIT = 64, /* so that a flood of SYNs does not starve the connections there are */
    INPUT_SIZE = 16 * 1024,
    IOV_COUNT = 2 * HTTP_QUEUE_SIZE,
    LINGER_MS = 2000, /* after our FIN: time for the client to read the last response and close */
    RETRY_MS = 100,   /* until accept is tried again when the machine had no resources */
};

/* Edge-triggered, because a level-triggered descriptor is polled once more after every request. The price:
 * whoever reads must know whether he left something (connection_readable). */
static const uint32_t READING = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

enum io { IO_DONE, IO_RETRY, IO_ERROR };

/* Reading; or writing (waits_for EPOLLOUT: the client is behind, nothing more is read from it, and `rest`
 * keeps what was read but not parsed); or lingering (our FIN is sent, input discarded); or free (fd −1). */
struct connection {
    struct http_connection http;
    int fd;
    uint32_t waits_for;
    char *rest; /* owned; NULL when rest_size is 0 */
    size_t rest_size;
    bool input_ended;
    bool lingering;
    int64_t deadline;      /* ms, of lingering */
    uint64_t acknowledged; /* bytes, as kernel_keeps_up() has it */
    TAILQ_ENTRY(connection) linger_link;
    SLIST_ENTRY(connection) free_link;
};

static struct kernel_process process;
static bool epoll_busy_polls; /* whether epoll itself asks the queue, not only the system's setting */

/* Of the thread that looks at it. */
static __thread struct {
    struct http_server http;
    struct kernel_counters counters;
    struct connection *connections;
    size_t connections_used; /* those from the front that were ever in use; the rest was never touched */
    SLIST_HEAD(, connection) free;
    TAILQ_HEAD(, connection) lingering; /* by deadline */
    int epoll_fd;
    int listen_fd;
    int asked_fd;
    int tick_fd; /* readable at each tick of the clock */
    struct http_clock clock;
    bool clock_runs; /* as long as there are connections */
    bool accept_paused;
    int64_t retry_at;       /* ms, of a listener that is paused */
    char input[INPUT_SIZE]; /* one for all: a connection keeps bytes only in `rest` */
} server;

static bool watch(int operation, int fd, uint32_t events, void *tag) {
    struct epoll_event event = {.events = events, .data.ptr = tag};
    return epoll_ctl(server.epoll_fd, operation, fd, &event) == 0;
}

/* Changes the events that are waited for. It also reports anew what is ready already, so no edge is lost. */
static void wait_for(struct connection *c, uint32_t events) {
    if (c->waits_for == events) {
        return;
    }
    c->waits_for = events;
    watch(EPOLL_CTL_MOD, c->fd, events, c);
}

static void pause_accept(bool pause) {
    server.accept_paused = pause;
    server.retry_at = kernel_now_ms() + RETRY_MS;
    watch(EPOLL_CTL_MOD, server.listen_fd, pause ? 0 : EPOLLIN, &server.listen_fd);
}

static void run_clock(bool run) {
    const struct timespec tick = {.tv_nsec = run ? HTTP_TICK_MS * 1000000 : 0};
    if (run != server.clock_runs && http_is_limited(&process.options.limits)) {
        server.clock_runs = run;
        timerfd_settime(server.tick_fd, 0, &(struct itimerspec){tick, tick}, NULL);
    }
}

static void close_connection(struct connection *c) {
    server.counters.common.retransmits += kernel_retransmits(c->fd);
    server.counters.common.closes++;
    if (c->lingering) {
        TAILQ_REMOVE(&server.lingering, c, linger_link);
    }
    http_close(&server.http, &c->http);
    free(c->rest);
    close(c->fd);
    c->fd = -1;
    SLIST_INSERT_HEAD(&server.free, c, free_link);
    fd_slots_give();
    if (server.accept_paused) {
        pause_accept(false);
    }
}

static void fail_connection(struct connection *c) {
    server.counters.common.errors_socket++;
    close_connection(c);
}

/* Ends our side and waits for the client's. The last response is with the kernel: a close() now would reset
 * the connection if the client is still sending, and the reset could overtake the response (RFC 9112 9.6). */
static void linger(struct connection *c) {
    if (c->input_ended) {
        close_connection(c);
        return;
    }
    shutdown(c->fd, SHUT_WR); /* fails only on a connection that is gone, which reading will show */
    c->lingering = true;
    c->deadline = kernel_now_ms() + LINGER_MS;
    TAILQ_INSERT_TAIL(&server.lingering, c, linger_link);
    wait_for(c, EPOLLIN);
}

/* Sends what is queued. IO_DONE: all of it; IO_RETRY: the socket is full; IO_ERROR: the connection broke. */
static enum io flush(struct connection *c) {
    struct iovec iov[IOV_COUNT];
    int count = http_pending(&server.http, &c->http, iov, IOV_COUNT);
    if (count == 0) {
        return IO_DONE;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t sent = count == 1 ? send(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN ? IO_RETRY : IO_ERROR;
    }
    server.counters.common.bytes_sent += (uint64_t)sent;
    http_sent(&server.http, &c->http, (size_t)sent);
    return http_pending(&server.http, &c->http, iov, IOV_COUNT) > 0 ? IO_RETRY : IO_DONE;
}

/* Keeps the unparsed bytes, at most INPUT_SIZE, until the client reads. They may lie in c->rest already. */
static bool keep_rest(struct connection *c, const char *data, size_t size) {
    if (size > 0 && c->rest == NULL && (c->rest = malloc(size)) == NULL) {
        return false;
    }
    if (size > 0) {
        memmove(c->rest, data, size);
    } else {
        free(c->rest);
        c->rest = NULL;
    }
    c->rest_size = size;
    return true;
}

/* Parses and answers in turns until the bytes are used up or the client is behind. `data`: also c->rest. */
static void serve(struct connection *c, const char *data, size_t size) {
    enum io result;
    do {
        size_t used = http_input(&server.http, &c->http, data, size);
        data += used;
        size -= used;
        result = flush(c);
    } while (result == IO_DONE && size > 0);
    if (result == IO_ERROR || ((size > 0 || c->rest != NULL) && !keep_rest(c, data, size))) {
        fail_connection(c);
    } else if (result == IO_RETRY) {
        wait_for(c, EPOLLOUT);
    } else if (http_finished(&c->http)) {
        linger(c);
    } else {
        wait_for(c, READING);
    }
}

static void connection_readable(struct connection *c, uint32_t events) {
    ssize_t size = recv(c->fd, server.input, sizeof(server.input), 0);
    if (size < 0) {
        if (errno != EAGAIN && c->fd >= 0) { /* it may have given way since the event */
            fail_connection(c);
        }
        return;
    }
    server.counters.common.bytes_received += (uint64_t)size;
    if (size == 0) {
        c->input_ended = true;
        http_input_end(&server.http, &c->http);
    }
    if (c->lingering) {
        if (size == 0) {
            close_connection(c);
        }
        return;
    }
    /* A short read has emptied the socket, unless an end, an error or urgent data follows. */
    if ((size_t)size == sizeof(server.input) || (size > 0 && (events & ~(uint32_t)EPOLLIN) != 0)) {
        c->waits_for = 0;
    }
    serve(c, server.input, (size_t)size);
}

/* Handles an event. Errors and hang-ups come as events too, and show in the call that the connection was
 * waiting for. */
static void connection_event(struct connection *c, uint32_t events) {
    if (c->waits_for == EPOLLOUT) {
        serve(c, c->rest != NULL ? c->rest : server.input, c->rest_size);
    } else {
        connection_readable(c, events);
    }
}

/* Takes a place for a connection. NULL: there is none. */
static struct connection *take_connection(void) {
    struct connection *c = SLIST_FIRST(&server.free);
    if (!fd_slots_take()) {
        return NULL;
    }
    if (c != NULL) {
        SLIST_REMOVE_HEAD(&server.free, free_link);
    } else {
        c = &server.connections[server.connections_used++]; /* each thread has as many as there are places */
    }
    return c;
}

static void open_connection(int fd) {
    struct connection *c = take_connection();
    if (c == NULL && !TAILQ_EMPTY(&server.lingering)) {
        close_connection(TAILQ_FIRST(&server.lingering)); /* the kernel alone says what is left to be said */
        c = take_connection();
    }
    if (c == NULL) {
        kernel_refuse(fd);
        server.counters.common.refused++;
        return;
    }
    memset(c, 0, sizeof(*c));
    http_init(&server.http, &c->http);
    c->fd = fd;
    c->waits_for = READING;
    server.counters.common.accepts++;
    run_clock(true);
    if (process.options.busy_poll > 0) {
        server.counters.napi_connections += kernel_has_napi_id(fd);
    }
    if (!watch(EPOLL_CTL_ADD, fd, READING, c)) {
        fail_connection(c);
    }
}

static void listener_readable(void) {
    for (int i = 0; i < ACCEPTS_PER_WAIT; i++) {
        int fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            open_connection(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            server.counters.common.errors_socket++;
            pause_accept(true); /* else the listener would stay ready and the loop spin */
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* anything else is the end of that one connection before it began */
    }
}

/* Ends the lingering that took too long. Returns how long epoll_wait may sleep: ms, −1 = for ever. */
static int expire_lingering(void) {
    int sleep_ms = server.accept_paused ? RETRY_MS : -1;
    if (TAILQ_EMPTY(&server.lingering)) {
        return sleep_ms;
    }
    int64_t now = kernel_now_ms();
    struct connection *c;
    while ((c = TAILQ_FIRST(&server.lingering)) != NULL && c->deadline <= now) {
        close_connection(c);
    }
    if (c != NULL && (sleep_ms < 0 || c->deadline - now < sleep_ms)) {
        sleep_ms = (int)(c->deadline - now);
    }
    return sleep_ms;
}

/* Looks at some of the connections: who takes too long is ended. One that lingers has a time of its own. */
static void tick(void) {
    size_t count = server.connections_used;
    uint64_t ticks; /* since the last look, of which one counts */
    (void)!read(server.tick_fd, &ticks, sizeof(ticks));
    for (size_t left = http_tick(&server.clock, count); left > 0; left--) {
        struct connection *c = &server.connections[http_look(&server.clock, count)];
        if (c->fd < 0 || c->lingering ||
            kernel_keeps_up(&c->http, c->fd, &c->acknowledged, &process.options.limits, &server.clock)) {
            continue;
        }
        server.counters.common.timeouts++;
        close_connection(c);
    }
    run_clock(server.counters.common.accepts != server.counters.common.closes);
}

static void serve_thread(unsigned thread) {
    struct epoll_event events[EVENTS_PER_WAIT];
    bool going_on = true;
    while (going_on) {
        bool ticked = false;
        int sleep_ms = expire_lingering();
        int count = epoll_wait(server.epoll_fd, events, EVENTS_PER_WAIT, process.options.spin ? 0 : sleep_ms);
        if (count == 0 && server.accept_paused && kernel_now_ms() >= server.retry_at) {
            pause_accept(false);
        }
        for (int i = 0; i < count; i++) {
            void *tag = events[i].data.ptr;
            if (tag == &server.listen_fd) {
                listener_readable();
            } else if (tag == &server.asked_fd) {
                going_on = thread_on_control(thread);
            } else if (tag == &server.tick_fd) {
                ticked = true;
            } else {
                connection_event(tag, events[i].events);
            }
        }
        if (ticked) { /* not before: an event may be of a connection that it would end */
            tick();
        }
    }
}

static void start_thread(unsigned thread) {
    TAILQ_INIT(&server.lingering);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server.listen_fd = process.listeners[thread];
    server.asked_fd = kernel_thread_fd(thread);
    server.tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    server.connections =
        malloc(fd_slots() * sizeof(struct connection)); /* not written to before it is needed */
    if (server.connections == NULL ||
        http_server_init(&server.http, &process.site, &server.counters.common, fd_slots()) != 0) {
        kernel_die("not enough memory for", &process.options);
    }
    epoll_busy_polls = kernel_epoll_busy_polls(server.epoll_fd, &process.options);
    if (!watch(EPOLL_CTL_ADD, server.listen_fd, EPOLLIN, &server.listen_fd) ||
        !watch(EPOLL_CTL_ADD, server.asked_fd, EPOLLIN, &server.asked_fd) ||
        !watch(EPOLL_CTL_ADD, server.tick_fd, EPOLLIN, &server.tick_fd)) {
        kernel_die("cannot wait on", &process.options);
    }
}

static void count_thread(struct kernel_counters *counters) {
    *counters = server.counters;
    for (size_t i = 0; i < server.connections_used; i++) {
        if (server.connections[i].fd >= 0) {
            counters->common.retransmits += kernel_retransmits(server.connections[i].fd);
        }
    }
}

static void stop_thread(unsigned thread) {
    (void)thread;
    for (size_t i = 0; i < server.connections_used; i++) {
        if (server.connections[i].fd >= 0) {
            close_connection(&server.connections[i]);
        }
    }
    server.connections_used = 0;
    free(server.connections);
    http_server_free(&server.http);
    close(server.epoll_fd);
    close(server.tick_fd);
}

static void describe(FILE *out) {
    if (process.options.busy_poll > 0) {
        fprintf(out, ", \"epoll_busy_poll\": %s", epoll_busy_polls ? "true" : "false");
    }
}

int main(int argc, char *argv[]) {
    static const struct kernel_service service = {"epoll",     start_thread, serve_thread,
                                                  stop_thread, count_thread, describe};

    return kernel_main(&process, &epoll_options, &service, argc, argv);
}
