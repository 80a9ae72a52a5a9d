/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/tcp_packet.c: the packets that leave, byte by byte and sum by sum, with and without a port that fills
 * in checksums; and who owns their buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "lwip/priv/tcp_priv.h"

#include "stack/port/port_checksum.h"
#include "stack/tcp_headers.h"
#include "stack/tcp_packet.h"
#include "tests/port/eal.h"

#define MBUFS 31
#define PAGE 4096
#define PAGES 24 /* enough for the largest segment */
#define HEADERS ((unsigned)sizeof(struct tcp_headers))
#define LARGEST (UINT16_MAX - HEADERS)

static const uint8_t source[6] = {2, 1, 1, 1, 1, 1};
static const struct eth_addr to = {{2, 2, 2, 2, 2, 2}};

static struct rte_mempool *pool, *small_pool, *attach_pool;
static struct tcp_packet_region region;
static struct tcp_packet_sum sums[TCP_PACKET_SUMS];
static struct tcp_packet_config config;
static struct tcp_pcb pcb;
static struct tcp_seg segment;
static uint8_t outside[PAGE * PAGES]; /* data that no packet may point to */

/* Every page lies right behind the one before it, for the device too, but for the third. */
static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < PAGES; i++) {
        region.iovas[i] = 0x100000 + i * PAGE + (i >= 2 ? 0x800000 : 0);
    }
    config = (struct tcp_packet_config){.source = source, .attachments = attach_pool, .region = &region};
    memset(sums, 0, sizeof(sums));
    memset(&pcb, 0, sizeof(pcb));
    ip_addr_set_ip4_u32(&pcb.local_ip, PP_HTONL(0xc6120003));
    ip_addr_set_ip4_u32(&pcb.remote_ip, PP_HTONL(0xc6120064));
    pcb.ttl = 64;
    pcb.tos = 0x10;
    pcb.mss = 1460;
    return 0;
}

static int every_buffer_is_back(void **state) {
    (void)state;
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS);
    assert_int_equal(rte_mempool_avail_count(small_pool), MBUFS);
    assert_int_equal(rte_mempool_avail_count(attach_pool), MBUFS);
    assert_int_equal(rte_mbuf_ext_refcnt_read(&region.shared), 1);
    return 0;
}

/* A segment of `size` bytes at `data` with the header that lwIP gives it. */
static const struct tcp_seg *segment_of(const uint8_t *data, unsigned size) {
    memset(&segment, 0, sizeof(segment));
    segment.len = (uint16_t)size;
    segment.data = data;
    segment.tcphdr = &segment.lean_hdr;
    segment.lean_hdr = (struct tcp_hdr){.src = PP_HTONS(80),
                                        .dest = PP_HTONS(40000),
                                        .seqno = PP_HTONL(0x01020304),
                                        .ackno = PP_HTONL(0x05060708),
                                        .wnd = PP_HTONS(0x4321),
                                        .chksum = 0x5555};
    TCPH_HDRLEN_FLAGS_SET(&segment.lean_hdr, 5, TCP_ACK | TCP_PSH);
    return &segment;
}

static struct rte_mbuf *made(const uint8_t *data, unsigned size) {
    struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);

    assert_non_null(packet);
    assert_true(tcp_packet_make(packet, &config, &to, &pcb, segment_of(data, size)));
    return packet;
}

static struct tcp_headers *headers_of(const struct rte_mbuf *packet) {
    return rte_pktmbuf_mtod(packet, struct tcp_headers *);
}

/* The sum of RFC 1071 as it is written there, of bytes in network order. */
static uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static bool ip_sum_is_right(const struct rte_mbuf *packet) {
    return plain_sum(0, (const uint8_t *)&headers_of(packet)->ip, IP_HLEN) == 0xffff;
}

static uint32_t pseudo_sum(const struct tcp_headers *headers, size_t length) {
    const uint8_t tail[4] = {0, IP_PROTO_TCP, (uint8_t)(length >> 8), (uint8_t)length};

    return plain_sum(plain_sum(0, (const uint8_t *)&headers->ip.src, 8), tail, sizeof(tail));
}

