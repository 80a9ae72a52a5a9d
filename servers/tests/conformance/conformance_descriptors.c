/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: descriptors as such: flags, duplicates, what close() leaves. */
#include "conformance.h"

#include <sys/resource.h>
#include <sys/stat.h>

CASE(descriptor_flags) {
    struct pair pair = open_pair();
    int off = 0, on = 1;
    char byte;

    note("flags %#x, close-on-exec %d", (unsigned)fcntl(pair.client, F_GETFL), fcntl(pair.client, F_GETFD));
    trace(fcntl(pair.client, F_SETFD, FD_CLOEXEC), "F_SETFD FD_CLOEXEC");
    note("close-on-exec %d", fcntl(pair.client, F_GETFD));
    trace(fcntl(pair.client, F_SETFD, 0), "F_SETFD 0");
    note("close-on-exec %d", fcntl(pair.client, F_GETFD));
    trace(ioctl(pair.client, FIOCLEX), "FIOCLEX");
    note("close-on-exec %d", fcntl(pair.client, F_GETFD));
    trace(ioctl(pair.client, FIONCLEX), "FIONCLEX");
    note("close-on-exec %d", fcntl(pair.client, F_GETFD));
    trace(fcntl(pair.client, F_SETFL, O_NONBLOCK), "F_SETFL O_NONBLOCK");
    note("flags %#x", (unsigned)fcntl(pair.client, F_GETFL));
    trace(read(pair.client, &byte, 1), "read");
    trace(ioctl(pair.client, FIONBIO, &off), "FIONBIO 0");
    note("flags %#x", (unsigned)fcntl(pair.client, F_GETFL));
    trace(ioctl(pair.client, FIONBIO, &on), "FIONBIO 1");
    note("flags %#x", (unsigned)fcntl(pair.client, F_GETFL));
    trace(read(pair.client, &byte, 1), "read");
    trace(fcntl(pair.client, F_SETFL, O_WRONLY | O_APPEND | O_NONBLOCK), "F_SETFL with others");
    note("flags %#x", (unsigned)fcntl(pair.client, F_GETFL));
    trace(fcntl(pair.client, F_SETFL, 0), "F_SETFL 0");
    note("flags %#x", (unsigned)fcntl(pair.client, F_GETFL));
    close_pair(pair);
}

CASE(descriptor_errors) {
    struct pair pair = open_pair();
    int value = 0;

    trace(fcntl(NO_SUCH_FD, F_GETFL), "F_GETFL no descriptor");
    trace(fcntl(NO_SUCH_FD, F_SETFL, 0), "F_SETFL no descriptor");
    trace(fcntl(NO_SUCH_FD, F_GETFD), "F_GETFD no descriptor");
    trace(fcntl(NO_SUCH_FD, F_DUPFD, 0), "F_DUPFD no descriptor");
    trace(fcntl(pair.client, 9999), "fcntl 9999");
    trace(fcntl(pair.client, F_DUPFD, -1), "F_DUPFD -1");
    trace(fcntl(pair.client, F_DUPFD, 1 << 30), "F_DUPFD 2^30");
    trace(ioctl(NO_SUCH_FD, FIONREAD, &value), "FIONREAD no descriptor");
    trace(ioctl(pair.client, 0x1234, &value), "ioctl 0x1234");
    trace(dup(NO_SUCH_FD), "dup no descriptor");
    trace(dup2(NO_SUCH_FD, 5), "dup2 no descriptor");
    trace(dup2(pair.client, -1), "dup2 to -1");
    trace(dup2(pair.client, 1 << 30), "dup2 to 2^30");
    trace(dup3(pair.client, pair.client, 0), "dup3 to itself");
    trace(dup3(pair.client, 500, O_NONBLOCK), "dup3 O_NONBLOCK");
    trace(dup2(NO_SUCH_FD, NO_SUCH_FD), "dup2 no descriptor to itself");
    note("dup2 to itself: %d", dup2(pair.client, pair.client) == pair.client);
    close_pair(pair);
}

