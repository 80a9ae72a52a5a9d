/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: every call that moves bytes over a connection. */
#include "conformance.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

static void show_text(const char *what, const char *data, long size) {
    if (size < 0)
        note("%s -> %s", what, error_text(errno));
    else
        note("%s -> %ld '%.*s'", what, size, (int)size, data);
}

CASE(echo) {
    struct pair pair = open_pair();
    char data[64];
    int there = -1;

    trace(write(pair.client, "hello", 5), "write");
    await_bytes(pair.server, 5);
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    show_readiness(pair.server, "server");
    show_text("read", data, read(pair.server, data, sizeof(data)));
    trace(ioctl(pair.server, FIONREAD, &there), "FIONREAD");
    note("there %d", there);
    show_readiness(pair.server, "server");
    trace(send(pair.server, "goodbye", 7, 0), "send");
    await_bytes(pair.client, 7);
    show_text("recv", data, recv(pair.client, data, sizeof(data), 0));
    close_pair(pair);
}

CASE(one_byte_reads) {
    enum { SIZE = 5000 };
    struct pair pair = open_pair();
    uint8_t data[SIZE], expected[SIZE];
    size_t there = 0;

    pattern(expected, SIZE, 0);
    send_all(pair.client, expected, SIZE);
    shutdown(pair.client, SHUT_WR);
    while (there < SIZE && read(pair.server, data + there, 1) == 1)
        there++;
    note("%zu bytes, equal %d", there, memcmp(data, expected, SIZE) == 0);
    trace(read(pair.server, data, 1), "read");
    close_pair(pair);
}

CASE(one_byte_writes) {
    enum { SIZE = 5000 };
    struct pair pair = open_pair();
    uint8_t data[SIZE], sent[SIZE];
    int one = 1;

    setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    pattern(sent, SIZE, 0);
    for (int i = 0; i < SIZE; i++)
        send_all(pair.client, sent + i, 1);
    note("%zu bytes, equal %d", receive_all(pair.server, data, SIZE), memcmp(data, sent, SIZE) == 0);
    close_pair(pair);
}

CASE(nothing_to_read) {
    struct pair pair = open_pair();
    char data[8];
    struct iovec piece = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT), "recv MSG_DONTWAIT");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT | MSG_PEEK), "recv MSG_DONTWAIT|MSG_PEEK");
    trace(recv(pair.server, data, sizeof(data), MSG_DONTWAIT | MSG_WAITALL), "recv MSG_DONTWAIT|MSG_WAITALL");
    trace(recvfrom(pair.server, data, sizeof(data), MSG_DONTWAIT, NULL, NULL), "recvfrom MSG_DONTWAIT");
    trace(recvmsg(pair.server, &message, MSG_DONTWAIT), "recvmsg MSG_DONTWAIT");
    set_nonblocking(pair.server);
    trace(read(pair.server, data, sizeof(data)), "read");
    trace(read(pair.server, data, 0), "read nothing");
    trace(readv(pair.server, &piece, 1), "readv");
    trace(recv(pair.server, data, sizeof(data), 0), "recv");
    trace(recv(pair.server, data, sizeof(data), MSG_WAITALL), "recv MSG_WAITALL");
    close_pair(pair);
}

CASE(peek) {
    struct pair pair = open_pair();
    char data[16];
    int there;

    send_all(pair.client, "abcdef", 6);
    await_bytes(pair.server, 6);
    show_text("peek 3", data, recv(pair.server, data, 3, MSG_PEEK));
    show_text("peek 16", data, recv(pair.server, data, 16, MSG_PEEK));
    ioctl(pair.server, FIONREAD, &there);
    note("there %d", there);
    show_text("recv 2", data, recv(pair.server, data, 2, 0));
    show_text("peek 16", data, recv(pair.server, data, 16, MSG_PEEK));
    show_text("peek 16, all", data, recv(pair.server, data, 4, MSG_PEEK | MSG_WAITALL));
    show_text("recv 16", data, recv(pair.server, data, 16, 0));
    trace(recv(pair.server, data, 16, MSG_PEEK | MSG_DONTWAIT), "peek with nothing there");
    shutdown(pair.client, SHUT_WR);
    await(pair.server, POLLRDHUP);
    trace(recv(pair.server, data, 16, MSG_PEEK), "peek at the end");
    trace(recv(pair.server, data, 16, 0), "recv at the end");
    close_pair(pair);
}