/* As whoever receives the packet computes it, from the bytes that it has. */
static bool tcp_sum_is_right(const struct rte_mbuf *packet) {
    static uint8_t bytes[UINT16_MAX];
    size_t length = packet->pkt_len - SIZEOF_ETH_HDR - IP_HLEN;
    const void *tcp = rte_pktmbuf_read(packet, SIZEOF_ETH_HDR + IP_HLEN, (uint32_t)length, bytes);

    assert_non_null(tcp);
    return plain_sum(pseudo_sum(headers_of(packet), length), tcp, length) == 0xffff;
}

static void assert_data(const struct rte_mbuf *packet, const uint8_t *data, unsigned size) {
    static uint8_t bytes[UINT16_MAX];

    assert_int_equal(packet->pkt_len, HEADERS + size);
    assert_memory_equal(rte_pktmbuf_read(packet, HEADERS, size, bytes), data, size);
}

static void test_headers_say_what_connection_and_segment_say(void **state) {
    struct rte_mbuf *packet = made(outside, 100);
    const struct tcp_headers *headers = headers_of(packet);

    (void)state;
    assert_ptr_equal(tcp_headers_of(packet), headers);
    assert_memory_equal(&headers->ethernet.dest, &to, 6);
    assert_memory_equal(&headers->ethernet.src, source, 6);
    assert_int_equal(headers->ethernet.type, PP_HTONS(ETHTYPE_IP));
    assert_int_equal(headers->ip._v_hl, 0x45);
    assert_int_equal(headers->ip._tos, 0x10);
    assert_int_equal(lwip_ntohs(headers->ip._len), IP_HLEN + TCP_HLEN + 100);
    assert_int_equal(lwip_ntohs(headers->ip._offset), IP_DF);
    assert_int_equal(headers->ip._ttl, 64);
    assert_int_equal(headers->ip.src.addr, PP_HTONL(0xc6120003));
    assert_int_equal(headers->ip.dest.addr, PP_HTONL(0xc6120064));
    assert_memory_equal(&headers->tcp, &segment.lean_hdr, offsetof(struct tcp_hdr, chksum));
    assert_data(packet, outside, 100);
    rte_pktmbuf_free(packet);
}

static void assert_sums(const uint8_t *data, unsigned size) {
    struct rte_mbuf *packet = made(data, size);

    assert_true(ip_sum_is_right(packet));
    assert_true(tcp_sum_is_right(packet));
    assert_data(packet, data, size);
    assert_int_equal(packet->ol_flags, 0);
    rte_pktmbuf_free(packet);
}

/* Data that are copied, and those that are attached if there are enough of them, at every alignment. */
static void assert_sums_of_all_sizes(void) {
    for (unsigned size = 1; size <= 1460; size += size < 100 ? 1 : 41) {
        for (size_t at = 0; at < 9; at++) {
            assert_sums(outside + at, size);
            assert_sums(region.base + at, size);
        }
    }
}

static void test_without_offloads_both_sums_are_right(void **state) {
    (void)state;
    assert_sums_of_all_sizes();
}

static void test_so_are_sums_computed_in_the_copy_or_remembered(void **state) {
    (void)state;
    config.sums = sums;
    assert_sums_of_all_sizes();
    assert_sums_of_all_sizes();
}

/* Bytes whose sum carries all the time. */
static void test_sums_of_ones_and_of_zeros_are_right(void **state) {
    static uint8_t same[1460];

    (void)state;
    config.sums = sums;
    for (unsigned size = 1; size <= sizeof(same); size += 7) {
        memset(same, 0xff, size);
        assert_sums(same, size);
        memset(same, 0, size);
        assert_sums(same, size);
    }
}

static bool sum_is_right_though_a_byte_changes(uint8_t *data, unsigned size) {
    struct rte_mbuf *packet;
    bool right;

    rte_pktmbuf_free(made(data, size));
    data[size / 2]++;
    packet = made(data, size);
    right = tcp_sum_is_right(packet);
    data[size / 2]--;
    rte_pktmbuf_free(packet);
    return right;
}

