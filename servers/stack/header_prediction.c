/* SPDX-License-Identifier: BSD-3-Clause */
#include "header_prediction.h"

#include <string.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"

#include "mbuf_pbuf.h"
#include "tcp_headers.h"

#define IN_FRONT (SIZEOF_ETH_HDR + IP_HLEN) /* of TCP's header */

/* Tells whether a frame is whole, unpadded, and for this interface. */
static bool is_for(const struct netif *netif, const struct tcp_headers *headers, size_t size) {
    return size == (size_t)SIZEOF_ETH_HDR + lwip_ntohs(headers->ip._len) &&
           (headers->ip._offset & PP_HTONS((uint16_t)~IP_DF)) == 0 &&
           headers->ip.dest.addr == ip4_addr_get_u32(netif_ip4_addr(netif)) &&
           memcmp(&headers->ethernet.dest, netif->hwaddr, ETH_HWADDR_LEN) == 0;
}

/* Verifies those of its checksums that no port has verified. */
static bool sums_are_right(const struct netif *netif, const struct tcp_headers *headers,
                           unsigned tcp_length) {
    uint32_t sum;

    if ((netif->chksum_flags & NETIF_CHECKSUM_CHECK_IP) && stack_checksum(&headers->ip, IP_HLEN) != 0xffff) {
        return false;
    }
    if (!(netif->chksum_flags & NETIF_CHECKSUM_CHECK_TCP)) {
        return true;
    }
    sum = (uint32_t)tcp_headers_pseudo_sum(headers, tcp_length) +
          stack_checksum(&headers->tcp, (int)tcp_length);
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static struct tcp_pcb *connection_of(const struct netif *netif, const struct tcp_headers *headers) {
    ip_addr_t local, remote;

    ip_addr_set_ip4_u32(&local, headers->ip.dest.addr);
    ip_addr_set_ip4_u32(&remote, headers->ip.src.addr);
    return tcp_pcb_find(&local, lwip_ntohs(headers->tcp.dest), &remote, lwip_ntohs(headers->tcp.src), netif);
}

struct tcp_pcb *rx_predict_lookup(const struct netif *netif, void *frame, size_t size) {
    const struct tcp_headers *headers = tcp_headers_in(frame, size);
    struct tcp_pcb *pcb;

    if (headers == NULL || !is_for(netif, headers, size) ||
        !sums_are_right(netif, headers, (unsigned)size - IN_FRONT) ||
        (pcb = connection_of(netif, headers)) == NULL ||
        !tcp_segment_is_predicted(pcb, &headers->tcp, (u16_t)(size - IN_FRONT - TCP_HLEN))) {
        return NULL;
    }
    return pcb;
}

void rx_predict_input(struct tcp_pcb *pcb, struct pbuf *frame) {
    pbuf_remove_header(frame, IN_FRONT); /* cannot fail: it is that long */
    tcp_input_predicted(pcb, frame);
}

bool rx_fast_path(struct netif *netif, struct zero_copy *zero_copy, struct rte_mbuf *packet) {
    struct tcp_pcb *pcb = packet->nb_segs == 1
                              ? rx_predict_lookup(netif, rte_pktmbuf_mtod(packet, void *), packet->data_len)
                              : NULL;
    struct pbuf *pbuf;

    if (pcb == NULL || (pbuf = pbuf_zero_copy(zero_copy, packet)) == NULL) {
        return false;
    }
    rx_predict_input(pcb, pbuf);
    return true;
}
