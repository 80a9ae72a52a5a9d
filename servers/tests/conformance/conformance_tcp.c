/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: a TCP socket's life, from socket() to RST. */
#include "conformance.h"

static int as_address(int fd, int (*call)(int, struct sockaddr *, socklen_t *), const char *what) {
    struct sockaddr_in address = {.sin_family = 0};
    socklen_t size = sizeof(address);
    int result = call(fd, (struct sockaddr *)&address, &size);

    if (result == 0)
        note("%s -> 0: %s, size %u", what, address_text(&address), size);
    else
        note("%s -> %s", what, error_text(errno));
    return result;
}

static int call_getsockname(int fd, struct sockaddr *address, socklen_t *size) {
    return getsockname(fd, address, size);
}

static int call_getpeername(int fd, struct sockaddr *address, socklen_t *size) {
    return getpeername(fd, address, size);
}

static void show_names(int fd, const char *who) {
    char what[64];
    snprintf(what, sizeof(what), "%s getsockname", who);
    as_address(fd, call_getsockname, what);
    snprintf(what, sizeof(what), "%s getpeername", who);
    as_address(fd, call_getpeername, what);
}

static int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : -errno;
}

static int connect_fd(int fd, const struct sockaddr_in *address) {
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int bind_fd(int fd, const struct sockaddr_in *address) {
    return bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* An address under test at whose port nobody listens. */
static struct sockaddr_in nobody(void) {
    int fd = open_listener(1);
    struct sockaddr_in address = local_address(fd);
    close(fd);
    return address;
}

/* --- socket, bind, listen ------------------------------------------------------------------------------ */

CASE(socket_kinds) {
    static const struct {
        int family, type, protocol;
        const char *what;
    } kinds[] = {{AF_INET, SOCK_STREAM, 0, "stream"},
                 {AF_INET, SOCK_STREAM, IPPROTO_TCP, "stream tcp"},
                 {AF_INET, SOCK_DGRAM, 0, "datagram"},
                 {AF_INET, SOCK_DGRAM, IPPROTO_UDP, "datagram udp"},
                 {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, "stream nonblocking"},
                 {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, "stream close-on-exec"},
                 {AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, "datagram both"},
                 {AF_UNIX, SOCK_STREAM, 0, "unix"},
                 {AF_INET, SOCK_STREAM, IPPROTO_UDP, "stream udp"},
                 {AF_INET, SOCK_DGRAM, IPPROTO_TCP, "datagram tcp"},
                 {AF_INET, 77, 0, "type 77"},
                 {AF_INET, SOCK_STREAM, 1000, "protocol 1000"},
                 {999, SOCK_STREAM, 0, "family 999"},
                 {-1, SOCK_STREAM, 0, "family -1"},
                 {AF_INET, SOCK_STREAM | 0x100000, 0, "type with an unknown flag"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int fd = trace_descriptor(socket(kinds[i].family, kinds[i].type, kinds[i].protocol), "socket %s",
                                  kinds[i].what);
        if (fd < 0)
            continue;
        note("type %d, family %d, protocol %d, accepts %d, error %d, flags %#x, close-on-exec %d",
             option_of(fd, SOL_SOCKET, SO_TYPE), option_of(fd, SOL_SOCKET, SO_DOMAIN),
             option_of(fd, SOL_SOCKET, SO_PROTOCOL), option_of(fd, SOL_SOCKET, SO_ACCEPTCONN),
             option_of(fd, SOL_SOCKET, SO_ERROR), (unsigned)fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
        trace(close(fd), "close");
    }
}

CASE(bind_names) {
    struct sockaddr_in address = test_address(0);
    int fd = open_socket(SOCK_STREAM);

    show_names(fd, "new");
    trace(bind_fd(fd, &address), "bind port 0");
    show_names(fd, "bound");
    trace(bind_fd(fd, &address), "bind again");
    trace(listen(fd, 4), "listen");
    show_names(fd, "listening");
    note("accepts %d", option_of(fd, SOL_SOCKET, SO_ACCEPTCONN));
    trace(bind_fd(fd, &address), "bind while listening");
    close(fd);
}

CASE(bind_errors) {
    struct sockaddr_in address = test_address(0), foreign = test_address(0), family = test_address(0);
    int fd = open_socket(SOCK_STREAM);
    int taken = open_listener(4);
    struct sockaddr_in in_use = local_address(taken);

    foreign.sin_addr.s_addr = htonl(0xcb007107); /* of a network for documentation */
    family.sin_family = AF_UNIX;
    trace(bind_fd(fd, &foreign), "bind another host's address");
    trace(bind(fd, (struct sockaddr *)&address, 4), "bind with 4 bytes");
    trace(bind(fd, (struct sockaddr *)&address, sizeof(address) - 1), "bind with a byte less");
    trace(bind_fd(fd, &family), "bind with another family");
    trace(bind_fd(fd, &in_use), "bind in use");
    trace(bind_fd(NO_SUCH_FD, &address), "bind no descriptor");
    trace(bind_fd(STDIN_FILENO, &address), "bind no socket");
    trace(bind_fd(fd, &address), "bind after the errors");
    close(fd);
    close(taken);
}

CASE(bind_longer_address) {
    struct sockaddr_storage storage = {.ss_family = 0};
    struct sockaddr_in address = test_address(0);
    int fd = open_socket(SOCK_STREAM);

    memcpy(&storage, &address, sizeof(address));
    trace(bind(fd, (struct sockaddr *)&storage, sizeof(storage)), "bind with a sockaddr_storage's size");
    show_names(fd, "bound");
    close(fd);
}

CASE(bind_unspecified_family) {
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    int fd = open_socket(SOCK_STREAM);

    trace(bind_fd(fd, &address), "bind AF_UNSPEC and any address");
    address = test_address(0);
    address.sin_family = AF_UNSPEC;
    trace(bind_fd(fd, &address), "bind AF_UNSPEC and own address");
    close(fd);
}

CASE(bind_wildcard) {
    struct sockaddr_in any = {.sin_family = AF_INET}, to;
    int fd = open_socket(SOCK_STREAM), client = open_socket(SOCK_STREAM), server;

    trace(bind_fd(fd, &any), "bind any address");
    trace(listen(fd, 4), "listen");
    show_names(fd, "listener");
    to = test_address(ntohs(local_address(fd).sin_port));
    trace(connect_fd(client, &to), "connect to the own address");
    server = accept_from(fd);
    show_names(server, "accepted");
    show_names(client, "client");
    close(client);
    close(server);
    close(fd);
}

/* What a server does that is started again. */
CASE(bind_again_after_close) {
    int listener = open_listener(4), one = 1, fd;
    struct sockaddr_in address = local_address(listener);
    struct pair pair = {.client = connect_to(listener)};

    pair.server = accept_from(listener);
    close(listener);
    fd = open_socket(SOCK_STREAM);
    trace(bind_fd(fd, &address), "bind while a connection lives");
    close(pair.server);
    await(pair.client, POLLRDHUP);
    close(pair.client);
    trace(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "SO_REUSEADDR");
    trace(bind_fd(fd, &address), "bind with SO_REUSEADDR");
    trace(listen(fd, 4), "listen");
    pair.client = connect_to(fd);
    pair.server = accept_from(fd);
    note("connected again");
    close_pair(pair);
    close(fd);
}

CASE(bind_reuse_address_twice) {
    int first = open_socket(SOCK_STREAM), second = open_socket(SOCK_STREAM), third = open_socket(SOCK_STREAM);
    int one = 1;
    struct sockaddr_in address = test_address(0);

    trace(setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "SO_REUSEADDR on the first");
    trace(setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "SO_REUSEADDR on the second");
    trace(bind_fd(first, &address), "bind first");
    address = local_address(first);
    trace(bind_fd(second, &address), "bind second");
    trace(bind_fd(third, &address), "bind third, without SO_REUSEADDR");
    trace(listen(first, 4), "listen first");
    trace(listen(second, 4), "listen second");
    trace(setsockopt(third, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "SO_REUSEADDR on the third");
    trace(bind_fd(third, &address), "bind third where one listens");
    close(first);
    trace(listen(second, 4), "listen second once the first is gone");
    close(second);
    close(third);
}

CASE(listen_without_bind) {
    int fd = open_socket(SOCK_STREAM), client = open_socket(SOCK_STREAM), server;
    struct sockaddr_in to;

    trace(listen(fd, 4), "listen");
    show_names(fd, "listener");
    to = test_address(ntohs(local_address(fd).sin_port));
    trace(connect_fd(client, &to), "connect");
    server = accept_from(fd);
    close(client);
    close(server);
    close(fd);
}

CASE(listen_errors) {
    struct pair pair = open_pair();
    int udp = open_bound(SOCK_DGRAM), fd = open_bound(SOCK_STREAM);

    trace(listen(pair.client, 4), "listen on a connection");
    trace(listen(udp, 4), "listen on UDP");
    trace(listen(NO_SUCH_FD, 4), "listen on no descriptor");
    trace(listen(STDIN_FILENO, 4), "listen on no socket");
    trace(listen(fd, 4), "listen");
    trace(listen(fd, 16), "listen again");
    trace(listen(fd, -1), "listen with -1");
    close_pair(pair);
    close(udp);
    close(fd);
}

CASE(listener_refuses_data_calls) {
    int fd = open_listener(4), there = -1;
    char byte = 0;

    trace(read(fd, &byte, 1), "read");
    trace(recv(fd, &byte, 1, MSG_DONTWAIT), "recv");
    count_signal(SIGPIPE, 0);
    trace(write(fd, &byte, 1), "write");
    note("SIGPIPE %d", signals_counted());
    trace(send(fd, &byte, 1, MSG_NOSIGNAL), "send");
    trace(ioctl(fd, FIONREAD, &there), "FIONREAD");
    show_names(fd, "listener");
    show_readiness(fd, "listener");
    note("error %d", pending_error(fd));
    signal(SIGPIPE, SIG_DFL);
    close(fd);
}

CASE(listener_shutdown) {
    int fd = open_listener(4);

    trace(shutdown(fd, SHUT_RD), "shutdown a listener");
    show_readiness(fd, "after");
    set_nonblocking(fd);
    trace_descriptor(accept(fd, NULL, NULL), "accept");
    note("accepts %d", option_of(fd, SOL_SOCKET, SO_ACCEPTCONN));
    trace(listen(fd, 4), "listen again");
    trace_descriptor(accept(fd, NULL, NULL), "accept");
    close(fd);
}

CASE(listener_shutdown_with_a_connection) {
    int listener = open_listener(4), again, one = 1;
    struct pair pair = {.client = connect_to(listener)};

    pair.server = accept_from(listener);
    trace(shutdown(listener, SHUT_RD), "shutdown a listener");
    trace(listen(listener, 4), "listen again");
    show_names(listener, "listener");
    trace(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "SO_REUSEADDR");
    trace(listen(listener, 4), "listen again");
    again = open_bound(SOCK_STREAM);
    note("a port for another: %d", local_address(again).sin_port != 0);
    close(again);
    close_pair(pair);
    close(listener);
}

CASE(many_listeners) {
    enum { COUNT = 100 };
    int listeners[COUNT], clients[COUNT];

    for (int i = 0; i < COUNT; i++) {
        listeners[i] = open_listener(4);
        clients[i] = connect_to(listeners[i]);
    }
    for (int i = 0; i < COUNT; i++)
        close(accept_from(listeners[i]));
    note("%d listen at once", COUNT);
    for (int i = 0; i < COUNT; i++) {
        close(clients[i]);
        close(listeners[i]);
    }
}

/* --- accept --------------------------------------------------------------------------------------------- */

CASE(accept_errors) {
    struct pair pair = open_pair();
    int fresh = open_socket(SOCK_STREAM), udp = open_bound(SOCK_DGRAM), listener = open_listener(4);

    set_nonblocking(listener);
    trace_descriptor(accept(listener, NULL, NULL), "accept with nobody there");
    trace_descriptor(accept4(listener, NULL, NULL, 0x7), "accept4 unknown flags");
    trace_descriptor(accept(fresh, NULL, NULL), "accept on a new socket");
    trace_descriptor(accept(pair.client, NULL, NULL), "accept on a connection");
    trace_descriptor(accept(udp, NULL, NULL), "accept on UDP");
    trace_descriptor(accept(NO_SUCH_FD, NULL, NULL), "accept on no descriptor");
    trace_descriptor(accept(STDIN_FILENO, NULL, NULL), "accept on no socket");
    close_pair(pair);
    close(fresh);
    close(udp);
    close(listener);
}

CASE(accept_addresses) {
    int listener = open_listener(8);
    int clients[3], server;
    struct sockaddr_storage storage;
    struct sockaddr_in peer;
    socklen_t size;

    for (int i = 0; i < 3; i++)
        clients[i] = connect_to(listener);
    await(listener, POLLIN);
    size = sizeof(peer);
    server = trace_descriptor(accept(listener, (struct sockaddr *)&peer, &size), "accept");
    note("%s, size %u, the client's port: %s", address_text(&peer), size,
         peer.sin_port == local_address(clients[0]).sin_port ? "yes" : "no");
    close(server);
    size = 4;
    memset(&storage, 0x5a, sizeof(storage));
    server = trace_descriptor(accept(listener, (struct sockaddr *)&storage, &size), "accept with 4 bytes");
    note("family %d, size %u, byte behind %#x", storage.ss_family, size, ((uint8_t *)&storage)[4]);
    close(server);
    size = sizeof(storage);
    server =
        trace_descriptor(accept4(listener, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK), "accept4");
    note("size %u, flags %#x, close-on-exec %d", size, (unsigned)fcntl(server, F_GETFL),
         fcntl(server, F_GETFD));
    close(server);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    close(listener);
}

CASE(accept_flags) {
    static const int flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};
    int listener = open_listener(8);

    set_nonblocking(listener);
    for (size_t i = 0; i < 4; i++) {
        int client = connect_to(listener), server;
        await(listener, POLLIN);
        server = trace_descriptor(accept4(listener, NULL, NULL, flags[i]), "accept4 %#x", (unsigned)flags[i]);
        note("flags %#x, close-on-exec %d", (unsigned)fcntl(server, F_GETFL), fcntl(server, F_GETFD));
        close(client);
        close(server);
    }
    close(listener);
}

CASE(accept_inherits_options) {
    int listener = open_listener(8), one = 1, client, server;
    struct timeval wait = {.tv_sec = 3};
    struct linger linger = {.l_onoff = 0};
    socklen_t size = sizeof(linger);

    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    set_linger(listener, 1, 7);
    client = connect_to(listener);
    server = accept_from(listener);
    note("TCP_NODELAY %d, SO_KEEPALIVE %d, SO_REUSEADDR %d, SO_ACCEPTCONN %d",
         option_of(server, IPPROTO_TCP, TCP_NODELAY), option_of(server, SOL_SOCKET, SO_KEEPALIVE),
         option_of(server, SOL_SOCKET, SO_REUSEADDR), option_of(server, SOL_SOCKET, SO_ACCEPTCONN));
    getsockopt(server, SOL_SOCKET, SO_LINGER, &linger, &size);
    note("SO_LINGER %d %d", linger.l_onoff, linger.l_linger);
    size = sizeof(wait);
    wait.tv_sec = -1;
    getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &wait, &size);
    note("SO_RCVTIMEO %ld", (long)wait.tv_sec);
    close(client);
    close(server);
    close(listener);
}

CASE(accept_after_client_closed) {
    int listener = open_listener(8), client = connect_to(listener), server;
    char data[8];

    send_all(client, "hello", 5);
    close(client);
    server = accept_from(listener);
    await(server, POLLRDHUP);
    show_readiness(server, "accepted");
    show_names(server, "accepted");
    trace(read(server, data, sizeof(data)), "read");
    trace(read(server, data, sizeof(data)), "read");
    close(server);
    close(listener);
}

CASE(accept_after_client_reset) {
    int listener = open_listener(8), client = connect_to(listener), server;
    char data[8];

    await(listener, POLLIN);
    set_linger(client, 1, 0);
    close(client);
    poll(NULL, 0, QUIET_MS);
    show_readiness(listener, "listener");
    set_nonblocking(listener);
    server = trace_descriptor(accept(listener, NULL, NULL), "accept");
    if (server >= 0) {
        await(server, POLLERR);
        trace(read(server, data, sizeof(data)), "read");
        trace(read(server, data, sizeof(data)), "read");
        close(server);
    }
    close(listener);
}

/* The queue holds one connection more than listen() was told; those beyond it come later. */
CASE(backlog_overflow) {
    enum { CLIENTS = 6 };
    int listener = open_listener(2), clients[CLIENTS], connected = 0;
    struct sockaddr_in address = local_address(listener);

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = open_socket(SOCK_STREAM);
        set_nonblocking(clients[i]);
        trace(connect_fd(clients[i], &address), "connect");
        if (poll(&(struct pollfd){.fd = clients[i], .events = POLLOUT}, 1, 2 * QUIET_MS) == 1)
            connected++;
    }
    note("%d of %d connected", connected, CLIENTS);
    trace(connect_fd(clients[CLIENTS - 1], &address), "connect again one that is not");
    show_readiness(clients[CLIENTS - 1], "not connected");
    for (int i = 0; i < CLIENTS; i++)
        close(accept_from(listener));
    note("all accepted");
    for (int i = 0; i < CLIENTS; i++) {
        await(clients[i], POLLRDHUP);
        close(clients[i]);
    }
    close(listener);
}

CASE(backlog_closed_listener) {
    enum { CLIENTS = 3 };
    int listener = open_listener(8), clients[CLIENTS];
    char byte;

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(listener);
    await(listener, POLLIN);
    poll(NULL, 0, QUIET_MS);
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
        await(clients[i], POLLIN);
        trace(read(clients[i], &byte, 1), "read of a connection nobody accepted");
        close(clients[i]);
    }
}

/* --- connect -------------------------------------------------------------------------------------------- */

CASE(connect_blocking) {
    int listener = open_listener(4), client = open_socket(SOCK_STREAM), server;
    struct sockaddr_in address = local_address(listener);

    show_names(client, "new");
    trace(connect_fd(client, &address), "connect");
    show_names(client, "connected");
    trace(connect_fd(client, &address), "connect again");
    server = accept_from(listener);
    show_names(server, "accepted");
    note("client's port is the server's peer: %d",
         local_address(client).sin_port != 0 && local_address(server).sin_port == address.sin_port);
    close(client);
    close(server);
    close(listener);
}

CASE(connect_nonblocking) {
    int listener = open_listener(4), client = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);

    set_nonblocking(client);
    show_readiness(client, "new");
    trace(connect_fd(client, &address), "connect");
    note("await OUT -> %s", events_text(await(client, POLLOUT | POLLIN)));
    note("error %s", error_text(pending_error(client)));
    show_names(client, "connected");
    trace(connect_fd(client, &address), "connect again");
    trace(connect_fd(client, &address), "and again");
    close(accept_from(listener));
    close(client);
    close(listener);
}