static void test_only_sums_of_attached_data_are_remembered(void **state) {
    (void)state;
    assert_true(sum_is_right_though_a_byte_changes(region.base, 1460));
    config.sums = sums;
    assert_false(sum_is_right_though_a_byte_changes(region.base, 1460)); /* which nobody may do */
    assert_true(sum_is_right_though_a_byte_changes(region.base, TCP_PACKET_ATTACH_FROM - 1));
    assert_true(sum_is_right_though_a_byte_changes(outside, 1460));
}

/* More than are remembered: one takes another's place. */
static void test_remembered_sums_are_not_mistaken_for_others(void **state) {
    (void)state;
    config.sums = sums;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3 * TCP_PACKET_SUMS; i++) {
            assert_sums(region.base + 2 * PAGE + i * 5, TCP_PACKET_ATTACH_FROM + i % 7);
        }
    }
}

static void test_a_wrong_byte_is_found(void **state) {
    struct rte_mbuf *packet = made(outside, 200);
    uint8_t *bytes = rte_pktmbuf_mtod(packet, uint8_t *);

    (void)state;
    for (unsigned at = SIZEOF_ETH_HDR; at < packet->pkt_len; at++) {
        bytes[at] ^= 0x40;
        assert_false(at < SIZEOF_ETH_HDR + IP_HLEN ? ip_sum_is_right(packet) : tcp_sum_is_right(packet));
        bytes[at] ^= 0x40;
    }
    assert_true(ip_sum_is_right(packet) && tcp_sum_is_right(packet));
    rte_pktmbuf_free(packet);
}

