/* SPDX-License-Identifier: BSD-3-Clause */
/* The floor's answers to whole packets: which there are, of which bytes, with right checksums. */
#include <netinet/ip_icmp.h>
#include <stdlib.h>

#include "../port/eal.h"
#include "../port/frames.h"
#include "tools/floor_answer.h"

#include <rte_icmp.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"

static struct rte_mempool *pool;
static struct http_site site;
static struct floor floor_;

static int set_up(void **state) {
    (void)state;
    floor_ =
        (struct floor){.address = FRAME_SERVER, .port = RTE_BE16(80), .response = &site.responses[HTTP_200]};
    memcpy(floor_.mac, &frame_server_mac, sizeof(floor_.mac));
    return 0;
}

static int every_buffer_is_back(void **state) {
    (void)state;
    assert_int_equal(rte_mempool_in_use_count(pool), 0);
    return 0;
}

/* The bytes behind TCP's header of an answer that must be the client's, from here, right in all its sums. */
static const char *answered(const struct rte_mbuf *packet, uint8_t flags, uint32_t sequence,
                            uint32_t acknowledged, size_t size) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
    uint32_t sum;

    assert_memory_equal(&ethernet->dst_addr, &frame_client_mac, RTE_ETHER_ADDR_LEN);
    assert_memory_equal(&ethernet->src_addr, &frame_server_mac, RTE_ETHER_ADDR_LEN);
    assert_int_equal(ip->src_addr, FRAME_SERVER);
    assert_int_equal(ip->dst_addr, FRAME_CLIENT);
    assert_int_equal(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
    assert_int_equal(rte_be_to_cpu_16(ip->total_length), sizeof(*ip) + sizeof(*tcp) + size);
    assert_int_equal(packet->pkt_len, sizeof(*ethernet) + sizeof(*ip) + sizeof(*tcp) + size);
    assert_int_equal(packet->data_len, packet->pkt_len);
    sum = rte_raw_cksum(tcp, sizeof(*tcp) + size) + (uint32_t)rte_ipv4_phdr_cksum(ip, 0);
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_int_equal(rte_be_to_cpu_16(tcp->src_port), 80);
    assert_int_equal(rte_be_to_cpu_16(tcp->dst_port), 4000);
    assert_int_equal(tcp->tcp_flags, flags);
    assert_int_equal(rte_be_to_cpu_32(tcp->sent_seq), sequence);
    assert_int_equal(rte_be_to_cpu_32(tcp->recv_ack), acknowledged);
    return (const char *)(tcp + 1);
}

static void a_connection_from_its_first_segment_to_its_last(void **state) {
    struct rte_mbuf *packet = frame_tcp(pool, 4000, RTE_TCP_SYN_FLAG, 0xffffffff, 0, "");

    (void)state;
    assert_true(floor_answer(&floor_, packet));
    assert_memory_equal(answered(packet, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 1, 0, 4), "\x02\x04\x05\xb4",
                        4);
    rte_pktmbuf_free(packet);

    packet = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG, 0, 2, "");
    assert_false(floor_answer(&floor_, packet));
    rte_pktmbuf_free(packet);

    packet = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 0, 2, REQUEST);
    assert_true(floor_answer(&floor_, packet));
    assert_memory_equal(
        answered(packet, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 2, strlen(REQUEST), strlen(ANSWER)), ANSWER,
        strlen(ANSWER));
    rte_pktmbuf_free(packet);

    packet = frame_tcp(pool, 4000, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, 27, 41, "");
    assert_true(floor_answer(&floor_, packet));
    answered(packet, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, 41, 28, 0);
    rte_pktmbuf_free(packet);

    assert_int_equal(floor_.counters.accepts, 1);
    assert_int_equal(floor_.counters.requests_parsed, 1);
    assert_int_equal(floor_.counters.responses_sent, 1);
    assert_int_equal(floor_.counters.bytes_received, strlen(REQUEST));
    assert_int_equal(floor_.counters.bytes_sent, strlen(ANSWER));
    assert_int_equal(floor_.counters.closes, 1);
    assert_int_equal(floor_.counters.errors_socket, 0);
}

static void what_is_no_request_ends_the_connection(void **state) {
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n\r\n", "GET \r\n", "x"};

    (void)state;
    for (size_t i = 0; i < RTE_DIM(others); i++) {
        struct rte_mbuf *packet = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG, 9, 7, others[i]);

        assert_true(floor_answer(&floor_, packet));
        answered(packet, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 7, 9 + (uint32_t)strlen(others[i]), 0);
        rte_pktmbuf_free(packet);
        assert_int_equal(floor_.counters.errors_socket, i + 1);
    }
    assert_int_equal(floor_.counters.requests_parsed, 0);
}

