/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cases of the conformance program are made of. */
#include "conformance.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

int patience_ms = 20000;

uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *events_text(uint32_t events) {
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{EPOLLIN, "IN"},   {EPOLLPRI, "PRI"}, {EPOLLOUT, "OUT"}, {EPOLLRDHUP, "RDHUP"},
                 {EPOLLERR, "ERR"}, {EPOLLHUP, "HUP"}, {POLLNVAL, "NVAL"}};
    static __thread char texts[4][64];
    static __thread unsigned turn;
    char *text = texts[turn++ % 4];
    uint32_t known = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        known |= names[i].bit;
        if (events & names[i].bit) {
            strcat(text, text[0] ? "|" : "");
            strcat(text, names[i].name);
        }
    }
    if (events & ~known)
        strcat(text, "|other");
    return text[0] ? text : "none";
}

/* --- sockets ----------------------------------------------------------------------------------------- */

int open_socket(int type) {
    int fd = socket(AF_INET, type, 0);
    if (fd < 0)
        give_up("socket");
    return fd;
}

int open_bound(int type) {
    struct sockaddr_in address = test_address(0);
    int fd = open_socket(type);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("bind");
    return fd;
}

int open_listener(int backlog) {
    int fd = open_bound(SOCK_STREAM);
    if (listen(fd, backlog) != 0)
        give_up("listen");
    return fd;
}

struct sockaddr_in local_address(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        give_up("getsockname");
    return address;
}

int connect_to(int listener) {
    struct sockaddr_in address = local_address(listener);
    int fd = open_socket(SOCK_STREAM);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("connect");
    return fd;
}

int accept_from(int listener) {
    int fd;
    await(listener, POLLIN);
    fd = accept(listener, NULL, NULL);
    if (fd < 0)
        give_up("accept");
    return fd;
}

struct pair open_pair(void) {
    int listener = open_listener(8);
    struct pair pair = {.client = connect_to(listener)};
    pair.server = accept_from(listener);
    close(listener);
    return pair;
}

void close_pair(struct pair pair) {
    close(pair.client);
    close(pair.server);
}

void set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        give_up("fcntl O_NONBLOCK");
}

void set_linger(int fd, int on, int seconds) {
    struct linger linger = {.l_onoff = on, .l_linger = seconds};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        give_up("SO_LINGER");
}

int pending_error(int fd) {
    int error = -1;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        give_up("SO_ERROR");
    return error;
}

uint32_t await(int fd, uint32_t events) {
    struct pollfd entry = {.fd = fd, .events = (short)events};
    uint64_t deadline = milliseconds() + (uint64_t)WAIT_MS;
    int count;

    do {
        count = poll(&entry, 1, WAIT_MS);
    } while (count < 0 && errno == EINTR && milliseconds() < deadline);
    if (count != 1)
        give_up("waited for %s", events_text(events));
    return (uint32_t)entry.revents;
}

void await_bytes(int fd, int count) {
    uint64_t deadline = milliseconds() + (uint64_t)WAIT_MS;
    int there = 0;

    await(fd, POLLIN);
    while (ioctl(fd, FIONREAD, &there) == 0 && there < count) {
        struct timespec moment = {.tv_nsec = 1000000};
        if (milliseconds() > deadline)
            give_up("waited for %d bytes, %d came", count, there);
        /* Something else has to drive a stack that runs only when it is called. */
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0);
        nanosleep(&moment, NULL);
    }
}

static const char *select_text(int fd) {
    static __thread char text[32];
    struct timeval now = {0, 0};
    fd_set in, out, except;
    int count;

    FD_ZERO(&in);
    FD_SET(fd, &in);
    out = except = in;
    count = select(fd + 1, &in, &out, &except, &now);
    if (count < 0)
        return error_text(errno);
    snprintf(text, sizeof(text), "%d%s%s%s", count, FD_ISSET(fd, &in) ? " read" : "",
             FD_ISSET(fd, &out) ? " write" : "", FD_ISSET(fd, &except) ? " except" : "");
    return text;
}

