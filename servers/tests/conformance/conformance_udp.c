/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: UDP. */
#include "conformance.h"

static ssize_t send_to(int fd, const void *data, size_t size, const struct sockaddr_in *to) {
    return sendto(fd, data, size, 0, (const struct sockaddr *)to, sizeof(*to));
}

static int connect_udp(int fd, const struct sockaddr_in *to) {
    return connect(fd, (const struct sockaddr *)to, sizeof(*to));
}

static void show_peer(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &size) == 0)
        note("getpeername -> %s, size %u", address_text(&address), size);
    else
        note("getpeername -> %s", error_text(errno));
}

/* Two bound sockets, each connected to the other. */
static struct pair open_udp_pair(void) {
    struct pair pair = {open_bound(SOCK_DGRAM), open_bound(SOCK_DGRAM)};
    struct sockaddr_in client = local_address(pair.client), server = local_address(pair.server);

    if (connect_udp(pair.client, &server) != 0 || connect_udp(pair.server, &client) != 0)
        give_up("connect UDP");
    return pair;
}

CASE(udp_exchange) {
    int server = open_bound(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), from, own;
    socklen_t size = sizeof(from);
    char data[32];

    own = local_address(client);
    note("new client: %s", address_text(&own));
    show_readiness(client, "new");
    show_readiness(server, "bound");
    trace(send_to(client, "question", 8, &to), "sendto");
    own = local_address(client);
    note("client: %s", address_text(&own));
    show_peer(client);
    await(server, POLLIN);
    show_readiness(server, "datagram");
    trace(recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &size), "recvfrom");
    note("'%.8s' from %s, size %u, the client's port %d", data, address_text(&from), size,
         from.sin_port == own.sin_port);
    trace(send_to(server, "answer", 6, &from), "sendto");
    await(client, POLLIN);
    trace(recv(client, data, sizeof(data), 0), "recv");
    note("'%.6s'", data);
    trace(recv(client, data, sizeof(data), MSG_DONTWAIT), "recv");
    close(client);
    close(server);
}

CASE(udp_connected) {
    int server = open_bound(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), own;
    char data[32];

    trace(connect_udp(client, &to), "connect");
    own = local_address(client);
    note("client: %s", address_text(&own));
    show_peer(client);
    trace(send(client, "one", 3, 0), "send");
    trace(write(client, "two", 3), "write");
    trace(send_to(client, "three", 5, &to), "sendto its peer");
    for (int i = 0; i < 3; i++) {
        await(server, POLLIN);
        trace(read(server, data, sizeof(data)), "read");
        note("%.3s", data);
    }
    trace(connect_udp(client, &to), "connect again");
    show_readiness(client, "client");
    close(client);
    close(server);
}

CASE(udp_connected_filters) {
    int client = open_socket(SOCK_DGRAM), server = open_bound(SOCK_DGRAM), stranger = open_bound(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), own;
    char data[32];

    trace(connect_udp(client, &to), "connect");
    own = local_address(client);
    trace(send_to(stranger, "stranger", 8, &own), "a stranger's sendto");
    trace(send_to(server, "peer", 4, &own), "the peer's sendto");
    await(client, POLLIN);
    trace(recv(client, data, sizeof(data), 0), "recv");
    trace(recv(client, data, sizeof(data), MSG_DONTWAIT), "recv");
    to = local_address(stranger);
    trace(send_to(client, "elsewhere", 9, &to), "sendto another than the peer");
    await(stranger, POLLIN);
    trace(recv(stranger, data, sizeof(data), MSG_DONTWAIT), "the other's recv");
    close(client);
    close(server);
    close(stranger);
}

CASE(udp_disconnect) {
    int client = open_socket(SOCK_DGRAM), server = open_bound(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), nowhere = {.sin_family = AF_UNSPEC}, own;

    trace(connect_udp(client, &to), "connect");
    trace(connect_udp(client, &nowhere), "connect AF_UNSPEC");
    show_peer(client);
    own = local_address(client);
    note("client: %s", address_text(&own));
    trace(send(client, "x", 1, 0), "send");
    trace(send_to(client, "x", 1, &to), "sendto");
    close(client);
    close(server);
}

