/* SPDX-License-Identifier: BSD-3-Clause */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/engine/eal_start.h"
#include "preload/engine/engine.h"
#include "preload/engine/libc.h"

struct expectation {
    struct socket *socket;
    uint32_t events;
};

static bool holds(void *argument) {
    const struct expectation *expectation = argument;

    return expectation->socket->closing ||
           (socket_ready(expectation->socket) & (expectation->events | EPOLLERR | EPOLLHUP)) != 0;
}

/* Waits until `events` or the end of the connection. `*deadline` is of the call as a whole: 0 when it has not
 * waited yet. 0, -EAGAIN when the time is over, or -EINTR. */
static int wait_for(struct socket *socket, uint32_t events, int64_t timeout_ns, uint64_t *deadline) {
    struct expectation expectation = {socket, events};
    struct engine_wait wait = {.ready = holds, .argument = &expectation, .restart = timeout_ns == 0};
    int code;

    (void)engine_start(); /* the clock of a deadline */
    if (*deadline == 0) {
        *deadline = engine_deadline(timeout_ns > 0 ? timeout_ns : -1);
    }
    wait.deadline = *deadline;
    code = engine_wait(&wait);
    return code > 0 ? 0 : code == 0 ? -EAGAIN : code;
}

/* 0, or the errno that the kernel has for such pieces. */
static int check_pieces(const struct message *message, bool dropped) {
    size_t total = 0;

    for (size_t i = 0; i < message->count; i++) {
        const struct iovec *piece = &message->pieces[i];

        if (piece->iov_len > SSIZE_MAX - total) {
            return -EINVAL;
        }
        total += piece->iov_len;
        if (piece->iov_base == NULL && piece->iov_len > 0 && !dropped) {
            return -EFAULT;
        }
    }
    return 0;
}

/* What a call reports that has moved bytes before it failed: the bytes; the error is for the next call. */
static ssize_t partial(struct socket *socket, ssize_t total, ssize_t error) {
    if (total > 0 && error < 0 && error != -EAGAIN && error != -EINTR && error != -EPIPE) {
        socket->error = (int)-error;
    }
    return total > 0 ? total : error;
}

static void advance(struct message *message, size_t size) {
    while (size > 0 && size >= message->pieces->iov_len) {
        size -= message->pieces->iov_len;
        message->pieces++;
        message->count--;
    }
    if (size > 0) {
        message->pieces->iov_base = (char *)message->pieces->iov_base + size;
        message->pieces->iov_len -= size;
    }
}

ssize_t call_receive(struct socket *socket, struct message *message, int flags) {
    bool all = socket->type == SOCK_STREAM && (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
    bool waits = !socket->nonblocking && !(flags & MSG_DONTWAIT);
    size_t wanted = message_size(message);
    uint64_t deadline = 0;
    ssize_t total = 0;
    int code;

    if (flags & MSG_ERRQUEUE) {
        return -EAGAIN; /* lwIP keeps no queue of errors */
    }
    code = check_pieces(message, socket->type == SOCK_STREAM && (flags & MSG_TRUNC));
    if (code != 0) {
        return code;
    }
    for (;;) {
        ssize_t now = socket->protocol->receive(socket, message, flags);

        if (now == -EAGAIN && !waits && engine_turn()) {
            now = socket->protocol->receive(socket, message, flags);
        }
        if (now > 0) {
            total += now;
            if (!all || !waits || (size_t)total == wanted) {
                return total;
            }
            advance(message, (size_t)now);
            now = -EAGAIN;
        }
        if (now == -EAGAIN && waits) {
            now = wait_for(socket, EPOLLIN, socket->receive_timeout_ns, &deadline);
            if (now == 0) {
                continue;
            }
        }
        return partial(socket, total, now);
    }
}

ssize_t call_send(struct socket *socket, const struct message *message, int flags) {
    bool waits = !socket->nonblocking && !(flags & MSG_DONTWAIT);
    size_t wanted = message_size(message), total = 0;
    int code = check_pieces(message, false);
    uint64_t deadline = 0;

    if (code != 0) {
        return code;
    }
    for (;;) {
        ssize_t now = socket->protocol->send(socket, message, total, flags);

        if (now == -EAGAIN && !waits && engine_turn()) {
            now = socket->protocol->send(socket, message, total, flags);
        }
        if (now >= 0) {
            total += (size_t)now;
            if (total == wanted || !waits) {
                return (ssize_t)total;
            }
            now = -EAGAIN;
        }
        if (now == -EAGAIN && waits) {
            now = wait_for(socket, EPOLLOUT, socket->send_timeout_ns, &deadline);
            if (now == 0) {
                continue;
            }
        }
        return partial(socket, (ssize_t)total, now);
    }
}

int call_connect(struct socket *socket, const struct sockaddr_in *address) {
    uint64_t deadline = 0;
    int code = socket->protocol->connect(socket, address);
    int waited;

    if ((code != -EINPROGRESS && code != -EALREADY) || socket->nonblocking) {
        return code;
    }
    waited = wait_for(socket, EPOLLOUT, socket->send_timeout_ns, &deadline);
    if (waited != 0) {
        return waited == -EAGAIN ? code : waited;
    }
    return socket->protocol->connect(socket, address);
}

static void follow_timeout(int fd, int option, int64_t ns) {
    struct timeval time = {ns / 1000000000, ns % 1000000000 / 1000};

    (void)libc()->setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time));
}

