/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: poll and select, and what the kernel keeps beside connections in one wait. */
#include "conformance.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

CASE(poll_entries) {
    struct pair pair = open_pair();
    struct pollfd entries[5] = {{.fd = pair.server, .events = POLLIN},
                                {.fd = -1, .events = POLLIN, .revents = 0x7f},
                                {.fd = NO_SUCH_FD, .events = POLLIN},
                                {.fd = pair.client, .events = POLLOUT},
                                {.fd = pair.server, .events = POLLOUT}};

    trace(poll(entries, 5, 0), "poll");
    for (int i = 0; i < 5; i++)
        note("entry %d: %s", i, events_text((uint32_t)entries[i].revents));
    trace(poll(entries, 1, QUIET_MS), "poll one");
    trace(poll(entries, 0, 0), "poll none");
    trace(poll(NULL, 0, QUIET_MS), "poll none, some time");
    entries[0].events = 0;
    trace(poll(entries, 1, 0), "poll for nothing");
    shutdown(pair.client, SHUT_RDWR);
    shutdown(pair.server, SHUT_RDWR);
    await(pair.server, POLLHUP);
    trace(poll(entries, 1, 0), "poll for nothing, closed both ways");
    note("%s", events_text((uint32_t)entries[0].revents));
    close_pair(pair);
}

CASE(poll_normal_and_priority_bits) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server,
                           .events = POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND | POLLPRI};

    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    trace(poll(&entry, 1, 0), "poll");
    note("%#x", (unsigned)entry.revents);
    close_pair(pair);
}

CASE(poll_too_many) {
    enum { LIMIT = 300 };
    struct pollfd entries[LIMIT + 1];
    struct rlimit limit, before;

    for (int i = 0; i <= LIMIT; i++)
        entries[i] = (struct pollfd){.fd = -1};
    getrlimit(RLIMIT_NOFILE, &before);
    limit = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
    trace(poll(entries, LIMIT, 0), "poll as many entries as descriptors are allowed");
    trace(poll(entries, LIMIT + 1, 0), "poll one more");
    setrlimit(RLIMIT_NOFILE, &before);
}

CASE(ppoll_times_and_masks) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    struct timespec wrong = {0, 1000000000}, negative = {-1, 0}, now = {0, 0}, some = {0, 80000000},
                    plenty = {20, 0};
    sigset_t blocked, open, before;

    trace(ppoll(&entry, 1, &wrong, NULL), "ppoll 10^9 ns");
    trace(ppoll(&entry, 1, &negative, NULL), "ppoll -1 s");
    trace(ppoll(&entry, 1, &now, NULL), "ppoll 0");
    trace(ppoll(&entry, 1, &some, NULL), "ppoll 80 ms");
    note("time untouched %d", some.tv_nsec == 80000000);
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    count_signal(SIGUSR1, 0);
    pthread_kill(pthread_self(), SIGUSR1);
    trace(ppoll(&entry, 1, &some, NULL), "ppoll, signal blocked");
    trace(ppoll(&entry, 1, &plenty, &open), "ppoll, signal let in");
    note("signals %d", signals_counted());
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    send_all(pair.client, "a", 1);
    trace(ppoll(&entry, 1, NULL, NULL), "ppoll without a time");
    close_pair(pair);
}

CASE(poll_interrupted) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    struct timespec plenty = {20, 0};

    for (int restart = 0; restart < 2; restart++) {
        count_signal(SIGUSR1, restart ? SA_RESTART : 0);
        start_signals(SIGUSR1);
        trace(poll(&entry, 1, -1), "poll");
        trace(poll(&entry, 1, WAIT_MS), "poll with a time");
        trace(ppoll(&entry, 1, &plenty, NULL), "ppoll");
        trace(poll(NULL, 0, WAIT_MS), "poll none");
        stop_signals();
    }
    close_pair(pair);
}

CASE(poll_times) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    uint64_t since = milliseconds();

    trace(poll(&entry, 1, 100), "poll 100 ms");
    note("waited %d, not long %d", milliseconds() - since >= 99, milliseconds() - since < 5000);
    close_pair(pair);
}

static void *send_soon(void *argument) {
    poll(NULL, 0, QUIET_MS);
    send_all(*(int *)argument, "a", 1);
    return NULL;
}