CASE(udp_without_destination) {
    int fd = open_socket(SOCK_DGRAM);
    struct iovec piece = {"x", 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    trace(send(fd, "x", 1, 0), "send");
    trace(write(fd, "x", 1), "write");
    trace(writev(fd, &piece, 1), "writev");
    trace(sendto(fd, "x", 1, 0, NULL, 0), "sendto nowhere");
    trace(sendmsg(fd, &message, 0), "sendmsg");
    show_peer(fd);
    trace(shutdown(fd, SHUT_WR), "shutdown");
    trace_descriptor(accept(fd, NULL, NULL), "accept");
    trace(listen(fd, 2), "listen");
    close(fd);
}

CASE(udp_errors) {
    int fd = open_bound(SOCK_DGRAM), server = open_bound(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), family = to, no_port = to;
    char *large = calloc(1, 70000);

    family.sin_family = AF_UNIX;
    no_port.sin_port = 0;
    trace(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, 4), "sendto with 4 bytes of address");
    trace(send_to(fd, "x", 1, &family), "sendto another family");
    trace(send_to(fd, "x", 1, &no_port), "sendto port 0");
    trace(send_to(fd, large, 65508, &to), "sendto 65508 bytes");
    trace(send_to(fd, large, 70000, &to), "sendto 70000 bytes");
    trace(send_to(NO_SUCH_FD, "x", 1, &to), "sendto no descriptor");
    trace(send_to(STDIN_FILENO, "x", 1, &to), "sendto no socket");
    trace(recv(fd, large, 1, MSG_DONTWAIT), "recv");
    trace(recv(fd, large, 1, MSG_DONTWAIT | MSG_OOB), "recv MSG_OOB");
    trace(send(fd, "x", 1, MSG_OOB), "send MSG_OOB");
    free(large);
    close(fd);
    close(server);
}

CASE(udp_truncation) {
    struct pair pair = open_udp_pair();
    char data[16] = "----------------";
    struct iovec piece = {data, 4};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    int there = -1;

    for (int i = 0; i < 5; i++)
        send_all(pair.client, "0123456789", 10);
    await(pair.server, POLLIN);
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    trace(recv(pair.server, data, 4, MSG_PEEK), "peek 4");
    trace(recv(pair.server, data, 4, MSG_PEEK | MSG_TRUNC), "peek 4 MSG_TRUNC");
    trace(recv(pair.server, data, 4, 0), "recv 4");
    note("byte behind %c", data[4]);
    trace(recv(pair.server, data, 4, MSG_TRUNC), "recv 4 MSG_TRUNC");
    trace(recvmsg(pair.server, &message, 0), "recvmsg 4");
    note("flags %#x", (unsigned)message.msg_flags);
    trace(recvmsg(pair.server, &message, MSG_TRUNC), "recvmsg 4 MSG_TRUNC");
    note("flags %#x", (unsigned)message.msg_flags);
    trace(read(pair.server, data, 16), "read 16");
    trace(recv(pair.server, data, 16, MSG_DONTWAIT), "recv");
    close_pair(pair);
}

CASE(udp_zero_length) {
    struct pair pair = open_udp_pair();
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    char data[8];
    int there = -1;

    trace(send(pair.client, "", 0, 0), "send nothing");
    await(pair.server, POLLIN);
    show_readiness(pair.server, "an empty datagram");
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    trace(recvfrom(pair.server, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &size),
          "recvfrom");
    note("%s", address_text(&from));
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(write(pair.client, "", 0), "write nothing");
    send_all(pair.client, "ab", 2);
    await(pair.server, POLLIN);
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(recv(pair.server, data, 0, MSG_DONTWAIT), "recv nothing");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv");
    close_pair(pair);
}

CASE(udp_readable_bytes) {
    struct pair pair = open_udp_pair();
    char data[64];
    int there = -1;

    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    send_all(pair.client, "12345", 5);
    send_all(pair.client, "1234567", 7);
    await(pair.server, POLLIN);
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    trace(read(pair.server, data, sizeof(data)), "read");
    await(pair.server, POLLIN);
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    trace(read(pair.server, data, sizeof(data)), "read");
    close_pair(pair);
}

CASE(udp_messages) {
    int server = open_bound(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), from;
    char a[4], b[16];
    struct iovec out[3] = {{"head", 4}, {"", 0}, {"body", 4}}, in[2] = {{a, 4}, {b, 16}};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = out, .msg_iovlen = 3};

    trace(sendmsg(client, &message, 0), "sendmsg");
    await(server, POLLIN);
    message = (struct msghdr){
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = in, .msg_iovlen = 2, .msg_flags = 0x7f};
    trace(recvmsg(server, &message, 0), "recvmsg");
    note("'%.4s' '%.4s', %s, size %u, flags %#x", a, b, address_text(&from), message.msg_namelen,
         (unsigned)message.msg_flags);
    trace(connect_udp(client, &to), "connect");
    trace(writev(client, out, 3), "writev");
    await(server, POLLIN);
    trace(readv(server, in, 2), "readv");
    note("'%.4s' '%.4s'", a, b);
    message = (struct msghdr){.msg_name = &from, .msg_namelen = 3, .msg_iov = in, .msg_iovlen = 2};
    trace(sendmsg(client, &message, 0), "sendmsg with 3 bytes of address");
    close(client);
    close(server);
}

