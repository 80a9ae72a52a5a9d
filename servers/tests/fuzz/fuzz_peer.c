/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz_peer.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/iana.h"
#include "lwip/prot/icmp.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/udp.h"
#include "lwip/sys.h"
#include "netif/ethernet.h"

#include "stack/header_prediction.h"
#include "stack/lwip_hooks.h"
#include "tests/sim/sim_cut.h"

#define FIRST_PORT 40000
#define HEADERS (SIZEOF_ETH_HDR + IP_HLEN + TCP_HLEN)

struct connection {
    uint16_t server_port;
    uint32_t expected; /* by lwIP, of us */
    uint32_t sent;     /* by lwIP: the end of the last segment */
};

/* A pbuf around memory of its own size, so that a read beyond it is seen. */
struct lent {
    struct pbuf_custom custom; /* first: lwIP hands back a pointer to the pbuf in it */
    uint8_t *memory;
};

static struct {
    struct netif netif;
    struct connection connections[PEERS];
    unsigned refuse;
    uint16_t largest; /* segment of lwIP's */
    bool arp_wanted;
    bool long_way_only;
    size_t lent;
    uint64_t digest;
} peer;

static const uint8_t own_mac[ETH_HWADDR_LEN] = {0x00, 0x23, 0xc1, 0xde, 0xd0, 0x0d};
static const uint8_t peer_mac[ETH_HWADDR_LEN] = {0x38, 0x00, 0x22, 0x2b, 0x38, 0x08};
static const ip_addr_t own_address = {PP_HTONL(0xac1e7354)}, address = {PP_HTONL(0xac1e7325)};

const ip_addr_t *peer_address(void) {
    return &address;
}

struct netif *peer_netif(void) {
    return &peer.netif;
}

size_t peer_lent(void) {
    return peer.lent;
}

uint16_t peer_port(unsigned number) {
    return (uint16_t)(FIRST_PORT + number);
}

uint16_t peer_server_port(unsigned number) {
    return peer.connections[number].server_port;
}

void peer_expect_from(unsigned number, uint16_t server_port) {
    peer.connections[number].server_port = server_port;
}

void peer_cut_up(uint16_t largest) {
    peer.largest = largest;
}

void peer_predict(bool predict) {
    peer.long_way_only = !predict;
}

uint64_t peer_digest(void) {
    return peer.digest;
}

void peer_refuse(unsigned count) {
    peer.refuse = count;
}

/* Follows the sequence numbers of both ends. */
static void look_at(const struct tcp_hdr *header, uint16_t size) {
    unsigned number = (unsigned)(lwip_ntohs(header->dest) - FIRST_PORT);
    struct connection *connection = &peer.connections[number % PEERS];
    uint16_t flags = TCPH_FLAGS(header), length = (uint16_t)(size - TCPH_HDRLEN_BYTES(header));

    if (number >= PEERS || lwip_ntohs(header->src) != connection->server_port || (flags & TCP_RST)) {
        return;
    }
    connection->sent = lwip_ntohl(header->seqno) + length + ((flags & (TCP_SYN | TCP_FIN)) != 0);
    if (flags & TCP_ACK) {
        connection->expected = lwip_ntohl(header->ackno);
    }
}

/* FNV-1a (Fowler, Noll, Vo). */
static void digest(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        peer.digest = (peer.digest ^ bytes[i]) * 0x100000001b3;
    }
}

static void take_frame(struct netif *netif, const uint8_t *frame, size_t size) {
    const struct eth_hdr *ethernet = (const struct eth_hdr *)frame;
    const struct ip_hdr *ip = (const struct ip_hdr *)(frame + SIZEOF_ETH_HDR);

    if (size > (size_t)netif->mtu + SIZEOF_ETH_HDR) {
        abort(); /* larger than the wire takes */
    }
    digest(frame, size);
    if (ethernet->type == PP_HTONS(ETHTYPE_ARP)) {
        peer.arp_wanted = true;
    } else if (IPH_PROTO(ip) == IP_PROTO_TCP) {
        look_at((const struct tcp_hdr *)(ip + 1), (uint16_t)(lwip_ntohs(IPH_LEN(ip)) - IP_HLEN));
    }
}

static bool has_room(void) {
    if (peer.refuse == 0) {
        return true;
    }
    peer.refuse--;
    return false;
}

static err_t take(struct netif *netif, struct pbuf *packet) {
    uint8_t frame[PEER_FRAME_MAX];
    uint16_t size = pbuf_copy_partial(packet, frame, sizeof(frame), 0);

    if (size != packet->tot_len) {
        abort();
    }
    if (!has_room()) {
        return ERR_MEM;
    }
    take_frame(netif, frame, size);
    return ERR_OK;
}

err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment) {
    if (peer.largest == 0 || netif != &peer.netif) {
        return ERR_VAL;
    }
    if (!has_room()) {
        return ERR_MEM;
    }
    return sim_cut(netif, pcb, segment, take_frame) ? ERR_OK : ERR_VAL;
}

uint16_t stack_largest_segment(const struct tcp_pcb *pcb, const uint8_t *data, uint16_t size) {
    (void)pcb;
    (void)data;
    return LWIP_MIN(size, peer.largest);
}

