/* SPDX-License-Identifier: BSD-3-Clause */
/* One port on DPDK's ring driver, whose transmit ring is its receive ring: what is sent comes back. */
/* rte_dev_event_callback_process() */
#define ALLOW_EXPERIMENTAL_API

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "eal.h"
#include "stack/port/port.h"
#include "stack/port/port_report.h"
#include "stack/port/port_shared.h"

#define MBUFS 4095
#define RING_SIZE 1024 /* of the driver; holds one packet less */

/* A closed device is gone, so every test has one of its own. */
static uint16_t next_port;
static struct port port;
static unsigned tx_pool_size;

static int set_up(void **state) {
    struct port_config config = {.id = next_port++,
                                 .rx_descriptors = 512,
                                 .tx_descriptors = 512,
                                 .mtu = 1500,
                                 .mbufs = MBUFS,
                                 .mbuf_private = 64,
                                 .offload = true};
    char error[128] = "";

    (void)state;
    assert_int_equal(port_open(&port, &config, error, sizeof(error)), 0);
    tx_pool_size = rte_mempool_avail_count(port.tx_pool);
    return 0;
}

static int every_buffer_is_back(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    unsigned count;

    (void)state;
    while ((count = port_receive(&port, packets)) > 0) {
        rte_pktmbuf_free_bulk(packets, count);
    }
    assert_int_equal(rte_mempool_avail_count(port.tx_pool), tx_pool_size);
    port_close(&port);
    return 0;
}

/* A TCP segment with right checksums and `payload` bytes. */
static struct rte_mbuf *segment(uint16_t payload) {
    struct rte_mbuf *packet = rte_pktmbuf_alloc(port.tx_pool);
    uint16_t ip_size = (uint16_t)(sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr) + payload);
    struct rte_ether_hdr *ethernet;
    struct rte_ipv4_hdr *ip;
    struct rte_tcp_hdr *tcp;

    assert_non_null(packet);
    ethernet = (struct rte_ether_hdr *)rte_pktmbuf_append(packet, (uint16_t)(sizeof(*ethernet) + ip_size));
    memset(ethernet, 0x5a, sizeof(*ethernet) + ip_size);
    ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    ip = (struct rte_ipv4_hdr *)(ethernet + 1);
    *ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
                                .total_length = rte_cpu_to_be_16(ip_size),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP,
                                .src_addr = RTE_BE32(0xc6120001),
                                .dst_addr = RTE_BE32(0xc6120003)};
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    tcp = (struct rte_tcp_hdr *)(ip + 1);
    tcp->data_off = 5 << 4;
    tcp->cksum = 0;
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    return packet;
}

static struct rte_ipv4_hdr *ip_of(struct rte_mbuf *packet) {
    return rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
}

static void test_what_is_sent_is_received_in_order(void **state) {
    struct rte_mbuf *packets[PORT_BURST];

    (void)state;
    for (uint16_t i = 0; i < 5; i++) {
        port_send(&port, segment(i));
    }
    port_flush(&port);
    assert_int_equal(port.counters.tx_packets, 5);
    assert_int_equal(port_receive(&port, packets), 5);
    for (uint16_t i = 0; i < 5; i++) {
        assert_int_equal(packets[i]->pkt_len, 54 + i);
    }
    rte_pktmbuf_free_bulk(packets, 5);
}

static void test_a_full_burst_leaves_without_flush(void **state) {
    (void)state;
    for (int i = 0; i < PORT_BURST; i++) {
        port_send(&port, segment(0));
    }
    assert_int_equal(port.counters.tx_packets, PORT_BURST);
    assert_int_equal(port.tx_count, 0);
}

/* Receives `count` packets, which must be those with the lengths from `first` on. */
static void receive_in_order(unsigned first, unsigned count) {
    struct rte_mbuf *packets[PORT_BURST];

    while (count > 0) {
        unsigned received = port_receive(&port, packets);

        assert_in_range(received, 1, count);
        for (unsigned i = 0; i < received; i++) {
            assert_int_equal(packets[i]->pkt_len, 54 + first++ % 1000);
        }
        rte_pktmbuf_free_bulk(packets, received);
        count -= received;
    }
}

static void send_in_order(unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++) {
        port_send(&port, segment((uint16_t)(i % 1000)));
    }
}