CASE(peek_over_many_segments) {
    enum { SIZE = 20000 };
    struct pair pair = open_pair();
    uint8_t data[SIZE], sent[SIZE];

    pattern(sent, SIZE, 0);
    send_all(pair.client, sent, SIZE);
    await_bytes(pair.server, SIZE);
    trace(recv(pair.server, data, SIZE, MSG_PEEK), "peek");
    note("equal %d", memcmp(data, sent, SIZE) == 0);
    trace(recv(pair.server, data, 1999, 0), "recv 1999");
    trace(recv(pair.server, data, SIZE, MSG_PEEK), "peek");
    note("equal %d", memcmp(data, sent + 1999, SIZE - 1999) == 0);
    close_pair(pair);
}

CASE(discard_with_trunc) {
    struct pair pair = open_pair();
    char data[16];

    send_all(pair.client, "abcdef", 6);
    await_bytes(pair.server, 6);
    memset(data, '-', sizeof(data));
    trace(recv(pair.server, data, 4, MSG_TRUNC), "recv MSG_TRUNC");
    note("buffer untouched %d", data[0] == '-');
    show_text("recv", data, recv(pair.server, data, sizeof(data), 0));
    close_pair(pair);
}

struct delayed {
    int fd;
    const char *text;
};

static void *send_in_two(void *argument) {
    struct delayed *delayed = argument;
    size_t size = strlen(delayed->text), half = size / 2;

    send_all(delayed->fd, delayed->text, half);
    poll(NULL, 0, QUIET_MS);
    send_all(delayed->fd, delayed->text + half, size - half);
    return NULL;
}

