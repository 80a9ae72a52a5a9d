/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: much data, many connections. */
#include "conformance.h"

enum { MEBI = 1 << 20, CHUNK = 256 * 1024 };

struct stream {
    int fd;
    size_t size;
    size_t piece;
    uint64_t hash;
};

static void *write_stream(void *argument) {
    struct stream *stream = argument;
    uint8_t *data = malloc(stream->piece);
    size_t at = 0;

    stream->hash = FNV1A_START;
    while (at < stream->size) {
        size_t size = stream->size - at < stream->piece ? stream->size - at : stream->piece;
        pattern(data, size, at);
        stream->hash = fnv1a(stream->hash, data, size);
        send_all(stream->fd, data, size);
        at += size;
    }
    shutdown(stream->fd, SHUT_WR);
    free(data);
    return NULL;
}

static void *read_stream(void *argument) {
    struct stream *stream = argument;
    uint8_t *data = malloc(stream->piece);
    ssize_t count;

    stream->hash = FNV1A_START;
    stream->size = 0;
    while ((count = read(stream->fd, data, stream->piece)) > 0) {
        stream->hash = fnv1a(stream->hash, data, (size_t)count);
        stream->size += (size_t)count;
    }
    if (count < 0)
        give_up("read");
    free(data);
    return NULL;
}

static void transfer(size_t size, size_t write_piece, size_t read_piece) {
    struct pair pair = open_pair();
    struct stream out = {.fd = pair.client, .size = size, .piece = write_piece};
    struct stream in = {.fd = pair.server, .piece = read_piece};
    pthread_t thread = start_thread(write_stream, &out);

    read_stream(&in);
    join(thread);
    note("%zu bytes in pieces of %zu and %zu: %zu came, hash %016lx, equal %d", size, write_piece, read_piece,
         in.size, in.hash, in.hash == out.hash);
    close_pair(pair);
}

CASE(transfer_100_megabytes) {
    transfer(100 * (size_t)MEBI, CHUNK, CHUNK);
}

CASE(transfer_in_odd_pieces) {
    transfer(MEBI, 1, CHUNK / 16);
    transfer(4 * MEBI, 1461, 4096);
    transfer(4 * MEBI, 100001, 37);
    transfer(4 * MEBI, 3, 1459);
}

CASE(transfer_both_ways) {
    struct pair pair = open_pair();
    struct stream streams[4] = {{.fd = pair.client, .size = 20 * MEBI, .piece = 50000},
                                {.fd = pair.server, .size = 20 * MEBI, .piece = 60000},
                                {.fd = pair.server, .piece = 70000},
                                {.fd = pair.client, .piece = 80000}};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(i < 2 ? write_stream : read_stream, &streams[i]);
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    note("there: %zu, equal %d; back: %zu, equal %d", streams[2].size, streams[2].hash == streams[0].hash,
         streams[3].size, streams[3].hash == streams[1].hash);
    close_pair(pair);
}

/* One thread, an edge-triggered set, both ends: as a server and its client in one loop. */
struct end {
    int fd;
    size_t to_write, written, read;
    uint64_t sent, received;
    bool writable, readable;
};

static void write_some(struct end *end) {
    static uint8_t data[64 * 1024];

    while (end->writable && end->written < end->to_write) {
        size_t size =
            end->to_write - end->written < sizeof(data) ? end->to_write - end->written : sizeof(data);
        ssize_t count;
        pattern(data, size, end->written);
        count = write(end->fd, data, size);
        if (count < 0 && errno == EAGAIN) {
            end->writable = false;
        } else if (count <= 0) {
            give_up("write");
        } else {
            end->sent = fnv1a(end->sent, data, (size_t)count);
            end->written += (size_t)count;
        }
    }
}

static void read_some(struct end *end) {
    static uint8_t data[64 * 1024];
    ssize_t count;

    while ((count = read(end->fd, data, sizeof(data))) > 0) {
        end->received = fnv1a(end->received, data, (size_t)count);
        end->read += (size_t)count;
    }
    if (count == 0 || errno != EAGAIN)
        give_up("read");
    end->readable = false;
}