CASE(closed_descriptors) {
    struct pair pair = open_pair();
    struct sockaddr_in address = test_address(1);
    socklen_t size = sizeof(address);
    int fd = pair.client, value = 0;
    char byte = 0;

    trace(close(fd), "close");
    trace(close(fd), "close again");
    trace(read(fd, &byte, 1), "read");
    trace(write(fd, &byte, 1), "write");
    trace(recv(fd, &byte, 1, 0), "recv");
    trace(send(fd, &byte, 1, 0), "send");
    trace(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
    trace(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
    trace(listen(fd, 1), "listen");
    trace_descriptor(accept(fd, NULL, NULL), "accept");
    trace(shutdown(fd, SHUT_WR), "shutdown");
    trace(getsockname(fd, (struct sockaddr *)&address, &size), "getsockname");
    trace(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size), "getsockopt");
    trace(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), "setsockopt");
    trace(fcntl(fd, F_GETFL), "F_GETFL");
    trace(ioctl(fd, FIONREAD, &value), "FIONREAD");
    trace(dup(fd), "dup");
    close(pair.server);
}

CASE(descriptor_kind) {
    struct pair pair = open_pair();
    struct stat status;

    trace(fstat(pair.client, &status), "fstat");
    note("socket %d", S_ISSOCK(status.st_mode));
    trace(isatty(pair.client), "isatty");
    close_pair(pair);
}

/* The lowest free number, as POSIX wants and as programs with tables rely on. */
CASE(lowest_number) {
    int first = open_socket(SOCK_STREAM), second = open_socket(SOCK_STREAM), listener, client, server;

    note("rising %d", second > first);
    close(first);
    note("lowest: %d", socket(AF_INET, SOCK_DGRAM, 0) == first);
    close(first);
    listener = open_listener(2);
    client = connect_to(listener);
    await(listener, POLLIN);
    close(second);
    server = accept(listener, NULL, NULL);
    note("accept's is the lowest: %d", server == second);
    close(server);
    close(client);
    close(listener);
}

CASE(duplicates_share) {
    struct pair pair = open_pair();
    int copy = trace_descriptor(dup(pair.server), "dup");
    char data[8];

    note("flags %#x, close-on-exec %d", (unsigned)fcntl(copy, F_GETFL), fcntl(copy, F_GETFD));
    set_nonblocking(pair.server);
    note("flags %#x", (unsigned)fcntl(copy, F_GETFL));
    fcntl(pair.server, F_SETFD, FD_CLOEXEC);
    note("close-on-exec %d", fcntl(copy, F_GETFD));
    send_all(pair.client, "abcd", 4);
    await_bytes(copy, 4);
    trace(read(copy, data, 2), "read by the copy");
    trace(read(pair.server, data, 2), "read by the first");
    trace(close(pair.server), "close the first");
    trace(read(pair.server, data, 2), "read by the closed");
    send_all(copy, "on", 2);
    await(pair.client, POLLIN);
    trace(read(pair.client, data, sizeof(data)), "the connection lives");
    trace(close(copy), "close the copy");
    await(pair.client, POLLRDHUP);
    trace(read(pair.client, data, sizeof(data)), "the connection's end");
    close(pair.client);
}

CASE(duplicates_by_fcntl) {
    struct pair pair = open_pair();
    int copy = fcntl(pair.server, F_DUPFD, 300);
    int other = fcntl(pair.server, F_DUPFD_CLOEXEC, 300);
    char data[8];

    note("at least 300: %d %d, different %d", copy >= 300, other >= 300, copy != other);
    note("close-on-exec %d %d", fcntl(copy, F_GETFD), fcntl(other, F_GETFD));
    send_all(pair.client, "abc", 3);
    await_bytes(other, 3);
    trace(read(copy, data, 1), "read");
    trace(read(other, data, 1), "read");
    close(copy);
    close(other);
    trace(read(pair.server, data, 1), "read");
    close_pair(pair);
}

CASE(duplicate_over_a_connection) {
    struct pair first = open_pair(), second = open_pair();
    char data[8];

    note("dup2: %d", dup2(second.server, first.server) == first.server);
    await(first.client, POLLRDHUP);
    trace(read(first.client, data, sizeof(data)), "the first's peer sees the end");
    send_all(second.client, "ab", 2);
    await_bytes(first.server, 2);
    trace(read(first.server, data, sizeof(data)), "read by the new number");
    close(second.server);
    send_all(first.server, "x", 1);
    await(second.client, POLLIN);
    trace(read(second.client, data, sizeof(data)), "the second lives");
    close(first.client);
    close(first.server);
    close(second.client);
}

