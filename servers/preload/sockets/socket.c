/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "preload/engine/counters_file.h"
#include "preload/engine/engine.h"
#include "preload/engine/libc.h"

/* Every socket that lwIP has, for the end of the process and for fork(). */
static LIST_HEAD(, socket) all_sockets = LIST_HEAD_INITIALIZER(all_sockets);

size_t message_size(const struct message *message) {
    size_t size = 0;

    for (size_t i = 0; i < message->count; i++) {
        size += message->pieces[i].iov_len;
    }
    return size;
}

/* --- one that is no longer there: closed by another thread, or the parent's --------------------------- */

static int lost(const struct socket *socket) {
    return socket->closing ? -EBADF : engine_start();
}

static int lost_address(struct socket *socket, const struct sockaddr_in *address) {
    (void)address;
    return lost(socket);
}

static int lost_listen(struct socket *socket, int backlog) {
    (void)backlog;
    return lost(socket);
}

/* A server's call, which it makes for ever. */
static int lost_accept(struct socket *socket, struct socket **accepted) {
    (void)accepted;
    if (!socket->closing) {
        engine_refuse_served();
    }
    return -EBADF;
}

static ssize_t lost_receive(struct socket *socket, struct message *message, int flags) {
    (void)message;
    (void)flags;
    if (!socket->closing && socket->type == SOCK_DGRAM) {
        engine_refuse_served();
    }
    return lost(socket);
}

static ssize_t lost_send(struct socket *socket, const struct message *message, size_t skip, int flags) {
    (void)message;
    (void)skip;
    (void)flags;
    return lost(socket);
}

static int lost_name(const struct socket *socket, bool peer, struct sockaddr_in *address) {
    (void)peer;
    (void)address;
    return lost(socket);
}

static int lost_bytes(const struct socket *socket) {
    return lost(socket);
}

static int lost_disconnect(struct socket *socket) {
    return lost(socket);
}

static void lost_option(struct socket *socket, int level, int name, int value) {
    (void)socket;
    (void)level;
    (void)name;
    (void)value;
}

static uint32_t lost_ready(struct socket *socket) {
    (void)socket;
    return EPOLLERR | EPOLLHUP;
}

static bool lost_unsent(const struct socket *socket) {
    (void)socket;
    return false;
}

static void lost_close(struct socket *socket) {
    (void)socket;
}

static const struct protocol lost_protocol = {
    .bind = lost_address,
    .connect = lost_address,
    .disconnect = lost_disconnect,
    .listen = lost_listen,
    .accept = lost_accept,
    .receive = lost_receive,
    .send = lost_send,
    .shutdown = lost_listen,
    .name = lost_name,
    .readable_bytes = lost_bytes,
    .option = lost_option,
    .ready = lost_ready,
    .unsent = lost_unsent,
    .close = lost_close,
};

static void lose(struct socket *socket) {
    socket->state = SOCKET_LOST;
    socket->protocol = &lost_protocol;
}

static void close_ours(struct socket *socket) {
    socket->protocol->close(socket);
    lose(socket);
    socket_counters.sockets--;
    socket_counters.closes++;
}

static void notify(struct socket *socket, enum watch_event event) {
    struct watch *watch, *next;

    for (watch = LIST_FIRST(&socket->watches); watch != NULL; watch = next) {
        next = LIST_NEXT(watch, of_socket);
        watch->notify(watch, event);
    }
}

/* In a child of fork(): all of lwIP's sockets are the parent's. */
static void lose_all(void) {
    struct socket *socket;

    LIST_FOREACH(socket, &all_sockets, all) {
        if (socket->state == SOCKET_OURS) {
            lose(socket);
        }
    }
}

/* lwIP has dropped what was to go to that neighbour. */
static void tell_unreachable(uint32_t neighbour) {
    struct socket *socket, *next;

    for (socket = LIST_FIRST(&all_sockets); socket != NULL; socket = next) {
        next = LIST_NEXT(socket, all);
        if (socket->state == SOCKET_OURS && socket->protocol->unreachable != NULL) {
            socket->protocol->unreachable(socket, neighbour);
        }
    }
}

/* Closes all that are lwIP's, as the end of a process does. */
static void close_all(void) {
    struct socket *socket, *next;

    /* Listeners first: those that wait to be accepted go with them, and out of this list. */
    for (socket = LIST_FIRST(&all_sockets); socket != NULL; socket = next) {
        bool listens =
            socket->state == SOCKET_OURS && socket->type == SOCK_STREAM && socket->tcp.phase == TCP_LISTENING;

        if (listens) {
            close_ours(socket);
        }
        next = listens ? LIST_FIRST(&all_sockets) : LIST_NEXT(socket, all);
    }
    LIST_FOREACH(socket, &all_sockets, all) {
        if (socket->state == SOCKET_OURS) {
            close_ours(socket);
        }
    }
}

static void closed(struct description *description) {
    struct socket *socket = socket_of(description);

    socket->closing = true;
    notify(socket, WATCH_CLOSED);
    if (socket->state == SOCKET_OURS) {
        close_ours(socket);
    }
}

static void release(struct description *description) {
    struct socket *socket = socket_of(description);

    LIST_REMOVE(socket, all);
    free(socket);
}

static struct socket *create(int type) {
    struct socket *socket = calloc(1, sizeof(*socket));