CASE(connect_bound) {
    int listener = open_listener(4), client = open_bound(SOCK_STREAM), server;
    struct sockaddr_in address = local_address(listener), peer;
    in_port_t port = local_address(client).sin_port;
    socklen_t size = sizeof(peer);

    trace(connect_fd(client, &address), "connect from a bound port");
    server = accept_from(listener);
    trace(getpeername(server, (struct sockaddr *)&peer, &size), "getpeername");
    note("port kept: %d %d", local_address(client).sin_port == port, peer.sin_port == port);
    close(client);
    close(server);
    close(listener);
}

CASE(connect_errors) {
    struct sockaddr_in address = nobody(), family = address;
    int fd = open_socket(SOCK_STREAM), listener = open_listener(2);

    family.sin_family = AF_UNIX;
    trace(connect(fd, (struct sockaddr *)&address, 3), "connect with 3 bytes");
    trace(connect(fd, (struct sockaddr *)&address, 1), "connect with 1 byte");
    trace(connect(fd, (struct sockaddr *)&address, sizeof(address) - 1), "connect with a byte less");
    trace(connect_fd(fd, &family), "connect with another family");
    trace(connect_fd(NO_SUCH_FD, &address), "connect no descriptor");
    trace(connect_fd(STDIN_FILENO, &address), "connect no socket");
    trace(connect_fd(listener, &address), "connect a listener");
    close(fd);
    close(listener);
}

