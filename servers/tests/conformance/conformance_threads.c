/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: several threads, several processes. */
#include "conformance.h"

#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

static void nap(void) {
    poll(NULL, 0, QUIET_MS);
}

struct acceptors {
    int listener;
    atomic_int accepted;
};

static void *accept_until_told(void *argument) {
    struct acceptors *acceptors = argument;

    for (;;) {
        char byte = 0;
        int fd = accept(acceptors->listener, NULL, NULL);
        if (fd < 0)
            give_up("accept");
        acceptors->accepted++;
        if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
            give_up("echo");
        close(fd);
        if (byte == 'q')
            return NULL;
    }
}

static void exchange_byte(int listener, char sent) {
    int fd = connect_to(listener);
    char byte = 0;

    send_all(fd, &sent, 1);
    if (receive_all(fd, &byte, 1) != 1 || byte != sent)
        give_up("an echo");
    close(fd);
}

CASE(threads_accept_on_one_listener) {
    enum { THREADS = 4, CLIENTS = 100 };
    struct acceptors acceptors = {.listener = open_listener(64)};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(accept_until_told, &acceptors);
    for (int i = 0; i < CLIENTS; i++)
        exchange_byte(acceptors.listener, 'e');
    for (int i = 0; i < THREADS; i++)
        exchange_byte(acceptors.listener, 'q');
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    note("accepted %d", acceptors.accepted);
    close(acceptors.listener);
}

enum { STREAM = 4 << 20, PIECE = 16 * 1024 };

static void *write_stream(void *argument) {
    uint8_t data[PIECE];

    for (size_t at = 0; at < STREAM; at += PIECE) {
        pattern(data, PIECE, at);
        send_all(*(int *)argument, data, PIECE);
    }
    return NULL;
}

static void *read_stream(void *argument) {
    uint8_t data[PIECE], expected[PIECE];
    size_t at = 0;

    while (at < STREAM) {
        ssize_t count = read(*(int *)argument, data, PIECE);
        if (count <= 0)
            give_up("read");
        pattern(expected, (size_t)count, at);
        if (memcmp(data, expected, (size_t)count) != 0)
            give_up("other bytes");
        at += (size_t)count;
    }
    return NULL;
}

/* One thread reads what another writes to, at both ends at once. */
CASE(threads_read_and_write_one_connection) {
    struct pair pair = open_pair();
    pthread_t threads[4] = {start_thread(write_stream, &pair.client), start_thread(read_stream, &pair.client),
                            start_thread(write_stream, &pair.server),
                            start_thread(read_stream, &pair.server)};

    for (int i = 0; i < 4; i++)
        join(threads[i]);
    note("all came, both ways");
    close_pair(pair);
}

static void *own_connections(void *unused) {
    (void)unused;
    for (int turn = 0; turn < 20; turn++) {
        struct pair pair = open_pair();
        char data[8];
        for (int i = 0; i < 20; i++) {
            send_all(pair.client, "ping", 4);
            if (receive_all(pair.server, data, 4) != 4)
                give_up("ping");
            send_all(pair.server, "pong", 4);
            if (receive_all(pair.client, data, 4) != 4 || memcmp(data, "pong", 4) != 0)
                give_up("pong");
        }
        close_pair(pair);
    }
    return NULL;
}

CASE(threads_with_connections_of_their_own) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(own_connections, NULL);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    note("all done");
}

static void *echo_epoll(void *argument) {
    struct pair *pair = argument;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int set = epoll_create1(0);
    char data[64];

    set_nonblocking(pair->server);
    epoll_ctl(set, EPOLL_CTL_ADD, pair->server, &event);
    for (;;) {
        ssize_t count;
        if (epoll_wait(set, &event, 1, WAIT_MS) != 1)
            give_up("epoll_wait");
        while ((count = read(pair->server, data, sizeof(data))) > 0)
            send_all(pair->server, data, (size_t)count);
        if (count == 0)
            break;
        if (errno != EAGAIN)
            give_up("read");
    }
    close(set);
    return NULL;
}

CASE(threads_ping_pong) {
    struct pair pair = open_pair();
    pthread_t thread = start_thread(echo_epoll, &pair);
    char data[8];
    int right = 0;

    for (int i = 0; i < 2000; i++) {
        send_all(pair.client, "ping", 4);
        right += receive_all(pair.client, data, 4) == 4;
    }
    shutdown(pair.client, SHUT_WR);
    join(thread);
    note("%d answers", right);
    close_pair(pair);
}

static void *shut_down_reading_soon(void *argument) {
    nap();
    shutdown(*(int *)argument, SHUT_RD);
    return NULL;
}

static void *shut_down_soon(void *argument) {
    nap();
    shutdown(*(int *)argument, SHUT_RDWR);
    return NULL;
}