/* Options that an accepted socket has from its listener, for getsockopt() as well. */
static void inherit(const struct socket *listener, struct socket *accepted, int fd) {
    static const int keepalive[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
    static const int on = 1;

    for (size_t i = 0; listener->keepalive && i < sizeof(keepalive) / sizeof(keepalive[0]); i++) {
        int value;
        socklen_t size = sizeof(value);

        if (libc()->getsockopt(listener->description.number, IPPROTO_TCP, keepalive[i], &value, &size) == 0 &&
            libc()->setsockopt(fd, IPPROTO_TCP, keepalive[i], &value, size) == 0) {
            socket_follow_option(accepted, IPPROTO_TCP, keepalive[i]);
        }
    }

    if (listener->keepalive) {
        (void)libc()->setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    if (listener->reuse_address) {
        (void)libc()->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (listener->no_delay) {
        (void)libc()->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (listener->receive_timeout_ns > 0) {
        follow_timeout(fd, SO_RCVTIMEO, listener->receive_timeout_ns);
    }
    if (listener->send_timeout_ns > 0) {
        follow_timeout(fd, SO_SNDTIMEO, listener->send_timeout_ns);
    }
    if (listener->linger.l_onoff) {
        (void)libc()->setsockopt(fd, SOL_SOCKET, SO_LINGER, &listener->linger, sizeof(listener->linger));
    }
}

int call_accept(struct socket *listener, int flags, struct sockaddr_in *peer) {
    struct socket *accepted = NULL;
    uint64_t deadline = 0;
    int fd, code;

    if (listener->type != SOCK_STREAM) {
        return -EOPNOTSUPP;
    }
    while (listener->state == SOCKET_OURS && listener->tcp.phase == TCP_LISTENING &&
           !(socket_ready(listener) & EPOLLIN)) {
        if (listener->nonblocking) {
            if (engine_turn() && (socket_ready(listener) & EPOLLIN)) {
                break;
            }
            return -EAGAIN;
        }
        code = wait_for(listener, EPOLLIN, listener->receive_timeout_ns, &deadline);
        if (code != 0) {
            return code;
        }
    }
    fd = libc()->socket(AF_INET, SOCK_STREAM | (flags & (SOCK_CLOEXEC | SOCK_NONBLOCK)), 0);
    if (fd < 0) {
        return -errno;
    }
    code = listener->protocol->accept(listener, &accepted);
    if (code == 0 && !socket_adopt(accepted, fd, flags & SOCK_NONBLOCK)) {
        code = -ENFILE;
    }
    if (code != 0) {
        (void)libc()->close(fd);
        return code;
    }
    inherit(listener, accepted, fd);
    *peer = accepted->tcp.peer;
    return fd;
}

static bool all_acknowledged(void *argument) {
    const struct socket *socket = argument;

    return socket->state != SOCKET_OURS || !socket->protocol->unsent(socket);
}

void call_linger(struct socket *socket) {
    struct engine_wait wait = {.ready = all_acknowledged, .argument = socket};

    if (socket->state == SOCKET_OURS && socket->linger.l_onoff && socket->linger.l_linger != 0 &&
        !all_acknowledged(socket)) {
        wait.deadline = engine_deadline((int64_t)(unsigned)socket->linger.l_linger * 1000000000);
        (void)engine_wait(&wait);
    }
}

static ssize_t send_from(struct socket *socket, int in, off_t *offset, size_t size) {
    char buffer[1 << 15];
    off_t at = offset != NULL ? *offset : lseek(in, 0, SEEK_CUR);
    ssize_t total = 0;

    if (at < 0) {
        return offset != NULL || errno == ESPIPE ? -EINVAL : -errno; /* a pipe or a socket */
    }
    while ((size_t)total < size) {
        size_t chunk = size - (size_t)total < sizeof(buffer) ? size - (size_t)total : sizeof(buffer);
        ssize_t got = pread(in, buffer, chunk, at);
        struct iovec piece = {buffer, got > 0 ? (size_t)got : 0};
        struct message message = {.pieces = &piece, .count = 1};
        ssize_t sent;

        if (got <= 0) {
            total = got == 0 || total > 0 ? total : errno == ESPIPE ? -EINVAL : -errno;
            break;
        }
        sent = call_send(socket, &message, 0);
        if (sent < 0) {
            total = partial(socket, total, sent);
            break;
        }
        total += sent;
        at += sent;
        if (sent < got) {
            break;
        }
    }
    if (offset != NULL) {
        *offset = at;
    } else {
        (void)lseek(in, at, SEEK_SET);
    }
    return total;
}

ssize_t call_sendfile(struct socket *socket, int in, off_t *offset, size_t size) {
    int held;
    ssize_t total;

    if (socket->nonblocking) {
        return send_from(socket, in, offset, size);
    }
    /* The number may stand for another file after a wait. */
    held = libc()->fcntl(in, F_DUPFD_CLOEXEC, (void *)(intptr_t)eal_lowest_descriptor());
    if (held < 0) {
        return -errno;
    }
    total = send_from(socket, held, offset, size);
    (void)libc()->close(held);
    return total;
}