CASE(connect_refused) {
    struct sockaddr_in address = nobody();
    int fd = open_socket(SOCK_STREAM), listener;
    char byte;

    trace(connect_fd(fd, &address), "connect");
    note("error %s", error_text(pending_error(fd)));
    show_names(fd, "refused");
    show_readiness(fd, "refused");
    trace(recv(fd, &byte, 1, 0), "recv");
    trace(send(fd, &byte, 1, MSG_NOSIGNAL), "send");
    trace(connect_fd(fd, &address), "connect again");
    listener = open_listener(4);
    address = local_address(listener);
    trace(connect_fd(fd, &address), "connect to one that listens");
    close(fd);
    close(listener);
}

CASE(connect_refused_nonblocking) {
    struct sockaddr_in address = nobody();
    int fd = open_socket(SOCK_STREAM);
    char byte;

    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect");
    note("await OUT -> %s", events_text(await(fd, POLLOUT)));
    show_readiness(fd, "refused");
    note("error %s", error_text(pending_error(fd)));
    note("error %s", error_text(pending_error(fd)));
    show_readiness(fd, "after SO_ERROR");
    trace(recv(fd, &byte, 1, 0), "recv");
    trace(send(fd, &byte, 1, MSG_NOSIGNAL), "send");
    show_names(fd, "refused");
    trace(shutdown(fd, SHUT_WR), "shutdown");
    trace(connect_fd(fd, &address), "connect again");
    close(fd);
}