CASE(shutdown_ends_a_blocked_read) {
    struct pair pair = open_pair();
    pthread_t thread = start_thread(shut_down_reading_soon, &pair.server);
    char byte;

    trace(read(pair.server, &byte, 1), "read");
    join(thread);
    close_pair(pair);
    pair = open_pair();
    thread = start_thread(shut_down_soon, &pair.server);
    trace(read(pair.server, &byte, 1), "read");
    join(thread);
    close_pair(pair);
}

CASE(shutdown_ends_a_blocked_accept) {
    int listener = open_listener(2);
    pthread_t thread = start_thread(shut_down_soon, &listener);

    trace_descriptor(accept(listener, NULL, NULL), "accept");
    join(thread);
    close(listener);
}

CASE(shutdown_ends_a_poll) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    pthread_t thread = start_thread(shut_down_soon, &pair.server);

    trace(poll(&entry, 1, -1), "poll");
    note("readable %d", (entry.revents & POLLIN) != 0);
    join(thread);
    close_pair(pair);
}

static void *close_one_soon(void *argument) {
    nap();
    close(*(int *)argument);
    return NULL;
}

/* What poll says then is not laid down, but it has to come back in its time. */
CASE(close_of_what_another_thread_polls) {
    struct pair pair = open_pair();
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    int number = pair.server;
    pthread_t thread = start_thread(close_one_soon, &number);

    poll(&entry, 1, 4 * QUIET_MS);
    join(thread);
    note("came back");
    await(pair.client, POLLRDHUP);
    trace(close(pair.client), "close");
}

CASE(close_of_what_another_thread_waits_for) {
    struct pair pair = open_pair(), other = open_pair();
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1};
    int set = epoll_create1(0), number = pair.server;
    pthread_t thread;

    epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event);
    event.data.u32 = 2;
    epoll_ctl(set, EPOLL_CTL_ADD, other.server, &event);
    thread = start_thread(close_one_soon, &number);
    trace(epoll_wait(set, &event, 1, 4 * QUIET_MS), "epoll_wait");
    join(thread);
    send_all(other.client, "a", 1);
    trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait");
    note("data %u", event.data.u32);
    close(pair.client);
    close_pair(other);
    close(set);
}

static void *wait_for_pipe(void *argument) {
    char byte;
    if (read(*(int *)argument, &byte, 1) != 1)
        give_up("pipe");
    return NULL;
}

static void *poll_pipe(void *argument) {
    struct pollfd entry = {.fd = *(int *)argument, .events = POLLIN};
    if (poll(&entry, 1, -1) != 1)
        give_up("poll");
    return NULL;
}

/* Small messages that follow one another at once, whatever the peer has acknowledged. */
static void send_at_once(int fd) {
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        give_up("TCP_NODELAY");
}

/* Threads that wait in the kernel hold nothing that others need. */
CASE(threads_blocked_in_the_kernel) {
    struct pair pair = open_pair();
    pthread_t threads[2];
    int ends[2];
    char data[8];

    if (pipe(ends) != 0)
        give_up("pipe");
    send_at_once(pair.client);
    threads[0] = start_thread(poll_pipe, &ends[0]);
    nap();
    for (int i = 0; i < 100; i++) {
        send_all(pair.client, "a", 1);
        if (receive_all(pair.server, data, 1) != 1)
            give_up("an exchange");
    }
    if (write(ends[1], "x", 1) != 1)
        give_up("write");
    join(threads[0]);
    threads[1] = start_thread(wait_for_pipe, &ends[0]);
    join(threads[1]);
    note("all done");
    close(ends[0]);
    close(ends[1]);
    close_pair(pair);
}

static void *read_one(void *argument) {
    char byte;
    return read(*(int *)argument, &byte, 1) == 1 ? argument : NULL;
}

/* A thread that waits for one connection must leave the others usable. */
CASE(threads_blocked_in_reads) {
    struct pair waiting = open_pair(), busy = open_pair();
    pthread_t thread = start_thread(read_one, &waiting.server);
    char data[8];

    send_at_once(busy.client);
    nap();
    for (int i = 0; i < 100; i++) {
        send_all(busy.client, "a", 1);
        if (recv(busy.server, data, 1, 0) != 1)
            give_up("an exchange");
    }
    send_all(waiting.client, "z", 1);
    note("read %d", join(thread) != NULL);
    close_pair(waiting);
    close_pair(busy);
}

/* --- processes ---------------------------------------------------------------------------------------------
 */

