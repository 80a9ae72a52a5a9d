/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's neighbours on an Ethernet link whose other end is the test: frames in, and a look at what is asked
 * for and where packets go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/prot/iana.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

#define OWN UINT32_C(0x0a000001) /* 10.0.0.1, host byte order as the others */
#define FIRST UINT32_C(0x0a000100)
#define PENDING 1024 /* the limit of addresses that are asked for at a time, and begun with in a second */

static struct netif netif;
static struct udp_pcb *sockets[2];
static unsigned requests, answers, packets;
static struct eth_addr went_to;

static err_t output(struct netif *out, struct pbuf *frame) {
    const struct eth_hdr *ethernet = frame->payload;
    const struct etharp_hdr *arp = (const struct etharp_hdr *)(ethernet + 1);

    (void)out;
    if (ethernet->type == PP_HTONS(ETHTYPE_ARP)) {
        *(arp->opcode == PP_HTONS(ARP_REQUEST) ? &requests : &answers) += 1;
    } else {
        packets++;
        went_to = ethernet->dest;
    }
    return ERR_OK;
}

static err_t interface_init(struct netif *self) {
    self->output = etharp_output;
    self->linkoutput = output;
    self->mtu = 1500;
    self->hwaddr_len = ETH_HWADDR_LEN;
    self->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void hear(uint16_t opcode, uint32_t sender, struct eth_addr mac, uint32_t target) {
    struct pbuf *frame = pbuf_alloc(PBUF_RAW, SIZEOF_ETH_HDR + SIZEOF_ETHARP_HDR, PBUF_RAM);
    struct eth_hdr *ethernet = frame->payload;
    struct etharp_hdr *arp = (struct etharp_hdr *)(ethernet + 1);
    ip4_addr_t from = {lwip_htonl(sender)}, to = {lwip_htonl(target)};

    memset(frame->payload, 0, frame->len);
    ethernet->type = PP_HTONS(ETHTYPE_ARP);
    arp->hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET);
    arp->proto = PP_HTONS(ETHTYPE_IP);
    arp->hwlen = ETH_HWADDR_LEN;
    arp->protolen = sizeof(ip4_addr_t);
    arp->opcode = lwip_htons(opcode);
    arp->shwaddr = mac;
    IPADDR_WORDALIGNED_COPY_FROM_IP4_ADDR_T(&arp->sipaddr, &from);
    IPADDR_WORDALIGNED_COPY_FROM_IP4_ADDR_T(&arp->dipaddr, &to);
    assert_int_equal(ethernet_input(frame, &netif), ERR_OK);
}

static struct eth_addr mac_of(uint32_t address) {
    return (struct eth_addr){{2, 0, (uint8_t)(address >> 24), (uint8_t)(address >> 16),
                              (uint8_t)(address >> 8), (uint8_t)address}};
}

static bool known(uint32_t address) {
    ip4_addr_t wanted = {lwip_htonl(address)};
    struct eth_addr *mac;
    const ip4_addr_t *found;

    return etharp_find_addr(&netif, &wanted, &mac, &found) >= 0;
}

static err_t send_by(struct udp_pcb *pcb, uint32_t address) {
    ip_addr_t to = IPADDR4_INIT(lwip_htonl(address));
    struct pbuf *data = pbuf_alloc(PBUF_TRANSPORT, 10, PBUF_RAM);
    err_t code = udp_sendto(pcb, data, &to, 7);

    pbuf_free(data);
    return code;
}

/* A neighbour that a connection sends to: what it has sent before told it the place. */
static void use(uint32_t address) {
    hear(ARP_REQUEST, address, mac_of(address), OWN);
    assert_int_equal(send_by(sockets[0], address), ERR_OK);
    assert_int_equal(send_by(sockets[0], address), ERR_OK);
}

static int set_up(void **state) {
    (void)state;
    etharp_cleanup_netif(&netif);
    etharp_tmr();
    requests = answers = packets = 0;
    return 0;
}

static void test_neighbours_are_thousands(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 4096; i++) {
        use(FIRST + i);
    }
    packets = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        assert_int_equal(send_by(sockets[i % 2], FIRST + i), ERR_OK);
        assert_int_equal(packets, i + 1);
        assert_memory_equal(&went_to, mac_of(FIRST + i).addr, ETH_HWADDR_LEN);
    }
    assert_int_equal(requests, 0);
}

/* More than the table holds, be they asked for or heard. */
static void test_those_in_use_stay_in_a_flood(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        use(FIRST + i);
    }
    for (uint32_t i = 0; i < 3 * ARP_TABLE_SIZE; i++) {
        hear(ARP_REQUEST, FIRST + 1000 + i, mac_of(i), OWN);
    }
    for (uint32_t second = 0; second < 3; second++) {
        for (uint32_t i = 0; i < 2000; i++) {
            (void)send_by(sockets[1], FIRST + 50000 + i);
        }
        etharp_tmr();
    }
    requests = 0;
    packets = 0;
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(known(FIRST + i));
        assert_int_equal(send_by(sockets[0], FIRST + i), ERR_OK);
    }
    assert_int_equal(packets, 100);
    assert_int_equal(requests, 0);
}

/* All in use: that whose last packet is the longest ago. */
static void test_of_those_in_use_the_idlest_goes_first(void **state) {
    (void)state;
    for (uint32_t i = 0; i < ARP_TABLE_SIZE; i++) {
        use(FIRST + i);
    }
    use(FIRST + ARP_TABLE_SIZE); /* all lose their mark, and one its place */
    assert_false(known(FIRST));
    use(FIRST + 1);
    use(FIRST + ARP_TABLE_SIZE + 1);
    assert_true(known(FIRST + 1));
    assert_false(known(FIRST + 2));
}