CASE(connect_refused_told_by_connect) {
    struct sockaddr_in address = nobody();
    int fd = open_socket(SOCK_STREAM);

    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect");
    await(fd, POLLOUT);
    trace(connect_fd(fd, &address), "connect again");
    trace(connect_fd(fd, &address), "and again");
    await(fd, POLLOUT);
    note("error %s", error_text(pending_error(fd)));
    close(fd);
}

CASE(connect_refused_told_by_read_and_write) {
    struct sockaddr_in address = nobody();
    char byte = 0;

    for (int turn = 0; turn < 2; turn++) {
        int fd = open_socket(SOCK_STREAM);
        set_nonblocking(fd);
        trace(connect_fd(fd, &address), "connect");
        await(fd, POLLOUT);
        if (turn == 0) {
            trace(read(fd, &byte, 1), "read");
            trace(read(fd, &byte, 1), "read");
        } else {
            count_signal(SIGPIPE, 0);
            trace(write(fd, &byte, 1), "write");
            note("SIGPIPE %d", signals_counted());
            trace(write(fd, &byte, 1), "write");
            note("SIGPIPE %d", signals_counted());
        }
        note("error %s", error_text(pending_error(fd)));
        close(fd);
    }
    signal(SIGPIPE, SIG_DFL);
}

/* A listener whose queue is full, so that the next connection stays half-open: `*fillers` fill it. */
static int full_listener(int fillers[2]) {
    int listener = open_listener(1);
    for (int i = 0; i < 2; i++)
        fillers[i] = connect_to(listener);
    poll(NULL, 0, QUIET_MS);
    return listener;
}

CASE(connect_in_progress) {
    int fillers[2], listener = full_listener(fillers), fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);
    char byte = 0;

    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect");
    trace(connect_fd(fd, &address), "connect again");
    trace(poll(&(struct pollfd){.fd = fd, .events = POLLIN | POLLOUT}, 1, QUIET_MS), "poll");
    show_readiness(fd, "connecting");
    as_address(fd, call_getpeername, "getpeername");
    as_address(fd, call_getsockname, "getsockname");
    trace(recv(fd, &byte, 1, 0), "recv");
    trace(send(fd, &byte, 1, MSG_NOSIGNAL), "send");
    trace(listen(fd, 1), "listen");
    note("error %s", error_text(pending_error(fd)));
    for (int i = 0; i < 2; i++)
        close(accept_from(listener));
    note("await OUT -> %s", events_text(await(fd, POLLOUT)));
    note("error %s", error_text(pending_error(fd)));
    close(accept_from(listener));
    close(fd);
    close(fillers[0]);
    close(fillers[1]);
    close(listener);
}

CASE(connect_in_progress_closed) {
    int fillers[2], listener = full_listener(fillers), fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);

    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect");
    trace(close(fd), "close while connecting");
    fd = open_socket(SOCK_STREAM);
    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect");
    trace(shutdown(fd, SHUT_RDWR), "shutdown while connecting");
    show_readiness(fd, "shut down");
    trace(close(fd), "close");
    close(fillers[0]);
    close(fillers[1]);
    close(listener);
}

CASE(connect_send_timeout) {
    int fillers[2], listener = full_listener(fillers), fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);
    struct timeval wait = {.tv_usec = 80000};
    uint64_t since = milliseconds();

    trace(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), "SO_SNDTIMEO");
    trace(connect_fd(fd, &address), "connect");
    note("waited: %d", milliseconds() - since >= 80);
    trace(connect_fd(fd, &address), "connect again");
    close(fd);
    close(fillers[0]);
    close(fillers[1]);
    close(listener);
}

CASE(connect_interrupted) {
    int fillers[2], listener = full_listener(fillers), fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);

    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace(connect_fd(fd, &address), "connect");
    stop_signals();
    note("signals: %d", signals_counted() > 0);
    set_nonblocking(fd);
    trace(connect_fd(fd, &address), "connect again");
    for (int i = 0; i < 2; i++)
        close(accept_from(listener));
    note("await OUT -> %s", events_text(await(fd, POLLOUT)));
    note("error %s", error_text(pending_error(fd)));
    close(accept_from(listener));
    close(fd);
    close(fillers[0]);
    close(fillers[1]);
    close(listener);
}

CASE(connect_unspecified_disconnects) {
    struct pair pair = open_pair();
    struct sockaddr_in nowhere = {.sin_family = AF_UNSPEC};
    int listener = open_listener(2);
    struct sockaddr_in address = local_address(listener);
    char byte;

    trace(connect_fd(pair.client, &nowhere), "connect AF_UNSPEC");
    show_names(pair.client, "disconnected");
    await(pair.server, POLLIN);
    trace(read(pair.server, &byte, 1), "the peer's read");
    trace(connect_fd(pair.client, &address), "connect again");
    show_names(pair.client, "connected");
    close_pair(pair);
    close(listener);
}

