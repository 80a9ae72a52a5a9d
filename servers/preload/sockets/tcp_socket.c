/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of type SOCK_STREAM on lwIP's raw TCP. */
#include "socket.h"

#include <errno.h>
#include <string.h>

#include "lwip_errno.h"
#include "preload/engine/counters_file.h"
#include "preload/engine/engine.h"
#include "tcp_data.h"
#include "tcp_events.h"
#include "tcp_options.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

static int tcp_create(struct socket *socket) {
    struct tcp_pcb *pcb = tcp_new();

    if (pcb == NULL) {
        return -ENOBUFS;
    }
    memset(&socket->tcp, 0, sizeof(socket->tcp));
    STAILQ_INIT(&socket->tcp.accept_queue);
    tcp_part_attach(socket, pcb);
    return 0;
}

/* A new PCB after the old one has gone with its connection; the port stays. It is not asked for again, as
 * connections that were accepted on it may still have it. */
static int renew(struct socket *socket) {
    struct tcp_pcb *pcb = tcp_new();

    if (pcb == NULL) {
        return -ENOBUFS;
    }
    tcp_part_attach(socket, pcb);
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
            (ip_addr_isany(ip) || ip_addr_isany(&pcb->local_ip) || ip_addr_eq(ip, &pcb->local_ip))) {
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
        tcp_part_address(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
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
    if (stack_next_hop(ip_2_ip4(&ip)->addr) == 0) {
        return -ENETUNREACH;
    }
    error = tcp_connect(tcp->pcb, &ip, lwip_ntohs(address->sin_port), tcp_part_connected);
    if (error != ERR_OK) {
        return error == ERR_BUF ? -EADDRNOTAVAIL : lwip_errno(error);
    }
    tcp->phase = TCP_CONNECTING;
    tcp->connect_reported = tcp->unreachable = false;
    tcp->peer_closed = tcp->send_shut = tcp->receive_shut = false;
    socket->error = 0;
    tcp_part_address(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
    tcp_part_address(&tcp->peer, &ip, lwip_ntohs(address->sin_port));
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

static void stop_listening(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    struct socket *waiting;

    while ((waiting = STAILQ_FIRST(&tcp->accept_queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&tcp->accept_queue, tcp.accept_link);
        if (waiting->tcp.pcb != NULL) {
            struct tcp_pcb *pcb = waiting->tcp.pcb;

            tcp_part_let_go(waiting);
            tcp_abort(pcb);
        }
        tcp_part_drop_input(&waiting->tcp);
        waiting->description.release(&waiting->description);
    }
    tcp->accept_count = 0;
    tcp_part_forget(tcp->pcb);
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

        tcp_part_let_go(socket);
        tcp_abort(pcb);
        engine_sent();
    }
    tcp_part_drop_input(tcp);
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
        tcp_part_address(&tcp->local, &tcp->pcb->local_ip, tcp->pcb->local_port);
    }
    pcb = tcp_listen_with_backlog_and_err(tcp->pcb, limit, &error);
    if (pcb == NULL) {
        return lwip_errno(error);
    }
    tcp->pcb = pcb;
    tcp->phase = TCP_LISTENING;
    socket->error = 0;
    tcp_arg(pcb, socket);
    tcp_accept(pcb, tcp_part_arrived);
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
            tcp_part_let_go(socket);
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

static void tcp_close_socket(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    struct tcp_pcb *pcb = tcp->pcb;

    if (tcp->phase == TCP_LISTENING) {
        stop_listening(socket);
    } else if (pcb != NULL) {
        bool unread = tcp->received > 0 && tcp->phase == TCP_CONNECTED;

        tcp_part_let_go(socket);
        /* RFC 2525 2.17: bytes that were not read are told to the peer by RST. */
        if ((socket->linger.l_onoff && socket->linger.l_linger == 0) || unread || tcp_close(pcb) != ERR_OK) {
            tcp_abort(pcb);
        }
    }
    tcp->phase = TCP_ENDED;
    tcp_part_drop_input(tcp);
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
    .receive = tcp_part_receive,
    .send = tcp_part_send,
    .shutdown = tcp_shut,
    .name = tcp_name,
    .readable_bytes = tcp_part_readable_bytes,
    .option = tcp_part_option,
    .info_state = tcp_part_info_state,
    .ready = tcp_part_ready,
    .unreachable = tcp_part_unreachable,
    .unsent = tcp_part_unsent,
    .close = tcp_close_socket,
};
