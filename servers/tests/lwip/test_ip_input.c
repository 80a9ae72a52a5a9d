/* SPDX-License-Identifier: BSD-3-Clause */
/* What lwIP takes of what comes in frames: fragments, tags, options and addresses, right ones and wrong ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

#include "stack/stack_state.h"

#define OWN UINT32_C(0x0a000001) /* 10.0.0.1, host byte order as the others */
#define CLIENT UINT32_C(0x0a000002)
#define PORT 80

static struct netif netif;
static struct udp_pcb *socket_of_port;
static unsigned sent, icmp_sent, received;
static uint8_t data[UINT16_MAX];
static size_t data_size;

/* What is fragmented: a datagram with its UDP header. */
static uint8_t datagram[8 + 4000];
static uint16_t identification;

static err_t output(struct netif *out, struct pbuf *frame) {
    const struct eth_hdr *ethernet = frame->payload;
    const struct ip_hdr *ip = (const struct ip_hdr *)(ethernet + 1);

    (void)out;
    sent++;
    icmp_sent += ethernet->type == PP_HTONS(ETHTYPE_IP) && IPH_PROTO(ip) == IP_PROTO_ICMP;
    return ERR_OK;
}

static err_t interface_init(struct netif *self) {
    self->output = etharp_output;
    self->linkoutput = output;
    self->mtu = 1500;
    self->hwaddr_len = ETH_HWADDR_LEN;
    self->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    /* as on a port that verifies what it can */
    NETIF_SET_CHECKSUM_CTRL(self, NETIF_CHECKSUM_ENABLE_ALL &
                                      ~(NETIF_CHECKSUM_CHECK_UDP | NETIF_CHECKSUM_CHECK_TCP));
    return ERR_OK;
}

static void on_datagram(void *argument, struct udp_pcb *pcb, struct pbuf *got, const ip_addr_t *from,
                        uint16_t port) {
    (void)argument;
    (void)pcb;
    (void)from;
    (void)port;
    received++;
    data_size = got->tot_len;
    pbuf_copy_partial(got, data, got->tot_len, 0);
    pbuf_free(got);
}

/* An IP packet to be sent, which tests change before. */
struct packet {
    uint32_t from, to;
    uint8_t proto, flags; /* PBUF_FLAG_* */
    int tag;              /* of a VLAN; -1: none */
    uint16_t fragment;    /* IP_MF and the offset in units of 8 bytes */
    const uint8_t *options;
    size_t options_size;
    const void *payload;
    size_t size;
};

static void hear(const struct packet *packet) {
    size_t link = SIZEOF_ETH_HDR + (packet->tag >= 0 ? SIZEOF_VLAN_HDR : 0);
    size_t header = IP_HLEN + packet->options_size;
    struct pbuf *frame = pbuf_alloc(PBUF_RAW, (uint16_t)(link + header + packet->size), PBUF_RAM);
    struct eth_hdr *ethernet = frame->payload;
    struct ip_hdr *ip = (struct ip_hdr *)((uint8_t *)frame->payload + link);

    memset(frame->payload, 0, frame->len);
    if (packet->flags & PBUF_FLAG_LLBCAST) {
        memset(&ethernet->dest, 0xff, sizeof(ethernet->dest));
    }
    ethernet->type = PP_HTONS(ETHTYPE_IP);
    if (packet->tag >= 0) {
        struct eth_vlan_hdr *vlan = (struct eth_vlan_hdr *)(ethernet + 1);

        ethernet->type = PP_HTONS(ETHTYPE_VLAN);
        vlan->prio_vid = lwip_htons((uint16_t)packet->tag);
        vlan->tpid = PP_HTONS(ETHTYPE_IP);
    }
    IPH_VHL_SET(ip, 4, header / 4);
    IPH_LEN_SET(ip, lwip_htons((uint16_t)(header + packet->size)));
    IPH_ID_SET(ip, lwip_htons(identification));
    IPH_OFFSET_SET(ip, lwip_htons(packet->fragment));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, packet->proto);
    ip->src.addr = lwip_htonl(packet->from);
    ip->dest.addr = lwip_htonl(packet->to);
    memcpy(ip + 1, packet->options, packet->options_size);
    memcpy((uint8_t *)ip + header, packet->payload, packet->size);
    IPH_CHKSUM_SET(ip, inet_chksum(ip, (uint16_t)header));
    assert_int_equal(ethernet_input(frame, &netif), ERR_OK);
}