CASE(connect_zero_is_own_host) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    int listener = open_socket(SOCK_STREAM), fd = open_socket(SOCK_STREAM);

    bind_fd(listener, &any);
    listen(listener, 2);
    close(listener);
    any.sin_port = 0;
    trace(connect_fd(fd, &any), "connect any address, port 0");
    close(fd);
}

CASE(connect_port_zero) {
    struct sockaddr_in address = test_address(0);
    int fd = open_socket(SOCK_STREAM);

    trace(connect_fd(fd, &address), "connect port 0");
    close(fd);
}

/* --- not connected ---------------------------------------------------------------------------------------
 */

CASE(not_connected) {
    int fd = open_socket(SOCK_STREAM), there = -1;
    char byte = 0;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    count_signal(SIGPIPE, 0);
    trace(read(fd, &byte, 1), "read");
    trace(read(fd, &byte, 0), "read nothing");
    trace(recv(fd, &byte, 0, 0), "recv nothing");
    trace(recv(fd, &byte, 1, MSG_DONTWAIT), "recv");
    trace(recv(fd, &byte, 1, MSG_PEEK), "recv MSG_PEEK");
    trace(recvfrom(fd, &byte, 1, 0, NULL, NULL), "recvfrom");
    trace(recvmsg(fd, &message, 0), "recvmsg");
    trace(readv(fd, &piece, 1), "readv");
    note("SIGPIPE %d", signals_counted());
    trace(write(fd, &byte, 1), "write");
    note("SIGPIPE %d", signals_counted());
    trace(writev(fd, &piece, 1), "writev");
    note("SIGPIPE %d", signals_counted());
    trace(write(fd, &byte, 0), "write nothing");
    trace(send(fd, &byte, 1, MSG_NOSIGNAL), "send");
    trace(sendmsg(fd, &message, MSG_NOSIGNAL), "sendmsg");
    trace(shutdown(fd, SHUT_RD), "shutdown RD");
    trace(shutdown(fd, SHUT_WR), "shutdown WR");
    trace(shutdown(fd, SHUT_RDWR), "shutdown RDWR");
    trace(shutdown(fd, 7), "shutdown 7");
    trace(ioctl(fd, FIONREAD, &there), "FIONREAD");
    note("there %d, error %d", there, pending_error(fd));
    show_names(fd, "new");
    show_readiness(fd, "new");
    signal(SIGPIPE, SIG_DFL);
    close(fd);
}

CASE(bound_readiness) {
    int fd = open_bound(SOCK_STREAM);
    char byte;

    show_readiness(fd, "bound");
    trace(recv(fd, &byte, 1, 0), "recv");
    trace(send(fd, "a", 1, MSG_NOSIGNAL), "send");
    show_readiness(fd, "bound");
    close(fd);
}

CASE(sendto_unconnected_tcp) {
    int listener = open_listener(2), fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = local_address(listener);

    trace(sendto(fd, "a", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)), "sendto");
    close(fd);
    close(listener);
}

CASE(sendto_connected_tcp) {
    struct pair pair = open_pair();
    struct sockaddr_in elsewhere = test_address(9), from;
    socklen_t size = sizeof(from);
    char data[4];

    trace(sendto(pair.client, "ab", 2, 0, (struct sockaddr *)&elsewhere, sizeof(elsewhere)),
          "sendto ignores the address");
    await(pair.server, POLLIN);
    trace(recvfrom(pair.server, data, sizeof(data), 0, (struct sockaddr *)&from, &size), "recvfrom");
    note("address's size %u", size);
    close_pair(pair);
}

/* --- half close, both ways --------------------------------------------------------------------------------
 */

CASE(half_close) {
    struct pair pair = open_pair();
    char data[16];

    count_signal(SIGPIPE, 0);
    send_all(pair.client, "question", 8);
    trace(shutdown(pair.client, SHUT_WR), "client's shutdown WR");
    show_readiness(pair.client, "client");
    trace(write(pair.client, "x", 1), "client's write");
    note("SIGPIPE %d", signals_counted());
    trace(send(pair.client, "x", 1, MSG_NOSIGNAL), "client's send");
    note("SIGPIPE %d", signals_counted());
    await(pair.server, POLLRDHUP);
    show_readiness(pair.server, "server");
    trace((long)receive_all(pair.server, data, sizeof(data)), "server read to the end");
    trace(read(pair.server, data, 1), "server's read after the end");
    show_readiness(pair.server, "server after the end");
    send_all(pair.server, "answer", 6);
    await_bytes(pair.client, 6);
    show_readiness(pair.client, "client with the answer");
    trace(read(pair.client, data, sizeof(data)), "client's read");
    trace(shutdown(pair.client, SHUT_WR), "client's shutdown WR again");
    trace(shutdown(pair.server, SHUT_WR), "server's shutdown WR");
    await(pair.client, POLLHUP);
    await(pair.server, POLLHUP);
    show_readiness(pair.client, "client closed both ways");
    show_readiness(pair.server, "server closed both ways");
    trace(read(pair.client, data, sizeof(data)), "client's read at the end");
    trace(send(pair.server, "x", 1, MSG_NOSIGNAL), "server's send");
    note("error %d", pending_error(pair.client));
    signal(SIGPIPE, SIG_DFL);
    close_pair(pair);
}

/* The other side of an exchange sends its end first. */
CASE(half_close_server_first) {
    struct pair pair = open_pair();
    char data[16];

    trace(shutdown(pair.server, SHUT_WR), "server's shutdown WR");
    await(pair.client, POLLRDHUP);
    show_readiness(pair.client, "client");
    send_all(pair.client, "late", 4);
    await_bytes(pair.server, 4);
    show_readiness(pair.server, "server");
    trace(read(pair.server, data, sizeof(data)), "server's read");
    trace(close(pair.client), "client's close");
    await(pair.server, POLLRDHUP);
    show_readiness(pair.server, "server");
    trace(read(pair.server, data, sizeof(data)), "server's read");
    close(pair.server);
}

CASE(shutdown_read) {
    struct pair pair = open_pair();
    char data[16];

    send_all(pair.server, "before", 6);
    await_bytes(pair.client, 6);
    trace(shutdown(pair.client, SHUT_RD), "shutdown RD");
    show_readiness(pair.client, "client");
    trace(read(pair.client, data, sizeof(data)), "read what had come");
    trace(read(pair.client, data, sizeof(data)), "read");
    show_readiness(pair.client, "client");
    send_all(pair.client, "on", 2);
    await(pair.server, POLLIN);
    trace(read(pair.server, data, sizeof(data)), "the other way still works");
    show_readiness(pair.server, "server");
    trace(shutdown(pair.client, SHUT_RD), "shutdown RD again");
    close_pair(pair);
}

