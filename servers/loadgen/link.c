/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <rte_arp.h>
#include <rte_ethdev.h>

#include "loadgen/tcp/arp.h"

enum { HEADERS = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr) };

static const uint8_t no_mac[6];

static uint8_t set_window(struct link *link, uint64_t window) {
    uint8_t scale = 0;

    while (window >> scale > UINT16_MAX) {
        scale++;
    }
    link->window = (uint16_t)(window >> scale);
    link->window_unscaled = (uint16_t)RTE_MIN(window, (uint64_t)UINT16_MAX);
    return scale;
}

static size_t write_request(char *text, size_t size, const struct loadgen_options *options) {
    bool closed = options->mode == MODE_CONNECT && options->closer == CLOSED_BY_SERVER;
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &options->server, host, sizeof(host));
    return (size_t)snprintf(text, size, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", options->path, host,
                            closed ? "Connection: close\r\n" : "");
}

static void make_templates(struct link *link, const struct loadgen_options *options) {
    uint8_t scale = set_window(link, options->window);
    uint16_t mss = (uint16_t)(options->mtu - HEADERS);
    const uint8_t syn[] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 1, 3, 3, scale};
    char request[TEMPLATE_PAYLOAD_MAX + 1];
    size_t size = write_request(request, sizeof(request), options);

    template_init(&link->templates[LINK_SYN], &link->ends, RTE_TCP_SYN_FLAG, syn, sizeof(syn), NULL, 0);
    template_init(&link->templates[LINK_ACK], &link->ends, RTE_TCP_ACK_FLAG, NULL, 0, NULL, 0);
    template_init(&link->templates[LINK_REQUEST], &link->ends, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, NULL, 0,
                  request, size);
    template_init(&link->templates[LINK_FIN], &link->ends, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, NULL, 0, NULL,
                  0);
    template_init(&link->templates[LINK_RESET], &link->ends, RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG, NULL, 0,
                  NULL, 0);
}

static void learn_server(struct link *link, const uint8_t mac[6]) {
    memcpy(link->ends.server_mac, mac, sizeof(link->ends.server_mac));
    for (int i = 0; i < LINK_SEGMENTS; i++) {
        memcpy(link->templates[i].bytes, mac, sizeof(link->ends.server_mac));
    }
    link->server_known = true;
}

int link_open(struct link *link, const struct loadgen_options *options, char *error, size_t size) {
    bool own_mac = memcmp(options->mac, no_mac, sizeof(no_mac)) == 0;
    struct port_config port = {.rx_descriptors = (uint16_t)options->rx_descriptors,
                               .tx_descriptors = (uint16_t)options->tx_descriptors,
                               .mtu = (uint16_t)options->mtu,
                               .mbufs = (unsigned)options->mbufs,
                               .offload = !options->no_offload,
                               .verify = true,
                               .promiscuous = !own_mac};
    int code = port_open(&link->port, &port, error, size);

    if (code != 0) {
        return code;
    }
    link->flows =
        (struct flows){.address = ntohl(options->address), .addresses = (uint32_t)options->addresses};
    link->gateway = ntohl(options->gateway_address);
    /* A driver that frees all at once wants all from one pool, and a receive ring must not starve. */
    link->recycles = !(link->port.tx_offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) &&
                     link->port.spare_mbufs > (unsigned)PORT_QUEUE + link->port.tx_descriptors;
    link->ends =
        (struct template_ends){.server = ntohl(options->server), .server_port = (uint16_t)options->port};
    memcpy(link->ends.mac, own_mac ? link->port.mac : options->mac, sizeof(link->ends.mac));
    make_templates(link, options);
    if (memcmp(options->server_mac, no_mac, sizeof(no_mac)) != 0) {
        learn_server(link, options->server_mac);
    }
    return 0;
}

void link_close(struct link *link) {
    port_close(&link->port);
}

/* Takes an empty buffer for a segment. NULL: there is none. */
static struct rte_mbuf *get_packet(struct link *link) {
    struct rte_mbuf *packet = link->lent;

    if (packet == NULL) {
        packet = rte_pktmbuf_alloc(link->port.tx_pool);
        link->no_mbuf += packet == NULL;
        return packet;
    }
    link->lent = NULL;
    link->lent_is_gone = true;
    rte_pktmbuf_reset(packet);
    return packet;
}

static void send_arp(struct link *link, const struct arp *arp, const uint8_t *to) {
    struct rte_mbuf *packet = get_packet(link);

    if (packet == NULL) {
        return;
    }
    arp_write(rte_pktmbuf_mtod(packet, uint8_t *), arp, to);
    packet->data_len = packet->pkt_len = ARP_FRAME;
    port_send(&link->port, packet);
}

static void ask_from(struct link *link, uint32_t address) {
    struct arp arp = {.operation = RTE_ARP_OP_REQUEST, .sender = address, .target = link->ends.server};

    memcpy(arp.sender_mac, link->ends.mac, sizeof(arp.sender_mac));
    send_arp(link, &arp, NULL);
}

void link_ask_for_server(struct link *link) {
    ask_from(link, link->gateway != 0 ? link->gateway : link->flows.address);
}

void link_announce(struct link *link, uint32_t flow) {
    /* Behind a gateway it is the only neighbour. */
    uint32_t wanted = link->gateway != 0 ? 1 : flow / FLOW_PORTS + 1;

    while (link->announced < wanted) {
        ask_from(link, link->gateway != 0 ? link->gateway : link->flows.address + link->announced);
        link->announced++;
    }
}

void link_input(struct link *link, const struct rte_mbuf *packet) {
    struct arp arp, reply = {.operation = RTE_ARP_OP_REPLY};

    if (!arp_read(&arp, packet)) {
        return;
    }
    if (arp.sender == link->ends.server && !link->server_known) {
        learn_server(link, arp.sender_mac);
    }
    if (arp.operation != RTE_ARP_OP_REQUEST || (arp.target - link->flows.address >= link->flows.addresses &&
                                                (arp.target != link->gateway || link->gateway == 0))) {
        return;
    }
    reply.sender = arp.target;
    reply.target = arp.sender;
    memcpy(reply.sender_mac, link->ends.mac, sizeof(reply.sender_mac));
    send_arp(link, &reply, arp.sender_mac);
}

bool link_send(struct link *link, enum link_segment kind, uint32_t flow, uint32_t seq, uint32_t ack,
               bool scaled) {
    const struct template *template = &link->templates[kind];
    struct rte_mbuf *packet = get_packet(link);
    struct template_values values = {
        .address = flow_address(&link->flows, flow),
        .port = flow_port(flow),
        .seq = seq,
        .ack = ack,
        .window = scaled && kind != LINK_SYN ? link->window : link->window_unscaled,
    };

    if (unlikely(packet == NULL)) {
        return false;
    }
    template_write(template, rte_pktmbuf_mtod(packet, uint8_t *), &values);
    packet->data_len = template->size;
    packet->pkt_len = template->size;
    port_send(&link->port, packet);
    return true;
}