CASE(wait_for_all) {
    struct pair pair = open_pair();
    struct delayed delayed = {pair.client, "0123456789"};
    char data[16];
    struct iovec pieces[2] = {{data, 4}, {data + 4, 6}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    pthread_t thread = start_thread(send_in_two, &delayed);

    show_text("recv MSG_WAITALL", data, recv(pair.server, data, 10, MSG_WAITALL));
    join(thread);
    thread = start_thread(send_in_two, &delayed);
    show_text("recvmsg MSG_WAITALL", data, recvmsg(pair.server, &message, MSG_WAITALL));
    join(thread);
    send_all(pair.client, "short", 5);
    shutdown(pair.client, SHUT_WR);
    show_text("recv MSG_WAITALL to the end", data, recv(pair.server, data, 10, MSG_WAITALL));
    close_pair(pair);
}

CASE(blocked_read_gets_data) {
    struct pair pair = open_pair();
    struct delayed delayed = {pair.client, "0123456789"};
    char data[16];
    pthread_t thread;
    size_t there = 0;

    poll(NULL, 0, 1);
    thread = start_thread(send_in_two, &delayed);
    while (there < 10) {
        ssize_t count = read(pair.server, data + there, sizeof(data) - there);
        if (count <= 0)
            give_up("read");
        there += (size_t)count;
    }
    join(thread);
    show_text("reads", data, (long)there);
    close_pair(pair);
}

/* --- vectors ---------------------------------------------------------------------------------------------
 */

CASE(vectors) {
    struct pair pair = open_pair();
    char a[8], b[8], c[8];
    struct iovec out[4] = {{"one", 3}, {"", 0}, {"two", 3}, {"three", 5}};
    struct iovec in[4] = {{a, 2}, {b, 0}, {b, 4}, {c, 8}};
    volatile int negative = -1, too_many = IOV_MAX + 1; /* which the compiler would refuse */

    trace(writev(pair.client, out, 4), "writev");
    await_bytes(pair.server, 11);
    trace(readv(pair.server, in, 4), "readv");
    note("'%.2s' '%.4s' '%.5s'", a, b, c);
    trace(writev(pair.client, out, 0), "writev of no pieces");
    trace(readv(pair.server, in, 0), "readv of no pieces");
    trace(writev(pair.client, out + 1, 1), "writev of an empty piece");
    trace(writev(pair.client, out, negative), "writev of -1 pieces");
    trace(readv(pair.server, in, negative), "readv of -1 pieces");
    trace(writev(pair.client, out, too_many), "writev of too many pieces");
    trace(writev(NO_SUCH_FD, out, 1), "writev on no descriptor");
    trace(readv(NO_SUCH_FD, in, 1), "readv on no descriptor");
    close_pair(pair);
}

CASE(vectors_many_pieces) {
    enum { PIECES = IOV_MAX, SIZE = 7 };
    struct pair pair = open_pair();
    static uint8_t sent[PIECES * SIZE], data[PIECES * SIZE];
    static struct iovec pieces[PIECES];

    pattern(sent, sizeof(sent), 0);
    for (int i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){sent + i * SIZE, SIZE};
    trace(writev(pair.client, pieces, PIECES), "writev");
    await_bytes(pair.server, sizeof(sent));
    for (int i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){data + i * SIZE, SIZE};
    trace(readv(pair.server, pieces, PIECES), "readv");
    note("equal %d", memcmp(data, sent, sizeof(sent)) == 0);
    close_pair(pair);
}

CASE(messages) {
    struct pair pair = open_pair();
    char a[4], b[16];
    struct sockaddr_in from;
    char control[64];
    struct iovec out[2] = {{"head", 4}, {"body", 4}}, in[2] = {{a, 4}, {b, 16}};
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};

    trace(sendmsg(pair.client, &message, MSG_NOSIGNAL), "sendmsg");
    await_bytes(pair.server, 8);
    memset(&from, 0x5a, sizeof(from));
    message = (struct msghdr){.msg_name = &from,
                              .msg_namelen = sizeof(from),
                              .msg_iov = in,
                              .msg_iovlen = 2,
                              .msg_control = control,
                              .msg_controllen = sizeof(control),
                              .msg_flags = 0x7f};
    trace(recvmsg(pair.server, &message, 0), "recvmsg");
    note("'%.4s' '%.4s', name %u, control %zu, flags %#x", a, b, message.msg_namelen, message.msg_controllen,
         (unsigned)message.msg_flags);
    send_all(pair.client, "peeked", 6);
    await_bytes(pair.server, 6);
    message = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
    trace(recvmsg(pair.server, &message, MSG_PEEK), "recvmsg MSG_PEEK");
    trace(recvmsg(pair.server, &message, 0), "recvmsg");
    message = (struct msghdr){.msg_iov = in, .msg_iovlen = 0};
    trace(recvmsg(pair.server, &message, MSG_DONTWAIT), "recvmsg of no pieces");
    trace(sendmsg(pair.client, &message, 0), "sendmsg of no pieces");
    message.msg_iovlen = IOV_MAX + 1;
    trace(sendmsg(pair.client, &message, 0), "sendmsg of too many pieces");
    message.msg_iovlen = 1;
    trace(sendmsg(NO_SUCH_FD, &message, 0), "sendmsg on no descriptor");
    trace(recvmsg(NO_SUCH_FD, &message, 0), "recvmsg on no descriptor");
    trace(sendmsg(STDIN_FILENO, &message, 0), "sendmsg on no socket");
    trace(recvmsg(STDIN_FILENO, &message, 0), "recvmsg on no socket");
    close_pair(pair);
}