CASE(shutdown_both) {
    struct pair pair = open_pair();
    char data[16];

    trace(shutdown(pair.client, SHUT_RDWR), "shutdown RDWR");
    show_readiness(pair.client, "client");
    trace(read(pair.client, data, sizeof(data)), "read");
    trace(send(pair.client, "x", 1, MSG_NOSIGNAL), "send");
    await(pair.server, POLLRDHUP);
    show_readiness(pair.server, "server");
    trace(shutdown(pair.client, 3), "shutdown 3");
    trace(shutdown(pair.client, -1), "shutdown -1");
    trace(close(pair.server), "server's close");
    await(pair.client, POLLHUP);
    trace(close(pair.client), "client's close");
}

CASE(shutdown_errors) {
    trace(shutdown(NO_SUCH_FD, SHUT_WR), "shutdown no descriptor");
    trace(shutdown(STDIN_FILENO, SHUT_WR), "shutdown no socket");
}

CASE(shutdown_after_both_closed) {
    struct pair pair = open_pair();

    shutdown(pair.client, SHUT_WR);
    await(pair.server, POLLRDHUP);
    shutdown(pair.server, SHUT_WR);
    await(pair.client, POLLHUP);
    await(pair.server, POLLHUP);
    poll(NULL, 0, QUIET_MS);
    show_names(pair.client, "client");
    show_names(pair.server, "server");
    trace(shutdown(pair.server, SHUT_RDWR), "server's shutdown RDWR");
    close_pair(pair);
}

CASE(close_delivers_what_was_sent) {
    struct pair pair = open_pair();
    char *data = malloc(100000);

    memset(data, 'd', 100000);
    send_all(pair.client, data, 100000);
    trace(close(pair.client), "close with data on its way");
    trace((long)receive_all(pair.server, data, 100000), "read");
    trace(read(pair.server, data, 1), "read");
    free(data);
    close(pair.server);
}

CASE(simultaneous_close) {
    struct pair pair = open_pair();
    char byte;

    trace(shutdown(pair.client, SHUT_WR), "client's shutdown");
    trace(shutdown(pair.server, SHUT_WR), "server's shutdown");
    await(pair.client, POLLHUP);
    await(pair.server, POLLHUP);
    trace(read(pair.client, &byte, 1), "client's read");
    trace(read(pair.server, &byte, 1), "server's read");
    close_pair(pair);
}

/* --- reset ------------------------------------------------------------------------------------------------
 */

CASE(reset_then_read) {
    struct pair pair = open_pair();
    char byte;

    set_linger(pair.client, 1, 0);
    trace(close(pair.client), "close with SO_LINGER 0");
    note("await ERR -> %s", events_text(await(pair.server, POLLIN)));
    show_readiness(pair.server, "server");
    trace(read(pair.server, &byte, 1), "read");
    trace(read(pair.server, &byte, 1), "read");
    show_readiness(pair.server, "server");
    trace(send(pair.server, &byte, 1, MSG_NOSIGNAL), "send");
    show_names(pair.server, "server");
    note("error %d", pending_error(pair.server));
    trace(shutdown(pair.server, SHUT_WR), "shutdown");
    close(pair.server);
}

CASE(reset_then_write) {
    struct pair pair = open_pair();
    char byte = 0;

    count_signal(SIGPIPE, 0);
    set_linger(pair.client, 1, 0);
    trace(close(pair.client), "close with SO_LINGER 0");
    await(pair.server, POLLERR);
    trace(write(pair.server, &byte, 1), "write");
    note("SIGPIPE %d", signals_counted());
    trace(write(pair.server, &byte, 1), "write");
    note("SIGPIPE %d", signals_counted());
    trace(read(pair.server, &byte, 1), "read");
    signal(SIGPIPE, SIG_DFL);
    close(pair.server);
}

CASE(reset_then_so_error) {
    struct pair pair = open_pair();
    char byte;

    set_linger(pair.client, 1, 0);
    trace(close(pair.client), "close with SO_LINGER 0");
    await(pair.server, POLLERR);
    note("error %s", error_text(pending_error(pair.server)));
    note("error %s", error_text(pending_error(pair.server)));
    show_readiness(pair.server, "server");
    trace(recv(pair.server, &byte, 1, MSG_DONTWAIT), "recv");
    close(pair.server);
}

/* What had come before the reset. */
CASE(reset_with_data_unread) {
    struct pair pair = open_pair();
    char data[16];

    send_all(pair.client, "before", 6);
    await_bytes(pair.server, 6);
    set_linger(pair.client, 1, 0);
    trace(close(pair.client), "close with SO_LINGER 0");
    await(pair.server, POLLERR);
    show_readiness(pair.server, "server");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    close(pair.server);
}

CASE(close_with_unread_data_resets) {
    struct pair pair = open_pair();
    char byte;

    send_all(pair.client, "unread", 6);
    await_bytes(pair.server, 6);
    trace(close(pair.server), "close with unread data");
    note("await IN -> %s", events_text(await(pair.client, POLLIN)));
    show_readiness(pair.client, "client");
    trace(read(pair.client, &byte, 1), "read");
    trace(read(pair.client, &byte, 1), "read");
    close(pair.client);
}

CASE(write_to_a_closed_peer) {
    struct pair pair = open_pair();
    char byte = 0;

    count_signal(SIGPIPE, 0);
    trace(close(pair.server), "server's close");
    await(pair.client, POLLRDHUP);
    show_readiness(pair.client, "client");
    trace(write(pair.client, &byte, 1), "write");
    await(pair.client, POLLERR | POLLHUP);
    note("SIGPIPE %d", signals_counted());
    poll(NULL, 0, QUIET_MS);
    await(pair.client, POLLHUP);
    show_readiness(pair.client, "client after its write");
    trace(write(pair.client, &byte, 1), "write");
    note("SIGPIPE %d", signals_counted());
    trace(read(pair.client, &byte, 1), "read");
    note("error %d", pending_error(pair.client));
    signal(SIGPIPE, SIG_DFL);
    close(pair.client);
}

static void *close_soon(void *argument) {
    poll(NULL, 0, QUIET_MS);
    close(*(int *)argument);
    return NULL;
}

