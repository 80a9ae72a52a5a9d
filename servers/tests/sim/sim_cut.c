/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_cut.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/priv/tcp_priv.h"

#include "stack/tcp_headers.h"

#define FRAME_MAX 1514

static uint16_t inverted_sum(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static void write_link_and_ip(struct tcp_headers *headers, const struct netif *netif,
                              const struct eth_addr *to, const struct tcp_pcb *pcb, uint16_t size) {
    headers->ethernet.dest = *to;
    memcpy(&headers->ethernet.src, netif->hwaddr, ETH_HWADDR_LEN);
    headers->ethernet.type = PP_HTONS(ETHTYPE_IP);
    headers->ip = (struct ip_hdr){._v_hl = 0x45,
                                  ._tos = pcb->tos,
                                  ._len = lwip_htons((uint16_t)(IP_HLEN + TCP_HLEN + size)),
                                  ._ttl = pcb->ttl,
                                  ._proto = IP_PROTO_TCP};
    headers->ip.src.addr = ip4_addr_get_u32(ip_2_ip4(&pcb->local_ip));
    headers->ip.dest.addr = ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip));
    headers->ip._chksum = inverted_sum(stack_checksum(&headers->ip, IP_HLEN));
}

/* The piece of the segment that begins at `done`; its PSH and FIN belong to the last one. */
static void write_tcp(struct tcp_headers *headers, const struct tcp_seg *segment, uint16_t done,
                      uint16_t size) {
    headers->tcp = *segment->tcphdr;
    headers->tcp.seqno = lwip_htonl(lwip_ntohl(segment->tcphdr->seqno) + done);
    if (done + size < segment->len) {
        TCPH_UNSET_FLAG(&headers->tcp, TCP_PSH | TCP_FIN);
    }
    memcpy(headers + 1, segment->data + done, size);
    headers->tcp.chksum = 0;
    headers->tcp.chksum = inverted_sum((uint32_t)tcp_headers_pseudo_sum(headers, TCP_HLEN + size) +
                                       stack_checksum(&headers->tcp, TCP_HLEN + size));
}

bool sim_cut(struct netif *netif, const struct tcp_pcb *pcb, const struct tcp_seg *segment, sim_put *put) {
    const struct eth_addr *to =
        etharp_find_hinted(netif, ip_2_ip4(&pcb->remote_ip), pcb->netif_hints.addr_hint);
    uint8_t frame[FRAME_MAX];
    struct tcp_headers *headers = (struct tcp_headers *)frame;

    if (to == NULL) {
        return false;
    }
    if (sizeof(*headers) + pcb->mss > sizeof(frame) || segment->len == 0) {
        abort(); /* lwIP has asked for what no port can do */
    }
    for (uint16_t done = 0, size; done < segment->len; done = (uint16_t)(done + size)) {
        size = LWIP_MIN((uint16_t)(segment->len - done), pcb->mss);
        write_link_and_ip(headers, netif, to, pcb, size);
        write_tcp(headers, segment, done, size);
        put(netif, frame, sizeof(*headers) + size);
    }
    return true;
}
