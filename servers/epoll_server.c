/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel contender: one thread, non-blocking sockets, epoll, and http.
 * A request costs epoll_wait (shared by all that are ready), one recv and one send; nothing else unless the
 * client does not keep up. Must not know what a request looks like (http.h), nor how it is measured.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "counters.h"
#include "http.h"
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 256,
    ACCEPTS_PER_WAIT = 64, /* so that a flood of SYNs does not starve the connections there are */
    INPUT_SIZE = 16 * 1024,
    IOV_COUNT = 2 * HTTP_QUEUE_SIZE,
    LINGER_MS = 2000, /* after our FIN: time for the client to read the last response and close */
    RETRY_MS = 100,   /* until accept is tried again when the machine had no resources */
    OTHER_FILES = 16, /* descriptors that are not connections */
    CACHE_LINE = 64,
};

/* Edge-triggered, because a level-triggered descriptor is polled once more after every request. The price:
 * whoever reads must know whether he left something (connection_readable). */
static const uint32_t READING = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

enum io { IO_DONE, IO_RETRY, IO_ERROR };

/* Reading; or writing (waits_for EPOLLOUT: the client is behind, nothing more is read from it, and `rest`
 * keeps what was read but not parsed); or lingering (our FIN is sent, input is discarded); or free (fd −1).
 */
struct connection {
    struct http_connection http;
    int fd;
    uint32_t waits_for;
    char *rest; /* owned; NULL when rest_size is 0 */
    size_t rest_size;
    bool input_ended;
    bool lingering;
    int64_t deadline; /* ms, of lingering */
    TAILQ_ENTRY(connection) linger_link;
    SLIST_ENTRY(connection) free_link;
};

static struct {
    struct http_site site;
    void *site_memory;
    struct http_server http;
    struct counters counters;
    struct connection *connections;
    size_t max_connections;
    size_t connections_used; /* those from the front that were ever in use; the rest was never touched */
    SLIST_HEAD(, connection) free;
    TAILQ_HEAD(, connection) lingering; /* by deadline */
    int epoll_fd;
    int listen_fd;
    int signal_fd;
    bool accept_paused;
    bool stopping;
    char input[INPUT_SIZE]; /* one for all: a connection keeps bytes only in `rest` */
} server;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static bool watch(int operation, int fd, uint32_t events, void *tag) {
    struct epoll_event event = {.events = events, .data.ptr = tag};
    return epoll_ctl(server.epoll_fd, operation, fd, &event) == 0;
}

/* Changing the events also reports anew what is ready already, so no edge is lost. */
static void wait_for(struct connection *c, uint32_t events) {
    if (c->waits_for == events)
        return;
    c->waits_for = events;
    watch(EPOLL_CTL_MOD, c->fd, events, c);
}

static uint64_t retransmits_of(const struct connection *c) {
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_total_retrans;
}

static void pause_accept(bool pause) {
    server.accept_paused = pause;
    watch(EPOLL_CTL_MOD, server.listen_fd, pause ? 0 : EPOLLIN, &server.listen_fd);
}

static void close_connection(struct connection *c) {
    server.counters.retransmits += retransmits_of(c);
    server.counters.closes++;
    if (c->lingering)
        TAILQ_REMOVE(&server.lingering, c, linger_link);
    http_close(&server.http, &c->http);
    free(c->rest);
    close(c->fd);
    c->fd = -1;
    SLIST_INSERT_HEAD(&server.free, c, free_link);
    if (server.accept_paused)
        pause_accept(false);
}

static void fail_connection(struct connection *c) {
    server.counters.errors_socket++;
    close_connection(c);
}

/* The last response is with the kernel. A close() now would reset the connection if the client is still
 * sending, and the reset could overtake the response (RFC 9112 9.6). */
static void linger(struct connection *c) {
    if (c->input_ended) {
        close_connection(c);
        return;
    }
    shutdown(c->fd, SHUT_WR); /* fails only on a connection that is gone, which reading will show */
    c->lingering = true;
    c->deadline = now_ms() + LINGER_MS;
    TAILQ_INSERT_TAIL(&server.lingering, c, linger_link);
    wait_for(c, EPOLLIN);
}

/* Sends what is queued. IO_DONE: all of it; IO_RETRY: the socket is full; IO_ERROR: the connection is broken.
 */
