/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: epoll sets over connections, listeners and what the kernel keeps. */
#include "conformance.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

static int open_set(void) {
    int set = epoll_create1(0);
    if (set < 0)
        give_up("epoll_create1");
    return set;
}

static int control(int set, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event);
}

static void add(int set, int fd, uint32_t events, uint64_t data) {
    if (control(set, EPOLL_CTL_ADD, fd, events, data) != 0)
        give_up("EPOLL_CTL_ADD");
}

static int by_data(const void *a, const void *b) {
    const struct epoll_event *one = a, *other = b;
    return one->data.u64 < other->data.u64 ? -1 : one->data.u64 > other->data.u64;
}

/* What the set reports within `wait_ms`, by rising data: their order is the kernel's own business. */
static int show_events(int set, int wait_ms, const char *what) {
    struct epoll_event events[16];
    char text[300] = "";
    int count = epoll_wait(set, events, 16, wait_ms);

    if (count < 0) {
        note("%s -> %s", what, error_text(errno));
        return count;
    }
    qsort(events, (size_t)count, sizeof(events[0]), by_data);
    for (int i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " [%lu %s]", events[i].data.u64,
                 events_text(events[i].events));
    note("%s -> %d%s", what, count, text);
    return count;
}

#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

CASE(epoll_create_errors) {
    volatile int size = 0;
    int set;

    trace_descriptor(epoll_create(size), "epoll_create 0");
    size = -1;
    trace_descriptor(epoll_create(size), "epoll_create -1");
    trace_descriptor(epoll_create1(1), "epoll_create1 1");
    set = trace_descriptor(epoll_create(1), "epoll_create");
    note("close-on-exec %d", fcntl(set, F_GETFD));
    trace(close(set), "close");
    set = trace_descriptor(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    note("close-on-exec %d", fcntl(set, F_GETFD));
    trace(close(set), "close");
    show_events(set, 0, "epoll_wait after close");
}

CASE(epoll_ctl_errors) {
    struct pair pair = open_pair();
    int set = open_set(), file = memfd_create("conformance", 0), other = open_set();

    trace(control(NO_SUCH_FD, EPOLL_CTL_ADD, pair.client, EPOLLIN, 1), "ADD to no descriptor");
    trace(control(set, EPOLL_CTL_ADD, NO_SUCH_FD, EPOLLIN, 1), "ADD no descriptor");
    trace(control(set, EPOLL_CTL_DEL, NO_SUCH_FD, EPOLLIN, 1), "DEL no descriptor");
    trace(control(set, EPOLL_CTL_ADD, set, EPOLLIN, 1), "ADD itself");
    trace(control(pair.server, EPOLL_CTL_ADD, pair.client, EPOLLIN, 1), "ADD to a connection");
    trace(control(set, EPOLL_CTL_ADD, file, EPOLLIN, 1), "ADD a file");
    trace(control(set, EPOLL_CTL_MOD, pair.client, EPOLLIN, 1), "MOD what is not in");
    trace(control(set, EPOLL_CTL_DEL, pair.client, EPOLLIN, 1), "DEL what is not in");
    trace(control(set, EPOLL_CTL_ADD, pair.client, EPOLLIN, 1), "ADD");
    trace(control(set, EPOLL_CTL_ADD, pair.client, EPOLLIN, 1), "ADD again");
    trace(control(set, 9, pair.client, EPOLLIN, 1), "operation 9");
    trace(control(set, EPOLL_CTL_MOD, pair.client, EPOLLIN | EPOLLEXCLUSIVE, 1), "MOD EPOLLEXCLUSIVE");
    trace(epoll_ctl(set, EPOLL_CTL_DEL, pair.client, NULL), "DEL without an event");
    trace(epoll_ctl(set, EPOLL_CTL_DEL, pair.client, NULL), "DEL again");
    trace(control(set, EPOLL_CTL_ADD, pair.client, EPOLLIN | EPOLLEXCLUSIVE, 1), "ADD EPOLLEXCLUSIVE");
    trace(control(set, EPOLL_CTL_MOD, pair.client, EPOLLIN, 1), "MOD an exclusive one");
    trace(control(set, EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1),
          "ADD EPOLLEXCLUSIVE|EPOLLONESHOT");
    trace(control(set, EPOLL_CTL_ADD, pair.server, 0, 1), "ADD no events");
    close_pair(pair);
    close(file);
    close(set);
    close(other);
}

CASE(epoll_wait_errors) {
    struct pair pair = open_pair();
    struct epoll_event events[4];
    volatile int negative = -1;
    int set = open_set();

    trace(epoll_wait(NO_SUCH_FD, events, 4, 0), "no descriptor");
    trace(epoll_wait(pair.client, events, 4, 0), "a connection");
    trace(epoll_wait(STDIN_FILENO, events, 4, 0), "no set");
    trace(epoll_wait(set, events, 0, 0), "room for 0");
    trace(epoll_wait(set, events, negative, 0), "room for -1");
    trace(epoll_wait(set, events, 4, 0), "an empty set");
    trace(epoll_wait(set, events, 4, QUIET_MS), "an empty set, some time");
    trace(epoll_pwait(set, events, 0, 0, NULL), "epoll_pwait, room for 0");
    close_pair(pair);
    close(set);
}

CASE(epoll_level) {
    struct pair pair = open_pair();
    int set = open_set();
    char data[16];

    add(set, pair.server, EPOLLIN, 1);
    show_events(set, 0, "nothing there");
    send_all(pair.client, "abcd", 4);
    show_events(set, WAIT_MS, "data");
    show_events(set, 0, "again");
    trace(read(pair.server, data, 2), "read a part");
    show_events(set, 0, "the rest");
    trace(read(pair.server, data, 2), "read the rest");
    show_events(set, 0, "nothing there");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLOUT, 2), "MOD");
    show_events(set, 0, "writable");
    show_events(set, 0, "again");
    send_all(pair.client, "x", 1);
    await_bytes(pair.server, 1);
    show_events(set, 0, "both");
    trace(control(set, EPOLL_CTL_DEL, pair.server, 0, 0), "DEL");
    show_events(set, 0, "deleted");
    close_pair(pair);
    close(set);
}

