/* SPDX-License-Identifier: BSD-3-Clause */
#include "prefetch.h"

#include <rte_mbuf.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/port/port.h"
#include "tcp_headers.h"

/* Finds where the connection of a packet stands in the table; NULL for what is no plain segment of TCP. */
static struct tcp_pcb *const *place_of(const struct rte_mbuf *packet) {
    const struct tcp_headers *headers = tcp_headers_of(packet);
    ip_addr_t local, remote;

    if (headers == NULL) {
        return NULL;
    }
    ip_addr_set_ip4_u32(&local, headers->ip.dest.addr);
    ip_addr_set_ip4_u32(&remote, headers->ip.src.addr);
    return tcp_pcb_prefetch_place(&local, lwip_ntohs(headers->tcp.dest), &remote,
                                  lwip_ntohs(headers->tcp.src));
}

void prefetch_connections(struct rte_mbuf *const packets[], unsigned count) {
    struct tcp_pcb *const *places[PORT_BURST];
    struct tcp_pcb *pcbs[PORT_BURST];

    for (unsigned i = 0; i < count; i++) {
        places[i] = place_of(packets[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        pcbs[i] = tcp_pcb_prefetch(places[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (pcbs[i] != NULL) {
            rte_prefetch0(pcbs[i]->callback_arg);
            rte_prefetch0(pcbs[i]->unacked);
        }
    }
}