CASE(send_flags) {
    struct pair pair = open_pair();
    char data[32];

    trace(send(pair.client, "ab", 2, MSG_MORE), "send MSG_MORE");
    trace(send(pair.client, "cd", 2, 0), "send");
    trace(send(pair.client, "ef", 2, MSG_DONTWAIT), "send MSG_DONTWAIT");
    trace(send(pair.client, "gh", 2, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE), "send three flags");
    trace(send(pair.client, "ij", 2, MSG_EOR), "send MSG_EOR");
    trace(send(pair.client, "", 0, 0), "send nothing");
    trace(write(pair.client, "", 0), "write nothing");
    trace(send(pair.client, "kl", 2, MSG_DONTROUTE), "send MSG_DONTROUTE");
    trace(send(pair.client, "mn", 2, MSG_CONFIRM), "send MSG_CONFIRM");
    show_text("read", data, (long)receive_all(pair.server, data, 14));
    trace(recv(pair.server, data, 1, MSG_OOB), "recv MSG_OOB");
    trace(recv(pair.server, data, 1, MSG_ERRQUEUE), "recv MSG_ERRQUEUE");
    close_pair(pair);
}

CASE(cork) {
    struct pair pair = open_pair();
    int on = 1, off = 0;
    char data[16];

    trace(setsockopt(pair.client, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), "TCP_CORK 1");
    send_all(pair.client, "head", 4);
    send_all(pair.client, "body", 4);
    trace(setsockopt(pair.client, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)), "TCP_CORK 0");
    show_text("read", data, (long)receive_all(pair.server, data, 8));
    close_pair(pair);
}

/* --- errors that have nothing to do with the connection's state
 * ---------------------------------------------- */

CASE(data_calls_on_no_socket) {
    char byte = 0;
    struct iovec piece = {&byte, 1};
    int pipes[2];

    if (pipe(pipes) != 0)
        give_up("pipe");
    trace(read(NO_SUCH_FD, &byte, 1), "read no descriptor");
    trace(write(NO_SUCH_FD, &byte, 1), "write no descriptor");
    trace(recv(NO_SUCH_FD, &byte, 1, 0), "recv no descriptor");
    trace(send(NO_SUCH_FD, &byte, 1, 0), "send no descriptor");
    trace(recvfrom(NO_SUCH_FD, &byte, 1, 0, NULL, NULL), "recvfrom no descriptor");
    trace(sendto(NO_SUCH_FD, &byte, 1, 0, NULL, 0), "sendto no descriptor");
    trace(read(-1, &byte, 1), "read -1");
    trace(write(-1, &byte, 1), "write -1");
    trace(close(-1), "close -1");
    trace(close(NO_SUCH_FD), "close no descriptor");
    trace(recv(pipes[0], &byte, 1, 0), "recv a pipe");
    trace(send(pipes[1], &byte, 1, 0), "send a pipe");
    trace(recvfrom(pipes[0], &byte, 1, 0, NULL, NULL), "recvfrom a pipe");
    trace(write(pipes[0], &byte, 1), "write the wrong end");
    trace(writev(pipes[1], &piece, 1), "writev a pipe");
    trace(readv(pipes[0], &piece, 1), "readv a pipe");
    close(pipes[0]);
    close(pipes[1]);
}

CASE(calls_that_sockets_do_not_have) {
    struct pair pair = open_pair();
    char byte = 0;

    trace(lseek(pair.client, 0, SEEK_SET), "lseek");
    trace(pread(pair.client, &byte, 1, 0), "pread");
    trace(pwrite(pair.client, &byte, 1, 0), "pwrite");
    trace(ftruncate(pair.client, 0), "ftruncate");
    trace(fsync(pair.client), "fsync");
    close_pair(pair);
}

