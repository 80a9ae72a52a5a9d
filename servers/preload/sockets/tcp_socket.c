/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of type SOCK_STREAM on lwIP's raw TCP. */
#include "socket.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>

#include "lwip_errno.h"
#include "preload/engine/engine.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

/* Bytes and pbufs in the queue from which on a socket is not writable; as the kernel, which wants a third of
 * the buffer to be free. */
#define WRITABLE_ROOM (TCP_SND_BUF / 3)
#define WRITABLE_PBUFS (TCP_SND_QUEUELEN * 2 / 3)

#define EVENTS_IN (EPOLLIN | EPOLLRDNORM)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM)
#define EVENTS_ALL (EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static void address_of(struct sockaddr_in *address, const ip_addr_t *ip, uint16_t port) {
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = lwip_htons(port)};
    address->sin_addr.s_addr = ip_2_ip4(ip)->addr;
}

/* --- what lwIP calls ------------------------------------------------------------------------------ */

static void forget(struct tcp_pcb *pcb) {
    tcp_arg(pcb, NULL);
    if (pcb->state == LISTEN) {
        tcp_accept(pcb, NULL);
        return;
    }
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
}

/* Both directions are shut: what is left (FIN, its acknowledgement, TIME-WAIT) is lwIP's alone, which frees
 * the PCB when it is done and tells nobody. */
static void let_go(struct socket *socket) {
    forget(socket->tcp.pcb);
    socket->tcp.pcb = NULL;
    socket->tcp.phase = TCP_ENDED;
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct socket *socket = argument;
    struct tcp_part *tcp = &socket->tcp;
    struct pbuf *last;

    (void)error;
    if (data == NULL) {
        tcp->peer_closed = true;
        if (tcp->send_shut) {
            let_go(socket);
        }
        socket_signal(socket, EVENTS_ALL);
        return ERR_OK;
    }
    if (tcp->receive_shut) {
        tcp_recved(pcb, data->tot_len);
        pbuf_free(data);
        return ERR_OK;
    }
    tcp->received += data->tot_len;
    for (last = data; last->next != NULL; last = last->next) {
    }
    if (tcp->head == NULL) {
        tcp->head = data;
    } else {
        tcp->tail->next = data;
    }
    tcp->tail = last;
    socket_signal(socket, EVENTS_IN);
    return ERR_OK;
}

static bool has_room(const struct tcp_pcb *pcb) {
    return pcb->snd_buf >= WRITABLE_ROOM && tcp_sndqueuelen(pcb) < WRITABLE_PBUFS;
}

static err_t acknowledged(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    struct socket *socket = argument;

    (void)length;
    if (socket->tcp.wants_room && has_room(pcb)) {
        socket->tcp.wants_room = false;
        socket_signal(socket, EVENTS_OUT);
    }
    return ERR_OK;
}

/* lwIP has freed the PCB. */
static void failed(void *argument, err_t error) {
    struct socket *socket = argument;
    struct tcp_part *tcp = &socket->tcp;

    if (error == ERR_ABRT) {
        socket->error = ETIMEDOUT;
    } else if (error == ERR_RST) {
        socket->error = tcp->phase == TCP_CONNECTING ? ECONNREFUSED : tcp->peer_closed ? EPIPE : ECONNRESET;
    }
    tcp->pcb = NULL;
    if (tcp->phase == TCP_CONNECTING) {
        tcp->phase = TCP_FAILED;
    } else {
        tcp->phase = TCP_ENDED;
        tcp->peer_closed = tcp->send_shut = true;
    }
    socket_signal(socket, EVENTS_ALL);
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct socket *socket = argument;

    (void)pcb;
    (void)error;
    socket->tcp.phase = TCP_CONNECTED;
    socket_counters.connects++;
    socket_signal(socket, EVENTS_OUT);
    return ERR_OK;
}

static void apply_options(struct socket *socket) {
    struct tcp_pcb *pcb = socket->tcp.pcb;

    if (pcb == NULL) {
        return;
    }
    if (socket->reuse_address) {
        ip_set_option(pcb, SOF_REUSEADDR);
    } else {
        ip_reset_option(pcb, SOF_REUSEADDR);
    }
    if (socket->keepalive) {
        ip_set_option(pcb, SOF_KEEPALIVE);
    } else {
        ip_reset_option(pcb, SOF_KEEPALIVE);
    }
    if (pcb->state == LISTEN) {
        return;
    }
    if (socket->no_delay) {
        tcp_nagle_disable(pcb);
    } else {
        tcp_nagle_enable(pcb);
    }
    tcp_timer_update(pcb);
}