static enum io flush(struct connection *c) {
    struct iovec iov[IOV_COUNT];
    int count = http_pending(&server.http, &c->http, iov, IOV_COUNT);
    if (count == 0)
        return IO_DONE;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t sent = count == 1 ? send(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN ? IO_RETRY : IO_ERROR;
    server.counters.bytes_sent += (uint64_t)sent;
    http_sent(&server.http, &c->http, (size_t)sent);
    return http_pending(&server.http, &c->http, iov, IOV_COUNT) > 0 ? IO_RETRY : IO_DONE;
}

/* Keeps the unparsed bytes, at most INPUT_SIZE, until the client reads. They may lie in c->rest already. */
static bool keep_rest(struct connection *c, const char *data, size_t size) {
    if (size > 0 && c->rest == NULL && (c->rest = malloc(size)) == NULL)
        return false;
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
    if (result == IO_ERROR || ((size > 0 || c->rest != NULL) && !keep_rest(c, data, size)))
        fail_connection(c);
    else if (result == IO_RETRY)
        wait_for(c, EPOLLOUT);
    else if (http_finished(&c->http))
        linger(c);
    else
        wait_for(c, READING);
}

static void connection_readable(struct connection *c, uint32_t events) {
    ssize_t size = recv(c->fd, server.input, sizeof(server.input), 0);
    if (size < 0) {
        if (errno != EAGAIN)
            fail_connection(c);
        return;
    }
    server.counters.bytes_received += (uint64_t)size;
    if (size == 0) {
        c->input_ended = true;
        http_input_end(&server.http, &c->http);
    }
    if (c->lingering) {
        if (size == 0)
            close_connection(c);
        return;
    }
    /* A short read has emptied the socket, unless an end, an error or urgent data follows. */
    if ((size_t)size == sizeof(server.input) || (size > 0 && (events & ~(uint32_t)EPOLLIN) != 0))
        c->waits_for = 0;
    serve(c, server.input, (size_t)size);
}

/* Errors and hang-ups come as events too, and show in the call that the connection was waiting for. */
static void connection_event(struct connection *c, uint32_t events) {
    if (c->waits_for == EPOLLOUT)
        serve(c, c->rest != NULL ? c->rest : server.input, c->rest_size);
    else
        connection_readable(c, events);
}

static void refuse(int fd) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    server.counters.refused++;
}

/* NULL: all are in use. */
static struct connection *take_connection(void) {
    struct connection *c = SLIST_FIRST(&server.free);
    if (c != NULL)
        SLIST_REMOVE_HEAD(&server.free, free_link);
    else if (server.connections_used < server.max_connections)
        c = &server.connections[server.connections_used++];
    return c;
}

static void open_connection(int fd) {
    struct connection *c = take_connection();
    if (c == NULL) {
        refuse(fd);
        return;
    }
    memset(c, 0, sizeof(*c));
    http_init(&server.http, &c->http);
    c->fd = fd;
    c->waits_for = READING;
    server.counters.accepts++;
    if (!watch(EPOLL_CTL_ADD, fd, READING, c))
        fail_connection(c);
}