CASE(poll_woken_by_data) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    pthread_t thread = start_thread(send_soon, &pair.client);

    trace(poll(&entry, 1, -1), "poll");
    note("%s", events_text((uint32_t)entry.revents));
    join(thread);
    close_pair(pair);
}

/* --- select ----------------------------------------------------------------------------------------------
 */

CASE(select_sets) {
    struct pair pair = open_pair();
    int pipes[2], top;
    fd_set in, out;
    struct timeval now = {0, 0};

    if (pipe(pipes) != 0)
        give_up("pipe");
    top = (pair.client > pair.server ? pair.client : pair.server) + 1;
    top = pipes[1] >= top ? pipes[1] + 1 : top;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(pair.server, &in);
    FD_SET(pipes[0], &in);
    FD_SET(pair.client, &out);
    FD_SET(pipes[1], &out);
    trace(select(top, &in, &out, NULL, &now), "select");
    note("in: connection %d pipe %d, out: connection %d pipe %d", FD_ISSET(pair.server, &in),
         FD_ISSET(pipes[0], &in), FD_ISSET(pair.client, &out), FD_ISSET(pipes[1], &out));
    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    if (write(pipes[1], "b", 1) != 1)
        give_up("write");
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    FD_SET(pipes[0], &in);
    trace(select(top, &in, NULL, NULL, NULL), "select without a time");
    note("in: connection %d pipe %d", FD_ISSET(pair.server, &in), FD_ISSET(pipes[0], &in));
    trace(select(0, NULL, NULL, NULL, &now), "select nothing");
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    trace(select(pair.server, &in, NULL, NULL, &now), "select below the descriptor");
    close_pair(pair);
    close(pipes[0]);
    close(pipes[1]);
}

CASE(select_errors) {
    struct pair pair = open_pair();
    struct timeval now = {0, 0}, negative = {-1, 0};
    fd_set in;
    /* One that was open: beyond the table of descriptors the kernel does not look. */
    int closed = dup(pair.server);

    close(closed);
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    FD_SET(closed, &in);
    trace(select(closed + 1, &in, NULL, NULL, &now), "select a closed descriptor");
    FD_CLR(closed, &in);
    trace(select(-1, &in, NULL, NULL, &now), "select -1");
    trace(select(pair.server + 1, &in, NULL, NULL, &negative), "select -1 s");
    close_pair(pair);
}

CASE(select_times) {
    struct pair pair = open_pair();
    struct timeval wait = {0, 100000};
    uint64_t since = milliseconds();
    fd_set in;

    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    trace(select(pair.server + 1, &in, NULL, NULL, &wait), "select 100 ms");
    note("waited %d, set %d, time left %d", milliseconds() - since >= 99, FD_ISSET(pair.server, &in),
         wait.tv_sec || wait.tv_usec);
    wait = (struct timeval){20, 0};
    send_all(pair.client, "a", 1);
    FD_SET(pair.server, &in);
    trace(select(pair.server + 1, &in, NULL, NULL, &wait), "select");
    note("time left %d", wait.tv_sec > 0 && wait.tv_sec <= 20);
    close_pair(pair);
}

CASE(select_interrupted) {
    struct pair pair = open_pair();
    struct timespec plenty = {20, 0};
    fd_set in;

    count_signal(SIGUSR1, SA_RESTART);
    start_signals(SIGUSR1);
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    trace(select(pair.server + 1, &in, NULL, NULL, NULL), "select");
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    trace(pselect(pair.server + 1, &in, NULL, NULL, &plenty, NULL), "pselect");
    stop_signals();
    close_pair(pair);
}

CASE(pselect_masks) {
    struct pair pair = open_pair();
    struct timespec some = {0, 80000000}, plenty = {20, 0}, wrong = {0, -1};
    sigset_t blocked, open, before;
    fd_set in;

    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    count_signal(SIGUSR1, 0);
    pthread_kill(pthread_self(), SIGUSR1);
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    trace(pselect(pair.server + 1, &in, NULL, NULL, &some, &blocked), "pselect, signal blocked");
    note("time untouched %d", some.tv_nsec == 80000000);
    FD_SET(pair.server, &in);
    trace(pselect(pair.server + 1, &in, NULL, NULL, &plenty, &open), "pselect, signal let in");
    note("signals %d", signals_counted());
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    trace(pselect(pair.server + 1, &in, NULL, NULL, &wrong, NULL), "pselect -1 ns");
    close_pair(pair);
}

