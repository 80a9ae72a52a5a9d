/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random socket calls on descriptors of all kinds, for the preload library under sanitizers; on the kernel's
 * own sockets it checks itself. A model of what is cheap to know is kept beside: which numbers are open, and
 * which bytes each connection has taken and given. Usage: fuzz_preload --address A --seed N --calls N
 * [--threads N]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SLOTS = 40, SETS = 4, ROOM = 4096, BETWEEN = 1000, STUCK_SECONDS = 60 };

/* What a descriptor is, as far as the model goes. */
enum kind { FREE, CONNECTION, DATAGRAM, LISTENER, FRESH, PIPE, EVENT, UNIX, CLOSED };

/* One direction of a connection. Both ends hold it; the last one frees it. */
struct stream {
    uint64_t id;
    uint64_t written, read;
    int holders;
    bool vague; /* bytes may have been lost or taken unseen: the model has nothing to say any more */
};

struct slot {
    enum kind kind;
    int fd;
    struct stream *out, *in;
};

/* Everything of one thread: no descriptor is shared, but the stack is. */
struct fuzz {
    uint64_t state; /* of the random numbers */
    unsigned long calls;
    unsigned number; /* of the thread */
    struct slot slots[SLOTS];
    int sets[SETS];
    int file;
    off_t file_size;
    uint64_t next_stream;
    unsigned long errors;
};

static struct in_addr own_address;
static __thread const char *last_call = "none";
static uint64_t seed = 1;

static void fail(const char *what) {
    fprintf(stderr, "fuzz_preload: seed %lu: %s (in %s, errno %s)\n", seed, what, last_call,
            strerrorname_np(errno));
    abort();
}

/* xorshift64* */
static uint32_t roll(struct fuzz *fuzz) {
    fuzz->state ^= fuzz->state >> 12;
    fuzz->state ^= fuzz->state << 25;
    fuzz->state ^= fuzz->state >> 27;
    return (uint32_t)((fuzz->state * 0x2545f4914f6cdd1du) >> 32);
}

static uint32_t below(struct fuzz *fuzz, uint32_t limit) {
    return (uint32_t)(((uint64_t)roll(fuzz) * limit) >> 32);
}

static bool one_in(struct fuzz *fuzz, uint32_t times) {
    return below(fuzz, times) == 0;
}

static uint8_t byte_of(const struct stream *stream, uint64_t at) {
    return (uint8_t)(((stream->id + at) * 0x9e3779b97f4a7c15u) >> 40);
}

/* --- slots --------------------------------------------------------------------------------------------- */

static struct stream *new_stream(struct fuzz *fuzz, int holders) {
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        fail("no memory");
    stream->id = (uint64_t)fuzz->number << 56 | ++fuzz->next_stream << 24;
    stream->holders = holders;
    return stream;
}

static void drop_stream(struct stream *stream) {
    if (stream && --stream->holders == 0)
        free(stream);
}

/* An unused slot; else one whose number was only kept because it is closed. */
static struct slot *free_slot(struct fuzz *fuzz) {
    struct slot *closed = NULL;

    for (int i = 0; i < SLOTS; i++) {
        if (fuzz->slots[i].kind == FREE)
            return &fuzz->slots[i];
        if (fuzz->slots[i].kind == CLOSED)
            closed = &fuzz->slots[i];
    }
    if (closed)
        closed->kind = FREE;
    return closed;
}

static bool is_open(const struct slot *slot) {
    return slot->kind != FREE && slot->kind != CLOSED;
}

/* Mostly an open one. */
static struct slot *any_slot(struct fuzz *fuzz) {
    struct slot *slot;
    int tries = 8;

    do {
        slot = &fuzz->slots[below(fuzz, SLOTS)];
    } while (!is_open(slot) && --tries > 0);
    return slot;
}

static void take(struct slot *slot, enum kind kind, int fd) {
    if (slot->kind != FREE)
        fail("a slot that is not free");
    *slot = (struct slot){.kind = kind, .fd = fd};
}

/* The number of a slot, or one that nothing has. */
static int number_of(const struct slot *slot) {
    return slot->kind == FREE ? -1 : slot->fd;
}