CASE(udp_many_messages_at_once) {
    struct pair pair = open_udp_pair();
    char a[8], b[8], c[8];
    struct iovec out[2] = {{"one", 3}, {"three", 5}}, in[3] = {{a, 8}, {b, 4}, {c, 8}};
    struct mmsghdr messages[3] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};

    trace(sendmmsg(pair.client, messages, 2, 0), "sendmmsg");
    await(pair.server, POLLIN);
    poll(NULL, 0, QUIET_MS);
    for (int i = 0; i < 3; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &in[i], .msg_iovlen = 1}};
    trace(recvmmsg(pair.server, messages, 3, MSG_DONTWAIT, NULL), "recvmmsg");
    note("%u %u, flags %#x", messages[0].msg_len, messages[1].msg_len,
         (unsigned)messages[1].msg_hdr.msg_flags);
    trace(recvmmsg(pair.server, messages, 3, MSG_DONTWAIT, NULL), "recvmmsg");
    close_pair(pair);
}

CASE(udp_little_room_for_the_address) {
    int server = open_bound(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    struct sockaddr_in to = local_address(server), from;
    socklen_t size = 2;
    char data[8];

    memset(&from, 0x5a, sizeof(from));
    send_to(client, "a", 1, &to);
    await(server, POLLIN);
    trace(recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &size), "recvfrom");
    note("size %u, port untouched %d", size, from.sin_port == 0x5a5a);
    close(client);
    close(server);
}