/* Runs `body` in a child whose lines come before the parent's next. */
static void in_child(void (*body)(void *), void *argument) {
    int status;
    pid_t child = fork();

    if (child < 0)
        give_up("fork");
    if (child == 0) {
        body(argument);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child)
        give_up("waitpid");
    if (WIFSIGNALED(status))
        note("child: signal %s", sigabbrev_np(WTERMSIG(status)));
    else
        note("child: exit %d", WEXITSTATUS(status));
}

static void echo_once(const char *who) {
    struct pair pair = open_pair();
    char data[8];

    send_all(pair.client, "hello", 5);
    note("%s: %zu bytes", who, receive_all(pair.server, data, 5));
    close_pair(pair);
}

static void child_echoes(void *unused) {
    (void)unused;
    echo_once("child");
}

CASE_OF(fork_before_the_first_socket, NULL, true) {
    in_child(child_echoes, NULL);
    echo_once("parent");
}

static void child_serves(void *argument) {
    int listener = *(int *)argument, client = connect_to(listener), server = accept_from(listener);
    char data[8];

    send_all(client, "hello", 5);
    note("child: %zu bytes", receive_all(server, data, 5));
    close(client);
    close(server);
    close(listener);
}

/* A daemon: the parent listens, the child serves. */
CASE_OF(fork_between_listen_and_accept, NULL, true) {
    int listener = open_listener(4);

    in_child(child_serves, &listener);
    close(listener);
}

static void child_closes(void *argument) {
    struct pair *pair = argument;
    int ends[2], unix_ends[2];
    char data[8];

    trace(close(pair->client), "child: close");
    trace(close(pair->server), "child: close");
    if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, unix_ends) != 0)
        give_up("pipe");
    trace(write(ends[1], "abc", 3), "child: write to a pipe");
    trace(read(ends[0], data, sizeof(data)), "child: read");
    trace(send(unix_ends[1], "abc", 3, 0), "child: send to a Unix socket");
    trace(recv(unix_ends[0], data, sizeof(data), 0), "child: recv");
    show_readiness(ends[1], "child: pipe");
}

CASE(fork_after_it_child_uses_the_kernel) {
    struct pair pair = open_pair();
    char data[8];

    in_child(child_closes, &pair);
    trace(write(pair.client, "hello", 5), "write");
    await_bytes(pair.server, 5);
    trace(read(pair.server, data, sizeof(data)), "read");
    trace(close(pair.client), "close");
    trace(read(pair.server, data, sizeof(data)), "read");
    close(pair.server);
}

static void child_loopback(void *argument) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = open_socket(SOCK_STREAM);
    struct pair pair;
    char data[8];

    (void)argument;
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 2) != 0)
        give_up("loopback");
    pair.client = connect_to(listener);
    pair.server = accept_from(listener);
    send_all(pair.client, "hello", 5);
    note("child: %zu bytes over loopback", receive_all(pair.server, data, 5));
    close_pair(pair);
    close(listener);
}

CASE(fork_after_it_child_uses_loopback) {
    struct pair pair = open_pair();

    in_child(child_loopback, NULL);
    close_pair(pair);
}

static void child_exits(void *argument) {
    (void)argument;
}

static void child_exits_at_once(void *argument) {
    (void)argument;
    _exit(3);
}

/* What the child's end does to descriptors must not reach the connection. */
CASE(fork_after_it_child_ends) {
    struct pair pair = open_pair();
    char data[8];

    in_child(child_exits, NULL);
    in_child(child_exits_at_once, NULL);
    send_all(pair.client, "hello", 5);
    await_bytes(pair.server, 5);
    trace(read(pair.server, data, sizeof(data)), "read");
    trace(recv(pair.client, data, sizeof(data), MSG_DONTWAIT), "recv");
    close_pair(pair);
}

static void child_writes(void *argument) {
    struct pair *pair = argument;
    trace(send(pair->client, "child", 5, MSG_NOSIGNAL), "child: send");
}

CASE_OF(fork_after_it_child_uses_a_connection, "lwIP's state is the parent's alone", false) {
    struct pair pair = open_pair();
    char data[8];

    in_child(child_writes, &pair);
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    close_pair(pair);
}

CASE(spawned_program) {
    struct pair pair = open_pair();
    char *words[] = {"sh", "-c", "echo spawned >&9", NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    char data[16] = "";
    pid_t child;

    if (pipe(ends) != 0)
        give_up("pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 9);
    if (posix_spawn(&child, "/bin/sh", &actions, NULL, words, environment) != 0)
        give_up("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    waitpid(child, &status, 0);
    trace(read(ends[0], data, sizeof(data)), "read");
    note("exit %d", WEXITSTATUS(status));
    send_all(pair.client, "hello", 5);
    await_bytes(pair.server, 5);
    trace(read(pair.server, data, sizeof(data)), "the connection lives");
    close(ends[0]);
    close(ends[1]);
    close_pair(pair);
}