void show_readiness(int fd, const char *what) {
    const uint32_t all = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP;
    struct pollfd entry = {.fd = fd, .events = (short)all};
    struct epoll_event wanted = {.events = all}, seen = {.events = 0};
    int set = epoll_create1(0);

    if (poll(&entry, 1, 0) < 0)
        give_up("poll");
    if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted) != 0 || epoll_wait(set, &seen, 1, 0) < 0)
        give_up("epoll");
    close(set);
    note("%s: poll %s, epoll %s, select %s", what, events_text((uint32_t)entry.revents),
         events_text(seen.events), select_text(fd));
}

void send_all(int fd, const void *data, size_t size) {
    const uint8_t *from = data;

    while (size > 0) {
        ssize_t count = send(fd, from, size, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN)
            await(fd, POLLOUT);
        else if (count <= 0)
            give_up("send");
        else {
            from += count;
            size -= (size_t)count;
        }
    }
}

size_t receive_all(int fd, void *data, size_t size) {
    uint8_t *to = data;
    size_t there = 0;

    while (there < size) {
        ssize_t count;
        await(fd, POLLIN);
        count = recv(fd, to + there, size - there, 0);
        if (count < 0)
            give_up("recv");
        if (count == 0)
            break;
        there += (size_t)count;
    }
    return there;
}

/* --- data -------------------------------------------------------------------------------------------- */

void pattern(uint8_t *data, size_t size, uint64_t offset) {
    for (size_t i = 0; i < size; i++) {
        uint64_t at = offset + i;
        data[i] = (uint8_t)((at * 0x9e3779b97f4a7c15u) >> 40);
    }
}

uint64_t fnv1a(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

#define PIECE (64 * 1024)

/* Writes pieces of `piece` bytes, of a stream that begins `offset` bytes before, until one is refused. */
static size_t write_until_full(int fd, size_t piece, size_t offset) {
    uint8_t *data = malloc(piece);
    size_t total = 0;
    ssize_t count;

    do {
        pattern(data, piece, offset + total);
        count = send(fd, data, piece, MSG_NOSIGNAL);
        if (count > 0)
            total += (size_t)count;
    } while (count > 0);
    if (errno != EAGAIN)
        give_up("fill");
    free(data);
    return total;
}

size_t fill(int fd) {
    size_t total = 0, more;

    set_nonblocking(fd);
    do {
        total += write_until_full(fd, PIECE, total);
        total += write_until_full(fd, 1, total);
        /* What is on its way may make room still. */
        poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 4 * QUIET_MS);
        more = write_until_full(fd, 1, total);
        total += more;
    } while (more > 0);
    return total;
}

void drain(int fd, size_t size) {
    uint8_t *data = malloc(PIECE), *expected = malloc(PIECE);
    size_t total = 0;

    while (total < size) {
        size_t wanted = size - total < PIECE ? size - total : PIECE;
        size_t count = receive_all(fd, data, wanted);
        pattern(expected, count, total);
        if (count != wanted || memcmp(data, expected, count) != 0)
            give_up("other bytes than were sent, or the end, within %zu bytes of %zu", total + count, size);
        total += count;
    }
    free(data);
    free(expected);
}

/* --- threads and signals ------------------------------------------------------------------------------- */

pthread_t start_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0)
        give_up("pthread_create");
    return thread;
}

void *join(pthread_t thread) {
    void *result;
    if (pthread_join(thread, &result) != 0)
        give_up("pthread_join");
    return result;
}

static atomic_int counted;

static void on_signal(int signal) {
    (void)signal;
    counted++;
}

void count_signal(int signal, int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    counted = 0;
    sigaction(signal, &action, NULL);
}

int signals_counted(void) {
    return counted;
}

static struct {
    pthread_t thread, target;
    int signal;
    atomic_bool stop;
} sender;

static void *send_signals(void *unused) {
    struct timespec pause = {.tv_nsec = 20 * 1000000};

    (void)unused;
    while (!sender.stop) {
        nanosleep(&pause, NULL);
        if (!sender.stop)
            pthread_kill(sender.target, sender.signal);
    }
    return NULL;
}

void start_signals(int signal) {
    sigset_t all, before;

    sender.target = pthread_self();
    sender.signal = signal;
    sender.stop = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sender.thread = start_thread(send_signals, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void stop_signals(void) {
    sender.stop = true;
    join(sender.thread);
}

int open_descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    if (!directory)
        give_up("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}
