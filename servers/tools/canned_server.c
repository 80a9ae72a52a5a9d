/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cheapest honest answerer on the kernel's sockets, to find how much the client can take: no HTTP server
 * and no contender. A request ends at an empty line, whatever stands before it; the answer is a prepared
 * buffer. A wake-up of a connection costs one recv and one writev. Must not know what a request means, nor
 * how it is measured.
 */
#include "canned_options.h"
#include "common/counters.h"
#include "http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 256,
    INPUT_SIZE = 16 * 1024,
    ANSWERS_PER_WRITE = 64,
    OTHER_FILES = 16, /* descriptors that are not connections */
    CACHE_LINE = 64,
};

static const uint32_t READING = EPOLLIN | EPOLLRDHUP | EPOLLET;
static const char PROGRAM[] = "canned_server";

/* By its descriptor. `matched`: bytes of the empty line's CR LF CR LF that the input so far ends with. */
struct connection {
    uint64_t owed; /* answers that are not wholly sent */
    size_t sent;   /* bytes of the first of them that are */
    uint8_t matched;
    bool open;
    bool between; /* the input so far ends with a whole request */
    bool writing; /* the client is behind: nothing is read before it has taken what is owed */
};

static struct {
    struct http_site site;
    const struct http_response *answer;
    struct counters counters;
    struct connection *connections;
    size_t files; /* elements of `connections` */
    uint64_t max_connections;
    size_t request_size; /* of the first request that came alone; 0 = none yet */
    int epoll_fd;
    int listen_fd;
    int signal_fd;
    bool stopping;
    char input[INPUT_SIZE];
} server;

static void die(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", PROGRAM, what, strerror(errno));
    exit(1);
}

static bool watch(int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(server.epoll_fd, operation, fd, &event) == 0;
}

static uint64_t retransmits_of(int fd) {
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_total_retrans;
}

static void close_connection(int fd, bool failed) {
    server.counters.retransmits += retransmits_of(fd);
    server.counters.closes++;
    server.counters.errors_socket += failed;
    server.connections[fd].open = false;
    close(fd);
}

/* Counts the requests that end in data[size]. The load's are all alike, so mostly one look at length and end
 * will do. */
static uint64_t count_requests(struct connection *c, const char *data, size_t size) {
    uint64_t requests = 0;
    size_t ended = 0; /* bytes of data up to the end of the last whole request */
    if (c->between && size == server.request_size && memcmp(data + size - 4, "\r\n\r\n", 4) == 0) {
        return 1;
    }
    for (size_t i = 0; i < size; i++) {
        char expected = c->matched % 2 == 0 ? '\r' : '\n';
        c->matched = data[i] == expected ? c->matched + 1 : data[i] == '\r';
        if (c->matched == 4) {
            c->matched = 0;
            requests++;
            ended = i + 1;
        }
    }
    if (requests == 1 && c->between && ended == size) {
        server.request_size = size;
    }
    c->between = requests > 0 && ended == size;
    return requests;
}

/* Sends what is owed. False: the connection is broken, or was reset. */
static bool flush(int fd, struct connection *c) {
    const struct iovec *part = server.answer->part;
    bool split = part[1].iov_len > 0;
    while (c->owed > 0) {
        struct iovec iov[2 * ANSWERS_PER_WRITE];
        size_t skip = c->sent;
        int pieces = 0;
        for (uint64_t i = 0; i < c->owed && i < ANSWERS_PER_WRITE; i++) {
            for (int half = 0; half <= split; half++) {
                size_t done = skip < part[half].iov_len ? skip : part[half].iov_len;
                skip -= done;
                if (done < part[half].iov_len) {
                    iov[pieces++] =
                        (struct iovec){(char *)part[half].iov_base + done, part[half].iov_len - done};
                }
            }
        }
        ssize_t sent = writev(fd, iov, pieces);
        if (sent < 0) {
            return errno == EAGAIN;
        }
        server.counters.bytes_sent += (uint64_t)sent;
        size_t reached = c->sent + (size_t)sent;
        server.counters.responses_sent += reached / server.answer->size;
        c->owed -= reached / server.answer->size;
        c->sent = reached % server.answer->size;
        if (c->sent > 0) {
            return true;
        }
    }
    return true;
}