static struct packet whole(const void *payload, size_t size) {
    return (struct packet){.from = CLIENT,
                           .to = OWN,
                           .proto = IP_PROTO_UDP,
                           .tag = -1,
                           .options = datagram,
                           .payload = payload,
                           .size = size};
}

static void hear_fragment(size_t from, size_t end) {
    struct packet packet = whole(datagram + from, end - from);

    packet.fragment = (uint16_t)(from / 8 | (end < sizeof(datagram) ? IP_MF : 0));
    hear(&packet);
}

static uint16_t sum_of_datagram(void) {
    ip_addr_t from = IPADDR4_INIT(lwip_htonl(CLIENT)), to = IPADDR4_INIT(lwip_htonl(OWN));
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, sizeof(datagram), PBUF_RAM);
    uint16_t sum;

    memcpy(packet->payload, datagram, sizeof(datagram));
    sum = ip_chksum_pseudo(packet, IP_PROTO_UDP, packet->tot_len, &from, &to);
    pbuf_free(packet);
    return sum;
}

static int set_up(void **state) {
    struct udp_hdr *udp = (struct udp_hdr *)datagram;

    (void)state;
    stack.alone = true;
    sent = icmp_sent = received = 0;
    identification++;
    for (size_t i = 0; i < sizeof(datagram); i++) {
        datagram[i] = (uint8_t)(i * 7 + i / 256);
    }
    *udp = (struct udp_hdr){.dest = PP_HTONS(PORT), .len = lwip_htons(sizeof(datagram))};
    udp->chksum = sum_of_datagram();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int second = 0; second <= IP_REASS_MAXAGE; second++) {
        ip_reass_tmr();
    }
    return 0;
}

/* --- fragments
 * ---------------------------------------------------------------------------------------------- */

static void test_fragments_are_put_together_in_any_order(void **state) {
    (void)state;
    hear_fragment(1600, sizeof(datagram));
    hear_fragment(0, 800);
    hear_fragment(0, 800); /* a copy */
    assert_int_equal(received, 0);
    hear_fragment(800, 1600);
    assert_int_equal(received, 1);
    assert_int_equal(data_size, sizeof(datagram) - 8);
    assert_memory_equal(data, datagram + 8, data_size);
}

static void test_what_the_port_cannot_verify_is_verified(void **state) {
    (void)state;
    datagram[1000] ^= 1;
    hear_fragment(0, 1600);
    hear_fragment(1600, sizeof(datagram));
    assert_int_equal(received, 0);
}

static void test_fragments_that_overlap_end_their_datagram(void **state) {
    static const size_t overlaps[][2] = {{792, 1608}, {800, 1592}, {808, 1600}, {1592, sizeof(datagram)}};

    (void)state;
    for (size_t i = 0; i < sizeof(overlaps) / sizeof(overlaps[0]); i++) {
        identification++;
        hear_fragment(0, 800);
        hear_fragment(800, 1600);
        hear_fragment(overlaps[i][0], overlaps[i][1]);
        hear_fragment(1600, sizeof(datagram));
    }
    assert_int_equal(received, 0);
    assert_int_equal(icmp_sent, 0);
}

static void test_others_fragments_are_bounded(void **state) {
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        identification++;
        hear_fragment(0, 800);
    }
    identification++;
    hear_fragment(0, 1600);
    hear_fragment(1600, sizeof(datagram));
    assert_int_equal(received, 1);
}

static void test_a_datagram_that_stays_incomplete_is_given_up(void **state) {
    (void)state;
    hear_fragment(0, 1600);
    tear_down(state);
    hear_fragment(1600, sizeof(datagram));
    assert_int_equal(received, 0);
}

static void test_fragments_of_many_cores_are_dropped(void **state) {
    (void)state;
    stack.alone = false;
    hear_fragment(0, 1600);
    hear_fragment(1600, sizeof(datagram));
    assert_int_equal(received, 0);
}

/* --- segments
 * ----------------------------------------------------------------------------------------------- */