CASE(epoll_level_half_close_and_close) {
    struct pair pair = open_pair();
    int set = open_set();
    char byte;

    add(set, pair.server, ALL, 1);
    shutdown(pair.client, SHUT_WR);
    await(pair.server, POLLRDHUP);
    show_events(set, 0, "half closed");
    trace(read(pair.server, &byte, 1), "read");
    show_events(set, 0, "after the end was read");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN, 1), "MOD EPOLLIN");
    show_events(set, 0, "EPOLLIN");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLRDHUP, 1), "MOD EPOLLRDHUP");
    show_events(set, 0, "EPOLLRDHUP");
    trace(control(set, EPOLL_CTL_MOD, pair.server, 0, 1), "MOD no events");
    show_events(set, 0, "no events");
    shutdown(pair.server, SHUT_WR);
    await(pair.server, POLLHUP);
    show_events(set, 0, "closed both ways, no events asked for");
    close_pair(pair);
    close(set);
}

CASE(epoll_reset) {
    struct pair pair = open_pair();
    int set = open_set();
    char byte;

    add(set, pair.server, 0, 1);
    set_linger(pair.client, 1, 0);
    close(pair.client);
    show_events(set, WAIT_MS, "no events asked for");
    trace(control(set, EPOLL_CTL_MOD, pair.server, ALL, 1), "MOD");
    show_events(set, 0, "all");
    trace(read(pair.server, &byte, 1), "read");
    show_events(set, 0, "after the error was read");
    close(pair.server);
    show_events(set, 0, "closed");
    close(set);
}