/* The port adds the rest of the sum to that of the pseudo header. */
static void test_what_the_port_fills_in_is_left_to_it(void **state) {
    struct rte_mbuf *packet;

    (void)state;
    config.checksums = PORT_TX_IPV4 | PORT_TX_TCP;
    packet = made(outside, 333);
    assert_int_equal(packet->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
    assert_int_equal(packet->l2_len, SIZEOF_ETH_HDR);
    assert_int_equal(packet->l3_len, IP_HLEN);
    assert_int_equal(packet->l4_len, TCP_HLEN);
    assert_int_equal(packet->tso_segsz, 0);
    assert_int_equal(headers_of(packet)->ip._chksum, 0);
    assert_int_equal(lwip_ntohs(headers_of(packet)->tcp.chksum),
                     pseudo_sum(headers_of(packet), TCP_HLEN + 333));
    rte_pktmbuf_free(packet);
}

static void test_a_port_may_fill_in_one_of_both(void **state) {
    struct rte_mbuf *packet;

    (void)state;
    config.checksums = PORT_TX_IPV4;
    packet = made(outside, 64);
    assert_int_equal(packet->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
    assert_true(tcp_sum_is_right(packet));
    rte_pktmbuf_free(packet);
    config.checksums = PORT_TX_TCP;
    packet = made(outside, 64);
    assert_int_equal(packet->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
    assert_true(ip_sum_is_right(packet));
    rte_pktmbuf_free(packet);
}

static void test_data_in_the_region_are_attached_from_a_size_on(void **state) {
    struct rte_mbuf *packet = made(region.base + 100, TCP_PACKET_ATTACH_FROM);

    (void)state;
    assert_int_equal(packet->nb_segs, 2);
    assert_int_equal(packet->data_len, HEADERS);
    assert_ptr_equal(rte_pktmbuf_mtod(packet->next, void *), region.base + 100);
    assert_int_equal(rte_pktmbuf_iova(packet->next), 0x100000 + 100);
    assert_int_equal(rte_mbuf_ext_refcnt_read(&region.shared), 2);
    assert_data(packet, region.base + 100, TCP_PACKET_ATTACH_FROM);
    assert_true(tcp_sum_is_right(packet));
    rte_pktmbuf_free(packet);
    packet = made(region.base + 100, TCP_PACKET_ATTACH_FROM - 1);
    assert_int_equal(packet->nb_segs, 1);
    assert_data(packet, region.base + 100, TCP_PACKET_ATTACH_FROM - 1);
    rte_pktmbuf_free(packet);
}

static void assert_copied(const uint8_t *data, unsigned size) {
    struct rte_mbuf *packet = made(data, size);

    assert_int_equal(packet->nb_segs, 1);
    assert_data(packet, data, size);
    assert_true(tcp_sum_is_right(packet));
    rte_pktmbuf_free(packet);
}

static void test_other_data_are_copied(void **state) {
    (void)state;
    assert_copied(outside, 1460);
    assert_copied(region.base + 2 * PAGE - 700, 1460); /* two pieces for the device */
    config.attachments = NULL;
    assert_copied(region.base, 1460);
}

static void test_without_an_mbuf_to_attach_data_are_copied(void **state) {
    struct rte_mbuf *taken[MBUFS];

    (void)state;
    assert_int_equal(rte_pktmbuf_alloc_bulk(attach_pool, taken, MBUFS), 0);
    assert_copied(region.base, 1460);
    rte_pktmbuf_free_bulk(taken, MBUFS);
}

static void test_what_is_in_one_piece_is_attachable(void **state) {
    const uint8_t *base = region.base;

    (void)state;
    assert_int_equal(tcp_packet_attachable(&config, base, 1), 1);
    assert_int_equal(tcp_packet_attachable(&config, base, PAGE), PAGE);
    assert_int_equal(tcp_packet_attachable(&config, base + 1, PAGE), PAGE); /* the next page follows */
    assert_int_equal(tcp_packet_attachable(&config, base, 2 * PAGE), 2 * PAGE);
    assert_int_equal(tcp_packet_attachable(&config, base, 2 * PAGE + 1), 2 * PAGE); /* the third does not */
    assert_int_equal(tcp_packet_attachable(&config, base + 10, 5 * PAGE), 2 * PAGE - 10);
    assert_int_equal(tcp_packet_attachable(&config, base + 2 * PAGE - 1, 2), 1);
    assert_int_equal(tcp_packet_attachable(&config, base + 2 * PAGE, LARGEST), LARGEST);
    assert_int_equal(tcp_packet_attachable(&config, base + PAGES * PAGE - 1, 1), 1);
    assert_int_equal(tcp_packet_attachable(&config, base + PAGES * PAGE - 1, 2), 0); /* ends before */
    assert_int_equal(tcp_packet_attachable(&config, base - 1, 2), 0);
    assert_int_equal(tcp_packet_attachable(&config, outside, 1), 0);
    config.attachments = NULL;
    assert_int_equal(tcp_packet_attachable(&config, base, 1), 0);
}

static void assert_to_be_cut_up(const uint8_t *data, unsigned size) {
    struct rte_mbuf *packet = made(data, size);

    assert_int_equal(packet->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM |
                                           RTE_MBUF_F_TX_TCP_SEG);
    assert_int_equal(packet->tso_segsz, pcb.mss);
    assert_int_equal(lwip_ntohs(headers_of(packet)->ip._len), IP_HLEN + TCP_HLEN + size);
    assert_data(packet, data, size);
    rte_pktmbuf_free(packet);
}

static void test_more_than_the_mss_is_marked_for_the_port(void **state) {
    const uint8_t *data = region.base + 2 * PAGE;

    (void)state;
    config.checksums = PORT_TX_IPV4 | PORT_TX_TCP;
    config.cuts_up = true;
    assert_to_be_cut_up(data, 1461);
    assert_to_be_cut_up(data, 2 * 1460);
    assert_to_be_cut_up(data, 20000);
    assert_to_be_cut_up(data, LARGEST);
    pcb.mss = 536;
    assert_to_be_cut_up(outside, 537); /* copied */
}

/* Its MSS became less since the segment was made. */
static void test_nothing_is_marked_for_a_port_that_cuts_up_nothing(void **state) {
    struct rte_mbuf *packet;

    (void)state;
    config.checksums = PORT_TX_IPV4 | PORT_TX_TCP;
    pcb.mss = 48;
    packet = made(outside, 1000);
    assert_int_equal(packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG, 0);
    assert_int_equal(packet->tso_segsz, 0);
    rte_pktmbuf_free(packet);
}

static void assert_refused(struct rte_mbuf *packet, const uint8_t *data, unsigned size) {
    assert_false(tcp_packet_make(packet, &config, &to, &pcb, segment_of(data, size)));
    assert_int_equal(packet->nb_segs, 1);
    assert_null(packet->next);
    assert_int_equal(packet->pkt_len, 0);
    assert_int_equal(packet->data_len, 0);
}

static void test_a_buffer_that_is_too_small_is_left_as_it_was(void **state) {
    struct rte_mbuf *packet = rte_pktmbuf_alloc(small_pool);
    unsigned room = rte_pktmbuf_tailroom(packet) - HEADERS;

    (void)state;
    assert_refused(packet, outside, room + 1);
    assert_refused(packet, region.base + 2 * PAGE - 1, TCP_PACKET_ATTACH_FROM);
    assert_true(tcp_packet_make(packet, &config, &to, &pcb, segment_of(outside, room)));
    assert_data(packet, outside, room);
    rte_pktmbuf_free(packet);
    packet = rte_pktmbuf_alloc(small_pool); /* has room for the headers of what is attached */
    assert_true(tcp_packet_make(packet, &config, &to, &pcb, segment_of(region.base, TCP_PACKET_ATTACH_FROM)));
    assert_data(packet, region.base, TCP_PACKET_ATTACH_FROM);
    rte_pktmbuf_free(packet);
}

static void nobody_frees(void *memory, void *argument) {
    (void)memory;
    (void)argument;
}

static void prepare(void) {
    pool = rte_pktmbuf_pool_create("packets", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    small_pool = rte_pktmbuf_pool_create("small", MBUFS, 0, 0, RTE_PKTMBUF_HEADROOM + 128, SOCKET_ID_ANY);
    attach_pool = rte_pktmbuf_pool_create("attachments", MBUFS, 0, 0, 0, SOCKET_ID_ANY);
    region = (struct tcp_packet_region){.base = aligned_alloc(PAGE, PAGES * PAGE),
                                        .size = PAGES * PAGE,
                                        .page = PAGE,
                                        .iovas = calloc(PAGES, sizeof(rte_iova_t)),
                                        .shared = {.free_cb = nobody_frees}};
    if (pool == NULL || small_pool == NULL || attach_pool == NULL || region.base == NULL ||
        region.iovas == NULL) {
        fprintf(stderr, "test_tcp_packet: out of memory\n");
        exit(EXIT_FAILURE);
    }
    rte_mbuf_ext_refcnt_set(&region.shared, 1);
    for (size_t i = 0; i < PAGES * PAGE; i++) {
        outside[i] = (uint8_t)(i * i >> 3);
        region.base[i] = (uint8_t)(i * 7 + (i >> 8));
    }
}

int main(void) {
#define PACKET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, every_buffer_is_back)
    const struct CMUnitTest tests[] = {
        PACKET_TEST(test_headers_say_what_connection_and_segment_say),
        PACKET_TEST(test_without_offloads_both_sums_are_right),
        PACKET_TEST(test_so_are_sums_computed_in_the_copy_or_remembered),
        PACKET_TEST(test_sums_of_ones_and_of_zeros_are_right),
        PACKET_TEST(test_only_sums_of_attached_data_are_remembered),
        PACKET_TEST(test_remembered_sums_are_not_mistaken_for_others),
        PACKET_TEST(test_a_wrong_byte_is_found),
        PACKET_TEST(test_what_the_port_fills_in_is_left_to_it),
        PACKET_TEST(test_a_port_may_fill_in_one_of_both),
        PACKET_TEST(test_data_in_the_region_are_attached_from_a_size_on),
        PACKET_TEST(test_other_data_are_copied),
        PACKET_TEST(test_without_an_mbuf_to_attach_data_are_copied),
        PACKET_TEST(test_what_is_in_one_piece_is_attachable),
        PACKET_TEST(test_more_than_the_mss_is_marked_for_the_port),
        PACKET_TEST(test_nothing_is_marked_for_a_port_that_cuts_up_nothing),
        PACKET_TEST(test_a_buffer_that_is_too_small_is_left_as_it_was),
    };
    int failed;

    start_eal("test_tcp_packet", "", 0);
    prepare();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(region.base);
    free(region.iovas);
    return failed;
}