CASE(duplicate_pipe_over_a_connection) {
    struct pair pair = open_pair();
    int ends[2], number = pair.server;
    char data[8];

    if (pipe(ends) != 0)
        give_up("pipe");
    note("dup2: %d", dup2(ends[0], number) == number);
    await(pair.client, POLLRDHUP);
    trace(read(pair.client, data, sizeof(data)), "the peer sees the end");
    trace(write(ends[1], "pipe", 4), "write");
    trace(read(number, data, sizeof(data)), "the number reads the pipe");
    trace(recv(number, data, sizeof(data), MSG_DONTWAIT), "recv");
    show_readiness(number, "the number");
    close(number);
    close(ends[0]);
    close(ends[1]);
    close(pair.client);
}

CASE(duplicate_connection_over_a_pipe) {
    struct pair pair = open_pair();
    int ends[2];
    char data[8];

    if (pipe(ends) != 0)
        give_up("pipe");
    note("dup3: %d", dup3(pair.server, ends[1], O_CLOEXEC) == ends[1]);
    note("close-on-exec %d", fcntl(ends[1], F_GETFD));
    trace(read(ends[0], data, sizeof(data)), "the pipe's end");
    trace(write(ends[1], "hello", 5), "write");
    await(pair.client, POLLIN);
    trace(read(pair.client, data, sizeof(data)), "the connection has it");
    close(ends[0]);
    close(ends[1]);
    close_pair(pair);
}

CASE(duplicate_listener) {
    int listener = open_listener(4), copy = dup(listener), client;

    close(listener);
    client = connect_to(copy);
    close(accept_from(copy));
    close(client);
    client = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(copy);
    close(copy);
    trace(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect once both are closed");
    close(client);
}

CASE(duplicate_shutdown) {
    struct pair pair = open_pair();
    int copy = dup(pair.server);
    char byte;

    shutdown(copy, SHUT_WR);
    await(pair.client, POLLRDHUP);
    trace(send(pair.server, "x", 1, MSG_NOSIGNAL), "send by the first");
    trace(read(pair.client, &byte, 1), "the peer's read");
    close(copy);
    close_pair(pair);
}

CASE(close_range_closes) {
    struct pair pair = open_pair();
    int copy = fcntl(pair.server, F_DUPFD, 400);
    char byte;

    close(pair.server);
    trace(close_range(400, 500, 0), "close_range");
    trace(read(copy, &byte, 1), "read");
    await(pair.client, POLLRDHUP);
    trace(read(pair.client, &byte, 1), "the peer's read");
    close(pair.client);
}

static void use_everything(void) {
    struct pair pair = open_pair();
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0), udp = open_bound(SOCK_DGRAM), copy = dup(pair.client);
    int unused = open_socket(SOCK_STREAM);

    epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event);
    epoll_ctl(set, EPOLL_CTL_ADD, udp, &event);
    send_all(pair.client, "a", 1);
    epoll_wait(set, &event, 1, WAIT_MS);
    close(unused);
    close(copy);
    close(udp);
    close(set);
    close_pair(pair);
}

CASE(close_leaves_nothing) {
    int before;

    use_everything();
    before = open_descriptors();
    for (int i = 0; i < 50; i++)
        use_everything();
    note("more descriptors than before: %d", open_descriptors() - before);
}

CASE(too_many_descriptors) {
    enum { MANY = 600 };
    static int fds[MANY];
    int count = 0, listener = open_listener(4), client = connect_to(listener);
    struct rlimit limit, before;

    await(listener, POLLIN);
    getrlimit(RLIMIT_NOFILE, &before);
    limit = (struct rlimit){.rlim_cur = MANY, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
    while (count < MANY && (fds[count] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        count++;
    note("socket -> %s", count < MANY ? error_text(errno) : "no end");
    trace_descriptor(accept(listener, NULL, NULL), "accept");
    trace_descriptor(dup(listener), "dup");
    trace_descriptor(epoll_create1(0), "epoll_create1");
    for (int i = 0; i < count; i++)
        close(fds[i]);
    setrlimit(RLIMIT_NOFILE, &before);
    close(accept_from(listener));
    note("accepted once there is room");
    close(client);
    close(listener);
}

/* The stack under the sockets may need many descriptors; the program's limit is the program's. */
CASE_OF(limit_of_descriptors_is_kept, NULL, true) {
    struct rlimit before, after;

    getrlimit(RLIMIT_NOFILE, &before);
    close_pair(open_pair());
    getrlimit(RLIMIT_NOFILE, &after);
    note("soft limit kept %d", after.rlim_cur == before.rlim_cur);
}