CASE(epoll_edge_input) {
    struct pair pair = open_pair();
    int set = open_set();
    char data[16];

    add(set, pair.server, EPOLLIN | EPOLLET, 1);
    show_events(set, 0, "nothing there");
    send_all(pair.client, "abcd", 4);
    show_events(set, WAIT_MS, "data");
    show_events(set, QUIET_MS, "again");
    trace(read(pair.server, data, 2), "read a part");
    show_events(set, QUIET_MS, "the rest is no news");
    send_all(pair.client, "ef", 2);
    show_events(set, WAIT_MS, "more data");
    show_events(set, QUIET_MS, "again");
    trace(read(pair.server, data, sizeof(data)), "read");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    show_events(set, QUIET_MS, "drained");
    send_all(pair.client, "g", 1);
    show_events(set, WAIT_MS, "data");
    shutdown(pair.client, SHUT_WR);
    show_events(set, WAIT_MS, "the end");
    show_events(set, QUIET_MS, "again");
    close_pair(pair);
    close(set);
}

CASE(epoll_edge_all) {
    struct pair pair = open_pair();
    int set = open_set();
    char byte;

    add(set, pair.server, ALL | EPOLLET, 1);
    show_events(set, 0, "added");
    show_events(set, QUIET_MS, "again");
    send_all(pair.client, "a", 1);
    show_events(set, WAIT_MS, "data");
    trace(read(pair.server, &byte, 1), "read");
    show_events(set, QUIET_MS, "read");
    trace(write(pair.server, "b", 1), "write");
    await(pair.client, POLLIN);
    trace(read(pair.client, &byte, 1), "the peer's read");
    show_events(set, QUIET_MS, "written");
    shutdown(pair.client, SHUT_WR);
    show_events(set, WAIT_MS, "half closed");
    show_events(set, QUIET_MS, "again");
    close_pair(pair);
    close(set);
}

CASE(epoll_edge_reset) {
    struct pair pair = open_pair();
    int set = open_set();

    add(set, pair.server, ALL | EPOLLET, 1);
    show_events(set, 0, "added");
    set_linger(pair.client, 1, 0);
    close(pair.client);
    show_events(set, WAIT_MS, "reset");
    show_events(set, QUIET_MS, "again");
    note("error %s", error_text(pending_error(pair.server)));
    close(pair.server);
    close(set);
}

CASE(epoll_edge_added_while_ready) {
    struct pair pair = open_pair();
    int set = open_set();

    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    add(set, pair.server, EPOLLIN | EPOLLET, 1);
    show_events(set, 0, "added");
    show_events(set, QUIET_MS, "again");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLET, 2), "MOD");
    show_events(set, 0, "after MOD");
    show_events(set, QUIET_MS, "again");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLOUT | EPOLLET, 3), "MOD EPOLLOUT");
    show_events(set, 0, "after MOD");
    show_events(set, QUIET_MS, "again");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN, 4), "MOD to level");
    show_events(set, 0, "level");
    show_events(set, 0, "again");
    trace(control(set, EPOLL_CTL_DEL, pair.server, 0, 0), "DEL");
    trace(control(set, EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLET, 5), "ADD");
    show_events(set, 0, "added again");
    close_pair(pair);
    close(set);
}

CASE(epoll_edge_output) {
    struct pair pair = open_pair();
    int set = open_set();
    size_t size;

    add(set, pair.client, EPOLLOUT | EPOLLET, 1);
    show_events(set, 0, "added");
    show_events(set, QUIET_MS, "again");
    size = fill(pair.client);
    show_events(set, 0, "full");
    drain(pair.server, size);
    show_events(set, WAIT_MS, "drained");
    show_events(set, QUIET_MS, "again");
    trace(send(pair.client, "x", 1, 0), "send");
    close_pair(pair);
    close(set);
}

CASE(epoll_level_output) {
    struct pair pair = open_pair();
    int set = open_set();
    size_t size = fill(pair.client);

    add(set, pair.client, EPOLLOUT, 1);
    show_events(set, 0, "full");
    drain(pair.server, size);
    show_events(set, WAIT_MS, "drained");
    show_events(set, 0, "again");
    close_pair(pair);
    close(set);
}