static void test_what_the_ring_does_not_take_waits_in_its_order(void **state) {
    const unsigned ring = RING_SIZE - 1;

    (void)state;
    send_in_order(0, ring + 100);
    port_flush(&port);
    assert_int_equal(port.counters.tx_packets, ring);
    assert_int_equal(port.tx_count, 100);
    receive_in_order(0, 64);
    port_flush(&port);
    assert_int_equal(port.tx_count, 36);
    send_in_order(ring + 100, PORT_QUEUE - 36);
    assert_false(port_has_room(&port));
    receive_in_order(64, ring);
    assert_true(port_has_room(&port));
    receive_in_order(64 + ring, ring);
    port_flush(&port);
    receive_in_order(64 + 2 * ring, PORT_QUEUE - ring);
    assert_int_equal(port.tx_count, 0);
    assert_int_equal(port.counters.tx_dropped, 0);
}

static eth_tx_burst_t ring_takes;

/* A driver that takes no packet of this size, and none behind it. */
static uint16_t takes_none_of_7(void *queue, struct rte_mbuf **packets, uint16_t count) {
    uint16_t taken = 0;

    while (taken < count && packets[taken]->pkt_len != 54 + 7) {
        taken++;
    }
    return ring_takes(queue, packets, taken);
}

static void test_a_packet_that_the_driver_refuses_does_not_keep_the_others(void **state) {
    uint64_t until = rte_rdtsc() + 10 * rte_get_tsc_hz();
    struct rte_mbuf *packets[PORT_BURST];

    (void)state;
    ring_takes = rte_eth_fp_ops[port.id].tx_pkt_burst;
    rte_eth_fp_ops[port.id].tx_pkt_burst = takes_none_of_7;
    for (uint16_t i = 0; i < 10; i++) {
        port_send(&port, segment(i));
    }
    port_flush(&port);
    assert_int_equal(port.counters.tx_packets, 7);
    port_flush(&port); /* it may be for lack of room */
    assert_int_equal(port.tx_count, 3);
    while (port.tx_count > 0 && rte_rdtsc() < until) {
        port_flush(&port);
    }
    rte_eth_fp_ops[port.id].tx_pkt_burst = ring_takes;
    assert_int_equal(port.tx_count, 0);
    assert_int_equal(port.counters.tx_dropped, 1);
    assert_int_equal(port_receive(&port, packets), 9);
    for (uint16_t i = 0; i < 9; i++) {
        assert_int_equal(packets[i]->pkt_len, 54 + i + (i >= 7));
    }
    rte_pktmbuf_free_bulk(packets, 9);
}

static void test_a_packet_to_be_cut_up_is_dropped_by_a_port_that_cannot(void **state) {
    struct rte_mbuf *packet = segment(100);

    (void)state;
    assert_false(port_segments(&port));
    packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    port_send_prepared(&port, packet);
    assert_int_equal(port.counters.tx_dropped, 1);
    assert_int_equal(port.tx_count, 0);
}

static void test_what_has_no_room_is_dropped_and_counted(void **state) {
    (void)state;
    send_in_order(0, RING_SIZE - 1 + PORT_QUEUE + 5);
    assert_int_equal(port.counters.tx_packets, RING_SIZE - 1);
    assert_int_equal(port.tx_count, PORT_QUEUE);
    assert_int_equal(port.counters.tx_dropped, 5);
    port_drop_queue(&port);
    assert_int_equal(port.counters.tx_dropped, PORT_QUEUE + 5);
    receive_in_order(0, RING_SIZE - 1);
    send_in_order(7, 1);
    port_flush(&port);
    receive_in_order(7, 1);
}

static void test_unjudged_packets_are_verified_where_the_port_was_to_do_it(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    struct rte_mbuf *bad_ip = segment(11), *bad_tcp = segment(12), *bad_length = segment(13);

    (void)state;
    ip_of(bad_ip)->time_to_live--;
    *rte_pktmbuf_mtod_offset(bad_tcp, uint8_t *, 60) ^= 1;
    ip_of(bad_length)->total_length = rte_cpu_to_be_16(2000);
    ip_of(bad_length)->hdr_checksum = 0;
    ip_of(bad_length)->hdr_checksum = rte_ipv4_cksum(ip_of(bad_length));
    port.rx_offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    port_send(&port, bad_ip);
    port_send(&port, segment(10));
    port_send(&port, bad_tcp);
    port_send(&port, bad_length);
    port_flush(&port);
    assert_int_equal(port_receive(&port, packets), 1);
    assert_int_equal(packets[0]->pkt_len, 54 + 10);
    assert_int_equal(port.counters.rx_bad_checksum, 3);
    rte_pktmbuf_free(packets[0]);
}

static void test_a_packet_that_the_port_judged_bad_is_dropped(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    struct rte_mbuf *packet = segment(0);

    (void)state;
    packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
    port_send(&port, packet);
    port_flush(&port);
    assert_int_equal(port_receive(&port, packets), 0);
    assert_int_equal(port.counters.rx_bad_checksum, 1);
}