/* --- all kinds together
 * ------------------------------------------------------------------------------------- */

/* One of each kind, all quiet; `wake[i]` is written to, or NULL, to make kind i readable. */
enum { OURS, PIPE, EVENT, TIMER, SIGNAL, UNIX, LOOPBACK, DATAGRAM, KINDS };
static const char *const kind_names[KINDS] = {"connection", "pipe",        "eventfd",  "timerfd",
                                              "signalfd",   "unix socket", "loopback", "udp datagram"};

struct zoo {
    int fd[KINDS], peer[KINDS];
    sigset_t before;
};

static void open_loopback(struct zoo *zoo) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = open_socket(SOCK_STREAM);

    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 2) != 0)
        give_up("loopback");
    zoo->peer[LOOPBACK] = connect_to(listener);
    zoo->fd[LOOPBACK] = accept_from(listener);
    close(listener);
}

static void open_zoo(struct zoo *zoo) {
    struct pair pair = open_pair();
    struct sockaddr_in address;
    int ends[2];
    sigset_t mask;

    zoo->fd[OURS] = pair.server;
    zoo->peer[OURS] = pair.client;
    if (pipe(ends) != 0)
        give_up("pipe");
    zoo->fd[PIPE] = ends[0];
    zoo->peer[PIPE] = ends[1];
    zoo->fd[EVENT] = zoo->peer[EVENT] = eventfd(0, EFD_NONBLOCK);
    zoo->fd[TIMER] = zoo->peer[TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, &zoo->before);
    zoo->fd[SIGNAL] = zoo->peer[SIGNAL] = signalfd(-1, &mask, SFD_NONBLOCK);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        give_up("socketpair");
    zoo->fd[UNIX] = ends[0];
    zoo->peer[UNIX] = ends[1];
    open_loopback(zoo);
    zoo->fd[DATAGRAM] = open_bound(SOCK_DGRAM);
    zoo->peer[DATAGRAM] = open_socket(SOCK_DGRAM);
    address = local_address(zoo->fd[DATAGRAM]);
    if (connect(zoo->peer[DATAGRAM], (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("connect UDP");
    for (int kind = 0; kind < KINDS; kind++)
        if (zoo->fd[kind] < 0)
            give_up("%s", kind_names[kind]);
}

static void close_zoo(struct zoo *zoo) {
    struct timespec now = {0, 0};
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigtimedwait(&mask, NULL, &now);
    for (int kind = 0; kind < KINDS; kind++) {
        if (zoo->peer[kind] != zoo->fd[kind])
            close(zoo->peer[kind]);
        close(zoo->fd[kind]);
    }
    pthread_sigmask(SIG_SETMASK, &zoo->before, NULL);
}

static void wake(const struct zoo *zoo, int kind) {
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    uint64_t one = 1;

    if (kind == TIMER)
        timerfd_settime(zoo->fd[TIMER], 0, &soon, NULL);
    else if (kind == SIGNAL)
        pthread_kill(pthread_self(), SIGUSR2);
    else if (write(zoo->peer[kind], &one, sizeof(one)) != sizeof(one))
        give_up("wake %s", kind_names[kind]);
}

static void calm(const struct zoo *zoo, int kind) {
    char data[256];
    if (read(zoo->fd[kind], data, sizeof(data)) <= 0)
        give_up("calm %s", kind_names[kind]);
}

CASE(all_kinds_in_one_set) {
    struct zoo zoo;
    struct epoll_event events[KINDS];
    int set = epoll_create1(0), count;

    open_zoo(&zoo);
    for (int kind = 0; kind < KINDS; kind++) {
        events[0] = (struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)kind};
        trace(epoll_ctl(set, EPOLL_CTL_ADD, zoo.fd[kind], &events[0]), "ADD %s", kind_names[kind]);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        trace(epoll_wait(set, events, KINDS, 0), "all quiet");
        wake(&zoo, kind);
        count = epoll_wait(set, events, KINDS, WAIT_MS);
        note("%s: %d event, %s, %s", kind_names[kind], count, kind_names[events[0].data.u32 % KINDS],
             events_text(events[0].events));
        calm(&zoo, kind);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        wake(&zoo, kind);
        await(zoo.fd[kind], POLLIN);
    }
    trace(epoll_wait(set, events, KINDS, 0), "all awake");
    trace(epoll_wait(set, events, KINDS - 2, 0), "all awake, less room");
    close_zoo(&zoo);
    trace(epoll_wait(set, events, KINDS, 0), "all closed");
    close(set);
}

CASE(all_kinds_in_one_poll) {
    struct zoo zoo;
    struct pollfd entries[KINDS];

    open_zoo(&zoo);
    for (int kind = 0; kind < KINDS; kind++)
        entries[kind] = (struct pollfd){.fd = zoo.fd[kind], .events = POLLIN};
    for (int kind = 0; kind < KINDS; kind++) {
        trace(poll(entries, KINDS, 0), "all quiet");
        wake(&zoo, kind);
        trace(poll(entries, KINDS, WAIT_MS), "%s", kind_names[kind]);
        note("%s %s", kind_names[kind], events_text((uint32_t)entries[kind].revents));
        calm(&zoo, kind);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        wake(&zoo, kind);
        await(zoo.fd[kind], POLLIN);
    }
    trace(poll(entries, KINDS, 0), "all awake");
    close_zoo(&zoo);
    trace(poll(entries, KINDS, 0), "all closed");
}

CASE(all_kinds_in_one_select) {
    struct zoo zoo;
    struct timeval now = {0, 0};
    fd_set all, in;
    int top = 0;

    open_zoo(&zoo);
    FD_ZERO(&all);
    for (int kind = 0; kind < KINDS; kind++) {
        FD_SET(zoo.fd[kind], &all);
        top = zoo.fd[kind] >= top ? zoo.fd[kind] + 1 : top;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        in = all;
        trace(select(top, &in, NULL, NULL, &now), "all quiet");
        wake(&zoo, kind);
        in = all;
        trace(select(top, &in, NULL, NULL, NULL), "%s", kind_names[kind]);
        note("%s %d", kind_names[kind], FD_ISSET(zoo.fd[kind], &in));
        calm(&zoo, kind);
    }
    close_zoo(&zoo);
}

CASE(kernel_kinds_with_edge) {
    struct zoo zoo;
    struct epoll_event event;
    int set = epoll_create1(0);

    open_zoo(&zoo);
    for (int kind = 0; kind < KINDS; kind++) {
        event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)kind};
        epoll_ctl(set, EPOLL_CTL_ADD, zoo.fd[kind], &event);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        wake(&zoo, kind);
        trace(epoll_wait(set, &event, 1, WAIT_MS), "%s", kind_names[kind]);
        note("%s", kind_names[event.data.u32 % KINDS]);
        trace(epoll_wait(set, &event, 1, QUIET_MS), "again");
    }
    close_zoo(&zoo);
    close(set);
}