CASE(epoll_edge_listener) {
    int listener = open_listener(8), set = open_set();
    int clients[3];

    set_nonblocking(listener);
    add(set, listener, EPOLLIN | EPOLLET, 1);
    show_events(set, 0, "nobody");
    clients[0] = connect_to(listener);
    show_events(set, WAIT_MS, "one");
    show_events(set, QUIET_MS, "again");
    clients[1] = connect_to(listener);
    show_events(set, WAIT_MS, "another, though the first waits still");
    close(accept_from(listener));
    show_events(set, QUIET_MS, "one accepted");
    close(accept_from(listener));
    trace_descriptor(accept(listener, NULL, NULL), "accept");
    clients[2] = connect_to(listener);
    show_events(set, WAIT_MS, "a third");
    close(accept_from(listener));
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    close(listener);
    close(set);
}

CASE(epoll_level_listener) {
    int listener = open_listener(8), set = open_set();
    int clients[2];

    add(set, listener, ALL, 1);
    show_events(set, 0, "nobody");
    clients[0] = connect_to(listener);
    clients[1] = connect_to(listener);
    show_events(set, WAIT_MS, "two");
    close(accept_from(listener));
    await(listener, POLLIN);
    show_events(set, 0, "one");
    close(accept_from(listener));
    show_events(set, 0, "nobody");
    close(clients[0]);
    close(clients[1]);
    close(listener);
    close(set);
}

CASE(epoll_oneshot) {
    struct pair pair = open_pair();
    int set = open_set();
    char data[4];

    add(set, pair.server, EPOLLIN | EPOLLONESHOT, 1);
    send_all(pair.client, "a", 1);
    show_events(set, WAIT_MS, "data");
    show_events(set, 0, "disabled");
    send_all(pair.client, "b", 1);
    await_bytes(pair.server, 2);
    show_events(set, 0, "more data");
    trace(control(set, EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLONESHOT, 2), "ADD");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLONESHOT, 2), "MOD");
    show_events(set, 0, "enabled");
    trace(read(pair.server, data, sizeof(data)), "read");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLET | EPOLLONESHOT, 3), "MOD with EPOLLET");
    show_events(set, 0, "nothing there");
    send_all(pair.client, "c", 1);
    show_events(set, WAIT_MS, "data");
    set_linger(pair.client, 1, 0);
    close(pair.client);
    await(pair.server, POLLERR);
    show_events(set, 0, "a reset while disabled");
    trace(control(set, EPOLL_CTL_MOD, pair.server, EPOLLONESHOT, 4), "MOD no events");
    show_events(set, 0, "enabled");
    close(pair.server);
    close(set);
}