/* A closed number stays in its slot for a while, to be tried; another thread must not get it meanwhile, so
 * that with several threads it is forgotten at once. */
static bool alone = true;

static void forget_number(struct fuzz *fuzz, int fd) {
    for (int i = 0; i < SLOTS; i++)
        if (fuzz->slots[i].kind == CLOSED && fuzz->slots[i].fd == fd)
            fuzz->slots[i].kind = FREE;
}

static void opened(struct fuzz *fuzz, enum kind kind, int fd) {
    struct slot *slot;

    if (fd < 0)
        return;
    forget_number(fuzz, fd);
    slot = free_slot(fuzz);
    if (slot)
        take(slot, kind, fd);
    else
        close(fd);
}

static void close_slot(struct slot *slot) {
    if (!is_open(slot))
        return;
    last_call = "close";
    if (close(slot->fd) != 0)
        fail("an open descriptor could not be closed");
    /* What the other side still has to read may now be lost to a reset. */
    if (slot->out)
        slot->out->vague = true;
    if (slot->in)
        slot->in->vague = true;
    drop_stream(slot->out);
    drop_stream(slot->in);
    *slot = (struct slot){.kind = alone ? CLOSED : FREE, .fd = slot->fd};
}

/* `result` of a call on `slot`: what is closed must say so. */
static void check_closed(struct fuzz *fuzz, const struct slot *slot, long result) {
    if (result == -1)
        fuzz->errors++;
    if (slot->kind == CLOSED && !(result == -1 && errno == EBADF))
        fail("a closed descriptor took a call");
}

/* --- connections -------------------------------------------------------------------------------------------
 */

static struct sockaddr_in address_of(struct in_addr host, uint16_t port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};
}

static struct in_addr some_host(struct fuzz *fuzz) {
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    return one_in(fuzz, 5) ? loopback : own_address;
}