CASE(udp_refused) {
    int closed = open_bound(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    struct sockaddr_in to = local_address(closed);
    char data[8];

    close(closed);
    trace(send_to(client, "x", 1, &to), "sendto nobody");
    trace(recv(client, data, sizeof(data), MSG_DONTWAIT), "recv, not connected");
    trace(connect_udp(client, &to), "connect");
    trace(send(client, "x", 1, 0), "send to nobody");
    note("await ERR -> %s", events_text(await(client, POLLIN)));
    show_readiness(client, "refused");
    trace(recv(client, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(recv(client, data, sizeof(data), MSG_DONTWAIT), "recv");
    trace(send(client, "x", 1, 0), "send to nobody");
    await(client, POLLERR);
    note("error %s", error_text(pending_error(client)));
    trace(send(client, "x", 1, 0), "send to nobody");
    await(client, POLLERR);
    trace(send(client, "x", 1, 0), "send again");
    close(client);
}

CASE(udp_bind_conflicts) {
    int first = open_bound(SOCK_DGRAM), second = open_socket(SOCK_DGRAM), one = 1;
    struct sockaddr_in address = local_address(first), foreign = address;

    foreign.sin_addr.s_addr = htonl(0xcb007107);
    trace(bind(second, (struct sockaddr *)&address, sizeof(address)), "bind in use");
    trace(bind(second, (struct sockaddr *)&foreign, sizeof(foreign)), "bind another host's address");
    setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    trace(bind(second, (struct sockaddr *)&address, sizeof(address)), "bind, SO_REUSEADDR on one");
    setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    trace(bind(second, (struct sockaddr *)&address, sizeof(address)), "bind, SO_REUSEADDR on both");
    trace(bind(second, (struct sockaddr *)&address, sizeof(address)), "bind again");
    close(first);
    close(second);
}

CASE(udp_shutdown) {
    struct pair pair = open_udp_pair();
    char data[8];

    count_signal(SIGPIPE, 0);
    trace(shutdown(pair.client, SHUT_WR), "shutdown WR");
    trace(send(pair.client, "x", 1, 0), "send");
    note("SIGPIPE %d", signals_counted());
    show_readiness(pair.client, "client");
    trace(shutdown(pair.server, SHUT_RD), "shutdown RD");
    trace(recv(pair.server, data, sizeof(data), 0), "recv");
    show_readiness(pair.server, "server");
    signal(SIGPIPE, SIG_DFL);
    close_pair(pair);
}

CASE(udp_timeout) {
    int fd = open_bound(SOCK_DGRAM);
    struct timeval wait = {.tv_usec = 80000};
    uint64_t since = milliseconds();
    char data[8];

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    trace(recvfrom(fd, data, sizeof(data), 0, NULL, NULL), "recvfrom");
    note("waited %d", milliseconds() - since >= 79);
    close(fd);
}

CASE(udp_interrupted) {
    int fd = open_bound(SOCK_DGRAM);
    char data[8];

    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace(recvfrom(fd, data, sizeof(data), 0, NULL, NULL), "recvfrom");
    stop_signals();
    close(fd);
}

CASE(udp_wildcard) {
    struct sockaddr_in any = {.sin_family = AF_INET}, to;
    int server = open_socket(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    char data[8];

    trace(bind(server, (struct sockaddr *)&any, sizeof(any)), "bind any address");
    any = local_address(server);
    note("%s", address_text(&any));
    to = test_address(ntohs(any.sin_port));
    trace(send_to(client, "a", 1, &to), "sendto the own address");
    await(server, POLLIN);
    trace(recv(server, data, sizeof(data), 0), "recv");
    close(client);
    close(server);
}

CASE(udp_edge) {
    struct pair pair = open_udp_pair();
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int set = epoll_create1(0);
    char data[8];

    epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event);
    trace(epoll_wait(set, &event, 1, 0), "nothing there");
    send_all(pair.client, "a", 1);
    trace(epoll_wait(set, &event, 1, WAIT_MS), "a datagram");
    trace(epoll_wait(set, &event, 1, QUIET_MS), "again");
    send_all(pair.client, "b", 1);
    trace(epoll_wait(set, &event, 1, WAIT_MS), "another");
    trace(read(pair.server, data, sizeof(data)), "read one");
    trace(epoll_wait(set, &event, 1, QUIET_MS), "the rest is no news");
    trace(read(pair.server, data, sizeof(data)), "read the other");
    close(set);
    close_pair(pair);
}

CASE(udp_thousand_datagrams) {
    enum { COUNT = 1000, SIZE = 1400 };
    struct pair pair = open_udp_pair();
    uint8_t data[2000], expected[SIZE];
    int right = 0;

    for (int i = 0; i < COUNT; i++) {
        pattern(expected, SIZE, (uint64_t)i * SIZE);
        send_all(pair.client, expected, SIZE);
        await(pair.server, POLLIN);
        right += recv(pair.server, data, sizeof(data), 0) == SIZE && memcmp(data, expected, SIZE) == 0;
    }
    note("%d of %d right", right, COUNT);
    close_pair(pair);
}

CASE(udp_queue_in_order) {
    enum { COUNT = 50 };
    struct pair pair = open_udp_pair();
    char data[8];
    int in_order = 0;

    for (int i = 0; i < COUNT; i++)
        send_all(pair.client, &(char){(char)i}, 1);
    for (int i = 0; i < COUNT; i++) {
        await(pair.server, POLLIN);
        in_order += recv(pair.server, data, sizeof(data), 0) == 1 && data[0] == i;
    }
    note("%d of %d in order", in_order, COUNT);
    close_pair(pair);
}

CASE_OF(udp_larger_than_a_packet, "nothing is fragmented: EMSGSIZE", false) {
    struct pair pair = open_udp_pair();
    uint8_t data[9000], expected[8000];

    pattern(expected, sizeof(expected), 0);
    trace(send(pair.client, expected, sizeof(expected), 0), "send 8000 bytes");
    await(pair.server, POLLIN);
    trace(recv(pair.server, data, sizeof(data), 0), "recv");
    note("equal %d", memcmp(data, expected, sizeof(expected)) == 0);
    close_pair(pair);
}

CASE(udp_options) {
    int fd = open_socket(SOCK_DGRAM), value = 1, broadcast = -1;
    socklen_t size = sizeof(value);

    trace(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, sizeof(value)), "SO_BROADCAST");
    trace(getsockopt(fd, SOL_SOCKET, SO_BROADCAST, &broadcast, &size), "SO_BROADCAST");
    note("%d", broadcast);
    trace(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), "TCP_NODELAY");
    trace(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), "TCP_NODELAY");
    trace(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), "SO_KEEPALIVE");
    trace(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){9}, sizeof(int)), "IP_TTL");
    trace(getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &size), "IP_TTL");
    note("%d", value);
    close(fd);
}
