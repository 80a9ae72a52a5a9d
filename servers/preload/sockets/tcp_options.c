/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_options.h"

#include <linux/tcp.h>

#include "preload/engine/engine.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

void tcp_part_apply_options(struct socket *socket) {
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

void tcp_part_option(struct socket *socket, int level, int name, int value) {
    struct tcp_part *tcp = &socket->tcp;

    tcp_part_apply_options(socket);
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

int tcp_part_info_state(const struct socket *socket) {
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
