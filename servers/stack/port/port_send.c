/* SPDX-License-Identifier: BSD-3-Clause */
/* The way out of a port: what waits, what the driver takes, what it does not. */
#include "port.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "common/features.h"

#define REFUSED_MS 100 /* longer than any ring stays full whose peer is alive */

void port_send(struct port *port, struct rte_mbuf *packet) {
    if (port->tx_offloads &
        (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)) {
        port_ask_for_checksums(port, packet);
    }
    port_send_prepared(port, packet);
}

void port_send_prepared(struct port *port, struct rte_mbuf *packet) {
    /* Drivers want the sum of the pseudo header of a packet to be cut up in ways of their own. */
    bool refused = (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG) &&
                   (!port_segments(port) || rte_eth_tx_prepare(port->id, port->core, &packet, 1) != 1);

    if (refused || !port_has_room(port)) {
        port->counters.tx_dropped++;
        rte_pktmbuf_free(packet);
        return;
    }
    port->tx_queue[port->tx_first + port->tx_count++] = packet;
    if (port->tx_count >= port->tx_burst) {
        port_flush(port);
    }
}

bool port_has_room(struct port *port) {
    if (port->tx_first + port->tx_count < PORT_QUEUE) {
        return true;
    }
    port_flush(port);
    memmove(port->tx_queue, port->tx_queue + port->tx_first, port->tx_count * sizeof(port->tx_queue[0]));
    port->tx_first = 0;
    return port->tx_count < PORT_QUEUE;
}

void port_set_burst(struct port *port, unsigned count) {
    port->tx_burst = feature_on(FEATURE_BATCH) ? count : 1;
}

/* The driver took nothing, or not all. One that never takes a packet, for what it is, would hold up all those
 * behind it: after a while it is dropped. */
static void look_at_refused(struct port *port) {
    uint64_t now = rte_rdtsc();

    if (port->refused_since == 0 || port->refused_after != port->counters.tx_packets) {
        port->refused_since = now;
        port->refused_after = port->counters.tx_packets;
    } else if (now - port->refused_since > rte_get_tsc_hz() / 1000 * REFUSED_MS) {
        port->refused_since = 0;
        port->counters.tx_dropped++;
        rte_pktmbuf_free(port->tx_queue[port->tx_first++]);
        port->tx_count--;
    }
}

void port_flush(struct port *port) {
    while (port->tx_count > 0) {
        uint16_t wanted = (uint16_t)RTE_MIN(port->tx_count, (unsigned)PORT_BURST);
        uint16_t sent = rte_eth_tx_burst(port->id, port->core, port->tx_queue + port->tx_first, wanted);

        port->counters.tx_packets += sent;
        port->tx_first += sent;
        port->tx_count -= sent;
        if (sent < wanted) {
            look_at_refused(port);
            return;
        }
    }
    port->tx_first = 0;
}

void port_drop_queue(struct port *port) {
    port->counters.tx_dropped += port->tx_count;
    rte_pktmbuf_free_bulk(port->tx_queue + port->tx_first, port->tx_count);
    port->tx_first = port->tx_count = 0;
}