static void attach(struct socket *socket, struct tcp_pcb *pcb) {
    socket->tcp.pcb = pcb;
    tcp_arg(pcb, socket);
    tcp_recv(pcb, received);
    tcp_sent(pcb, acknowledged);
    tcp_err(pcb, failed);
    apply_options(socket);
}

static err_t arrived(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct socket *listener = argument;
    struct socket *socket;

    if (error != ERR_OK || pcb == NULL) {
        return ERR_VAL;
    }
    /* lwIP forgets those that were reset while they waited; here they still count. */
    if (listener->tcp.accept_count > listener->tcp.accept_limit ||
        (socket = socket_create_accepted(listener)) == NULL) {
        return ERR_MEM; /* lwIP resets the connection */
    }
    tcp_backlog_delayed(pcb); /* counts against the backlog until the program accepts it */
    attach(socket, pcb);
    socket->tcp.phase = TCP_CONNECTED;
    socket->tcp.connect_reported = true;
    address_of(&socket->tcp.local, &pcb->local_ip, pcb->local_port);
    address_of(&socket->tcp.peer, &pcb->remote_ip, pcb->remote_port);
    STAILQ_INSERT_TAIL(&listener->tcp.accept_queue, socket, tcp.accept_link);
    listener->tcp.accept_count++;
    socket_signal(listener, EVENTS_IN);
    return ERR_OK;
}

/* --- what sockets call ---------------------------------------------------------------------------- */

static int tcp_create(struct socket *socket) {
    struct tcp_pcb *pcb = tcp_new();

    if (pcb == NULL) {
        return -ENOBUFS;
    }
    memset(&socket->tcp, 0, sizeof(socket->tcp));
    STAILQ_INIT(&socket->tcp.accept_queue);
    attach(socket, pcb);
    return 0;
}

/* A new PCB after the old one has gone with its connection; the port stays. It is not asked for again, as
 * connections that were accepted on it may still have it. */
static int renew(struct socket *socket) {
    struct tcp_pcb *pcb = tcp_new();

    if (pcb == NULL) {
        return -ENOBUFS;
    }
    attach(socket, pcb);
    if (socket->tcp.local.sin_port != 0) {
        ip_addr_set_ip4_u32_val(pcb->local_ip, socket->tcp.local.sin_addr.s_addr);
        pcb->local_port = lwip_ntohs(socket->tcp.local.sin_port);
        TCP_REG(&tcp_bound_pcbs, pcb);
    }
    return 0;
}

/* Back to a socket without a connection, as the kernel's tcp_disconnect(). */
static void reset_state(struct tcp_part *tcp) {
    tcp->phase = TCP_FRESH;
    tcp->peer = (struct sockaddr_in){0};
    if (!tcp->bound) {
        tcp->local.sin_addr.s_addr = INADDR_ANY;
    }
    tcp->peer_closed = tcp->send_shut = tcp->receive_shut = false;
}

/* Whether another socket listens where this one wants to be, which SO_REUSEADDR does not allow. */
static bool is_listened_on(const ip_addr_t *ip, uint16_t port) {
    for (const struct tcp_pcb_listen *pcb = tcp_listen_pcbs.listen_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->local_port == port &&
            (ip_addr_isany(ip) || ip_addr_isany(&pcb->local_ip) || ip_addr_cmp(ip, &pcb->local_ip))) {
            return true;
        }
    }
    return false;
}