static void test_a_packet_whose_checksum_is_not_filled_in_but_vouched_for_is_taken(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    struct rte_mbuf *packet = segment(21);

    (void)state;
    *rte_pktmbuf_mtod_offset(packet, uint8_t *, 60) ^= 1;
    packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_IP_CKSUM_NONE;
    port.rx_offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    port_send(&port, packet);
    port_flush(&port);
    assert_int_equal(port_receive(&port, packets), 1);
    assert_int_equal(port.counters.rx_bad_checksum, 0);
    rte_pktmbuf_free(packets[0]);
}

static void test_granted_transmit_checksums_are_left_to_the_port(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    struct rte_tcp_hdr *tcp;

    (void)state;
    port.tx_offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    port_send(&port, segment(9));
    port_flush(&port);
    assert_int_equal(port_receive(&port, packets), 1);
    assert_true(packets[0]->ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
    assert_int_equal(packets[0]->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
    assert_int_equal(packets[0]->l2_len, 14);
    assert_int_equal(packets[0]->l3_len, 20);
    assert_int_equal(packets[0]->l4_len, 20);
    tcp = (struct rte_tcp_hdr *)(ip_of(packets[0]) + 1);
    assert_int_equal(ip_of(packets[0])->hdr_checksum, 0);
    assert_int_equal(tcp->cksum, rte_ipv4_phdr_cksum(ip_of(packets[0]), packets[0]->ol_flags));
    rte_pktmbuf_free(packets[0]);
}

static void test_the_description_names_what_was_asked_and_granted(void **state) {
    char text[PORT_DESCRIPTION_SIZE];

    (void)state;
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(text, "{\"driver\": \"net_ring\", \"device\": \"net_ring"));
    assert_non_null(strstr(text, "\"firmware\": null, \"mac\""));
    assert_non_null(strstr(text, "\"link\": null"));
    assert_non_null(strstr(text, "\"offloads_asked\": [\"rx IPV4_CKSUM\""));
    assert_null(strstr(text, "\"rss\""));
    assert_non_null(strstr(text, "\"rx_descriptors_asked\": 512, \"tx_descriptors_asked\": 512, "));
    assert_non_null(strstr(text, "\"hugepages\": false}"));
}

static void test_the_description_has_the_link_as_it_was_found(void **state) {
    char text[PORT_DESCRIPTION_SIZE];

    (void)state;
    assert_true(port_link_up(&port));
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(text, "\"link\": {\"mbps\": 10000, \"duplex\": \"full\"}, "));
    port.link_mbps = RTE_ETH_SPEED_NUM_UNKNOWN;
    port.full_duplex = false;
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(text, "\"link\": {\"mbps\": null, \"duplex\": \"half\"}, "));
    port.link_up = false;
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(text, "\"link\": null, "));
}

static void test_the_description_has_hash_and_firmware_as_they_were_granted(void **state) {
    struct port_shared *shared = port.shared;
    char text[PORT_DESCRIPTION_SIZE];

    (void)state;
    shared->by_port = true;
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(text, "\"rss\": {\"functions\": [], \"key\": null}, "));
    shared->hash_functions = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_ESP;
    shared->hash_key_size = 3;
    memcpy(shared->hash_key, "\x6d\x05\xff", 3);
    snprintf(shared->firmware, sizeof(shared->firmware), "1.2 \"beta\"\n");
    port_describe(&port, text, sizeof(text));
    assert_non_null(strstr(
        text, "\"rss\": {\"functions\": [\"ipv4\", \"ipv4-tcp\", \"0x8000000\"], \"key\": \"6d05ff\"}, "));
    assert_non_null(strstr(text, "\"firmware\": \"1.2 \\\"beta\\\"\\u000a\", "));
    shared->by_port = false;
}

static void test_the_largest_description_has_room(void **state) {
    struct port_shared *shared = port.shared;
    struct port all = port;
    char text[PORT_DESCRIPTION_SIZE];

    (void)state;
    all.rx_offloads_asked = all.rx_offloads = all.tx_offloads_asked = all.tx_offloads = 0x3fffff;
    all.sorts = shared->by_port = true;
    shared->hash_functions = UINT64_MAX;
    shared->hash_key_size = PORT_HASH_KEY_MAX;
    memset(shared->firmware, '"', sizeof(shared->firmware) - 1);
    port_describe(&all, text, sizeof(text));
    assert_true(strlen(text) < sizeof(text) - 1);
    assert_int_equal(text[strlen(text) - 1], '}');
    shared->by_port = false;
}