static err_t interface_init(struct netif *netif) {
    netif->mtu = PEER_FRAME_MAX - SIZEOF_ETH_HDR;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, own_mac, ETH_HWADDR_LEN);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->linkoutput = take;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL);
    return ERR_OK;
}

void peer_start(void) {
    const ip4_addr_t netmask = {PP_HTONL(0xffffff00)}, none = {0};

    if (netif_add(&peer.netif, &own_address, &netmask, &none, NULL, interface_init, ethernet_input) == NULL) {
        abort();
    }
    netif_set_default(&peer.netif);
    netif_set_up(&peer.netif);
}

static void give_back(struct pbuf *pbuf) {
    struct lent *lent = (struct lent *)pbuf;

    peer.lent--;
    free(lent->memory);
    free(lent);
}

static struct pbuf *lend(const uint8_t *bytes, size_t size) {
    struct lent *lent = malloc(sizeof(*lent));
    uint8_t *memory = malloc(size);

    if (lent == NULL || memory == NULL) {
        abort();
    }
    peer.lent++;
    memcpy(memory, bytes, size);
    lent->custom.custom_free_function = give_back;
    lent->memory = memory;
    return pbuf_alloced_custom(PBUF_RAW, (uint16_t)size, PBUF_REF, &lent->custom, memory, (uint16_t)size);
}

static void deliver(const uint8_t *frame, size_t size, uint16_t cut) {
    bool whole = cut == 0 || cut >= size;
    struct pbuf *packet = lend(frame, whole ? size : cut);
    struct tcp_pcb *pcb =
        whole && !peer.long_way_only ? rx_predict_lookup(&peer.netif, packet->payload, size) : NULL;

    if (pcb != NULL) {
        rx_predict_input(pcb, packet);
        return;
    }
    if (!whole) {
        pbuf_cat(packet, lend(frame + cut, size - cut));
    }
    if (peer.netif.input(packet, &peer.netif) != ERR_OK) {
        pbuf_free(packet);
    }
}

/* Makes the checksums of `size` bytes behind an IP header right, as far as they are there. */
static void mend_payload(const struct ip_hdr *ip, uint8_t *bytes, uint16_t size) {
    struct pbuf view = {.payload = bytes, .tot_len = size, .len = size, .ref = 1};
    ip4_addr_t from = {ip->src.addr}, to = {ip->dest.addr};

    if (IPH_PROTO(ip) == IP_PROTO_TCP && size >= TCP_HLEN) {
        struct tcp_hdr *tcp = (struct tcp_hdr *)bytes;

        tcp->chksum = 0;
        tcp->chksum = inet_chksum_pseudo(&view, IP_PROTO_TCP, size, &from, &to);
    } else if (IPH_PROTO(ip) == IP_PROTO_UDP && size >= UDP_HLEN) {
        struct udp_hdr *udp = (struct udp_hdr *)bytes;

        udp->chksum = 0;
        udp->chksum = inet_chksum_pseudo(&view, IP_PROTO_UDP, size, &from, &to);
    } else if (IPH_PROTO(ip) == IP_PROTO_ICMP && size >= sizeof(struct icmp_echo_hdr)) {
        struct icmp_echo_hdr *icmp = (struct icmp_echo_hdr *)bytes;

        icmp->chksum = 0;
        icmp->chksum = inet_chksum(bytes, size);
    }
}

static void mend(uint8_t *frame, size_t size) {
    struct ip_hdr *ip = (struct ip_hdr *)(frame + SIZEOF_ETH_HDR);
    uint16_t head, whole;

    if (size < SIZEOF_ETH_HDR + IP_HLEN || frame[12] != 0x08 || frame[13] != 0x00) {
        return;
    }
    head = IPH_HL_BYTES(ip);
    whole = (uint16_t)LWIP_MIN((size_t)lwip_ntohs(IPH_LEN(ip)), size - SIZEOF_ETH_HDR);
    if (head < IP_HLEN || head > whole) {
        return;
    }
    mend_payload(ip, (uint8_t *)ip + head, (uint16_t)(whole - head));
    IPH_CHKSUM_SET(ip, 0);
    IPH_CHKSUM_SET(ip, inet_chksum(ip, head));
}

void peer_send_frame(const uint8_t *frame, size_t size, bool mended, uint16_t cut) {
    uint8_t copy[PEER_FRAME_MAX];

    size = LWIP_MIN(size, sizeof(copy));
    if (size == 0) {
        return; /* a port has none such */
    }
    memcpy(copy, frame, size);
    if (mended) {
        mend(copy, size);
    }
    deliver(copy, size, cut);
}

static struct tcp_pcb *pcb_of(unsigned number) {
    return tcp_pcb_find(&own_address, peer.connections[number].server_port, &address, peer_port(number),
                        &peer.netif);
}

/* What no segment may change that cannot be of this connection's peer. */
struct owned {
    uint32_t rcv_nxt, lastack, snd_wnd;
    uint16_t mss;
};