/* A busy descriptor of the kernel must not keep connections from being served, nor the reverse. */
CASE(busy_kinds_do_not_starve) {
    struct zoo zoo;
    struct epoll_event event;
    int set = epoll_create1(0), turns[2] = {0, 0};

    open_zoo(&zoo);
    for (int kind = OURS; kind <= PIPE; kind++) {
        event = (struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)kind};
        epoll_ctl(set, EPOLL_CTL_ADD, zoo.fd[kind], &event);
        wake(&zoo, kind);
        await(zoo.fd[kind], POLLIN);
    }
    for (int i = 0; i < 100; i++)
        if (epoll_wait(set, &event, 1, WAIT_MS) == 1)
            turns[event.data.u32]++;
    note("each has turns: %d %d", turns[0] >= 10, turns[1] >= 10);
    close_zoo(&zoo);
    close(set);
}

/* --- loopback and Unix sockets by name stay what they are
 * ------------------------------------------------------ */

CASE(loopback_connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = open_socket(SOCK_STREAM), client = open_socket(SOCK_STREAM), server;
    char data[8];

    trace(bind(listener, (struct sockaddr *)&address, sizeof(address)), "bind");
    trace(listen(listener, 4), "listen");
    address = local_address(listener);
    note("%s", address_text(&address));
    trace(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
    server = trace_descriptor(accept4(listener, NULL, NULL, SOCK_NONBLOCK), "accept4");
    trace(read(server, data, sizeof(data)), "read");
    send_all(client, "loop", 4);
    await_bytes(server, 4);
    trace(read(server, data, sizeof(data)), "read");
    shutdown(client, SHUT_WR);
    note("%s", events_text(await(server, POLLRDHUP | POLLIN)));
    close(client);
    close(server);
    close(listener);
}

CASE(unix_connection) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), server;
    char data[8];

    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "stackduel-conformance-%d", (int)getpid());
    trace(bind(listener, (struct sockaddr *)&address, size), "bind");
    trace(listen(listener, 4), "listen");
    trace(connect(client, (struct sockaddr *)&address, size), "connect");
    server = trace_descriptor(accept(listener, NULL, NULL), "accept");
    trace(write(client, "unix", 4), "write");
    trace(read(server, data, sizeof(data)), "read");
    trace(close(client), "close");
    trace(read(server, data, sizeof(data)), "read");
    close(server);
    close(listener);
}