static void test_a_description_that_is_cut_off_ends_within_its_buffer(void **state) {
    char whole[PORT_DESCRIPTION_SIZE];

    (void)state;
    port_describe(&port, whole, sizeof(whole));
    for (size_t size = 1; size < strlen(whole); size++) {
        char *text = malloc(size); /* the sanitizer watches its ends */

        assert_non_null(text);
        port_describe(&port, text, size);
        assert_int_equal(strlen(text), size - 1);
        assert_memory_equal(text, whole, size - 1);
        free(text);
    }
}

static void test_statistics_that_are_not_0_are_told_by_the_drivers_names(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    port_print_xstats(&port, out);
    fputc(' ', out);
    for (uint16_t i = 0; i < 3; i++) {
        port_send(&port, segment(i));
    }
    port_flush(&port);
    assert_int_equal(port_receive(&port, packets), 3);
    rte_pktmbuf_free_bulk(packets, 3);
    port_print_xstats(&port, out);
    fclose(out);
    assert_memory_equal(text, "{} {", 4);
    assert_non_null(strstr(text, "\"rx_good_packets\": 3"));
    assert_non_null(strstr(text, "\"tx_good_packets\": 3"));
    assert_null(strstr(text, ": 0"));
    assert_string_equal(text + strlen(text) - 1, "}");
    free(text);
}

static void test_a_port_without_statistics_says_null(void **state) {
    struct port none = {.id = RTE_MAX_ETHPORTS};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    port_print_xstats(&none, out);
    fclose(out);
    assert_string_equal(text, "null");
    free(text);
}

static void test_fewer_buffers_than_the_ring_holds_are_refused(void **state) {
    struct port none;
    struct port_config config = {
        .id = next_port++, .rx_descriptors = 1024, .tx_descriptors = 64, .mtu = 1500, .mbufs = 1023};
    char error[128] = "";

    (void)state;
    assert_int_equal(port_open(&none, &config, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "--mbufs 1023 is too few for a receive ring of 1024: give more than 1088");
}

static void test_a_port_that_is_not_there_is_refused(void **state) {
    struct port none;
    struct port_config config = {.id = 16};
    char error[128] = "";

    (void)state;
    assert_int_equal(port_open(&none, &config, error, sizeof(error)), -ENODEV);
    assert_non_null(strstr(error, "no port 16"));
}

static void test_a_device_that_is_asked_for_is_gone(void **state) {
    (void)state;
    rte_dev_event_callback_process("another", RTE_DEV_EVENT_REMOVE);
    rte_dev_event_callback_process(port.device, RTE_DEV_EVENT_ADD);
    assert_false(port_gone(&port));
    rte_dev_event_callback_process(port.device, RTE_DEV_EVENT_REMOVE);
    assert_true(port_gone(&port));
}

#define PORT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, every_buffer_is_back)

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        PORT_TEST(test_what_is_sent_is_received_in_order),
        PORT_TEST(test_a_full_burst_leaves_without_flush),
        PORT_TEST(test_what_the_ring_does_not_take_waits_in_its_order),
        PORT_TEST(test_a_packet_that_the_driver_refuses_does_not_keep_the_others),
        PORT_TEST(test_a_packet_to_be_cut_up_is_dropped_by_a_port_that_cannot),
        PORT_TEST(test_what_has_no_room_is_dropped_and_counted),
        PORT_TEST(test_unjudged_packets_are_verified_where_the_port_was_to_do_it),
        PORT_TEST(test_a_packet_that_the_port_judged_bad_is_dropped),
        PORT_TEST(test_a_packet_whose_checksum_is_not_filled_in_but_vouched_for_is_taken),
        PORT_TEST(test_granted_transmit_checksums_are_left_to_the_port),
        PORT_TEST(test_the_description_names_what_was_asked_and_granted),
        PORT_TEST(test_the_description_has_the_link_as_it_was_found),
        PORT_TEST(test_the_description_has_hash_and_firmware_as_they_were_granted),
        PORT_TEST(test_the_largest_description_has_room),
        PORT_TEST(test_a_description_that_is_cut_off_ends_within_its_buffer),
        PORT_TEST(test_statistics_that_are_not_0_are_told_by_the_drivers_names),
        PORT_TEST(test_a_device_that_is_asked_for_is_gone),
        cmocka_unit_test(test_fewer_buffers_than_the_ring_holds_are_refused),
        cmocka_unit_test(test_a_port_that_is_not_there_is_refused),
        cmocka_unit_test(test_a_port_without_statistics_says_null),
    };

    (void)argc;
    start_eal(argv[0], "net_ring", 18);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
