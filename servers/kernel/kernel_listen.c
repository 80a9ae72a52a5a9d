/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    OTHER_FILES = 16,       /* descriptors that are not connections, with one thread */
    BUSY_POLL_PACKETS = 64, /* at a time, from the device's queue; more needs a privilege */
};

/* Written once a connection, not once a request. */
static struct {
    uint64_t most; /* set before the threads start, only read from then on */
    atomic_uint_fast64_t taken;
} slots;

void kernel_die(const char *what, const struct kernel_options *options) {
    char text[INET_ADDRSTRLEN];
    int error = errno;
    inet_ntop(AF_INET, &options->address, text, sizeof(text));
    fprintf(stderr, "%s: %s %s:%u: %s\n", program_invocation_short_name, what, text, (unsigned)options->port,
            strerror(error));
    exit(1);
}

void fd_slots_init(const struct kernel_options *options) {
    rlim_t others = OTHER_FILES + 4 * options->threads;
    rlim_t needed = options->max_connections + others;
    struct rlimit limit;
    slots.most = options->max_connections;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit raised = {needed, needed > limit.rlim_max ? needed : limit.rlim_max};
    if (limit.rlim_cur >= needed || setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    slots.most = limit.rlim_max > others ? limit.rlim_max - others : 1;
    fprintf(stderr, "%s: only %zu connections: RLIMIT_NOFILE is %zu\n", program_invocation_short_name,
            (size_t)slots.most, (size_t)limit.rlim_max);
}

uint64_t fd_slots(void) {
    return slots.most;
}

bool fd_slots_take(void) {
    if (atomic_fetch_add_explicit(&slots.taken, 1, memory_order_relaxed) < slots.most) {
        return true;
    }
    fd_slots_give();
    return false;
}

void fd_slots_give(void) {
    atomic_fetch_sub_explicit(&slots.taken, 1, memory_order_relaxed);
}

static void set(int fd, int level, int name, int value, const struct kernel_options *options) {
    if (setsockopt(fd, level, name, &value, sizeof(value)) != 0) {
        kernel_die("cannot make a socket for", options);
    }
}

/* Makes a socket to listen on. What is set here is inherited by every accepted socket, at no call per
 * connection. Keep-alive is silent while data is unacknowledged or the window is shut: the last row bounds
 * that time too. */
static int make_socket(const struct kernel_options *options) {
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
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        set(fd, wanted[i].level, wanted[i].name, wanted[i].value, options);
    }
    return fd;
}

static void refused_by_kernel(const char *option, const char *what) {
    fprintf(stderr, "%s: %s: the kernel refuses %s: %s\n", program_invocation_short_name, option, what,
            strerror(errno));
    exit(3);
}

/* Sets busy polling, preferred: while the application polls, the queue's interrupts stay off, where the
 * interface defers them. */
static void set_busy_poll(int fd, const struct kernel_options *options) {
    int usecs = (int)options->busy_poll, on = 1;
    if (usecs == 0) {
        return;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof(usecs)) != 0) {
        refused_by_kernel("--busy-poll", "SO_BUSY_POLL");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) != 0) {
        refused_by_kernel("--busy-poll", "SO_PREFER_BUSY_POLL (it needs CAP_NET_ADMIN)");
    }
}

static void steer(int fd, const struct kernel_cpus *cpus) {
    struct sock_filter program[KERNEL_STEER_MAX];
    struct sock_fprog attached = {.len = (unsigned short)kernel_steer_program(program, cpus),
                                  .filter = program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof(attached)) != 0) {
        refused_by_kernel("--cpus", "SO_ATTACH_REUSEPORT_CBPF");
    }
}

void kernel_listen(const struct kernel_options *options, const struct kernel_cpus *cpus,
                   int listeners[KERNEL_THREADS_MAX]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = options->address};
    address.sin_port = htons((uint16_t)options->port);
    for (unsigned i = 0; i < options->threads; i++) {
        int fd = listeners[i] = make_socket(options);
        set_busy_poll(fd, options);
        if (i > 0) {
            set(fd, SOL_SOCKET, SO_REUSEPORT, 1, options);
        }
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
            kernel_die("cannot listen on", options);
        }
        /* The first shares its port only once it has it: another server's that shares too would be joined. */
        if (i == 0 && options->threads > 1) {
            set(fd, SOL_SOCKET, SO_REUSEPORT, 1, options);
        }
        if (listen(fd, (int)options->backlog) != 0) { /* its place in the group is the order of these calls */
            kernel_die("cannot listen on", options);
        }
    }
    if (options->threads > 1 && cpus->count > 0) { /* else by the kernel's hash: a thread has no CPU */
        steer(listeners[0], cpus);
    }
}

bool kernel_has_napi_id(int fd) {
    unsigned id = 0;
    socklen_t size = sizeof(id);
    return getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &size) == 0 && id > 0;
}

/* Linux 6.9's <linux/eventpoll.h>, which older headers lack. */
struct busy_poll_params {
    uint32_t usecs;
    uint16_t budget;
    uint8_t prefer;
    uint8_t pad;
};
#define SET_BUSY_POLL_PARAMS _IOW(0x8A, 0x01, struct busy_poll_params)

bool kernel_epoll_busy_polls(int epoll_fd, const struct kernel_options *options) {
    struct busy_poll_params params = {
        .usecs = (uint32_t)options->busy_poll, .budget = BUSY_POLL_PACKETS, .prefer = 1};
    if (options->busy_poll == 0) {
        return false;
    }
    if (ioctl(epoll_fd, SET_BUSY_POLL_PARAMS, &params) == 0) {
        return true;
    }
    if (errno != ENOTTY && errno != EINVAL) {
        kernel_die("cannot poll busily for", options);
    }
    fprintf(stderr, "epoll_server: this kernel's epoll asks a queue only as net.core.busy_poll says\n");
    return false;
}

static struct tcp_info info_of(int fd) {
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info;
}

uint64_t kernel_retransmits(int fd) {
    return info_of(fd).tcpi_total_retrans;
}

static void reset_at_close(int fd) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void kernel_refuse(int fd) {
    reset_at_close(fd);
    close(fd);
}

bool kernel_keeps_up(struct http_connection *c, int fd, uint64_t *acknowledged,
                     const struct http_limits *limits, const struct http_clock *clock) {
    if (http_keeps_up(c, limits, clock)) {
        return true;
    }
    if (!http_has_pending(c)) {
        return false;
    }
    uint64_t now = info_of(fd).tcpi_bytes_acked;
    http_taken(c, now - *acknowledged);
    *acknowledged = now;
    if (http_keeps_up(c, limits, clock)) {
        return true;
    }
    reset_at_close(fd);
    return false;
}

int64_t kernel_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