/* A connection with both ends known, over a listener of its own. */
static void make_connection(struct fuzz *fuzz) {
    struct sockaddr_in address = address_of(some_host(fuzz), 0);
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
    struct slot *a, *b;

    last_call = "a connection";
    if (listener < 0 || client < 0)
        fail("socket");
    forget_number(fuzz, listener);
    forget_number(fuzz, client);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        fail("bind to a port of the stack's choice");
    if (listen(listener, 4) != 0)
        fail("listen");
    if (connect(client, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (server < 0)
        fail("accept");
    close(listener);
    forget_number(fuzz, server);
    if (fcntl(client, F_SETFL, O_NONBLOCK) != 0)
        fail("F_SETFL");
    a = free_slot(fuzz);
    if (a)
        take(a, CONNECTION, client);
    b = free_slot(fuzz);
    if (!a || !b) {
        close(client);
        close(server);
        if (a)
            a->kind = FREE;
        return;
    }
    take(b, CONNECTION, server);
    a->out = b->in = new_stream(fuzz, 2);
    a->in = b->out = new_stream(fuzz, 2);
}

static void make_other(struct fuzz *fuzz) {
    struct sockaddr_in address = address_of(some_host(fuzz), one_in(fuzz, 4) ? 7777 : 0);
    int ends[2] = {-1, -1}, fd;

    last_call = "a new descriptor";
    switch (below(fuzz, 6)) {
    case 0:
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (!one_in(fuzz, 4))
            bind(fd, (struct sockaddr *)&address, sizeof(address));
        opened(fuzz, DATAGRAM, fd);
        break;
    case 1:
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            listen(fd, (int)below(fuzz, 6)) == 0)
            opened(fuzz, LISTENER, fd);
        else
            close(fd);
        break;
    case 2:
        opened(fuzz, FRESH, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        break;
    case 3:
        if (pipe2(ends, O_NONBLOCK) == 0) {
            opened(fuzz, PIPE, ends[0]);
            opened(fuzz, PIPE, ends[1]);
        }
        break;
    case 4:
        opened(fuzz, EVENT, eventfd(0, EFD_NONBLOCK));
        break;
    default:
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) {
            opened(fuzz, UNIX, ends[0]);
            opened(fuzz, UNIX, ends[1]);
        }
    }
}

/* --- calls: bytes
 * --------------------------------------------------------------------------------------------- */

static void put_bytes(const struct slot *slot, uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        data[i] = slot->out ? byte_of(slot->out, slot->out->written + i) : (uint8_t)i;
}

static void call_write(struct fuzz *fuzz, struct slot *slot) {
    uint8_t data[ROOM];
    size_t size = below(fuzz, one_in(fuzz, 3) ? ROOM : 64), half = size / 2;
    struct iovec pieces[3] = {{data, half}, {data + half, 0}, {data + half, size - half}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (one_in(fuzz, 4) ? MSG_MORE : 0);
    ssize_t count;

    put_bytes(slot, data, size);
    switch (below(fuzz, 5)) {
    case 0:
        last_call = "write";
        count = write(number_of(slot), data, size);
        break;
    case 1:
        last_call = "writev";
        count = writev(number_of(slot), pieces, 3);
        break;
    case 2:
        last_call = "sendmsg";
        count = sendmsg(number_of(slot), &message, flags);
        break;
    case 3:
        last_call = "sendto";
        count = sendto(number_of(slot), data, size, flags, NULL, 0);
        break;
    default:
        last_call = "send";
        count = send(number_of(slot), data, size, flags);
    }
    check_closed(fuzz, slot, count);
    if (count > (ssize_t)size)
        fail("more was written than given");
    if (count > 0 && slot->out)
        slot->out->written += (uint64_t)count;
}

static void check_bytes(const struct slot *slot, const uint8_t *data, ssize_t count) {
    const struct stream *stream = slot->in;

    if (count <= 0 || !stream)
        return;
    if (stream->read + (uint64_t)count > stream->written)
        fail("more was read than written");
    for (ssize_t i = 0; i < count; i++)
        if (data[i] != byte_of(stream, stream->read + (uint64_t)i))
            fail("other bytes were read than written");
}

static void call_read(struct fuzz *fuzz, struct slot *slot) {
    uint8_t data[ROOM];
    size_t size = below(fuzz, one_in(fuzz, 3) ? ROOM : 64), half = size / 2;
    struct iovec pieces[3] = {{data, half}, {data + half, 0}, {data + half, size - half}};
    struct sockaddr_storage from;
    socklen_t from_size = (socklen_t)below(fuzz, sizeof(from) + 1);
    struct msghdr message = {.msg_name = &from, .msg_namelen = from_size, .msg_iov = pieces, .msg_iovlen = 3};
    int flags = MSG_DONTWAIT;
    bool peek = false, stream = slot->kind == CONNECTION || slot->kind == UNIX || slot->kind == PIPE;
    ssize_t count;

    flags |= one_in(fuzz, 6) ? MSG_WAITALL : 0;
    if (one_in(fuzz, 6)) {
        flags |= MSG_PEEK;
        peek = true;
    }
    flags |= !stream && one_in(fuzz, 4) ? MSG_TRUNC : 0;
    switch (below(fuzz, 5)) {
    case 0:
        last_call = "read";
        peek = false;
        count = read(number_of(slot), data, size);
        break;
    case 1:
        last_call = "readv";
        peek = false;
        count = readv(number_of(slot), pieces, 3);
        break;
    case 2:
        last_call = "recvmsg";
        count = recvmsg(number_of(slot), &message, flags);
        break;
    case 3:
        last_call = "recvfrom";
        count = recvfrom(number_of(slot), data, size, flags, (struct sockaddr *)&from, &from_size);
        break;
    default:
        last_call = "recv";
        count = recv(number_of(slot), data, size, flags);
    }
    check_closed(fuzz, slot, count);
    if (count > (ssize_t)size && !(flags & MSG_TRUNC) && slot->kind != EVENT)
        fail("more was read than there was room");
    check_bytes(slot, data, count);
    if (count > 0 && slot->in && !peek)
        slot->in->read += (uint64_t)count;
    else if (count == 0 && size > 0 && slot->in && !slot->in->vague && slot->in->read != slot->in->written)
        fail("the end came before all bytes");
}

static void call_sendfile(struct fuzz *fuzz, struct slot *slot) {
    uint8_t data[ROOM];
    size_t size = below(fuzz, ROOM);
    off_t offset = fuzz->file_size;
    ssize_t count;

    /* Behind what was there: the kernel sends a file's pages as they are when the packet leaves. */
    put_bytes(slot, data, size);
    if (pwrite(fuzz->file, data, size, offset) != (ssize_t)size ||
        lseek(fuzz->file, offset, SEEK_SET) != offset)
        fail("a file");
    fuzz->file_size += (off_t)size;
    last_call = "sendfile";
    count = sendfile(number_of(slot), fuzz->file, one_in(fuzz, 2) ? &offset : NULL, size);
    check_closed(fuzz, slot, count);
    if (count > 0 && slot->out)
        slot->out->written += (uint64_t)count;
}

/* --- calls: state
 * --------------------------------------------------------------------------------------------- */

static void call_shutdown(struct fuzz *fuzz, struct slot *slot) {
    int how = (int)below(fuzz, 4);

    last_call = "shutdown";
    check_closed(fuzz, slot, shutdown(number_of(slot), how));
    if (slot->in && how != SHUT_WR)
        slot->in->vague = true;
}

static void call_connect(struct fuzz *fuzz, struct slot *slot) {
    struct sockaddr_in address = address_of(some_host(fuzz), one_in(fuzz, 3) ? 7777 : 9);
    socklen_t size = sizeof(address);
    struct slot *other = any_slot(fuzz);

    /* Nobody may take a connection that the model has both ends of for a new one. */
    if (slot->kind == CONNECTION || slot->kind == LISTENER)
        return;
    if (other->kind == LISTENER)
        getsockname(other->fd, (struct sockaddr *)&address, &size);
    if (one_in(fuzz, 8))
        address.sin_family = AF_UNSPEC;
    last_call = "connect";
    check_closed(fuzz, slot,
                 connect(number_of(slot), (struct sockaddr *)&address,
                         one_in(fuzz, 10) ? (socklen_t)below(fuzz, sizeof(address)) : sizeof(address)));
}

static void call_accept(struct fuzz *fuzz, struct slot *slot) {
    static const int flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC, 0x33};
    struct sockaddr_storage from;
    socklen_t size = (socklen_t)below(fuzz, sizeof(from) + 1);
    int fd;

    last_call = "accept4";
    fd = accept4(number_of(slot), (struct sockaddr *)&from, &size, flags[below(fuzz, 5)]);
    check_closed(fuzz, slot, fd);
    if (fd < 0)
        return;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        fail("F_SETFL of what was accepted");
    opened(fuzz, FRESH, fd);
}

static void call_bind_or_listen(struct fuzz *fuzz, struct slot *slot) {
    struct sockaddr_in address = address_of(some_host(fuzz), one_in(fuzz, 3) ? 7777 : 0);
    socklen_t size = one_in(fuzz, 10) ? (socklen_t)below(fuzz, sizeof(address)) : sizeof(address);

    if (slot->kind == UNIX)
        return;
    if (one_in(fuzz, 10))
        address.sin_addr.s_addr = roll(fuzz);
    if (one_in(fuzz, 2)) {
        last_call = "bind";
        check_closed(fuzz, slot, bind(number_of(slot), (struct sockaddr *)&address, size));
    } else {
        last_call = "listen";
        check_closed(fuzz, slot, listen(number_of(slot), (int)below(fuzz, 8) - 1));
    }
}

static void call_names(struct fuzz *fuzz, struct slot *slot) {
    struct sockaddr_storage address;
    socklen_t size = (socklen_t)below(fuzz, sizeof(address) + 1);

    if (one_in(fuzz, 2)) {
        last_call = "getsockname";
        check_closed(fuzz, slot, getsockname(number_of(slot), (struct sockaddr *)&address, &size));
    } else {
        last_call = "getpeername";
        check_closed(fuzz, slot, getpeername(number_of(slot), (struct sockaddr *)&address, &size));
    }
}

static void call_options(struct fuzz *fuzz, struct slot *slot) {
    static const int options[][2] = {{SOL_SOCKET, SO_REUSEADDR},  {SOL_SOCKET, SO_KEEPALIVE},
                                     {SOL_SOCKET, SO_ERROR},      {SOL_SOCKET, SO_TYPE},
                                     {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_LINGER},
                                     {SOL_SOCKET, SO_RCVTIMEO},   {SOL_SOCKET, SO_SNDTIMEO},
                                     {SOL_SOCKET, SO_RCVBUF},     {SOL_SOCKET, SO_SNDBUF},
                                     {IPPROTO_TCP, TCP_NODELAY},  {IPPROTO_TCP, TCP_KEEPIDLE},
                                     {IPPROTO_TCP, TCP_KEEPCNT},  {IPPROTO_TCP, TCP_KEEPINTVL},
                                     {IPPROTO_TCP, TCP_INFO},     {IPPROTO_TCP, TCP_CORK},
                                     {IPPROTO_IP, IP_TTL},        {IPPROTO_IP, IP_TOS},
                                     {SOL_SOCKET, 4711},          {4711, 1}};
    const int *option = options[below(fuzz, sizeof(options) / sizeof(options[0]))];
    uint8_t value[256] = {0};
    socklen_t size = (socklen_t)(one_in(fuzz, 3) ? below(fuzz, sizeof(value)) : 4u << below(fuzz, 3));

    if (one_in(fuzz, 2)) {
        last_call = "getsockopt";
        check_closed(fuzz, slot, getsockopt(number_of(slot), option[0], option[1], value, &size));
        return;
    }
    value[0] = (uint8_t)below(fuzz, 3);
    /* At most two seconds, of lingering as of waiting. */
    value[4] = option[1] == SO_LINGER && option[0] == SOL_SOCKET ? 0 : (uint8_t)below(fuzz, 2);
    last_call = "setsockopt";
    check_closed(fuzz, slot, setsockopt(number_of(slot), option[0], option[1], value, size));
    if (option[0] == SOL_SOCKET && option[1] == SO_LINGER && slot->out)
        slot->out->vague = true;
}

static void call_control(struct fuzz *fuzz, struct slot *slot) {
    static const int commands[] = {F_GETFL, F_GETFD, F_SETFD, 4711, F_GETOWN};
    int value = 1;

    switch (below(fuzz, 4)) {
    case 0:
        last_call = "fcntl";
        check_closed(fuzz, slot,
                     fcntl(number_of(slot), commands[below(fuzz, 5)], one_in(fuzz, 2) ? FD_CLOEXEC : 0));
        break;
    case 1:
        last_call = "F_SETFL";
        check_closed(fuzz, slot, fcntl(number_of(slot), F_SETFL, O_NONBLOCK));
        break;
    case 2:
        last_call = "FIONBIO";
        check_closed(fuzz, slot, ioctl(number_of(slot), FIONBIO, &value));
        break;
    default:
        last_call = "FIONREAD";
        check_closed(fuzz, slot, ioctl(number_of(slot), FIONREAD, &value));
    }
}

/* A duplicate reads and writes the same stream. */
static void add_duplicate(struct fuzz *fuzz, const struct slot *slot, int fd) {
    struct slot *copy;

    if (fd < 0)
        return;
    forget_number(fuzz, fd);
    copy = free_slot(fuzz);
    if (!copy) {
        close(fd);
        return;
    }
    *copy = *slot;
    copy->fd = fd;
    if (copy->out)
        copy->out->holders++;
    if (copy->in)
        copy->in->holders++;
}

static void call_duplicate(struct fuzz *fuzz, struct slot *slot) {
    struct slot *over = any_slot(fuzz);
    int fd;

    if (one_in(fuzz, 2)) {
        last_call = "dup";
        fd = one_in(fuzz, 2) ? dup(number_of(slot))
                             : fcntl(number_of(slot), F_DUPFD_CLOEXEC, (int)below(fuzz, 200));
        check_closed(fuzz, slot, fd);
        add_duplicate(fuzz, slot, fd);
        return;
    }
    if (!is_open(over) || over == slot)
        return;
    last_call = "dup3";
    fd = dup3(number_of(slot), over->fd, one_in(fuzz, 2) ? O_CLOEXEC : 0);
    check_closed(fuzz, slot, fd);
    if (fd < 0)
        return;
    if (fd != over->fd)
        fail("dup3 gave another number");
    if (over->out)
        over->out->vague = true;
    if (over->in)
        over->in->vague = true;
    drop_stream(over->out);
    drop_stream(over->in);
    over->kind = FREE;
    over->out = over->in = NULL;
    add_duplicate(fuzz, slot, fd);
}

/* --- calls: waiting
 * ------------------------------------------------------------------------------------------- */

static void call_epoll_control(struct fuzz *fuzz, struct slot *slot) {
    static const uint32_t flags[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE};
    struct epoll_event event = {.events = (roll(fuzz) & (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI)) |
                                          flags[below(fuzz, 5)],
                                .data.u32 = (uint32_t)(slot - fuzz->slots)};
    int set = fuzz->sets[below(fuzz, SETS)];

    last_call = "epoll_ctl";
    if (one_in(fuzz, 20)) {
        epoll_ctl(set, 1 + (int)below(fuzz, 3), fuzz->sets[below(fuzz, SETS)], &event);
        return;
    }
    check_closed(fuzz, slot, epoll_ctl(set, 1 + (int)below(fuzz, 4), number_of(slot), &event));
}

static void call_epoll_wait(struct fuzz *fuzz) {
    struct epoll_event events[16];
    sigset_t mask;
    int set = fuzz->sets[below(fuzz, SETS)], count, room = 1 + (int)below(fuzz, 16);

    sigemptyset(&mask);
    last_call = "epoll_wait";
    count = one_in(fuzz, 2) ? epoll_wait(set, events, room, (int)below(fuzz, 2))
                            : epoll_pwait(set, events, room, 0, &mask);
    if (count > room || (count < 0 && errno != EINTR))
        fail("epoll_wait");
    for (int i = 0; i < count; i++)
        if (events[i].data.u32 >= SLOTS)
            fail("an event that nobody asked for");
}

static void call_poll(struct fuzz *fuzz) {
    struct pollfd entries[8];
    nfds_t size = below(fuzz, 8);
    struct timespec moment = {.tv_nsec = below(fuzz, 1000000)};
    int count, seen = 0;

    for (nfds_t i = 0; i < size; i++) {
        const struct slot *slot = any_slot(fuzz);
        entries[i] = (struct pollfd){.fd = number_of(slot), .events = (short)(roll(fuzz) & 0x2007)};
    }
    last_call = "poll";
    count = one_in(fuzz, 2) ? poll(entries, size, (int)below(fuzz, 2)) : ppoll(entries, size, &moment, NULL);
    if (count < 0 && errno != EINTR)
        fail("poll");
    for (nfds_t i = 0; i < size; i++)
        seen += entries[i].revents != 0;
    if (count >= 0 && seen != count)
        fail("poll counts otherwise");
}

static void call_select(struct fuzz *fuzz) {
    struct timeval moment = {.tv_usec = below(fuzz, 1000)};
    fd_set in, out;
    int top = 0, count;

    FD_ZERO(&in);
    FD_ZERO(&out);
    for (int i = 0; i < 6; i++) {
        const struct slot *slot = any_slot(fuzz);
        if (!is_open(slot) || slot->fd >= FD_SETSIZE)
            continue;
        FD_SET(slot->fd, one_in(fuzz, 2) ? &in : &out);
        top = slot->fd >= top ? slot->fd + 1 : top;
    }
    last_call = "select";
    count = select(top, &in, &out, NULL, &moment);
    if (count < 0 && errno != EINTR)
        fail("select");
}

static void renew_set(struct fuzz *fuzz) {
    int *set = &fuzz->sets[below(fuzz, SETS)];

    last_call = "epoll_create1";
    close(*set);
    *set = epoll_create1(0);
    if (*set < 0)
        fail("epoll_create1");
    forget_number(fuzz, *set);
}

/* --- the loop
 * -------------------------------------------------------------------------------------------------- */

static void one_call(struct fuzz *fuzz) {
    struct slot *slot = any_slot(fuzz);
    uint32_t what = below(fuzz, 100);

    if (what < 25)
        call_write(fuzz, slot);
    else if (what < 50)
        call_read(fuzz, slot);
    else if (what < 54)
        make_connection(fuzz);
    else if (what < 58)
        make_other(fuzz);
    else if (what < 62)
        close_slot(slot);
    else if (what < 68)
        call_epoll_control(fuzz, slot);
    else if (what < 74)
        call_epoll_wait(fuzz);
    else if (what < 77)
        call_poll(fuzz);
    else if (what < 79)
        call_select(fuzz);
    else if (what < 81)
        call_shutdown(fuzz, slot);
    else if (what < 84)
        call_connect(fuzz, slot);
    else if (what < 87)
        call_accept(fuzz, slot);
    else if (what < 89)
        call_bind_or_listen(fuzz, slot);
    else if (what < 91)
        call_names(fuzz, slot);
    else if (what < 94)
        call_options(fuzz, slot);
    else if (what < 96)
        call_control(fuzz, slot);
    else if (what < 98)
        call_duplicate(fuzz, slot);
    else if (what < 99)
        call_sendfile(fuzz, slot);
    else
        renew_set(fuzz);
}

static void open_file(struct fuzz *fuzz) {
    fuzz->file = memfd_create("fuzz_preload", 0);
    if (fuzz->file < 0)
        fail("a file");
    for (int i = 0; i < SETS; i++)
        if ((fuzz->sets[i] = epoll_create1(0)) < 0)
            fail("epoll_create1");
}

static void close_all(struct fuzz *fuzz) {
    for (int i = 0; i < SLOTS; i++)
        close_slot(&fuzz->slots[i]);
    for (int i = 0; i < SETS; i++)
        close(fuzz->sets[i]);
    close(fuzz->file);
}

static void on_alarm(int signal) {
    static const char text[] = "fuzz_preload: stuck\n";
    (void)signal;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
        abort();
}

static void *run(void *argument) {
    struct fuzz *fuzz = argument;

    open_file(fuzz);
    for (unsigned long i = 0; i < fuzz->calls; i++) {
        /* Whatever waits for longer than this waits for ever. */
        if (i % BETWEEN == 0)
            alarm(STUCK_SECONDS);
        one_call(fuzz);
    }
    close_all(fuzz);
    return NULL;
}

static void usage(void) {
    fputs("usage: fuzz_preload --address A [--seed N] [--calls N] [--threads N]\n", stderr);
    exit(2);
}

int main(int argc, char *argv[]) {
    static const struct option options[] = {{"address", required_argument, NULL, 'a'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"calls", required_argument, NULL, 'c'},
                                            {"threads", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    enum { THREADS = 16 };
    static struct fuzz fuzzes[THREADS];
    pthread_t threads[THREADS];
    unsigned long calls = 100000, errors = 0;
    unsigned count = 1;
    bool addressed = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            addressed = inet_pton(AF_INET, optarg, &own_address) == 1;
        else if (option == 's')
            seed = strtoul(optarg, NULL, 0);
        else if (option == 'c')
            calls = strtoul(optarg, NULL, 0);
        else if (option == 't')
            count = (unsigned)strtoul(optarg, NULL, 0);
        else
            usage();
    }
    if (optind != argc || !addressed || count < 1 || count > THREADS)
        usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alone = count == 1;
    printf("fuzz_preload: seed %lu, %lu calls, %u threads\n", seed, calls, count);
    fflush(stdout);
    for (unsigned i = 0; i < count; i++) {
        fuzzes[i] = (struct fuzz){
            .state = seed * 0x9e3779b97f4a7c15u + i * 0xd1342543de82ef95u + 1, .calls = calls, .number = i};
        if (pthread_create(&threads[i], NULL, run, &fuzzes[i]) != 0)
            fail("pthread_create");
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        errors += fuzzes[i].errors;
    }
    printf("fuzz_preload: done, %lu calls ended in an error\n", errors);
    return 0;
}