static void where_the_port_fills_in_the_checksum_it_is_left_to_it(void **state) {
    struct rte_mbuf *packet = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG, 0, 2, REQUEST);
    const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(packet, const struct rte_tcp_hdr *, 34);

    (void)state;
    floor_.sums_tcp = true;
    assert_true(floor_answer(&floor_, packet));
    assert_int_equal(tcp->cksum, 0);
    rte_pktmbuf_free(packet);
}

static void its_address_and_no_other_is_told(void **state) {
    struct rte_mbuf *packet = frame_arp(pool, RTE_ARP_OP_REQUEST, FRAME_SERVER);
    const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(packet, const struct rte_arp_hdr *, 14);

    (void)state;
    assert_true(floor_answer(&floor_, packet));
    assert_int_equal(rte_be_to_cpu_16(arp->arp_opcode), RTE_ARP_OP_REPLY);
    assert_int_equal(arp->arp_data.arp_sip, FRAME_SERVER);
    assert_int_equal(arp->arp_data.arp_tip, FRAME_CLIENT);
    assert_memory_equal(&arp->arp_data.arp_sha, &frame_server_mac, RTE_ETHER_ADDR_LEN);
    rte_pktmbuf_free(packet);
    for (int reply = 0; reply <= 1; reply++) {
        packet = frame_arp(pool, reply ? RTE_ARP_OP_REPLY : RTE_ARP_OP_REQUEST,
                           reply ? FRAME_SERVER : FRAME_CLIENT);
        assert_false(floor_answer(&floor_, packet));
        rte_pktmbuf_free(packet);
    }
}

static void a_ping_is_answered(void **state) {
    struct rte_mbuf *packet;
    struct rte_ipv4_hdr *ip = frame_begin(pool, &packet, RTE_ETHER_TYPE_IPV4, sizeof(*ip) + 16);
    struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);

    (void)state;
    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->total_length = RTE_BE16(sizeof(*ip) + 16);
    ip->next_proto_id = IPPROTO_ICMP;
    ip->src_addr = FRAME_CLIENT;
    ip->dst_addr = FRAME_SERVER;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    icmp->icmp_type = ICMP_ECHO;
    icmp->icmp_seq_nb = RTE_BE16(0xf7ff);
    icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, 16);
    assert_true(floor_answer(&floor_, packet));
    assert_int_equal(icmp->icmp_type, ICMP_ECHOREPLY);
    assert_int_equal(rte_raw_cksum(icmp, 16), 0xffff);
    assert_int_equal(ip->dst_addr, FRAME_CLIENT);
    rte_pktmbuf_free(packet);
}

/* Every packet cut short, and with any byte of its headers changed: no byte beyond it is read, and what is
 * not for it has no answer. */
static void a_packet_that_is_broken(void **state) {
    (void)state;
    for (uint16_t keep = 0; keep < 54; keep++) {
        struct rte_mbuf *whole = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG, 0, 2, REQUEST);

        assert_int_equal(rte_pktmbuf_trim(whole, (uint16_t)(whole->pkt_len - keep)), 0);
        assert_false(floor_answer(&floor_, whole));
        rte_pktmbuf_free(whole);
    }
    for (unsigned place = 12; place < 54; place++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct rte_mbuf *packet = frame_tcp(pool, 4000, RTE_TCP_ACK_FLAG, 0, 2, REQUEST);

            *rte_pktmbuf_mtod_offset(packet, uint8_t *, place) ^= (uint8_t)(1 << bit);
            if (floor_answer(&floor_, packet)) {
                assert_in_range(packet->data_len, 42, 54 + strlen(ANSWER));
            }
            rte_pktmbuf_free(packet);
        }
    }
}

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_from_its_first_segment_to_its_last, set_up,
                                        every_buffer_is_back),
        cmocka_unit_test_setup_teardown(what_is_no_request_ends_the_connection, set_up, every_buffer_is_back),
        cmocka_unit_test_setup_teardown(where_the_port_fills_in_the_checksum_it_is_left_to_it, set_up,
                                        every_buffer_is_back),
        cmocka_unit_test_setup_teardown(its_address_and_no_other_is_told, set_up, every_buffer_is_back),
        cmocka_unit_test_setup_teardown(a_ping_is_answered, set_up, every_buffer_is_back),
        cmocka_unit_test_setup_teardown(a_packet_that_is_broken, set_up, every_buffer_is_back),
    };
    void *memory = aligned_alloc(64, http_site_size(1));

    (void)argc;
    start_eal(argv[0], "", 0);
    http_site_init(&site, 1, memory);
    pool = rte_pktmbuf_pool_create("packets", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    return pool == NULL ? EXIT_FAILURE : cmocka_run_group_tests(tests, NULL, NULL);
}