static void listener_readable(void) {
    for (int i = 0; i < ACCEPTS_PER_WAIT; i++) {
        int fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            open_connection(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            server.counters.errors_socket++;
            pause_accept(true); /* else the listener would stay ready and the loop spin */
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* anything else is the end of that one connection before it began */
    }
}

static void print_counters(void) {
    struct counters counters = server.counters;
    for (size_t i = 0; i < server.connections_used; i++)
        if (server.connections[i].fd >= 0)
            counters.retransmits += retransmits_of(&server.connections[i]);
    counters_print("epoll", &counters, NULL, 0, NULL, NULL);
}

static void signal_readable(void) {
    struct signalfd_siginfo info;
    while (read(server.signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGUSR1)
            print_counters();
        else
            server.stopping = true;
    }
}

/* Ends the lingering that took too long. Returns how long epoll_wait may sleep: ms, −1 = for ever. */
static int expire_lingering(void) {
    int sleep_ms = server.accept_paused ? RETRY_MS : -1;
    if (TAILQ_EMPTY(&server.lingering))
        return sleep_ms;
    int64_t now = now_ms();
    struct connection *c;
    while ((c = TAILQ_FIRST(&server.lingering)) != NULL && c->deadline <= now)
        close_connection(c);
    if (c != NULL && (sleep_ms < 0 || c->deadline - now < sleep_ms))
        sleep_ms = (int)(c->deadline - now);
    return sleep_ms;
}

static void run(void) {
    struct epoll_event events[EVENTS_PER_WAIT];
    while (!server.stopping) {
        int count = epoll_wait(server.epoll_fd, events, EVENTS_PER_WAIT, expire_lingering());
        if (count == 0 && server.accept_paused)
            pause_accept(false);
        for (int i = 0; i < count; i++) {
            void *tag = events[i].data.ptr;
            if (tag == &server.listen_fd)
                listener_readable();
            else if (tag == &server.signal_fd)
                signal_readable();
            else
                connection_event(tag, events[i].events);
        }
    }
}

static void die(const char *what, const struct options *options) {
    char text[INET_ADDRSTRLEN];
    int error = errno;
    inet_ntop(AF_INET, &options->address, text, sizeof(text));
    fprintf(stderr, "epoll_server: %s %s:%u: %s\n", what, text, (unsigned)options->port, strerror(error));
    exit(1);
}

/* What is set here is inherited by every accepted socket, at no call per connection. Keep-alive is silent
 * while data is unacknowledged or the window is shut: the last row bounds that time too. */
static void start_listening(const struct options *options) {
    uint64_t reclaim_s = options->keepalive_idle + options->keepalive_interval * options->keepalive_count;
    const struct {
        int level, name, value;
    } wanted[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, (int)options->keepalive_idle},
        {IPPROTO_TCP, TCP_KEEPINTVL, (int)options->keepalive_interval},
        {IPPROTO_TCP, TCP_KEEPCNT, (int)options->keepalive_count},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, reclaim_s < INT32_MAX / 1000 ? (int)reclaim_s * 1000 : INT32_MAX},
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (setsockopt(fd, wanted[i].level, wanted[i].name, &wanted[i].value, sizeof(int)) != 0)
            die("cannot make a socket for", options);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = options->address};
    address.sin_port = htons((uint16_t)options->port);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, (int)options->backlog) != 0)
        die("cannot listen on", options);
    server.listen_fd = fd;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, &server.listen_fd);
}

static void start_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(EPOLL_CTL_ADD, server.signal_fd, EPOLLIN, &server.signal_fd);
}

static void start_http(const struct options *options) {
    server.site_memory = aligned_alloc(CACHE_LINE, http_site_size(options->body_size));
    if (server.site_memory == NULL ||
        http_server_init(&server.http, &server.site, &server.counters, options->max_connections) != 0)
        die("not enough memory for", options);
    http_site_init(&server.site, options->body_size, server.site_memory);
}

/* As many descriptors as connections are asked for; where the machine gives fewer, fewer are served. */
static void start_connections(const struct options *options) {
    size_t wanted = options->max_connections;
    rlim_t needed = wanted + OTHER_FILES;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit raised = {needed, needed > limit.rlim_max ? needed : limit.rlim_max};
    if (limit.rlim_cur < needed && setrlimit(RLIMIT_NOFILE, &raised) != 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        wanted = limit.rlim_max > OTHER_FILES ? limit.rlim_max - OTHER_FILES : 1;
        fprintf(stderr, "epoll_server: only %zu connections: RLIMIT_NOFILE is %zu\n", wanted,
                (size_t)limit.rlim_max);
    }
    server.max_connections = wanted;
    server.connections = malloc(wanted * sizeof(struct connection)); /* not written to before it is needed */
    if (server.connections == NULL)
        die("not enough memory for", options);
}

int main(int argc, char *argv[]) {
    struct options options;
    options_parse_or_exit(&options, SERVER_EPOLL, argc, argv);
    TAILQ_INIT(&server.lingering);
    signal(SIGPIPE, SIG_IGN);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    start_http(&options);
    start_signals();
    start_connections(&options);
    start_listening(&options);
    ready_print(options.address, (uint16_t)options.port);
    run();
    for (size_t i = 0; i < server.connections_used; i++)
        if (server.connections[i].fd >= 0)
            close_connection(&server.connections[i]);
    print_counters();
    free(server.connections);
    http_server_free(&server.http);
    free(server.site_memory);
    return 0;
}