/* Reads and answers in turns until nothing is left to read, or the client is behind. */
static void serve(int fd, uint32_t events) {
    struct connection *c = &server.connections[fd];
    bool more = true;
    while (true) {
        if (!flush(fd, c)) {
            close_connection(fd, true);
            return;
        }
        if ((c->owed > 0) != c->writing) {
            c->writing = c->owed > 0;
            /* Changing the events reports anew what is ready already, so no edge is lost. */
            watch(EPOLL_CTL_MOD, fd, c->writing ? EPOLLOUT | EPOLLET : READING);
            return;
        }
        if (c->writing || !more) {
            return;
        }
        ssize_t size = recv(fd, server.input, sizeof(server.input), 0);
        if (size <= 0) {
            if (size == 0 || errno != EAGAIN) {
                close_connection(fd, size < 0);
            }
            return;
        }
        server.counters.bytes_received += (uint64_t)size;
        uint64_t requests = count_requests(c, server.input, (size_t)size);
        server.counters.requests_parsed += requests;
        c->owed += requests;
        /* A short read has emptied the socket, unless an end or an error follows. */
        more = (size_t)size == sizeof(server.input) || (events & ~(uint32_t)EPOLLIN) != 0;
    }
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if ((size_t)fd >= server.files ||
            server.counters.accepts - server.counters.closes >= server.max_connections) {
            server.counters.refused++;
            close(fd);
            continue;
        }
        server.connections[fd] = (struct connection){.open = true, .between = true};
        server.counters.accepts++;
        if (!watch(EPOLL_CTL_ADD, fd, READING)) {
            close_connection(fd, true);
        }
    }
}

static void print_counters(void) {
    struct counters counters = server.counters;
    for (size_t fd = 0; fd < server.files; fd++) {
        if (server.connections[fd].open) {
            counters.retransmits += retransmits_of((int)fd);
        }
    }
    counters_print("canned", &counters, NULL, 0, NULL, NULL);
}

static void signal_readable(void) {
    struct signalfd_siginfo info;
    while (read(server.signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGUSR1) {
            print_counters();
        } else {
            server.stopping = true;
        }
    }
}

static void run(void) {
    struct epoll_event events[EVENTS_PER_WAIT];
    while (!server.stopping) {
        int count = epoll_wait(server.epoll_fd, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == server.listen_fd) {
                accept_all();
            } else if (fd == server.signal_fd) {
                signal_readable();
            } else {
                serve(fd, events[i].events);
            }
        }
    }
}

static void start_answer(const struct canned_options *options) {
    void *memory = aligned_alloc(CACHE_LINE, http_site_size(options->body_size));
    if (memory == NULL) {
        die("not enough memory");
    }
    http_site_init(&server.site, options->body_size, memory);
    server.answer = &server.site.responses[HTTP_200];
}

static void start_connections(const struct canned_options *options) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t needed = options->max_connections + OTHER_FILES;
    if (limit.rlim_cur < needed) {
        limit = (struct rlimit){needed, needed > limit.rlim_max ? needed : limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            die("too few files may be open for --max-connections");
        }
    }
    server.max_connections = options->max_connections;
    server.files = needed;
    server.connections = calloc(server.files, sizeof(struct connection));
    if (server.connections == NULL) {
        die("not enough memory");
    }
}

static void start_listening(const struct canned_options *options) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = options->address};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    address.sin_port = htons((uint16_t)options->port);
    /* accepted sockets inherit them */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, (int)options->backlog) != 0) {
        die("cannot listen");
    }
    server.listen_fd = fd;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void start_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(EPOLL_CTL_ADD, server.signal_fd, EPOLLIN);
}

static void parse_or_exit(struct canned_options *options, int argc, char *argv[]) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf("For calibration only: it answers whatever ends with an empty line with the same 200, to "
                   "find how\n"
                   "much a client can take. It is no HTTP server: use epoll_server for anything else.\n");
        }
    }
    options_parse_or_exit(options, &canned_options, argc, argv);
}

int main(int argc, char *argv[]) {
    struct canned_options options;
    parse_or_exit(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    start_answer(&options);
    start_signals();
    start_connections(&options);
    start_listening(&options);
    ready_print(options.address, (uint16_t)options.port);
    run();
    print_counters();
    return 0;
}
