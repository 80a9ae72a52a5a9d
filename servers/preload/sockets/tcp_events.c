/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_events.h"

#include <errno.h>

#include "preload/engine/counters_file.h"
#include "stack/stack.h"
#include "tcp_options.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

/* Bytes and pbufs in the queue from which on a socket is not writable; as the kernel, which wants a third of
 * the buffer to be free. */
#define WRITABLE_ROOM (TCP_SND_BUF / 3)
#define WRITABLE_PBUFS (TCP_SND_QUEUELEN * 2 / 3)

void tcp_part_address(struct sockaddr_in *address, const ip_addr_t *ip, uint16_t port) {
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = lwip_htons(port)};
    address->sin_addr.s_addr = ip_2_ip4(ip)->addr;
}

void tcp_part_forget(struct tcp_pcb *pcb) {
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

void tcp_part_let_go(struct socket *socket) {
    tcp_part_forget(socket->tcp.pcb);
    socket->tcp.pcb = NULL;
    socket->tcp.phase = TCP_ENDED;
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct socket *socket = argument;
    struct tcp_part *tcp = &socket->tcp;

    (void)error;
    if (data == NULL) {
        tcp->peer_closed = true;
        if (tcp->send_shut) {
            tcp_part_let_go(socket);
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
    input_queue_add(&tcp->input, data);
    socket_signal(socket, EVENTS_IN);
    return ERR_OK;
}

bool tcp_part_has_room(const struct tcp_pcb *pcb) {
    return pcb->snd_buf >= WRITABLE_ROOM && tcp_sndqueuelen(pcb) < WRITABLE_PBUFS;
}

static err_t acknowledged(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    struct socket *socket = argument;

    (void)length;
    socket->tcp.unreachable = false;
    if (socket->tcp.wants_room && tcp_part_has_room(pcb)) {
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
        socket->error = tcp->unreachable ? EHOSTUNREACH : ETIMEDOUT;
    } else if (error == ERR_RTE || error == ERR_IF) { /* a router has said so */
        socket->error = error == ERR_RTE ? EHOSTUNREACH : ENETUNREACH;
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

void tcp_part_unreachable(struct socket *socket, uint32_t neighbour) {
    struct tcp_part *tcp = &socket->tcp;

    if (tcp->pcb == NULL || (tcp->phase != TCP_CONNECTING && tcp->phase != TCP_CONNECTED) ||
        stack_next_hop(tcp->peer.sin_addr.s_addr) != neighbour) {
        return;
    }
    tcp->unreachable = true;
    if (tcp->phase == TCP_CONNECTING) {
        tcp_abandon(tcp->pcb, 0); /* which calls failed() */
    }
}

err_t tcp_part_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct socket *socket = argument;

    (void)pcb;
    (void)error;
    socket->tcp.phase = TCP_CONNECTED;
    socket_counters.connects++;
    socket_signal(socket, EVENTS_OUT);
    return ERR_OK;
}

void tcp_part_attach(struct socket *socket, struct tcp_pcb *pcb) {
    socket->tcp.pcb = pcb;
    tcp_arg(pcb, socket);
    tcp_recv(pcb, received);
    tcp_sent(pcb, acknowledged);
    tcp_err(pcb, failed);
    tcp_part_apply_options(socket);
}

err_t tcp_part_arrived(void *argument, struct tcp_pcb *pcb, err_t error) {
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
    tcp_part_attach(socket, pcb);
    socket->tcp.phase = TCP_CONNECTED;
    socket->tcp.connect_reported = true;
    tcp_part_address(&socket->tcp.local, &pcb->local_ip, pcb->local_port);
    tcp_part_address(&socket->tcp.peer, &pcb->remote_ip, pcb->remote_port);
    STAILQ_INSERT_TAIL(&listener->tcp.accept_queue, socket, tcp.accept_link);
    listener->tcp.accept_count++;
    socket_signal(listener, EVENTS_IN);
    return ERR_OK;
}
