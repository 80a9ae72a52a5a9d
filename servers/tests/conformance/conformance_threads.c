/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: several threads, several processes. */
#include "conformance.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
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

/* --- what stands under a number while a call waits for it ------------------------------------------------
 */

static struct {
    void (*act)(void);
    struct pair pair;
    int file;
    atomic_bool acted;
    sigjmp_buf back;
} handler;

static void act_once(int signal) {
    (void)signal;
    if (!handler.acted) {
        handler.acted = true;
        handler.act();
    }
}

/* From now on `act` runs in a handler of this thread, once, while it waits. */
static void start_handler(void (*act)(void), int flags) {
    struct sigaction action = {.sa_handler = act_once, .sa_flags = flags};

    handler.act = act;
    handler.acted = false;
    sigaction(SIGUSR1, &action, NULL);
    start_signals(SIGUSR1);
}

static void stop_handler(void) {
    stop_signals();
    note("the handler ran %d", handler.acted);
}

static int empty_file(void) {
    int fd = memfd_create("conformance", 0);

    if (fd < 0)
        give_up("memfd_create");
    return fd;
}

/* The pair's server is closed, and a file has its number. */
static void close_and_open(void) {
    trace(close(handler.pair.server), "handler: close");
    handler.file = empty_file();
}

/* What is written to the file is the file's; the peer of what was closed has the end. */
static void check_file(void) {
    struct stat status;
    char byte;

    note("the file has the number %d", handler.file == handler.pair.server);
    trace(write(handler.file, "bytes of the file", 17), "write to the file");
    fstat(handler.file, &status);
    note("the file has %ld bytes", (long)status.st_size);
    await(handler.pair.client, POLLRDHUP);
    trace(recv(handler.pair.client, &byte, 1, MSG_DONTWAIT), "the peer's recv");
    close(handler.file);
    close(handler.pair.client);
}

CASE(handler_closes_what_recv_waits_for) {
    char byte;

    handler.pair = open_pair();
    start_handler(close_and_open, 0);
    trace(recv(handler.pair.server, &byte, 1, 0), "recv");
    stop_handler();
    check_file();
}

CASE(handler_closes_what_send_waits_for) {
    char byte;

    handler.pair = open_pair();
    fill(handler.pair.server);
    fcntl(handler.pair.server, F_SETFL, 0);
    start_handler(close_and_open, 0);
    trace(send(handler.pair.server, "x", 1, MSG_NOSIGNAL), "send");
    stop_handler();
    while (recv(handler.pair.client, &byte, 1, 0) > 0) {
    }
    check_file();
}

CASE(handler_closes_what_sendfile_waits_for) {
    uint8_t data[4096];
    off_t offset = 0;
    int from = empty_file();

    handler.pair = open_pair();
    if (ftruncate(from, 64 << 20) != 0)
        give_up("ftruncate");
    start_handler(close_and_open, 0);
    note("sendfile: a part %d", sendfile(handler.pair.server, from, &offset, 64 << 20) > 0);
    stop_handler();
    while (recv(handler.pair.client, data, sizeof(data), 0) > 0) {
    }
    check_file();
    close(from);
}

CASE(handler_closes_what_accept_waits_for) {
    struct stat status;
    int listener = open_listener(2);

    handler.pair.server = listener;
    start_handler(close_and_open, 0);
    trace_descriptor(accept(listener, NULL, NULL), "accept");
    stop_handler();
    note("the file has the number %d", handler.file == listener);
    trace(write(handler.file, "abc", 3), "write to the file");
    fstat(handler.file, &status);
    note("the file has %ld bytes", (long)status.st_size);
    close(handler.file);
}

CASE(handler_closes_what_is_waited_for) {
    for (int kind = 0; kind < 3; kind++) {
        struct epoll_event event = {.events = EPOLLIN};
        int set = epoll_create1(0);
        struct pollfd entry;
        fd_set in;

        handler.pair = open_pair();
        entry = (struct pollfd){.fd = handler.pair.server, .events = POLLIN};
        epoll_ctl(set, EPOLL_CTL_ADD, handler.pair.server, &event);
        FD_ZERO(&in);
        FD_SET(handler.pair.server, &in);
        start_handler(close_and_open, SA_RESTART);
        if (kind == 0)
            trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait");
        else if (kind == 1)
            trace(poll(&entry, 1, WAIT_MS), "poll");
        else
            trace(select(handler.pair.server + 1, &in, NULL, NULL, NULL), "select");
        stop_handler();
        check_file();
        close(set);
    }
}

static void close_set(void) {
    trace(close(handler.file), "handler: close");
}

CASE(handler_closes_the_set) {
    struct pair pair = open_pair();
    struct epoll_event event = {.events = EPOLLIN};

    handler.file = epoll_create1(0);
    epoll_ctl(handler.file, EPOLL_CTL_ADD, pair.server, &event);
    start_handler(close_set, 0);
    trace(epoll_wait(handler.file, &event, 1, WAIT_MS), "epoll_wait");
    stop_handler();
    trace(epoll_wait(handler.file, &event, 1, 0), "epoll_wait again");
    close_pair(pair);
}

static void write_by_handler(void) {
    trace(write(handler.pair.client, "x", 1), "handler: write");
}

CASE(handler_writes) {
    char byte = 0;

    handler.pair = open_pair();
    start_handler(write_by_handler, SA_RESTART);
    trace(recv(handler.pair.server, &byte, 1, 0), "recv");
    note("byte %d", byte == 'x');
    stop_handler();
    close_pair(handler.pair);
}

static void exchange_by_handler(void) {
    struct pair pair = open_pair();
    char data[8];

    send_all(pair.client, "ping", 4);
    note("handler: %zu bytes", receive_all(pair.server, data, 4));
    close_pair(pair);
    write_by_handler();
}