    if (socket != NULL) {
        socket->description = (struct description){
            .kind = DESCRIPTION_SOCKET, .number = -1, .closed = closed, .release = release};
        socket->type = type;
        socket->protocol = type == SOCK_STREAM ? &tcp_protocol : &udp_protocol;
        LIST_INIT(&socket->watches);
        LIST_INSERT_HEAD(&all_sockets, socket, all);
        engine_at_fork(lose_all);
        engine_at_exit(close_all);
        engine_on_silent_neighbour(tell_unreachable);
    }
    return socket;
}

struct socket *socket_create(int fd, int type, bool nonblocking) {
    struct socket *socket = create(type);

    if (socket == NULL || !socket_adopt(socket, fd, nonblocking)) {
        return NULL;
    }
    return socket;
}

struct socket *socket_create_accepted(const struct socket *listener) {
    struct socket *socket = create(SOCK_STREAM);

    if (socket != NULL) {
        memset(&socket->tcp, 0, sizeof(socket->tcp));
        STAILQ_INIT(&socket->tcp.accept_queue);
        socket->state = SOCKET_OURS;
        socket->reuse_address = listener->reuse_address;
        socket->keepalive = listener->keepalive;
        socket->no_delay = listener->no_delay;
        socket->linger = listener->linger;
        socket->receive_timeout_ns = listener->receive_timeout_ns;
        socket->send_timeout_ns = listener->send_timeout_ns;
    }
    return socket;
}

bool socket_adopt(struct socket *socket, int fd, bool nonblocking) {
    socket->nonblocking = nonblocking;
    if (!descriptor_put(fd, &socket->description)) {
        if (socket->state == SOCKET_OURS) {
            socket->protocol->close(socket);
        }
        release(&socket->description);
        return false;
    }
    if (socket->state == SOCKET_OURS) {
        socket_counters.sockets++;
    }
    return true;
}

/* --- options: the placeholder keeps them all, and judges them --------------------------------------- */

static int64_t timeout_ns(const struct timeval *time) {
    return time->tv_sec >= ENGINE_FOREVER_SECONDS
               ? 0
               : (int64_t)time->tv_sec * 1000000000 + (int64_t)time->tv_usec * 1000;
}

static void follow_timeout(const struct socket *socket, int name, int64_t *ns) {
    struct timeval time = {0};
    socklen_t size = sizeof(time);

    if (libc()->getsockopt(socket->description.number, SOL_SOCKET, name, &time, &size) == 0) {
        *ns = timeout_ns(&time);
    }
}

void socket_follow_option(struct socket *socket, int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);

    if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
        follow_timeout(socket, name,
                       name == SO_RCVTIMEO ? &socket->receive_timeout_ns : &socket->send_timeout_ns);
        return;
    }
    if (level == SOL_SOCKET && name == SO_LINGER) {
        size = sizeof(socket->linger);
        (void)libc()->getsockopt(socket->description.number, level, name, &socket->linger, &size);
        return;
    }
    if (libc()->getsockopt(socket->description.number, level, name, &value, &size) != 0) {
        return;
    }
    if (level == SOL_SOCKET && name == SO_REUSEADDR) {
        socket->reuse_address = value != 0;
    } else if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
        socket->keepalive = value != 0;
    } else if (level == IPPROTO_TCP && name == TCP_NODELAY) {
        socket->no_delay = value != 0;
    }
    if (socket->state == SOCKET_OURS) {
        socket->protocol->option(socket, level, name, value);
    }
}

static void follow_options(struct socket *socket) {
    static const int general[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_LINGER,
                                  SO_RCVTIMEO,  SO_SNDTIMEO,  SO_BROADCAST};
    static const int tcp[] = {TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};

    for (size_t i = 0; i < sizeof(general) / sizeof(general[0]); i++) {
        socket_follow_option(socket, SOL_SOCKET, general[i]);
    }
    for (size_t i = 0; socket->type == SOCK_STREAM && i < sizeof(tcp) / sizeof(tcp[0]); i++) {
        socket_follow_option(socket, IPPROTO_TCP, tcp[i]);
    }
}

/* --- whose it is ----------------------------------------------------------------------------------- */

int socket_decide(struct socket *socket, const struct sockaddr_in *address) {
    const struct settings *settings = engine_settings();
    int code;

    if (socket->state != SOCKET_UNDECIDED) {
        return 0;
    }
    if (settings == NULL ||
        !rules_match(&settings->rules, socket->type == SOCK_DGRAM, address->sin_addr.s_addr,
                     ntohs(address->sin_port)) ||
        !engine_available()) {
        socket->state = SOCKET_KERNELS;
        notify(socket, WATCH_DECIDED);
        return 0;
    }
    if ((code = stack_init()) != 0 || (code = socket->protocol->create(socket)) != 0) {
        return code;
    }
    socket->state = SOCKET_OURS;
    socket_counters.sockets++;
    follow_options(socket);
    notify(socket, WATCH_DECIDED);
    return 0;
}

uint32_t socket_ready(struct socket *socket) {
    return socket->protocol->ready(socket);
}

int socket_take_error(struct socket *socket) {
    int error = socket->error;

    socket->error = 0;
    return error;
}

void socket_signal(struct socket *socket, uint32_t events) {
    struct watch *watch;

    LIST_FOREACH(watch, &socket->watches, of_socket) {
        if (watch->events & events) {
            watch->notify(watch, WATCH_READY);
        }
    }
}