static int tcp_bind_address(struct socket *socket, const struct sockaddr_in *address) {
    struct tcp_part *tcp = &socket->tcp;
    ip_addr_t ip = IPADDR4_INIT(address->sin_addr.s_addr);
    err_t error;

    if (tcp->phase != TCP_FRESH || tcp->local.sin_port != 0) {
        return -EINVAL;
    }
    if (!engine_is_local(address->sin_addr.s_addr)) {
        return -EADDRNOTAVAIL;
    }
    if (tcp->pcb == NULL) {
        int code = renew(socket);

        if (code != 0) {
            return code;
        }
    }
    if (address->sin_port != 0 && is_listened_on(&ip, lwip_ntohs(address->sin_port))) {
        return -EADDRINUSE;
    }
    error = tcp_bind(tcp->pcb, &ip, lwip_ntohs(address->sin_port));
    if (error == ERR_OK) {
        tcp->bound = address->sin_addr.s_addr != INADDR_ANY;
        address_of(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
    }
    return error == ERR_BUF ? -EADDRINUSE : lwip_errno(error);
}

static int begin_connect(struct socket *socket, const struct sockaddr_in *address) {
    struct tcp_part *tcp = &socket->tcp;
    struct in_addr target = address->sin_addr;
    ip_addr_t ip;
    err_t error;
    int code = engine_start_linked();

    if (code != 0) {
        return code;
    }
    if (tcp->pcb == NULL && (code = renew(socket)) != 0) {
        return code;
    }
    ip_addr_set_ip4_u32_val(ip, target.s_addr == INADDR_ANY ? engine_address() : target.s_addr);
    error = tcp_connect(tcp->pcb, &ip, lwip_ntohs(address->sin_port), connected);
    if (error != ERR_OK) {
        return error == ERR_BUF ? -EADDRNOTAVAIL : lwip_errno(error);
    }
    tcp->phase = TCP_CONNECTING;
    tcp->connect_reported = false;
    tcp->peer_closed = tcp->send_shut = tcp->receive_shut = false;
    socket->error = 0;
    address_of(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
    address_of(&tcp->peer, &ip, lwip_ntohs(address->sin_port));
    stack_flush();
    return -EINPROGRESS;
}

static int tcp_connect_address(struct socket *socket, const struct sockaddr_in *address) {
    struct tcp_part *tcp = &socket->tcp;

    switch (tcp->phase) {
    case TCP_CONNECTING:
        return -EALREADY;
    case TCP_LISTENING:
        return -EISCONN;
    case TCP_CONNECTED:
        if (!tcp->connect_reported) {
            tcp->connect_reported = true;
            return 0;
        }
        return -EISCONN;
    case TCP_ENDED:
        if (!tcp->connect_reported) {
            tcp->connect_reported = true;
            return socket->error != 0 ? -socket_take_error(socket) : 0;
        }
        return -EISCONN;
    case TCP_FAILED:
        if (tcp->receive_shut || tcp->send_shut) {
            return -EINVAL;
        }
        reset_state(tcp);
        return socket->error != 0 ? -socket_take_error(socket) : -ECONNABORTED;
    case TCP_FRESH:
        break;
    }
    return begin_connect(socket, address);
}

static void drop_input(struct tcp_part *tcp) {
    while (tcp->head != NULL) {
        struct pbuf *next = tcp->head->next;

        tcp->head->next = NULL;
        pbuf_free(tcp->head);
        tcp->head = next;
    }
    tcp->tail = NULL;
    tcp->consumed = tcp->received = 0;
}

static void stop_listening(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    struct socket *waiting;

    while ((waiting = STAILQ_FIRST(&tcp->accept_queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&tcp->accept_queue, tcp.accept_link);
        if (waiting->tcp.pcb != NULL) {
            struct tcp_pcb *pcb = waiting->tcp.pcb;

            let_go(waiting);
            tcp_abort(pcb);
        }
        drop_input(&waiting->tcp);
        waiting->description.release(&waiting->description);
    }
    tcp->accept_count = 0;
    forget(tcp->pcb);
    (void)tcp_close(tcp->pcb); /* of a listening PCB it cannot fail */
    tcp->pcb = NULL;
    socket_counters.listeners--;
}

static int tcp_disconnect(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    bool lively = tcp->phase == TCP_CONNECTING || (tcp->phase == TCP_CONNECTED && !tcp->send_shut);

    if (tcp->phase == TCP_LISTENING) {
        stop_listening(socket);
    } else if (tcp->pcb != NULL) {
        struct tcp_pcb *pcb = tcp->pcb;

        let_go(socket);
        tcp_abort(pcb);
        engine_sent();
    }
    drop_input(tcp);
    reset_state(tcp);
    socket->error = lively ? ECONNRESET : 0;
    socket_signal(socket, EVENTS_ALL);
    return 0;
}

static int tcp_listen_backlog(struct socket *socket, int backlog) {
    struct tcp_part *tcp = &socket->tcp;
    /* The kernel takes one more than it is told. */
    uint16_t limit = (uint16_t)LWIP_MIN((unsigned)backlog + 1u, UINT16_MAX);
    err_t error = ERR_OK;
    struct tcp_pcb *pcb;
    int code;

    tcp->accept_limit = limit;
    if (tcp->phase == TCP_LISTENING) {
        tcp_backlog_set((struct tcp_pcb_listen *)tcp->pcb, limit);
        return 0;
    }
    if (tcp->phase != TCP_FRESH) {
        return -EINVAL;
    }
    if (tcp->pcb == NULL && (code = renew(socket)) != 0) {
        return code;
    }
    if (tcp->local.sin_port == 0) {
        error = tcp_bind(tcp->pcb, IP_ANY_TYPE, 0);
        if (error != ERR_OK) {
            return -EADDRINUSE;
        }
        address_of(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
    }
    pcb = tcp_listen_with_backlog_and_err(tcp->pcb, limit, &error);
    if (pcb == NULL) {
        return lwip_errno(error);
    }
    tcp->pcb = pcb;
    tcp->phase = TCP_LISTENING;
    socket->error = 0;
    tcp_arg(pcb, socket);
    tcp_accept(pcb, arrived);
    socket_counters.listeners++;
    return 0;
}

static int tcp_accept_one(struct socket *socket, struct socket **accepted) {
    struct tcp_part *tcp = &socket->tcp;

    if (tcp->phase != TCP_LISTENING) {
        return -EINVAL;
    }
    *accepted = STAILQ_FIRST(&tcp->accept_queue);
    if (*accepted == NULL) {
        return -EAGAIN;
    }
    STAILQ_REMOVE_HEAD(&tcp->accept_queue, tcp.accept_link);
    tcp->accept_count--;
    if ((*accepted)->tcp.pcb != NULL) {
        tcp_backlog_accepted((*accepted)->tcp.pcb);
    }
    socket_counters.accepts++;
    return 0;
}

/* Copies up to `size` bytes (to == NULL: drops them), from `*at` bytes into `*part` on; both move. */
static size_t copy_out(uint8_t *to, size_t size, struct pbuf **part, size_t *at) {
    size_t done = 0;

    while (done < size && *part != NULL) {
        size_t chunk = LWIP_MIN(size - done, (*part)->len - *at);

        if (to != NULL) {
            memcpy(to + done, (const uint8_t *)(*part)->payload + *at, chunk);
        }
        done += chunk;
        *at += chunk;
        if (*at == (*part)->len) {
            *part = (*part)->next;
            *at = 0;
        }
    }
    return done;
}

/* The bytes up to `end` (and `consumed` of it) have been read: gives back their buffers and the window. */
static void consume(struct tcp_part *tcp, const struct pbuf *end, size_t consumed, size_t size) {
    while (tcp->head != end) {
        struct pbuf *next = tcp->head->next;

        tcp->head->next = NULL;
        pbuf_free(tcp->head);
        tcp->head = next;
    }
    tcp->consumed = consumed;
    tcp->received -= size;
    socket_counters.bytes_received += size;
    while (size > 0 && tcp->pcb != NULL) {
        uint16_t chunk = (uint16_t)LWIP_MIN(size, UINT16_MAX);

        tcp_recved(tcp->pcb, chunk);
        size -= chunk;
    }
}

static ssize_t tcp_receive(struct socket *socket, struct message *message, int flags) {
    struct tcp_part *tcp = &socket->tcp;
    struct pbuf *part = tcp->head;
    size_t at = tcp->consumed;
    size_t size = 0;

    if (flags & MSG_OOB) {
        return -EINVAL; /* lwIP has no urgent data */
    }
    if ((tcp->phase == TCP_FRESH && socket->error == 0 && !tcp->receive_shut) ||
        tcp->phase == TCP_LISTENING) {
        return -ENOTCONN;
    }
    if (tcp->received == 0) {
        if (socket->error != 0) {
            return -socket_take_error(socket);
        }
        return tcp->peer_closed || tcp->receive_shut || tcp->phase == TCP_ENDED || tcp->phase == TCP_FAILED
                   ? 0
                   : -EAGAIN;
    }
    for (size_t i = 0; i < message->count && part != NULL; i++) {
        uint8_t *to = flags & MSG_TRUNC ? NULL : message->pieces[i].iov_base;

        size += copy_out(to, message->pieces[i].iov_len, &part, &at);
    }
    if (!(flags & MSG_PEEK)) {
        consume(tcp, part, at, size);
    }
    return (ssize_t)size;
}

/* Queues what lwIP takes of `size` bytes; fewer when its queue is full. */
static size_t queue(struct tcp_pcb *pcb, const uint8_t *bytes, size_t size, bool more) {
    /* tcp_write() takes 16 bits; whole segments, so that none is cut short. */
    size_t most = UINT16_MAX / tcp_mss(pcb) * tcp_mss(pcb);
    size_t done = 0;

    while (done < size && pcb->snd_buf > 0) {
        size_t chunk = LWIP_MIN(LWIP_MIN(size - done, most), (size_t)pcb->snd_buf);
        uint8_t flags = TCP_WRITE_FLAG_COPY | (more || done + chunk < size ? TCP_WRITE_FLAG_MORE : 0);

        while (tcp_write(pcb, bytes + done, (uint16_t)chunk, flags) != ERR_OK) {
            /* Of small segments the queue is full before it is full of bytes. */
            if (chunk <= tcp_mss(pcb)) {
                return done;
            }
            chunk = LWIP_MAX(chunk / 2, tcp_mss(pcb));
        }
        done += chunk;
    }
    return done;
}

static ssize_t tcp_send(struct socket *socket, const struct message *message, size_t skip, int flags) {
    struct tcp_part *tcp = &socket->tcp;
    size_t offered = 0, done = 0;

    if (flags & MSG_OOB) {
        return -EOPNOTSUPP;
    }
    if (socket->error != 0) {
        return -socket_take_error(socket);
    }
    if (tcp->phase == TCP_CONNECTING) {
        return -EAGAIN;
    }
    if (tcp->phase != TCP_CONNECTED || tcp->send_shut) {
        return -EPIPE;
    }
    for (size_t i = 0; i < message->count && done == offered; i++) {
        const struct iovec *piece = &message->pieces[i];
        size_t skipped = LWIP_MIN(skip, piece->iov_len);
        bool more = i + 1 < message->count;

        skip -= skipped;
        offered += piece->iov_len - skipped;
        done += queue(tcp->pcb, (const uint8_t *)piece->iov_base + skipped, piece->iov_len - skipped, more);
    }
    socket_counters.bytes_sent += done;
    if (done < offered) {
        tcp->wants_room = true;
    }
    if (done > 0 && ((!tcp->corked && !(flags & MSG_MORE)) || done < offered)) {
        (void)tcp_output(tcp->pcb);
        engine_sent();
    }
    return done == 0 && offered > 0 ? -EAGAIN : (ssize_t)done;
}

static int tcp_shut(struct socket *socket, int how) {
    struct tcp_part *tcp = &socket->tcp;

    if (tcp->phase == TCP_LISTENING) {
        if (how != SHUT_WR) {
            stop_listening(socket);
            tcp->phase = TCP_FRESH;
            socket_signal(socket, EVENTS_ALL);
        }
        return 0;
    }
    if (tcp->phase == TCP_CONNECTING) {
        return tcp_disconnect(socket);
    }
    if (how != SHUT_WR) {
        tcp->receive_shut = true;
    }
    if (tcp->phase != TCP_CONNECTED) {
        tcp->send_shut |= how != SHUT_RD;
        return -ENOTCONN;
    }
    if (how != SHUT_RD && !tcp->send_shut) {
        if (tcp_shutdown(tcp->pcb, 0, 1) != ERR_OK) {
            return -ENOBUFS;
        }
        tcp->send_shut = true;
        if (tcp->peer_closed) {
            let_go(socket);
        }
        stack_flush();
    }
    socket_signal(socket, EVENTS_ALL);
    return 0;
}

static int tcp_name(const struct socket *socket, bool peer, struct sockaddr_in *address) {
    const struct tcp_part *tcp = &socket->tcp;

    if (peer && tcp->phase != TCP_CONNECTED) {
        return -ENOTCONN;
    }
    *address = peer ? tcp->peer : tcp->local;
    address->sin_family = AF_INET;
    return 0;
}

static int tcp_readable_bytes(const struct socket *socket) {
    return socket->tcp.phase == TCP_LISTENING ? -EINVAL : (int)LWIP_MIN(socket->tcp.received, INT32_MAX);
}

static void keepalive_option(struct tcp_pcb *pcb, int name, int value) {
    switch (name) {
    case TCP_KEEPIDLE:
        pcb->keep_idle = (uint32_t)value * 1000;
        break;
    case TCP_KEEPINTVL:
        pcb->keep_intvl = (uint32_t)value * 1000;
        break;
    case TCP_KEEPCNT:
        pcb->keep_cnt = (uint32_t)value;
        break;
    default:
        break;
    }
    tcp_timer_update(pcb);
}

static void tcp_option(struct socket *socket, int level, int name, int value) {
    struct tcp_part *tcp = &socket->tcp;

    apply_options(socket);
    if (level != IPPROTO_TCP || tcp->pcb == NULL || tcp->pcb->state == LISTEN) {
        return;
    }
    if (name == TCP_CORK) {
        tcp->corked = value != 0;
    } else {
        keepalive_option(tcp->pcb, name, value);
    }
    /* Both TCP_NODELAY and the end of TCP_CORK send what has waited. */
    if (tcp->phase == TCP_CONNECTED && !tcp->corked) {
        (void)tcp_output(tcp->pcb);
        engine_sent();
    }
}

/* As TCP_INFO gives it (linux/tcp.h, net/tcp_states.h). */
static int tcp_info_state(const struct socket *socket) {
    const struct tcp_part *tcp = &socket->tcp;

    switch (tcp->phase) {
    case TCP_CONNECTING:
        return 2; /* SYN_SENT */
    case TCP_LISTENING:
        return 10;
    case TCP_CONNECTED:
        /* CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, ESTABLISHED */
        return tcp->peer_closed ? 8 : !tcp->send_shut ? 1 : tcp->pcb->state == FIN_WAIT_1 ? 4 : 5;
    default:
        return 7; /* CLOSE */
    }
}

static uint32_t tcp_ready(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    bool receive_shut = tcp->peer_closed || tcp->receive_shut;
    uint32_t events = socket->error != 0 ? EPOLLERR : 0;

    if (tcp->phase == TCP_LISTENING) {
        return STAILQ_EMPTY(&tcp->accept_queue) ? events : events | EVENTS_IN;
    }
    if (tcp->phase == TCP_CONNECTING) {
        return events;
    }
    receive_shut |= tcp->phase == TCP_FAILED;
    if (tcp->phase != TCP_CONNECTED || (receive_shut && tcp->send_shut)) {
        events |= EPOLLHUP;
    }
    if (receive_shut) {
        events |= EVENTS_IN | EPOLLRDHUP;
    }
    if (tcp->received > 0) {
        events |= EVENTS_IN;
    }
    if (tcp->send_shut || tcp->pcb == NULL || has_room(tcp->pcb)) {
        events |= EVENTS_OUT;
    } else {
        tcp->wants_room = true;
    }
    return events;
}

static bool tcp_unsent(const struct socket *socket) {
    return socket->tcp.phase == TCP_CONNECTED && socket->tcp.pcb->snd_buf < TCP_SND_BUF;
}

static void tcp_close_socket(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    struct tcp_pcb *pcb = tcp->pcb;

    if (tcp->phase == TCP_LISTENING) {
        stop_listening(socket);
    } else if (pcb != NULL) {
        bool unread = tcp->received > 0 && tcp->phase == TCP_CONNECTED;

        let_go(socket);
        /* RFC 2525 2.17: bytes that were not read are told to the peer by RST. */
        if ((socket->linger.l_onoff && socket->linger.l_linger == 0) || unread || tcp_close(pcb) != ERR_OK) {
            tcp_abort(pcb);
        }
    }
    tcp->phase = TCP_ENDED;
    drop_input(tcp);
    if (engine_started()) {
        engine_sent();
    }
}

const struct protocol tcp_protocol = {
    .create = tcp_create,
    .bind = tcp_bind_address,
    .connect = tcp_connect_address,
    .disconnect = tcp_disconnect,
    .listen = tcp_listen_backlog,
    .accept = tcp_accept_one,
    .receive = tcp_receive,
    .send = tcp_send,
    .shutdown = tcp_shut,
    .name = tcp_name,
    .readable_bytes = tcp_readable_bytes,
    .option = tcp_option,
    .info_state = tcp_info_state,
    .ready = tcp_ready,
    .unsent = tcp_unsent,
    .close = tcp_close_socket,
};