CASE(transfer_with_edges_in_one_thread) {
    struct pair pair = open_pair();
    struct end ends[2];
    struct epoll_event events[2];
    int set = epoll_create1(0), fds[2] = {pair.client, pair.server};
    const size_t size = 50 * (size_t)MEBI;

    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
        set_nonblocking(fds[i]);
        ends[i] = (struct end){.fd = fds[i], .to_write = size, .sent = FNV1A_START, .received = FNV1A_START};
        epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event);
    }
    while (ends[0].read < size || ends[1].read < size) {
        int count = epoll_wait(set, events, 2, WAIT_MS);
        if (count <= 0)
            give_up("epoll_wait at %zu and %zu", ends[0].read, ends[1].read);
        for (int i = 0; i < count; i++) {
            struct end *end = &ends[events[i].data.u32];
            end->writable = end->writable || (events[i].events & EPOLLOUT);
            write_some(end);
            if (events[i].events & EPOLLIN)
                read_some(end);
        }
    }
    note("%zu bytes each way, equal %d %d", size, ends[0].sent == ends[1].received,
         ends[1].sent == ends[0].received);
    close(set);
    close_pair(pair);
}

/* --- many connections
 * ---------------------------------------------------------------------------------------- */

enum closer { CLIENT_FIRST, SERVER_FIRST, BY_RESET };

static void connect_and_close(int count, enum closer closer) {
    static const char *const names[] = {"the client first", "the server first", "by reset"};
    int listener = open_listener(16), good = 0;

    for (int i = 0; i < count; i++) {
        struct pair pair = {.client = connect_to(listener)};
        char data[8];
        pair.server = accept_from(listener);
        send_all(pair.client, "hello", 5);
        if (receive_all(pair.server, data, 5) != 5)
            give_up("hello");
        if (closer == BY_RESET)
            set_linger(pair.client, 1, 0);
        close(closer == SERVER_FIRST ? pair.server : pair.client);
        good += read(closer == SERVER_FIRST ? pair.client : pair.server, data, 1) ==
                (closer == BY_RESET ? -1 : 0);
        close(closer == SERVER_FIRST ? pair.client : pair.server);
    }
    note("%d of %d connections closed, %s", good, count, names[closer]);
    close(listener);
}

CASE(connect_and_close_thousands) {
    connect_and_close(1500, CLIENT_FIRST);
    connect_and_close(1500, SERVER_FIRST);
    connect_and_close(2000, BY_RESET);
}

CASE(connect_and_close_unread) {
    int listener = open_listener(16), good = 0;

    for (int i = 0; i < 500; i++) {
        int client = connect_to(listener), server = accept_from(listener);
        send_all(client, "unread", 6);
        send_all(server, "unread", 6);
        await(client, POLLIN);
        await(server, POLLIN);
        good += close(client) == 0 && close(server) == 0;
    }
    note("%d closed with unread data", good);
    close(listener);
}

CASE(many_at_once) {
    enum { COUNT = 1000 };
    static struct pair pairs[COUNT];
    int listener = open_listener(64), right = 0;
    char data[16];

    for (int i = 0; i < COUNT; i++) {
        pairs[i].client = connect_to(listener);
        pairs[i].server = accept_from(listener);
    }
    for (int i = 0; i < COUNT; i++)
        send_all(pairs[i].client, &i, sizeof(i));
    for (int i = COUNT - 1; i >= 0; i--)
        right +=
            receive_all(pairs[i].server, data, sizeof(i)) == sizeof(i) && memcmp(data, &i, sizeof(i)) == 0;
    note("%d of %d right", right, COUNT);
    for (int i = 0; i < COUNT; i++)
        close_pair(pairs[i]);
    close(listener);
}

CASE(many_sockets_unused) {
    int good = 0;

    for (int i = 0; i < 5000; i++) {
        int fd = socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
        good += fd >= 0 && close(fd) == 0;
    }
    for (int i = 0; i < 1000; i++)
        good += close(open_listener(4)) == 0;
    note("%d opened and closed", good);
}