CASE(epoll_before_connect) {
    int listener = open_listener(2), fd = open_socket(SOCK_STREAM), set = open_set();
    struct sockaddr_in address = local_address(listener);

    set_nonblocking(fd);
    add(set, fd, ALL, 1);
    show_events(set, 0, "new");
    trace(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
    await(fd, POLLOUT);
    show_events(set, WAIT_MS, "connected");
    close(fd);
    close(listener);
    close(set);
}

CASE(epoll_edge_before_connect) {
    int listener = open_listener(2), fd = open_socket(SOCK_STREAM), set = open_set();
    struct sockaddr_in address = local_address(listener);

    set_nonblocking(fd);
    add(set, fd, ALL | EPOLLET, 1);
    show_events(set, 0, "new");
    show_events(set, 0, "again");
    trace(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
    show_events(set, WAIT_MS, "connected");
    show_events(set, QUIET_MS, "again");
    close(fd);
    close(listener);
    close(set);
}

CASE(epoll_connect_refused) {
    int listener = open_listener(2), set = open_set();
    struct sockaddr_in address = local_address(listener);

    close(listener);
    for (int edge = 0; edge < 2; edge++) {
        int fd = open_socket(SOCK_STREAM);
        set_nonblocking(fd);
        trace(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
        add(set, fd, edge ? EPOLLOUT | EPOLLET : EPOLLOUT, 1);
        show_events(set, WAIT_MS, "refused");
        show_events(set, QUIET_MS, "again");
        note("error %s", error_text(pending_error(fd)));
        close(fd);
    }
    close(set);
}

CASE(epoll_before_listen) {
    int fd = open_bound(SOCK_STREAM), set = open_set(), client;

    add(set, fd, EPOLLIN, 1);
    show_events(set, 0, "bound");
    trace(listen(fd, 4), "listen");
    show_events(set, 0, "listening");
    client = connect_to(fd);
    show_events(set, WAIT_MS, "one there");
    close(accept_from(fd));
    show_events(set, 0, "accepted");
    close(client);
    close(fd);
    close(set);
}

CASE(epoll_room_for_one) {
    enum { PAIRS = 4 };
    struct pair pairs[PAIRS];
    struct epoll_event event;
    int set = open_set(), seen[PAIRS] = {0};

    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = open_pair();
        add(set, pairs[i].server, EPOLLIN, (uint64_t)i);
        send_all(pairs[i].client, "a", 1);
        await_bytes(pairs[i].server, 1);
    }
    for (int i = 0; i < PAIRS; i++) {
        trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait for one");
        seen[event.data.u64]++;
    }
    note("each had its turn: %d %d %d %d", seen[0], seen[1], seen[2], seen[3]);
    show_events(set, 0, "all");
    for (int i = 0; i < PAIRS; i++)
        close_pair(pairs[i]);
    close(set);
}

CASE(epoll_edge_room_for_one) {
    enum { PAIRS = 4 };
    struct pair pairs[PAIRS];
    struct epoll_event event;
    int set = open_set(), seen[PAIRS] = {0};

    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = open_pair();
        add(set, pairs[i].server, EPOLLIN | EPOLLET, (uint64_t)i);
        send_all(pairs[i].client, "a", 1);
        await_bytes(pairs[i].server, 1);
    }
    for (int i = 0; i < PAIRS; i++) {
        trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait for one");
        seen[event.data.u64]++;
    }
    note("each once: %d %d %d %d", seen[0], seen[1], seen[2], seen[3]);
    show_events(set, QUIET_MS, "none is left");
    for (int i = 0; i < PAIRS; i++)
        close_pair(pairs[i]);
    close(set);
}

CASE(epoll_two_sets) {
    struct pair pair = open_pair();
    int one = open_set(), other = open_set();
    char byte;

    add(one, pair.server, EPOLLIN | EPOLLET, 1);
    add(other, pair.server, EPOLLIN, 2);
    send_all(pair.client, "a", 1);
    show_events(one, WAIT_MS, "edge");
    show_events(other, WAIT_MS, "level");
    show_events(one, QUIET_MS, "edge again");
    show_events(other, 0, "level again");
    close(one);
    show_events(other, 0, "level, the other set closed");
    trace(read(pair.server, &byte, 1), "read");
    show_events(other, 0, "read");
    close_pair(pair);
    close(other);
}

CASE(epoll_close_removes) {
    struct pair pair = open_pair(), next;
    int set = open_set();

    add(set, pair.server, EPOLLIN, 1);
    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    close(pair.server);
    show_events(set, QUIET_MS, "closed");
    close(pair.client);
    next = open_pair();
    trace(control(set, EPOLL_CTL_ADD, next.server, EPOLLIN, 2), "ADD one that may have the old number");
    trace(control(set, EPOLL_CTL_ADD, next.client, EPOLLIN, 3), "ADD the other");
    send_all(next.client, "a", 1);
    show_events(set, WAIT_MS, "the new one");
    close_pair(next);
    close(set);
}

CASE(epoll_duplicates) {
    struct pair pair = open_pair();
    int set = open_set(), copy = dup(pair.server);
    char byte;

    add(set, pair.server, EPOLLIN, 1);
    trace(control(set, EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLOUT, 2), "ADD the duplicate");
    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    show_events(set, 0, "both");
    trace(control(set, EPOLL_CTL_DEL, copy, 0, 0), "DEL the duplicate");
    show_events(set, 0, "the first");
    trace(read(copy, &byte, 1), "read by the duplicate");
    show_events(set, 0, "read");
    trace(close(copy), "close the duplicate");
    send_all(pair.client, "b", 1);
    show_events(set, WAIT_MS, "the first");
    close_pair(pair);
    close(set);
}

/* An entry lives as long as the socket, not as the number it was added by. */
CASE(epoll_duplicate_outlives) {
    struct pair pair = open_pair();
    int set = open_set(), copy = dup(pair.server), number = pair.server;

    add(set, pair.server, EPOLLIN, 1);
    trace(close(pair.server), "close what was added");
    send_all(pair.client, "a", 1);
    await_bytes(copy, 1);
    show_events(set, 0, "the duplicate is still open");
    trace(control(set, EPOLL_CTL_DEL, number, 0, 0), "DEL the closed number");
    trace(control(set, EPOLL_CTL_DEL, copy, 0, 0), "DEL the duplicate, which was not added");
    trace(close(copy), "close the duplicate");
    show_events(set, QUIET_MS, "gone");
    close(pair.client);
    close(set);
}

CASE(epoll_set_duplicated) {
    struct pair pair = open_pair();
    int set = open_set(), copy = dup(set);

    add(set, pair.server, EPOLLIN, 1);
    send_all(pair.client, "a", 1);
    show_events(copy, WAIT_MS, "by the duplicate");
    trace(close(set), "close the first");
    show_events(copy, 0, "by the duplicate");
    trace(control(copy, EPOLL_CTL_MOD, pair.server, EPOLLOUT, 2), "MOD by the duplicate");
    show_events(copy, 0, "by the duplicate");
    close(copy);
    close_pair(pair);
}

CASE_OF(epoll_set_is_pollable,
        "a set as a member of poll, select or another set shows the kernel's members only", false) {
    struct pair pair = open_pair();
    int set = open_set(), outer = open_set();
    char byte;

    add(set, pair.server, EPOLLIN, 1);
    show_readiness(set, "nothing there");
    add(outer, set, EPOLLIN, 2);
    show_events(outer, 0, "the outer set");
    send_all(pair.client, "a", 1);
    await_bytes(pair.server, 1);
    show_readiness(set, "data");
    show_events(outer, WAIT_MS, "the outer set");
    show_events(set, 0, "the inner set");
    trace(read(pair.server, &byte, 1), "read");
    show_readiness(set, "read");
    show_events(outer, 0, "the outer set");
    close_pair(pair);
    close(set);
    close(outer);
}

CASE(epoll_set_refuses_data_calls) {
    int set = open_set();
    char byte = 0;

    trace(read(set, &byte, 1), "read");
    trace(write(set, &byte, 1), "write");
    trace(recv(set, &byte, 1, 0), "recv");
    trace(shutdown(set, SHUT_RDWR), "shutdown");
    note("flags %#x", (unsigned)fcntl(set, F_GETFL));
    close(set);
}

CASE(epoll_modified_data) {
    struct pair pair = open_pair();
    struct epoll_event event = {.events = EPOLLIN};
    int set = open_set(), local;

    event.data.ptr = &local;
    epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event);
    event.data.ptr = NULL;
    send_all(pair.client, "a", 1);
    epoll_wait(set, &event, 1, WAIT_MS);
    note("pointer came back: %d", event.data.ptr == &local);
    control(set, EPOLL_CTL_MOD, pair.server, EPOLLIN, UINT64_MAX);
    epoll_wait(set, &event, 1, WAIT_MS);
    note("64 bits came back: %d", event.data.u64 == UINT64_MAX);
    close_pair(pair);
    close(set);
}