CASE(handler_has_connections_of_its_own) {
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);

    handler.pair = open_pair();
    epoll_ctl(set, EPOLL_CTL_ADD, handler.pair.server, &event);
    start_handler(exchange_by_handler, 0);
    trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait");
    stop_handler();
    trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait");
    close(set);
    close_pair(handler.pair);
}

static void file_over_it(void) {
    int file = empty_file();

    note("handler: dup2 %d", dup2(file, handler.pair.server) == handler.pair.server);
    close(file);
    handler.file = handler.pair.server;
}

CASE(handler_duplicates_over_what_recv_waits_for) {
    char byte;

    handler.pair = open_pair();
    start_handler(file_over_it, 0);
    trace(recv(handler.pair.server, &byte, 1, 0), "recv");
    stop_handler();
    check_file();
}

static void jump(void) {
    siglongjmp(handler.back, 1);
}

CASE(handler_leaves_by_a_jump) {
    struct pair pair = open_pair();
    char byte;

    if (sigsetjmp(handler.back, 1) == 0) {
        start_handler(jump, SA_RESTART);
        trace(recv(pair.server, &byte, 1, 0), "recv");
    }
    stop_handler();
    send_all(pair.client, "x", 1);
    trace(recv(pair.server, &byte, 1, 0), "recv");
    close_pair(pair);
    echo_once("afterwards");
}

static void *close_and_open_soon(void *unused) {
    (void)unused;
    nap();
    close_and_open();
    return NULL;
}

/* What the call gives then is not laid down; whose the bytes are, is. */
CASE(another_thread_closes_and_opens) {
    for (int kind = 0; kind < 3; kind++) {
        struct timeval wait = {.tv_usec = 4 * QUIET_MS * 1000};
        struct pollfd entry;
        pthread_t thread;
        char byte;

        handler.pair = open_pair();
        setsockopt(handler.pair.server, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        entry = (struct pollfd){.fd = handler.pair.server, .events = POLLIN};
        thread = start_thread(close_and_open_soon, NULL);
        if (kind == 0)
            recv(handler.pair.server, &byte, 1, 0);
        else if (kind == 1)
            poll(&entry, 1, 4 * QUIET_MS);
        else
            recvmmsg(
                handler.pair.server,
                (struct mmsghdr[2]){{.msg_hdr = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1}}}, 2,
                0, NULL);
        join(thread);
        check_file();
    }
}

enum { SENT = 8 << 20 };

static void *other_file_soon(void *argument) {
    int file = empty_file();
    uint8_t *data = malloc(SENT);

    memset(data, 'o', SENT);
    if (write(file, data, SENT) != SENT)
        give_up("a file");
    free(data);
    nap();
    note("dup2 %d", dup2(file, *(int *)argument) == *(int *)argument);
    close(file);
    return NULL;
}

struct sending {
    int out, in;
    size_t size;
};

static void *send_file(void *argument) {
    struct sending *sending = argument;
    off_t at = 0;

    if (sendfile(sending->out, sending->in, &at, sending->size) != (ssize_t)sending->size)
        give_up("sendfile");
    return NULL;
}

/* sendfile() sends the file that it was given, whatever has the number later. */
CASE(another_thread_changes_the_file_that_is_sent) {
    struct pair pair = open_pair();
    int file = empty_file(), other = 0;
    uint8_t *data = malloc(SENT);
    pthread_t threads[2];
    struct sending sending = {pair.client, file, SENT};

    if (ftruncate(file, SENT) != 0)
        give_up("ftruncate");
    threads[0] = start_thread(send_file, &sending);
    threads[1] = start_thread(other_file_soon, &file);
    join(threads[1]);
    receive_all(pair.server, data, SENT);
    join(threads[0]);
    for (int i = 0; i < SENT; i++)
        other += data[i] != 0;
    note("bytes of the other file: %d", other);
    free(data);
    close(file);
    close_pair(pair);
}

static void *accept_one(void *argument) {
    static int server;

    server = accept(*(int *)argument, NULL, NULL);
    return &server;
}

/* A listener under two numbers, of which the one that accept() was given goes while it waits. */
CASE(another_thread_closes_a_number_of_what_accept_waits_for) {
    int listener = open_listener(4), copy = dup(listener), number = listener;
    int idle = 33, on = 1, fd, client = open_socket(SOCK_STREAM), server;
    struct sockaddr_in address = local_address(listener);
    socklen_t size = sizeof(idle);
    pthread_t thread;

    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    thread = start_thread(accept_one, &number);
    nap();
    close(listener);
    fd = open_socket(SOCK_STREAM);
    note("reused %d", fd == listener);
    trace(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
    server = *(int *)join(thread);
    idle = 0;
    getsockopt(server, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size);
    note("TCP_KEEPIDLE %d", idle);
    close(server);
    close(client);
    close(copy);
    close(fd);
}

static atomic_bool started;

static void *open_until_started(void *unused) {
    enum { MOST = 600 };
    static int fds[MOST];
    int count = 0, kept = 0;

    (void)unused;
    while (!started && count < MOST) {
        fds[count] = epoll_create1(0);
        poll(NULL, 0, 1);
        kept += fds[count++] >= 0;
    }
    for (int i = 0; i < count; i++)
        kept -= close(fds[i]) == 0;
    note("not closed %d", kept);
    return NULL;
}

/* What this thread opens while another's first wait starts the stack is the program's. */
CASE_OF(descriptors_opened_while_the_stack_starts, NULL, true) {
    pthread_t thread = start_thread(open_until_started, NULL);

    close_pair(open_pair());
    started = true;
    join(thread);
}