/* --- time-outs that overflow -----------------------------------------------------------------------------
 */

static void *write_soon(void *argument) {
    poll(NULL, 0, QUIET_MS);
    if (write(*(int *)argument, "x", 1) != 1)
        give_up("write");
    return NULL;
}

enum { PPOLL, PSELECT, SELECT, EPOLL_PWAIT2, WAITS };

static int wait_long(int kind, int fd, int set, struct timespec wait) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    struct epoll_event event;
    struct timeval time = {wait.tv_sec, wait.tv_nsec / 1000};
    int count;
    fd_set in;

    FD_ZERO(&in);
    FD_SET(fd, &in);
    switch (kind) {
    case PPOLL:
        return ppoll(&entry, 1, &wait, NULL);
    case PSELECT:
        return pselect(fd + 1, &in, NULL, NULL, &wait, NULL);
    case SELECT:
        count = select(fd + 1, &in, NULL, NULL, &time);
        note("left: nearly all %d", wait.tv_sec > 1000000000000 || time.tv_sec > wait.tv_sec - 100);
        return count;
    default:
        return epoll_pwait2(set, &event, 1, &wait, NULL);
    }
}

CASE(very_long_waits) {
    static const char *const names[] = {"ppoll", "pselect", "select", "epoll_pwait2"};
    static const struct timespec waits[] = {
        {3000000, 0}, {10000000000, 0}, {INT64_MAX / 1000000000, 999999999}, {INT64_MAX, 999999999}};
    char byte;

    for (int kind = 0; kind < WAITS; kind++)
        for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
            struct pair pair = open_pair();
            struct epoll_event event = {.events = EPOLLIN};
            int set = epoll_create1(0);
            pthread_t thread;

            epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event);
            thread = start_thread(send_soon, &pair.client);
            trace(wait_long(kind, pair.server, set, waits[i]), "%s, wait %zu", names[kind], i);
            join(thread);
            trace(recv(pair.server, &byte, 1, MSG_DONTWAIT), "recv");
            close(set);
            close_pair(pair);
        }
}

/* A set without sockets of the address under test. */
CASE(very_long_waits_for_a_pipe) {
    static const struct timespec waits[] = {{10000000000, 0}, {INT64_MAX, 999999999}};
    char byte;

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct epoll_event event = {.events = EPOLLIN};
        int set = epoll_create1(0), ends[2];
        pthread_t thread;

        if (pipe(ends) != 0)
            give_up("pipe");
        epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event);
        thread = start_thread(write_soon, &ends[1]);
        trace(epoll_pwait2(set, &event, 1, &waits[i], NULL), "epoll_pwait2");
        join(thread);
        trace(read(ends[0], &byte, 1), "read");
        close(ends[0]);
        close(ends[1]);
        close(set);
    }
}

CASE(very_long_timeouts_of_sockets) {
    static const long seconds[] = {3000000, 10000000000, 1000000000000000, INT64_MAX};
    char byte;

    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct pair pair = open_pair();
        struct timeval wait = {.tv_sec = seconds[i]};
        pthread_t thread;

        trace(setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), "SO_RCVTIMEO %zu", i);
        thread = start_thread(send_soon, &pair.client);
        trace(recv(pair.server, &byte, 1, 0), "recv");
        join(thread);
        set_linger(pair.client, 1, i % 2 ? -1 : INT32_MAX);
        trace(close(pair.client), "close");
        close(pair.server);
    }
}