/* Whether a SYN in that packet begins a connection. */
static bool begins(struct packet packet) {
    static uint16_t port = 1000;
    struct tcp_hdr tcp = {.src = lwip_htons(++port), .dest = PP_HTONS(PORT), .wnd = PP_HTONS(1000)};
    bool begun;

    TCPH_HDRLEN_FLAGS_SET(&tcp, 5, TCP_SYN);
    packet.proto = IP_PROTO_TCP;
    packet.payload = &tcp;
    packet.size = sizeof(tcp);
    hear(&packet);
    begun = tcp_active_pcbs != NULL;
    while (tcp_active_pcbs != NULL) {
        tcp_abandon(tcp_active_pcbs, 0);
    }
    return begun;
}

static void test_a_segment_comes_from_another_to_us(void **state) {
    const uint32_t wrong[] = {OWN, 0, 0x7f000001, 0x7f123456, 0x00010203, 0xffffffff, 0x0affffff, 0xe0000001};
    struct packet packet = whole(NULL, 0);

    (void)state;
    assert_true(begins(packet));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        packet.from = wrong[i];
        assert_false(begins(packet));
    }
    packet = whole(NULL, 0);
    packet.to = 0x7f000001;
    assert_false(begins(packet));
    packet.to = 0x0affffff;
    assert_false(begins(packet));
    packet = whole(NULL, 0);
    packet.flags = PBUF_FLAG_LLBCAST;
    sent = 0;
    assert_false(begins(packet));
    assert_int_equal(sent, 0);
}

static void test_a_tag_may_say_a_priority_and_no_network(void **state) {
    struct packet packet = whole(NULL, 0);

    (void)state;
    packet.tag = 5 << 13;
    assert_true(begins(packet));
    packet.tag = 1;
    assert_false(begins(packet));
}

static void test_options_are_skipped_but_for_source_routes(void **state) {
    static const struct {
        uint8_t bytes[8];
        bool taken;
    } cases[] = {{{1, 1, 1, 1, 0}, true},
                 {{148, 4, 0, 0, 7, 3, 4, 0}, true},   /* router alert, record route */
                 {{131, 7, 4, 10, 0, 0, 1, 0}, false}, /* loose source route */
                 {{1, 137, 7, 4, 10, 0, 0, 1}, false}, /* strict, behind another */
                 {{0, 131, 7, 4, 10, 0, 0, 1}, true},  /* behind the end */
                 {{7, 0, 0, 0}, false},
                 {{7, 1, 0, 0}, false},
                 {{1, 1, 1, 1, 1, 1, 1, 7}, false},
                 {{1, 1, 1, 1, 7, 5, 0, 0}, false}};
    struct packet packet = whole(NULL, 0);

    (void)state;
    packet.options_size = sizeof(cases[0].bytes);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        packet.options = cases[i].bytes;
        assert_int_equal(begins(packet), cases[i].taken);
    }
}

static void test_a_tiny_fragment_of_a_segment_is_dropped(void **state) {
    struct tcp_hdr tcp = {.src = PP_HTONS(999), .dest = PP_HTONS(PORT), .wnd = PP_HTONS(1000)};
    struct packet packet = whole(&tcp, 16);

    (void)state;
    TCPH_HDRLEN_FLAGS_SET(&tcp, 5, TCP_SYN);
    packet.proto = IP_PROTO_TCP;
    packet.fragment = IP_MF;
    hear(&packet);
    packet.payload = (const uint8_t *)&tcp + 16;
    packet.size = 4;
    packet.fragment = 2;
    hear(&packet);
    assert_null(tcp_active_pcbs);
    assert_int_equal(sent, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fragments_are_put_together_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_port_cannot_verify_is_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fragments_that_overlap_end_their_datagram, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_fragments_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_datagram_that_stays_incomplete_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fragments_of_many_cores_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_segment_comes_from_another_to_us, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tag_may_say_a_priority_and_no_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_options_are_skipped_but_for_source_routes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tiny_fragment_of_a_segment_is_dropped, set_up, tear_down),
    };
    ip4_addr_t address = {PP_HTONL(OWN)}, netmask = {PP_HTONL(0xff000000)}, gateway = {0};
    struct tcp_pcb *listener;

    lwip_init();
    netif_add(&netif, &address, &netmask, &gateway, NULL, interface_init, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    socket_of_port = udp_new();
    udp_bind(socket_of_port, IP_ANY_TYPE, PORT);
    udp_recv(socket_of_port, on_datagram, NULL);
    listener = tcp_new();
    tcp_bind(listener, IP_ANY_TYPE, PORT);
    tcp_listen(listener);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