/* --- threads and signals ---------------------------------------------------------------------------------
 */

struct deed {
    int set, fd, peer;
};

static void *add_soon(void *argument) {
    struct deed *deed = argument;
    poll(NULL, 0, QUIET_MS);
    add(deed->set, deed->fd, EPOLLIN, 1);
    return NULL;
}

static void *send_soon(void *argument) {
    struct deed *deed = argument;
    poll(NULL, 0, QUIET_MS);
    send_all(deed->peer, "a", 1);
    return NULL;
}

static void *modify_soon(void *argument) {
    struct deed *deed = argument;
    poll(NULL, 0, QUIET_MS);
    if (control(deed->set, EPOLL_CTL_MOD, deed->fd, EPOLLIN, 2) != 0)
        give_up("EPOLL_CTL_MOD");
    return NULL;
}

static void *write_event_soon(void *argument) {
    struct deed *deed = argument;
    uint64_t one = 1;
    poll(NULL, 0, QUIET_MS);
    if (write(deed->peer, &one, sizeof(one)) != sizeof(one))
        give_up("eventfd");
    return NULL;
}

CASE(epoll_changed_while_waiting) {
    struct pair pair = open_pair();
    struct deed deed = {open_set(), pair.server, pair.client};
    pthread_t thread = start_thread(send_soon, &deed);

    add(deed.set, pair.server, EPOLLIN, 1);
    show_events(deed.set, -1, "data from a thread");
    join(thread);
    control(deed.set, EPOLL_CTL_DEL, pair.server, 0, 0);
    thread = start_thread(add_soon, &deed);
    show_events(deed.set, -1, "added by a thread");
    join(thread);
    control(deed.set, EPOLL_CTL_MOD, pair.server, 0, 1);
    thread = start_thread(modify_soon, &deed);
    show_events(deed.set, -1, "modified by a thread");
    join(thread);
    close_pair(pair);
    close(deed.set);
}

