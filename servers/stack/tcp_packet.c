/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_packet.h"

#include <string.h>

#include <rte_memcpy.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "checksum.h"
#include "stack/port/port_checksum.h"
#include "tcp_headers.h"

static void write_ethernet(struct tcp_headers *headers, const uint8_t source[6], const struct eth_addr *to) {
    memcpy(&headers->ethernet.dest, to, ETH_HWADDR_LEN);
    memcpy(&headers->ethernet.src, source, ETH_HWADDR_LEN);
    headers->ethernet.type = PP_HTONS(ETHTYPE_IP);
}

/* Of an atomic datagram (don't fragment) the identification means nothing (RFC 6864, 4.1). */
static void write_ip(struct tcp_headers *headers, const struct tcp_pcb *pcb, unsigned size) {
    headers->ip = (struct ip_hdr){
        ._v_hl = 0x45,
        ._tos = pcb->tos,
        ._len = lwip_htons((uint16_t)size),
        ._offset = PP_HTONS(IP_DF),
        ._ttl = pcb->ttl,
        ._proto = IP_PROTO_TCP,
        .src = {ip4_addr_get_u32(ip_2_ip4(&pcb->local_ip))},
        .dest = {ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip))},
    };
}

static uint16_t fold(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Both tell the sum of the data, 0 where the port computes it. */
static uint16_t copy_data(void *to, const struct tcp_packet_config *config, const struct tcp_seg *segment) {
    if (!(config->checksums & PORT_TX_TCP) && config->sums != NULL) {
        return stack_copy_and_sum(to, segment->data, segment->len);
    }
    rte_memcpy(to, segment->data, segment->len);
    return config->checksums & PORT_TX_TCP ? 0 : stack_checksum(segment->data, segment->len);
}

/* Of data in the region, which do not change. */
static uint16_t attached_sum(const struct tcp_packet_config *config, const struct tcp_seg *segment) {
    uint64_t key =
        ((uint64_t)(segment->data - config->region->base) << 16 | segment->len) * 0x9e3779b97f4a7c15;
    struct tcp_packet_sum *known;

    if (config->checksums & PORT_TX_TCP) {
        return 0;
    }
    if (config->sums == NULL) {
        return stack_checksum(segment->data, segment->len);
    }
    known = &config->sums[(key >> 32) % TCP_PACKET_SUMS];
    if (known->data != segment->data || known->size != segment->len) {
        *known =
            (struct tcp_packet_sum){segment->data, segment->len, stack_checksum(segment->data, segment->len)};
    }
    return known->sum;
}

/* What the port is to fill in, and what not. `sum` is that of the data, if the port does not compute it. */
static void set_checksums(struct rte_mbuf *packet, struct tcp_headers *headers,
                          const struct tcp_packet_config *config, const struct tcp_pcb *pcb,
                          const struct tcp_seg *segment, uint16_t sum) {
    unsigned checksums = config->checksums;
    unsigned tcp_length = (unsigned)sizeof(headers->tcp) + segment->len;
    uint16_t cut_to = segment->len > pcb->mss && config->cuts_up ? pcb->mss : 0;
    uint64_t flags = cut_to > 0 ? RTE_MBUF_F_TX_TCP_SEG : 0;

    if (checksums & PORT_TX_IPV4) {
        flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    } else {
        headers->ip._chksum = (uint16_t)~stack_checksum(&headers->ip, sizeof(headers->ip));
    }
    headers->tcp.chksum = tcp_headers_pseudo_sum(headers, tcp_length);
    if (checksums & PORT_TX_TCP) {
        flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
    } else {
        headers->tcp.chksum =
            (uint16_t)~fold((uint32_t)stack_checksum(&headers->tcp, sizeof(headers->tcp)) + sum);
    }
    packet->ol_flags = flags;
    packet->tx_offload = rte_mbuf_tx_offload(sizeof(headers->ethernet), sizeof(headers->ip),
                                             sizeof(headers->tcp), cut_to, 0, 0, 0);
}

/* The data as a second mbuf that points to them. False if there is none. */
static bool attach(struct rte_mbuf *packet, const struct tcp_packet_config *config,
                   const struct tcp_seg *segment) {
    struct tcp_packet_region *region = config->region;
    struct rte_mbuf *attached = rte_pktmbuf_alloc(config->attachments);
    void *data = region->base + (segment->data - region->base); /* without const: nobody writes through it */

    if (unlikely(attached == NULL)) {
        return false;
    }
    rte_mbuf_ext_refcnt_update(&region->shared, 1);
    rte_pktmbuf_attach_extbuf(attached, data, tcp_packet_iova(region, data), segment->len, &region->shared);
    attached->data_len = segment->len;
    attached->pkt_len = segment->len;
    packet->next = attached;
    packet->nb_segs = 2;
    return true;
}

bool tcp_packet_make(struct rte_mbuf *packet, const struct tcp_packet_config *config,
                     const struct eth_addr *to, const struct tcp_pcb *pcb, const struct tcp_seg *segment) {
    struct tcp_headers *headers;
    unsigned size = segment->len;
    uint16_t sum;
    bool attached = size >= TCP_PACKET_ATTACH_FROM &&
                    tcp_packet_attachable(config, segment->data, size) == size &&
                    attach(packet, config, segment);

    if (!attached && sizeof(*headers) + size > rte_pktmbuf_tailroom(packet)) {
        return false;
    }
    packet->data_len = (uint16_t)(sizeof(*headers) + (attached ? 0 : size));
    packet->pkt_len = (uint32_t)sizeof(*headers) + size;
    headers = rte_pktmbuf_mtod(packet, struct tcp_headers *);
    write_ethernet(headers, config->source, to);
    write_ip(headers, pcb, (unsigned)(sizeof(headers->ip) + sizeof(headers->tcp)) + size);
    headers->tcp = *segment->tcphdr;
    sum = attached ? attached_sum(config, segment) : copy_data(headers + 1, config, segment);
    set_checksums(packet, headers, config, pcb, segment, sum);
    return true;
}