#ifndef __SANITIZE_ADDRESS__
/* Small structures that are NULL; the sanitizer's own wrappers would read them. */
CASE(null_pointers) {
    struct pair pair = open_pair();
    int fd = open_socket(SOCK_STREAM), listener = open_listener(2), set = epoll_create1(0);
    struct sockaddr *volatile none = NULL;
    void *volatile no_data = NULL;
    socklen_t *volatile no_size = NULL;
    socklen_t size = sizeof(struct sockaddr_in);

    trace(bind(fd, none, sizeof(struct sockaddr_in)), "bind NULL");
    trace(connect(fd, none, sizeof(struct sockaddr_in)), "connect NULL");
    trace(getsockname(pair.client, none, &size), "getsockname NULL");
    trace(getsockname(pair.client, none, no_size), "getsockname NULL, size NULL");
    trace(getpeername(pair.client, none, &size), "getpeername NULL");
    trace(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, no_data, 4), "setsockopt NULL");
    trace(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, no_data, 4), "setsockopt TCP_NODELAY NULL");
    size = 4;
    trace(getsockopt(fd, SOL_SOCKET, SO_ERROR, no_data, &size), "getsockopt NULL");
    trace(getsockopt(fd, SOL_SOCKET, SO_ERROR, &size, no_size), "getsockopt size NULL");
    trace(epoll_ctl(set, EPOLL_CTL_ADD, pair.client, no_data), "epoll_ctl ADD NULL");
    trace(ioctl(pair.client, FIONREAD, no_data), "FIONREAD NULL");
    trace(ioctl(pair.client, FIONBIO, no_data), "FIONBIO NULL");
    trace(epoll_wait(set, no_data, 1, 0), "epoll_wait NULL, nothing ready");
    close_pair(pair);
    close(fd);
    close(listener);
    close(set);
}
#endif

/* --- full buffers
 * -------------------------------------------------------------------------------------------- */