CASE(epoll_woken_by_eventfd) {
    struct pair pair = open_pair();
    struct deed deed = {open_set(), pair.server, eventfd(0, 0)};
    pthread_t thread = start_thread(write_event_soon, &deed);

    add(deed.set, pair.server, EPOLLIN, 1);
    add(deed.set, deed.peer, EPOLLIN, 2);
    show_events(deed.set, -1, "a thread's eventfd");
    join(thread);
    close_pair(pair);
    close(deed.peer);
    close(deed.set);
}

CASE(epoll_interrupted) {
    struct pair pair = open_pair();
    struct epoll_event event;
    int set = open_set();

    add(set, pair.server, EPOLLIN, 1);
    for (int restart = 0; restart < 2; restart++) {
        count_signal(SIGUSR1, restart ? SA_RESTART : 0);
        start_signals(SIGUSR1);
        trace(epoll_wait(set, &event, 1, -1), "epoll_wait");
        trace(epoll_wait(set, &event, 1, WAIT_MS), "epoll_wait with a time");
        trace(epoll_pwait(set, &event, 1, -1, NULL), "epoll_pwait");
        stop_signals();
        note("signals %d", signals_counted() >= 3);
    }
    close_pair(pair);
    close(set);
}

CASE(epoll_interrupted_without_sockets) {
    struct epoll_event event;
    int set = open_set(), counter = eventfd(0, 0);

    add(set, counter, EPOLLIN, 1);
    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace(epoll_wait(set, &event, 1, -1), "epoll_wait");
    stop_signals();
    close(counter);
    close(set);
}

/* A signal that is blocked outside and let in by epoll_pwait, and the reverse. */
CASE(epoll_pwait_masks) {
    struct pair pair = open_pair();
    struct epoll_event event;
    int set = open_set();
    sigset_t blocked, open, before, now;

    add(set, pair.server, EPOLLIN, 1);
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    count_signal(SIGUSR1, 0);
    pthread_kill(pthread_self(), SIGUSR1);
    trace(epoll_wait(set, &event, 1, QUIET_MS), "epoll_wait, signal blocked");
    note("signals %d", signals_counted());
    trace(epoll_pwait(set, &event, 1, QUIET_MS, &blocked), "epoll_pwait, signal blocked");
    note("signals %d", signals_counted());
    trace(epoll_pwait(set, &event, 1, WAIT_MS, &open), "epoll_pwait, signal let in");
    note("signals %d", signals_counted());
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    note("blocked again %d", sigismember(&now, SIGUSR1));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    start_signals(SIGUSR1);
    trace(epoll_pwait(set, &event, 1, 3 * QUIET_MS, &blocked), "epoll_pwait blocks the signal");
    stop_signals();
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    note("not blocked %d, signals %d", sigismember(&now, SIGUSR1), signals_counted() > 1);
    send_all(pair.client, "a", 1);
    trace(epoll_pwait(set, &event, 1, WAIT_MS, &blocked), "epoll_pwait, data");
    close_pair(pair);
    close(set);
}

