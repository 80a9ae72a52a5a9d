/* SPDX-License-Identifier: BSD-3-Clause */
/* Is lwIP's network interface on the port: what lwIP sends leaves here. */
#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#include "lwip/etharp.h"
#include "lwip/priv/tcp_priv.h"
#include "netif/ethernet.h"

#include "lwip_hooks.h"
#include "stack.h"
#include "stack_state.h"

/* Their lines were last in the
 * cache of whoever took the packets that left in them: fetched now, they are here when they are written. */
void stack_prepare_answers(unsigned count) {
    unsigned missing = count - RTE_MIN(count, stack.tx_ready_count);

    if (missing > 0 &&
        rte_pktmbuf_alloc_bulk(stack.port.tx_pool, stack.tx_ready + stack.tx_ready_count, missing) == 0) {
        stack.tx_ready_count += missing;
    }
    for (unsigned i = 0; i < stack.tx_ready_count; i++) {
        tcp_packet_prefetch(stack.tx_ready[i]);
    }
}

static struct rte_mbuf *empty_buffer(void) {
    struct rte_mbuf *packet = stack.tx_ready_count > 0 ? stack.tx_ready[--stack.tx_ready_count]
                                                       : rte_pktmbuf_alloc(stack.port.tx_pool);

    if (unlikely(packet == NULL)) {
        stack.tx_no_mbuf++;
    }
    return packet;
}

/* TCP keeps what finds no room, whoever sends a datagram is told. */
static bool has_room(void) {
    if (likely(port_has_room(&stack.port))) {
        return true;
    }
    stack.refused = true;
    return false;
}

err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment) {
    const struct eth_addr *to;
    struct rte_mbuf *packet;

    if (unlikely(netif != &stack.netif || ip_addr_eq(&pcb->remote_ip, &netif->ip_addr))) {
        return ERR_VAL; /* stays inside */
    }
    to = etharp_find_hinted(netif, ip_2_ip4(&pcb->remote_ip), pcb->netif_hints.addr_hint);
    if (unlikely(to == NULL)) {
        return ERR_VAL;
    }
    if (unlikely(!has_room() || (packet = empty_buffer()) == NULL)) {
        return ERR_MEM;
    }
    if (unlikely(!tcp_packet_make(packet, &stack.packets, to, pcb, segment))) {
        rte_pktmbuf_free(packet);
        return ERR_VAL;
    }
    port_send_prepared(&stack.port, packet);
    return ERR_OK;
}

uint16_t stack_largest_segment(const struct tcp_pcb *pcb, const uint8_t *data, uint16_t size) {
    if (stack.largest_segment == 0 || ip_addr_eq(&pcb->remote_ip, &stack.netif.ip_addr)) {
        return 0; /* what stays inside is cut up by nobody */
    }
    return RTE_MIN(stack.largest_segment, (uint16_t)tcp_packet_attachable(&stack.packets, data, size));
}

uint32_t stack_initial_sequence(const ip4_addr_t *local, uint16_t local_port, const ip4_addr_t *remote,
                                uint16_t remote_port) {
    const struct {
        uint32_t local, remote;
        uint16_t local_port, remote_port;
    } flow = {local->addr, remote->addr, local_port, remote_port};
    static LWIP_TLS uint32_t of_lwip = 6510;

    if (unlikely(!feature_on(OBLIGATION_ISN))) {
        return of_lwip += tcp_ticks;
    }
    return initial_sequence(&stack.sequence_key, &flow, sizeof(flow), rte_rdtsc(), stack.tsc_hz);
}

uint32_t stack_next_hop(uint32_t address) {
    const ip4_addr_t to = {address};

    return ((to.addr ^ netif_ip4_addr(&stack.netif)->addr) & netif_ip4_netmask(&stack.netif)->addr) == 0 ||
                   ip4_addr_islinklocal(&to) || ip4_addr_isloopback(&to) || ip4_addr_ismulticast(&to) ||
                   ip4_addr_isbroadcast(&to, &stack.netif)
               ? address
               : netif_ip4_gw(&stack.netif)->addr;
}

void stack_on_silent_neighbour(void (*hook)(uint32_t neighbour)) {
    stack.on_silent = hook;
}

void stack_neighbour_silent(uint32_t neighbour) {
    if (stack.on_silent != NULL) {
        stack.on_silent(neighbour);
    }
}

bool stack_reassembles(void) {
    return stack.alone;
}

static err_t interface_output(struct netif *netif, struct pbuf *pbuf) {
    struct rte_mbuf *packet;

    if (unlikely(pbuf->tot_len > netif->mtu + SIZEOF_ETH_HDR)) {
        return ERR_BUF; /* nothing here cuts datagrams to pieces */
    }
    if (unlikely(!has_room())) {
        return ERR_MEM;
    }
    packet = mbuf_from_pbuf(stack.port.tx_pool, pbuf);
    if (packet == NULL) {
        stack.tx_no_mbuf++;
        return ERR_MEM;
    }
    port_send(&stack.port, packet);
    return ERR_OK;
}

/* Leaves what the port was granted out of lwIP's own work; ICMP is always lwIP's. */
static uint16_t software_checksums(unsigned port) {
    unsigned granted = (port & PORT_RX_IPV4 ? NETIF_CHECKSUM_CHECK_IP : 0) |
                       (port & PORT_RX_TCP ? NETIF_CHECKSUM_CHECK_TCP : 0) |
                       (port & PORT_RX_UDP ? NETIF_CHECKSUM_CHECK_UDP : 0) |
                       (port & PORT_TX_IPV4 ? NETIF_CHECKSUM_GEN_IP : 0) |
                       (port & PORT_TX_TCP ? NETIF_CHECKSUM_GEN_TCP : 0) |
                       (port & PORT_TX_UDP ? NETIF_CHECKSUM_GEN_UDP : 0);

    return (uint16_t)(NETIF_CHECKSUM_ENABLE_ALL & ~granted);
}

err_t stack_interface_init(struct netif *netif) {
    netif->name[0] = 'd';
    netif->name[1] = 'p';
    netif->mtu = stack.port.mtu;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = interface_output;
    NETIF_SET_CHECKSUM_CTRL(netif, software_checksums(port_checksums(&stack.port)));
    return ERR_OK;
}