CASE(full_buffer) {
    struct pair pair = open_pair();
    size_t size = fill(pair.client);
    struct iovec piece = {"x", 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    note("something fits: %d", size > 1000);
    show_readiness(pair.client, "full");
    trace(write(pair.client, "x", 1), "write");
    trace(writev(pair.client, &piece, 1), "writev");
    trace(send(pair.client, "x", 1, 0), "send");
    trace(sendmsg(pair.client, &message, 0), "sendmsg");
    fcntl(pair.client, F_SETFL, 0);
    trace(send(pair.client, "x", 1, MSG_DONTWAIT), "send MSG_DONTWAIT");
    trace(write(pair.client, "", 0), "write nothing");
    drain(pair.server, size);
    note("await OUT -> %s", events_text(await(pair.client, POLLOUT)));
    show_readiness(pair.client, "drained");
    trace(send(pair.client, "x", 1, MSG_DONTWAIT), "send");
    close_pair(pair);
}

CASE(full_buffer_half_close) {
    struct pair pair = open_pair();
    size_t size = fill(pair.client);
    char byte;

    trace(shutdown(pair.client, SHUT_WR), "shutdown WR of a full buffer");
    show_readiness(pair.client, "client");
    drain(pair.server, size);
    trace(read(pair.server, &byte, 1), "read behind it");
    close_pair(pair);
}

CASE(full_buffer_closed) {
    struct pair pair = open_pair();
    size_t size = fill(pair.client);
    char byte;

    trace(close(pair.client), "close with a full buffer");
    drain(pair.server, size);
    trace(read(pair.server, &byte, 1), "read behind it");
    close(pair.server);
}

/* A write larger than any buffer: a nonblocking one takes a part. */
CASE(partial_write) {
    enum { SIZE = 32 << 20 };
    struct pair pair = open_pair();
    uint8_t *data = malloc(SIZE);
    struct iovec pieces[2] = {{data, SIZE / 2}, {data + SIZE / 2, SIZE / 2}};
    ssize_t count;

    pattern(data, SIZE, 0);
    set_nonblocking(pair.client);
    count = write(pair.client, data, SIZE);
    note("write: a part %d", count > 0 && count < SIZE);
    drain(pair.server, (size_t)count);
    await(pair.client, POLLOUT);
    count = writev(pair.client, pieces, 2);
    note("writev: a part %d", count > 0 && count < SIZE);
    drain(pair.server, (size_t)count);
    trace(recv(pair.server, data, 1, MSG_DONTWAIT), "nothing more came");
    free(data);
    close_pair(pair);
}

static void *drain_thread(void *argument) {
    drain(*(int *)argument, 8 << 20);
    return NULL;
}

CASE(blocked_write) {
    enum { SIZE = 8 << 20 };
    struct pair pair = open_pair();
    uint8_t *data = malloc(SIZE);
    pthread_t thread;

    pattern(data, SIZE, 0);
    thread = start_thread(drain_thread, &pair.server);
    trace(write(pair.client, data, SIZE), "write takes all");
    join(thread);
    free(data);
    close_pair(pair);
}

CASE(blocked_writev) {
    enum { SIZE = 8 << 20, PIECES = 64 };
    struct pair pair = open_pair();
    uint8_t *data = malloc(SIZE);
    struct iovec pieces[PIECES];
    pthread_t thread;

    pattern(data, SIZE, 0);
    for (int i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){data + (size_t)i * (SIZE / PIECES), SIZE / PIECES};
    thread = start_thread(drain_thread, &pair.server);
    trace(writev(pair.client, pieces, PIECES), "writev takes all");
    join(thread);
    free(data);
    close_pair(pair);
}

CASE(data_is_taken_at_the_call) {
    struct pair pair = open_pair();
    char data[10000];

    memset(data, 'a', sizeof(data));
    send_all(pair.client, data, sizeof(data));
    memset(data, 'b', sizeof(data));
    trace((long)receive_all(pair.server, data, sizeof(data)), "read");
    note("first %c, last %c", data[0], data[sizeof(data) - 1]);
    close_pair(pair);
}

/* --- sendfile
 * ------------------------------------------------------------------------------------------------ */

static int file_of(size_t size) {
    uint8_t *data = malloc(size);
    int fd = memfd_create("conformance", 0);

    pattern(data, size, 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        give_up("a file");
    free(data);
    return fd;
}

CASE(sendfile_small) {
    struct pair pair = open_pair();
    int file = file_of(1000);
    uint8_t data[2000], expected[1000];
    off_t offset = 200;

    pattern(expected, sizeof(expected), 0);
    trace(sendfile(pair.client, file, NULL, 100), "sendfile from the file's place");
    note("the file's place %ld", (long)lseek(file, 0, SEEK_CUR));
    trace(sendfile(pair.client, file, &offset, 300), "sendfile from 200");
    note("offset %ld, the file's place %ld", (long)offset, (long)lseek(file, 0, SEEK_CUR));
    trace(sendfile(pair.client, file, &offset, 5000), "sendfile more than there is");
    note("offset %ld", (long)offset);
    trace(sendfile(pair.client, file, &offset, 100), "sendfile at the end");
    trace(sendfile(pair.client, file, NULL, 0), "sendfile nothing");
    note("%zu bytes came", receive_all(pair.server, data, 900));
    note("equal %d %d", memcmp(data, expected, 100) == 0, memcmp(data + 100, expected + 200, 800) == 0);
    close(file);
    close_pair(pair);
}

CASE(sendfile_full_buffer) {
    enum { SIZE = 32 << 20 };
    struct pair pair = open_pair();
    int file = file_of(SIZE);
    off_t offset = 0;
    ssize_t count;

    set_nonblocking(pair.client);
    count = sendfile(pair.client, file, &offset, SIZE);
    note("a part %d, offset tells %d", count > 0 && count < SIZE, offset == count);
    while ((count = sendfile(pair.client, file, &offset, SIZE)) > 0 ||
           poll(&(struct pollfd){.fd = pair.client, .events = POLLOUT}, 1, QUIET_MS) == 1)
        ;
    trace(count, "sendfile into a full buffer");
    drain(pair.server, (size_t)offset);
    note("what came is right");
    close(file);
    close_pair(pair);
}

static void *sendfile_thread(void *argument) {
    int *fds = argument;
    off_t offset = 0;

    while (offset < 8 << 20)
        if (sendfile(fds[0], fds[1], &offset, 8 << 20) <= 0)
            give_up("sendfile");
    return NULL;
}

CASE(sendfile_blocking) {
    struct pair pair = open_pair();
    int fds[2] = {pair.client, file_of(8 << 20)};
    pthread_t thread = start_thread(sendfile_thread, fds);

    drain(pair.server, 8 << 20);
    join(thread);
    note("all came");
    close(fds[1]);
    close_pair(pair);
}

CASE(sendfile_errors) {
    struct pair pair = open_pair();
    int file = file_of(10), fresh = open_socket(SOCK_STREAM), pipes[2];
    off_t offset = -1;

    if (pipe(pipes) != 0)
        give_up("pipe");
    count_signal(SIGPIPE, 0);
    trace(sendfile(fresh, file, NULL, 10), "sendfile to a new socket");
    trace(sendfile(pair.client, NO_SUCH_FD, NULL, 10), "sendfile from no descriptor");
    trace(sendfile(NO_SUCH_FD, file, NULL, 10), "sendfile to no descriptor");
    trace(sendfile(pair.client, pair.server, NULL, 10), "sendfile from a socket");
    trace(sendfile(pair.client, file, &offset, 10), "sendfile from -1");
    note("SIGPIPE %d", signals_counted());
    shutdown(pair.client, SHUT_WR);
    lseek(file, 0, SEEK_SET);
    trace(sendfile(pair.client, file, NULL, 10), "sendfile after shutdown");
    note("SIGPIPE %d, the file's place %ld", signals_counted(), (long)lseek(file, 0, SEEK_CUR));
    signal(SIGPIPE, SIG_DFL);
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    close(fresh);
    close_pair(pair);
}

/* --- signals
 * ------------------------------------------------------------------------------------------------- */

CASE(sigpipe_can_be_ignored) {
    struct pair pair = open_pair();

    signal(SIGPIPE, SIG_IGN);
    shutdown(pair.client, SHUT_WR);
    trace(write(pair.client, "x", 1), "write");
    signal(SIGPIPE, SIG_DFL);
    close_pair(pair);
}

CASE(sigpipe_can_be_blocked) {
    struct pair pair = open_pair();
    sigset_t pipe_only, pending;
    struct timespec now = {0, 0};

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    shutdown(pair.client, SHUT_WR);
    trace(write(pair.client, "x", 1), "write");
    sigpending(&pending);
    note("pending %d", sigismember(&pending, SIGPIPE));
    sigtimedwait(&pipe_only, NULL, &now);
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    close_pair(pair);
}

CASE(read_interrupted) {
    struct pair pair = open_pair();
    char byte;

    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace(read(pair.client, &byte, 1), "read");
    trace(recv(pair.client, &byte, 1, 0), "recv");
    trace(recvfrom(pair.client, &byte, 1, 0, NULL, NULL), "recvfrom");
    stop_signals();
    note("signals %d", signals_counted() >= 3);
    close_pair(pair);
}

CASE(write_interrupted) {
    struct pair pair = open_pair();

    fill(pair.client);
    fcntl(pair.client, F_SETFL, 0);
    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace(write(pair.client, "x", 1), "write");
    stop_signals();
    close_pair(pair);
}

/* What has been written before the signal counts. */
CASE(large_write_interrupted) {
    enum { SIZE = 32 << 20 };
    struct pair pair = open_pair();
    uint8_t *data = malloc(SIZE);
    ssize_t count;

    pattern(data, SIZE, 0);
    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    count = write(pair.client, data, SIZE);
    stop_signals();
    note("write: a part %d", count > 0 && count < SIZE);
    drain(pair.server, (size_t)count);
    trace(recv(pair.server, data, 1, MSG_DONTWAIT), "nothing more");
    free(data);
    close_pair(pair);
}

CASE(accept_interrupted) {
    int listener = open_listener(2);

    count_signal(SIGUSR1, 0);
    start_signals(SIGUSR1);
    trace_descriptor(accept(listener, NULL, NULL), "accept");
    stop_signals();
    close(listener);
}

static void *send_after_signals(void *argument) {
    uint64_t deadline = milliseconds() + (uint64_t)WAIT_MS;

    while (signals_counted() < 3 && milliseconds() < deadline)
        poll(NULL, 0, 5);
    send_all(*(int *)argument, "x", 1);
    return NULL;
}

CASE(read_restarted) {
    struct pair pair = open_pair();
    sigset_t mask, before;
    pthread_t thread;
    char byte;

    count_signal(SIGUSR1, SA_RESTART);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    thread = start_thread(send_after_signals, &pair.server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    start_signals(SIGUSR1);
    trace(read(pair.client, &byte, 1), "read with SA_RESTART");
    stop_signals();
    join(thread);
    note("signals %d", signals_counted() >= 3);
    close_pair(pair);
}

CASE(timed_read_is_not_restarted) {
    struct pair pair = open_pair();
    struct timeval wait = {.tv_sec = 15};
    char byte;

    setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    count_signal(SIGUSR1, SA_RESTART);
    start_signals(SIGUSR1);
    trace(read(pair.client, &byte, 1), "read with SO_RCVTIMEO and SA_RESTART");
    stop_signals();
    close_pair(pair);
}

/* --- other names of the same calls
 * ----------------------------------------------------------------------------- */

/* What a program that was compiled with _FORTIFY_SOURCE or with 64-bit offsets calls. */
ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *from,
                       socklen_t *from_size);
int __poll_chk(struct pollfd *entries, nfds_t count, int wait_ms, size_t room);
int __ppoll_chk(struct pollfd *entries, nfds_t count, const struct timespec *wait, const sigset_t *mask,
                size_t room);
extern int fcntl64(int fd, int command, ...);

CASE(fortified_calls) {
    struct pair pair = open_pair();
    char data[16];
    struct pollfd entry = {.fd = pair.server, .events = POLLIN};
    struct timespec wait = {.tv_sec = 10};
    int file = file_of(10);
    off_t offset = 0;

    trace(__recv_chk(pair.server, data, 3, sizeof(data), MSG_DONTWAIT), "__recv_chk");
    send_all(pair.client, "abcdefghi", 9);
    trace(__poll_chk(&entry, 1, 10000, sizeof(entry)), "__poll_chk");
    trace(__ppoll_chk(&entry, 1, &wait, NULL, sizeof(entry)), "__ppoll_chk");
    await_bytes(pair.server, 9);
    show_text("__read_chk", data, __read_chk(pair.server, data, 3, sizeof(data)));
    show_text("__recv_chk", data, __recv_chk(pair.server, data, 3, sizeof(data), 0));
    show_text("__recvfrom_chk", data, __recvfrom_chk(pair.server, data, 3, sizeof(data), 0, NULL, NULL));
    trace(fcntl64(pair.server, F_SETFL, O_NONBLOCK), "fcntl64");
    trace(__read_chk(pair.server, data, 3, sizeof(data)), "__read_chk");
    trace(sendfile64(pair.client, file, &offset, 10), "sendfile64");
    trace((long)receive_all(pair.server, data, 10), "read");
    close(file);
    close_pair(pair);
}

CASE(many_messages_at_once) {
    struct pair pair = open_pair();
    char a[8], b[8];
    struct iovec out[2] = {{"one", 3}, {"two", 3}}, in[2] = {{a, 3}, {b, 3}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};

    trace(sendmmsg(pair.client, messages, 2, 0), "sendmmsg");
    note("%u %u", messages[0].msg_len, messages[1].msg_len);
    await_bytes(pair.server, 6);
    for (int i = 0; i < 2; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &in[i], .msg_iovlen = 1}};
    trace(recvmmsg(pair.server, messages, 2, MSG_DONTWAIT, NULL), "recvmmsg");
    note("%u '%.3s' %u '%.3s'", messages[0].msg_len, a, messages[1].msg_len, b);
    close_pair(pair);
}