static void test_a_flood_of_addresses_is_asked_for_within_a_budget(void **state) {
    unsigned refused = 0;

    (void)state;
    for (uint32_t i = 0; i < 5 * PENDING; i++) {
        refused += send_by(sockets[0], FIRST + i) != ERR_OK;
    }
    assert_int_equal(requests, PENDING);
    assert_int_equal(refused, 4 * PENDING);
    requests = 0;
    etharp_tmr(); /* the next second: all of them once more, and none beyond the limit begun with */
    assert_int_equal(requests, PENDING);
    for (uint32_t i = 0; i < PENDING; i++) {
        assert_int_equal(send_by(sockets[0], FIRST + 10 * PENDING + i), ERR_OK);
    }
    assert_int_equal(requests, 2 * PENDING);
    requests = 0;
    etharp_tmr();
    assert_int_equal(requests, PENDING); /* the older half has given way */
}

/* Packets wait for those who may yet answer. */
static void test_what_waits_for_the_oldest_gives_way(void **state) {
    (void)state;
    for (uint32_t i = 0; i < MEMP_NUM_ARP_QUEUE; i++) {
        assert_int_equal(send_by(sockets[0], FIRST + i / 250), ERR_OK);
    }
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(send_by(sockets[0], FIRST + 5000), ERR_OK);
    }
    packets = 0;
    hear(ARP_REPLY, FIRST + 5000, mac_of(1), OWN);
    assert_int_equal(packets, 100);
    hear(ARP_REPLY, FIRST, mac_of(1), OWN);
    assert_int_equal(packets, 100);
}

static void test_answers_and_announcements_add_nothing(void **state) {
    (void)state;
    hear(ARP_REPLY, FIRST, mac_of(FIRST), OWN);
    hear(ARP_REPLY, FIRST + 1, mac_of(FIRST), FIRST + 1);
    hear(ARP_REQUEST, FIRST + 2, mac_of(FIRST), FIRST + 2);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(known(FIRST + i));
    }
}

static void test_a_neighbour_with_another_card_is_followed(void **state) {
    struct eth_addr first = mac_of(1), second = mac_of(2), third = mac_of(3);

    (void)state;
    hear(ARP_REQUEST, FIRST, first, OWN);
    assert_int_equal(send_by(sockets[0], FIRST), ERR_OK);
    assert_memory_equal(&went_to, &first, ETH_HWADDR_LEN);
    hear(ARP_REQUEST, FIRST, second, FIRST); /* an announcement */
    assert_int_equal(send_by(sockets[0], FIRST), ERR_OK);
    assert_memory_equal(&went_to, &second, ETH_HWADDR_LEN);
    hear(ARP_REPLY, FIRST, third, OWN);
    assert_int_equal(send_by(sockets[0], FIRST), ERR_OK);
    assert_memory_equal(&went_to, &third, ETH_HWADDR_LEN);
}

static void test_nobody_is_believed_who_cannot_be_right(void **state) {
    struct eth_addr group = {{1, 0, 0x5e, 0, 0, 1}};

    (void)state;
    hear(ARP_REQUEST, OWN, mac_of(1), OWN);
    assert_false(known(OWN));
    hear(ARP_REQUEST, FIRST, group, OWN);
    assert_false(known(FIRST));
    hear(ARP_REQUEST, UINT32_C(0xc0000201), mac_of(1), OWN);
    assert_false(known(UINT32_C(0xc0000201)));
    answers = 0;
    hear(ARP_REQUEST, 0, mac_of(1), OWN); /* a probe whether our address is free (RFC 5227) */
    assert_int_equal(answers, 1);
}

/* The entry that a connection remembers is another's now. */
static void test_a_hint_leads_to_nobody_else(void **state) {
    struct eth_addr second = mac_of(FIRST + 1);
    ip4_addr_t first = {lwip_htonl(FIRST)};
    netif_addr_idx_t hint;

    (void)state;
    use(FIRST);
    hint = sockets[0]->netif_hints.addr_hint;
    assert_non_null(etharp_find_hinted(&netif, &first, hint));
    etharp_cleanup_netif(&netif);
    assert_null(etharp_find_hinted(&netif, &first, hint));
    hear(ARP_REQUEST, FIRST + 1, second, OWN);
    assert_null(etharp_find_hinted(&netif, &first, hint));
    requests = 0;
    assert_int_equal(send_by(sockets[0], FIRST), ERR_OK);
    assert_int_equal(requests, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_neighbours_are_thousands, set_up),
        cmocka_unit_test_setup(test_those_in_use_stay_in_a_flood, set_up),
        cmocka_unit_test_setup(test_of_those_in_use_the_idlest_goes_first, set_up),
        cmocka_unit_test_setup(test_a_flood_of_addresses_is_asked_for_within_a_budget, set_up),
        cmocka_unit_test_setup(test_what_waits_for_the_oldest_gives_way, set_up),
        cmocka_unit_test_setup(test_answers_and_announcements_add_nothing, set_up),
        cmocka_unit_test_setup(test_a_neighbour_with_another_card_is_followed, set_up),
        cmocka_unit_test_setup(test_nobody_is_believed_who_cannot_be_right, set_up),
        cmocka_unit_test_setup(test_a_hint_leads_to_nobody_else, set_up),
    };
    ip4_addr_t address = {PP_HTONL(OWN)}, netmask = {PP_HTONL(0xff000000)}, gateway = {0};

    lwip_init();
    netif_add(&netif, &address, &netmask, &gateway, NULL, interface_init, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    sockets[0] = udp_new();
    sockets[1] = udp_new();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