CASE(reset_ends_a_blocked_read) {
    struct pair pair = open_pair();
    pthread_t thread;
    char byte;

    set_linger(pair.client, 1, 0);
    thread = start_thread(close_soon, &pair.client);
    trace(read(pair.server, &byte, 1), "read");
    join(thread);
    trace(read(pair.server, &byte, 1), "read");
    close(pair.server);
}

CASE(end_of_stream_ends_a_blocked_read) {
    struct pair pair = open_pair();
    pthread_t thread = start_thread(close_soon, &pair.client);
    char byte;

    trace(read(pair.server, &byte, 1), "read");
    join(thread);
    close(pair.server);
}

CASE(reset_ends_a_blocked_write) {
    struct pair pair = open_pair();
    pthread_t thread;

    fill(pair.server);
    fcntl(pair.server, F_SETFL, 0);
    set_linger(pair.client, 1, 0);
    thread = start_thread(close_soon, &pair.client);
    trace(send(pair.server, "x", 1, MSG_NOSIGNAL), "send");
    join(thread);
    trace(send(pair.server, "x", 1, MSG_NOSIGNAL), "send");
    close(pair.server);
}

/* --- SO_LINGER ---------------------------------------------------------------------------------------------
 */

CASE(linger_waits_for_the_data) {
    struct pair pair = open_pair();
    char *data = malloc(50000);

    memset(data, 'l', 50000);
    set_linger(pair.client, 1, 10);
    send_all(pair.client, data, 50000);
    trace(close(pair.client), "close with SO_LINGER 10");
    trace((long)receive_all(pair.server, data, 50000), "read");
    trace(read(pair.server, data, 1), "read");
    free(data);
    close(pair.server);
}

/* close() waits, whether or not the socket is a blocking one. */
CASE(linger_runs_out) {
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        struct pair pair = open_pair();
        uint64_t since;
        size_t size = fill(pair.client);

        if (!nonblocking)
            fcntl(pair.client, F_SETFL, 0);
        set_linger(pair.client, 1, 1);
        since = milliseconds();
        trace(close(pair.client), "close with SO_LINGER 1 and a peer that does not read");
        note("nonblocking %d, waited %d", nonblocking, milliseconds() - since >= 900);
        drain(pair.server, size);
        note("all came all the same");
        close(pair.server);
    }
}

/* --- options
 * ------------------------------------------------------------------------------------------------- */

static void set_and_get(int fd, int level, int name, int value, const char *what) {
    trace(setsockopt(fd, level, name, &value, sizeof(value)), "set %s %d", what, value);
    note("get %s -> %d", what, option_of(fd, level, name));
}

CASE(options_of_integers) {
    int fd = open_socket(SOCK_STREAM);

    note("TCP_NODELAY %d, SO_KEEPALIVE %d, SO_REUSEADDR %d", option_of(fd, IPPROTO_TCP, TCP_NODELAY),
         option_of(fd, SOL_SOCKET, SO_KEEPALIVE), option_of(fd, SOL_SOCKET, SO_REUSEADDR));
    set_and_get(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    set_and_get(fd, IPPROTO_TCP, TCP_NODELAY, 7, "TCP_NODELAY");
    set_and_get(fd, IPPROTO_TCP, TCP_NODELAY, 0, "TCP_NODELAY");
    set_and_get(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    set_and_get(fd, SOL_SOCKET, SO_KEEPALIVE, 5, "SO_KEEPALIVE");
    set_and_get(fd, SOL_SOCKET, SO_KEEPALIVE, 0, "SO_KEEPALIVE");
    set_and_get(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    set_and_get(fd, SOL_SOCKET, SO_REUSEADDR, 0, "SO_REUSEADDR");
    set_and_get(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33, "TCP_KEEPIDLE");
    set_and_get(fd, IPPROTO_TCP, TCP_KEEPINTVL, 11, "TCP_KEEPINTVL");
    set_and_get(fd, IPPROTO_TCP, TCP_KEEPCNT, 3, "TCP_KEEPCNT");
    set_and_get(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0, "TCP_KEEPIDLE");
    set_and_get(fd, IPPROTO_TCP, TCP_KEEPCNT, 1000, "TCP_KEEPCNT");
    set_and_get(fd, IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK");
    set_and_get(fd, IPPROTO_TCP, TCP_CORK, 0, "TCP_CORK");
    set_and_get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, "TCP_DEFER_ACCEPT");
    set_and_get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 12000, "TCP_USER_TIMEOUT");
    set_and_get(fd, SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE");
    set_and_get(fd, SOL_SOCKET, SO_RCVLOWAT, 1, "SO_RCVLOWAT");
    set_and_get(fd, SOL_SOCKET, SO_RCVBUF, 50000, "SO_RCVBUF");
    set_and_get(fd, SOL_SOCKET, SO_SNDBUF, 50000, "SO_SNDBUF");
    set_and_get(fd, SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY");
    set_and_get(fd, IPPROTO_IP, IP_TOS, 0x10, "IP_TOS");
    set_and_get(fd, IPPROTO_IP, IP_TTL, 55, "IP_TTL");
    close(fd);
}

CASE(options_on_a_connection) {
    struct pair pair = open_pair();
    char data[8];

    set_and_get(pair.client, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    set_and_get(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    set_and_get(pair.server, IPPROTO_TCP, TCP_QUICKACK, 1, "TCP_QUICKACK");
    note("type %d, accepts %d, error %d", option_of(pair.client, SOL_SOCKET, SO_TYPE),
         option_of(pair.client, SOL_SOCKET, SO_ACCEPTCONN), option_of(pair.client, SOL_SOCKET, SO_ERROR));
    send_all(pair.client, "a", 1);
    await(pair.server, POLLIN);
    trace(read(pair.server, data, sizeof(data)), "read");
    close_pair(pair);
}

CASE(options_of_structures) {
    int fd = open_socket(SOCK_STREAM);
    struct linger linger = {.l_onoff = 9, .l_linger = 12};
    struct timeval wait = {.tv_sec = 1, .tv_usec = 500000};
    socklen_t size = sizeof(linger);

    trace(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "set SO_LINGER 9 12");
    linger = (struct linger){-1, -1};
    trace(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size), "get SO_LINGER");
    note("%d %d, size %u", linger.l_onoff, linger.l_linger, size);
    linger = (struct linger){0, 5};
    trace(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "set SO_LINGER 0 5");
    trace(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size), "get SO_LINGER");
    note("%d %d, size %u", linger.l_onoff, linger.l_linger, size);
    trace(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4), "set SO_LINGER with 4 bytes");
    for (int name = 0; name < 2; name++) {
        int option = name ? SO_SNDTIMEO : SO_RCVTIMEO;
        const char *text = name ? "SO_SNDTIMEO" : "SO_RCVTIMEO";
        size = sizeof(wait);
        trace(getsockopt(fd, SOL_SOCKET, option, &wait, &size), "get %s", text);
        note("%ld s %ld us, size %u", (long)wait.tv_sec, (long)wait.tv_usec, size);
        wait = (struct timeval){1, 500000};
        trace(setsockopt(fd, SOL_SOCKET, option, &wait, sizeof(wait)), "set %s 1.5 s", text);
        wait = (struct timeval){-1, -1};
        trace(getsockopt(fd, SOL_SOCKET, option, &wait, &size), "get %s", text);
        note("%ld s %ld us, size %u", (long)wait.tv_sec, (long)wait.tv_usec, size);
        wait = (struct timeval){0, 1000000};
        trace(setsockopt(fd, SOL_SOCKET, option, &wait, sizeof(wait)), "set %s 1000000 us", text);
        trace(setsockopt(fd, SOL_SOCKET, option, &wait, 8), "set %s with 8 bytes", text);
        wait = (struct timeval){0, 0};
        trace(setsockopt(fd, SOL_SOCKET, option, &wait, sizeof(wait)), "set %s 0", text);
    }
    close(fd);
}

CASE(options_errors) {
    int fd = open_socket(SOCK_STREAM), value = 0;
    socklen_t size = sizeof(value);
    char small = 0;

    trace(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 3), "set with 3 bytes");
    trace(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 3), "set TCP_NODELAY with 3 bytes");
    trace(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 0), "set TCP_NODELAY with 0 bytes");
    trace(setsockopt(fd, SOL_SOCKET, 7777, &value, sizeof(value)), "set an unknown option");
    trace(setsockopt(fd, IPPROTO_TCP, 7777, &value, sizeof(value)), "set an unknown option of TCP");
    trace(setsockopt(fd, 7777, 1, &value, sizeof(value)), "set of an unknown level");
    trace(setsockopt(fd, SOL_SOCKET, SO_ERROR, &value, sizeof(value)), "set SO_ERROR");
    trace(setsockopt(fd, SOL_SOCKET, SO_TYPE, &value, sizeof(value)), "set SO_TYPE");
    trace(setsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, sizeof(value)), "set SO_ACCEPTCONN");
    trace(getsockopt(fd, SOL_SOCKET, 7777, &value, &size), "get an unknown option");
    trace(getsockopt(fd, IPPROTO_TCP, 7777, &value, &size), "get an unknown option of TCP");
    trace(getsockopt(fd, 7777, 1, &value, &size), "get of an unknown level");
    size = 1;
    trace(getsockopt(fd, SOL_SOCKET, SO_TYPE, &small, &size), "get with 1 byte");
    note("%d, size %u", small, size);
    size = 1;
    trace(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &small, &size), "get TCP_NODELAY with 1 byte");
    note("%d, size %u", small, size);
    size = 0;
    trace(getsockopt(fd, SOL_SOCKET, SO_ERROR, &small, &size), "get SO_ERROR with 0 bytes");
    note("size %u", size);
    size = (socklen_t)-1;
    trace(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size), "get with -1 bytes");
    size = 64;
    char large[64];
    trace(getsockopt(fd, SOL_SOCKET, SO_TYPE, large, &size), "get with 64 bytes");
    note("size %u", size);
    size = sizeof(value);
    trace(setsockopt(NO_SUCH_FD, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), "set on no descriptor");
    trace(getsockopt(NO_SUCH_FD, SOL_SOCKET, SO_KEEPALIVE, &value, &size), "get on no descriptor");
    trace(setsockopt(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), "set on no socket");
    trace(getsockopt(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, &value, &size), "get on no socket");
    close(fd);
}

