/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: lwIP with one interface whose other end is the test. Segments go in one by one as if a client
 * had sent them, and what lwIP sends is counted. */
#ifndef STACKDUEL_TESTS_LWIP_CLIENT_H
#define STACKDUEL_TESTS_LWIP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lwip/init.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "common/features.h"

#define SERVER_PORT 80
#define SERVER_ADDRESS 0xc6120003u /* 198.18.0.3, host byte order as the others */
#define CLIENT_ADDRESS 0xc6120001u

static struct netif netif;
static unsigned syns, syn_acks, data_segments, acknowledgements, resets, fins;
static uint32_t last_sequence;
static uint16_t last_identification;
static struct tcp_hdr last_header; /* of whatever lwIP has sent last */
static struct tcp_pcb *accepted;

/* The wire: looks at what lwIP sends. */
static err_t output(struct netif *out, struct pbuf *packet, const ip4_addr_t *address) {
    struct tcp_hdr header;
    struct ip_hdr ip;

    (void)out;
    (void)address;
    assert_int_equal(pbuf_copy_partial(packet, &ip, sizeof(ip), 0), sizeof(ip));
    last_identification = lwip_ntohs(IPH_ID(&ip));
    assert_int_equal(pbuf_copy_partial(packet, &header, sizeof(header), IP_HLEN), sizeof(header));
    last_header = header;
    fins += (TCPH_FLAGS(&header) & TCP_FIN) != 0;
    if ((TCPH_FLAGS(&header) & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
        syn_acks++;
        last_sequence = lwip_ntohl(header.seqno);
    } else if (TCPH_FLAGS(&header) & TCP_SYN) {
        syns++;
    } else if (TCPH_FLAGS(&header) & TCP_RST) {
        resets++;
    } else if (packet->tot_len > IP_HLEN + TCPH_HDRLEN_BYTES(&header)) {
        data_segments++;
    } else if (TCPH_FLAGS(&header) == TCP_ACK) {
        acknowledgements++;
    }
    return ERR_OK;
}

static err_t interface_init(struct netif *self) {
    self->output = output;
    self->mtu = 1500;
    self->flags = NETIF_FLAG_LINK_UP;
    NETIF_SET_CHECKSUM_CTRL(self, 0);
    return ERR_OK;
}

static void start_interface(void) {
    ip4_addr_t address = {PP_HTONL(SERVER_ADDRESS)}, netmask = {PP_HTONL(0xffff0000)}, gateway = {0};

    netif_add(&netif, &address, &netmask, &gateway, NULL, interface_init, ip4_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
}

/* What a segment has beside its numbers. */
struct content {
    const void *options, *data;
    uint16_t options_size, data_size; /* bytes; of options a multiple of 4 */
    bool closed;                      /* the window is */
    uint16_t window, urgent;          /* 0: a large window */
};

/* A segment from `address` and port `source` to port `destination` of the server. */
static void inject_content(uint32_t address, uint16_t source, uint16_t destination, uint32_t sequence,
                           uint32_t acknowledged, uint8_t flags, struct content content) {
    uint16_t length = (uint16_t)(IP_HLEN + TCP_HLEN + content.options_size + content.data_size);
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);
    struct ip_hdr *ip = packet->payload;
    struct tcp_hdr *tcp = (struct tcp_hdr *)(ip + 1);

    memset(packet->payload, 0, packet->len);
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons(length));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = lwip_htonl(address);
    ip->dest.addr = lwip_htonl(SERVER_ADDRESS);
    tcp->src = lwip_htons(source);
    tcp->dest = lwip_htons(destination);
    tcp->seqno = lwip_htonl(sequence);
    tcp->ackno = lwip_htonl(acknowledged);
    tcp->wnd = lwip_htons(content.closed ? 0 : content.window != 0 ? content.window : 60000);
    tcp->urgp = lwip_htons(content.urgent);
    TCPH_HDRLEN_FLAGS_SET(tcp, 5 + content.options_size / 4, flags);
    if (content.options_size > 0) {
        memcpy(tcp + 1, content.options, content.options_size);
    }
    if (content.data != NULL) {
        memcpy((uint8_t *)(tcp + 1) + content.options_size, content.data, content.data_size);
    }
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

/* The same without options and data. */
static void inject_from(uint32_t address, uint16_t source, uint16_t destination, uint32_t sequence,
                        uint32_t acknowledged, uint8_t flags) {
    inject_content(address, source, destination, sequence, acknowledged, flags, (struct content){0});
}

/* The same from port `source` of the client. */
static void inject(uint16_t source, uint32_t sequence, uint32_t acknowledged, uint8_t flags) {
    inject_from(CLIENT_ADDRESS, source, SERVER_PORT, sequence, acknowledged, flags);
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    accepted = pcb;
    return ERR_OK;
}

static struct tcp_pcb *listen_with(uint16_t backlog) {
    struct tcp_pcb *pcb = tcp_new();

    assert_int_equal(tcp_bind(pcb, IP_ANY_TYPE, SERVER_PORT), ERR_OK);
    pcb = tcp_listen_with_backlog(pcb, backlog);
    assert_non_null(pcb);
    tcp_accept(pcb, on_accept);
    return pcb;
}

static int set_up(void **state) {
    (void)state;
    syns = syn_acks = data_segments = acknowledgements = resets = fins = 0;
    accepted = NULL;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    while (tcp_active_pcbs != NULL) {
        tcp_abort(tcp_active_pcbs);
    }
    while (tcp_tw_pcbs != NULL) {
        tcp_abort(tcp_tw_pcbs);
    }
    while (tcp_listen_pcbs.pcbs != NULL) {
        assert_int_equal(tcp_close(tcp_listen_pcbs.pcbs), ERR_OK);
    }
    return 0;
}

/* All tests once with all optimisations and once with none, each in a process of its own, as optimisations
 * are set once before lwIP starts. `reserve` is called before lwip_init() and says whether all is well; NULL:
 * nothing is to be done then. How often any test failed. */
static inline int run_with_and_without_features(const struct CMUnitTest *tests, size_t count,
                                                bool (*reserve)(void)) {
    static const uint32_t both[] = {UINT32_MAX, OBLIGATIONS};
    int failures = 0;

    for (size_t i = 0; i < 2; i++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            features = both[i];
            if (reserve != NULL && !reserve()) {
                _exit(EXIT_FAILURE);
            }
            lwip_init();
            start_interface();
            exit(_cmocka_run_group_tests(features == OBLIGATIONS ? "without optimisations"
                                                                 : "with all optimisations",
                                         tests, count, set_up, tear_down));
        }
        failures += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    return failures;
}

#endif