static struct owned owned_by(struct tcp_pcb *pcb) {
    return (struct owned){pcb->rcv_nxt, pcb->lastack, pcb->snd_wnd, pcb->mss};
}

/* Whether a synchronized connection may use anything of it (RFC 5961, 4 and 5). */
static bool may_be_used(const struct tcp_pcb *pcb, const struct peer_segment *segment, uint32_t ackno) {
    uint32_t oldest = pcb->lastack - pcb->snd_wnd_max;

    if (!feature_on(OBLIGATION_ACCEPTABLE)) {
        return true;
    }
    return !segment->bad_checksum && (segment->flags & (TCP_SYN | TCP_ACK)) == TCP_ACK &&
           ackno - oldest <= pcb->snd_nxt - oldest;
}

static void deliver_segment(unsigned number, const struct peer_segment *segment, uint32_t ackno,
                            const uint8_t *frame, size_t size) {
    struct tcp_pcb *pcb = pcb_of(number);
    struct owned before, after;

    if (pcb == NULL || pcb->state < ESTABLISHED || may_be_used(pcb, segment, ackno)) {
        deliver(frame, size, segment->cut);
        return;
    }
    before = owned_by(pcb);
    deliver(frame, size, segment->cut);
    if (pcb_of(number) != pcb) {
        return; /* the application had data, or a reset came */
    }
    after = owned_by(pcb);
    if (before.rcv_nxt != after.rcv_nxt || before.lastack != after.lastack ||
        before.snd_wnd != after.snd_wnd || before.mss != after.mss) {
        abort(); /* of what is not acceptable, something was used */
    }
}

void peer_send(unsigned number, const struct peer_segment *segment) {
    struct connection *connection = &peer.connections[number];
    uint8_t frame[PEER_FRAME_MAX] = {0};
    struct ip_hdr *ip = (struct ip_hdr *)(frame + SIZEOF_ETH_HDR);
    struct tcp_hdr *tcp = (struct tcp_hdr *)(ip + 1);
    uint16_t payload =
        (uint16_t)LWIP_MIN(segment->payload_size, PEER_FRAME_MAX - HEADERS - segment->options_size);
    uint16_t size = (uint16_t)(HEADERS + segment->options_size + payload);

    memcpy(frame, own_mac, ETH_HWADDR_LEN);
    memcpy(frame + ETH_HWADDR_LEN, peer_mac, ETH_HWADDR_LEN);
    frame[12] = 0x08;
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons((uint16_t)(size - SIZEOF_ETH_HDR)));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = address.addr;
    ip->dest.addr = own_address.addr;
    tcp->src = lwip_htons(peer_port(number));
    tcp->dest = lwip_htons(connection->server_port);
    tcp->seqno = lwip_htonl(connection->expected + segment->sequence_offset);
    tcp->ackno = lwip_htonl(connection->sent + segment->acknowledgement_offset);
    tcp->wnd = lwip_htons(segment->window);
    tcp->urgp = lwip_htons(segment->urgent);
    TCPH_HDRLEN_FLAGS_SET(tcp, 5 + segment->options_size / 4, segment->flags);
    memcpy(tcp + 1, segment->options, segment->options_size);
    memcpy((uint8_t *)(tcp + 1) + segment->options_size, segment->payload, payload);
    mend(frame, size);
    tcp->chksum ^= segment->bad_checksum;
    deliver_segment(number, segment, lwip_ntohl(tcp->ackno), frame, size);
}

static void send_arp_reply(void) {
    uint8_t frame[SIZEOF_ETH_HDR + SIZEOF_ETHARP_HDR] = {0};
    struct etharp_hdr *arp = (struct etharp_hdr *)(frame + SIZEOF_ETH_HDR);

    memcpy(frame, own_mac, ETH_HWADDR_LEN);
    memcpy(frame + ETH_HWADDR_LEN, peer_mac, ETH_HWADDR_LEN);
    frame[12] = 0x08;
    frame[13] = 0x06;
    arp->hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET);
    arp->proto = PP_HTONS(ETHTYPE_IP);
    arp->hwlen = ETH_HWADDR_LEN;
    arp->protolen = sizeof(ip4_addr_t);
    arp->opcode = PP_HTONS(ARP_REPLY);
    memcpy(&arp->shwaddr, peer_mac, ETH_HWADDR_LEN);
    memcpy(&arp->sipaddr, &address, sizeof(address));
    memcpy(&arp->dhwaddr, own_mac, ETH_HWADDR_LEN);
    memcpy(&arp->dipaddr, &own_address, sizeof(own_address));
    deliver(frame, sizeof(frame), 0);
}

void peer_answer_arp(void) {
    if (peer.arp_wanted) {
        peer.arp_wanted = false;
        send_arp_reply();
    }
}

void peer_reset(void) {
    peer.refuse = 0;
    peer.largest = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        peer.connections[i] = (struct connection){.server_port = i % 2 == 0 ? PEER_HTTP_PORT : PEER_FREE_PORT,
                                                  .expected = 1000 * i};
    }
    etharp_cleanup_netif(&peer.netif);
    (void)etharp_request(&peer.netif, &address); /* else its reply is not wanted */
    peer_answer_arp();
}