CASE(epoll_times) {
    struct pair pair = open_pair();
    struct epoll_event event;
    int set = open_set();
    uint64_t since = milliseconds();

    add(set, pair.server, EPOLLIN, 1);
    trace(epoll_wait(set, &event, 1, 100), "epoll_wait 100 ms");
    note("waited %d, not long %d", milliseconds() - since >= 99, milliseconds() - since < 5000);
    since = milliseconds();
    trace(epoll_wait(set, &event, 1, 0), "epoll_wait 0 ms");
    note("not long %d", milliseconds() - since < 5000);
    close_pair(pair);
    close(set);
}

struct crowd {
    int set;
    pthread_mutex_t lock;
    int seen[64];
    bool stop;
};

static void *take_one_shots(void *argument) {
    struct crowd *crowd = argument;

    for (;;) {
        struct epoll_event event;
        int count = epoll_wait(crowd->set, &event, 1, -1);
        if (count < 0 && errno != EINTR)
            give_up("epoll_wait");
        if (count == 1 && event.data.u64 == UINT64_MAX)
            return NULL;
        if (count == 1) {
            pthread_mutex_lock(&crowd->lock);
            crowd->seen[event.data.u64]++;
            pthread_mutex_unlock(&crowd->lock);
        }
    }
}

/* Four threads wait on one set: with EPOLLONESHOT each event goes to one of them. */
CASE(epoll_shared_by_threads) {
    enum { PAIRS = 64, THREADS = 4 };
    struct crowd crowd = {.set = open_set(), .lock = PTHREAD_MUTEX_INITIALIZER};
    struct pair pairs[PAIRS];
    pthread_t threads[THREADS];
    int stop = eventfd(0, 0), once = 0;
    uint64_t one = 1, deadline = milliseconds() + (uint64_t)WAIT_MS;
    bool all = false;

    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = open_pair();
        add(crowd.set, pairs[i].server, EPOLLIN | EPOLLONESHOT, (uint64_t)i);
    }
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(take_one_shots, &crowd);
    for (int i = 0; i < PAIRS; i++)
        send_all(pairs[i].client, "a", 1);
    while (!all && milliseconds() < deadline) {
        poll(NULL, 0, 5);
        pthread_mutex_lock(&crowd.lock);
        all = true;
        for (int i = 0; i < PAIRS; i++)
            all = all && crowd.seen[i] > 0;
        pthread_mutex_unlock(&crowd.lock);
    }
    add(crowd.set, stop, EPOLLIN, UINT64_MAX);
    if (write(stop, &one, sizeof(one)) != sizeof(one))
        give_up("eventfd");
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    for (int i = 0; i < PAIRS; i++) {
        once += crowd.seen[i] == 1;
        close_pair(pairs[i]);
    }
    note("%d of %d events seen once", once, PAIRS);
    close(stop);
    close(crowd.set);
}

CASE(epoll_many_connections) {
    enum { PAIRS = 500 };
    static struct pair pairs[PAIRS];
    struct epoll_event events[64];
    int set = open_set(), listener = open_listener(PAIRS), there = 0;
    char byte;

    for (int i = 0; i < PAIRS; i++) {
        pairs[i].client = connect_to(listener);
        pairs[i].server = accept_from(listener);
        add(set, pairs[i].server, EPOLLIN, (uint64_t)i);
    }
    for (int i = 0; i < PAIRS; i++)
        send_all(pairs[i].client, "a", 1);
    while (there < PAIRS) {
        int count = epoll_wait(set, events, 64, WAIT_MS);
        if (count <= 0)
            give_up("epoll_wait after %d", there);
        for (int i = 0; i < count; i++)
            there += read(pairs[events[i].data.u64].server, &byte, 1) == 1;
    }
    note("%d read", there);
    show_events(set, 0, "none left");
    for (int i = 0; i < PAIRS; i++)
        close_pair(pairs[i]);
    close(listener);
    close(set);
}