CASE(tcp_info_state) {
    struct pair pair = open_pair();
    struct tcp_info info;
    socklen_t size = sizeof(info);

    memset(&info, 0, sizeof(info));
    trace(getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
    note("state %d", info.tcpi_state);
    close_pair(pair);
}

CASE(names_with_little_room) {
    struct pair pair = open_pair();
    struct sockaddr_in address;
    socklen_t size = 2;

    memset(&address, 0x5a, sizeof(address));
    trace(getsockname(pair.client, (struct sockaddr *)&address, &size), "getsockname with 2 bytes");
    note("family %d, size %u, port untouched %d", address.sin_family, size, address.sin_port == 0x5a5a);
    size = 0;
    trace(getpeername(pair.client, (struct sockaddr *)&address, &size), "getpeername with 0 bytes");
    note("size %u", size);
    size = (socklen_t)-5;
    trace(getpeername(pair.client, (struct sockaddr *)&address, &size), "getpeername with -5 bytes");
    size = sizeof(address);
    trace(getpeername(NO_SUCH_FD, (struct sockaddr *)&address, &size), "getpeername on no descriptor");
    trace(getsockname(STDIN_FILENO, (struct sockaddr *)&address, &size), "getsockname on no socket");
    close_pair(pair);
}

/* --- timeouts
 * ------------------------------------------------------------------------------------------------ */

static void set_timeout(int fd, int option, int wait_ms) {
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, option, &wait, sizeof(wait)) != 0)
        give_up("timeout");
}

CASE(receive_timeout) {
    struct pair pair = open_pair();
    int listener = open_listener(2);
    char data[4];
    struct iovec piece = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    uint64_t since = milliseconds();

    set_timeout(pair.client, SO_RCVTIMEO, 80);
    set_timeout(listener, SO_RCVTIMEO, 80);
    trace(read(pair.client, data, sizeof(data)), "read");
    note("waited: %d", milliseconds() - since >= 79);
    trace(recv(pair.client, data, sizeof(data), 0), "recv");
    trace(recvfrom(pair.client, data, sizeof(data), 0, NULL, NULL), "recvfrom");
    trace(recvmsg(pair.client, &message, 0), "recvmsg");
    trace(readv(pair.client, &piece, 1), "readv");
    since = milliseconds();
    trace_descriptor(accept(listener, NULL, NULL), "accept");
    note("waited: %d", milliseconds() - since >= 79);
    send_all(pair.server, "ab", 2);
    await_bytes(pair.client, 2);
    trace(recv(pair.client, data, sizeof(data), MSG_WAITALL), "recv MSG_WAITALL of 4 with 2 there");
    trace(read(pair.client, data, sizeof(data)), "read");
    close_pair(pair);
    close(listener);
}

CASE(send_timeout) {
    struct pair pair = open_pair();
    uint64_t since;

    fill(pair.client);
    fcntl(pair.client, F_SETFL, 0);
    set_timeout(pair.client, SO_SNDTIMEO, 80);
    since = milliseconds();
    trace(send(pair.client, "x", 1, 0), "send into a full buffer");
    note("waited: %d", milliseconds() - since >= 79);
    close_pair(pair);
}
