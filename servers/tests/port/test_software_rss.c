/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/port/software_rss.c: which core a packet belongs to, and that it gets there, once and in its order.
 */
#include "frames.h"

#include "eal.h"
#include "stack/port/software_rss.h"

#define BUFFERS 4095
#define CORES 4

static struct rte_mempool *pool;
static struct software_rss *rss;
static struct software_rss_core cores[CORES];
static unsigned buffers;

static int begin(bool by_port) {
    rss = software_rss_create(CORES, by_port, NULL);
    assert_non_null(rss);
    for (unsigned core = 0; core < CORES; core++) {
        cores[core] = (struct software_rss_core){.shared = rss, .core = core};
    }
    return 0;
}

static int set_up(void **state) {
    (void)state;
    return begin(false);
}

static int set_up_by_port(void **state) {
    (void)state;
    return begin(true);
}

static int every_buffer_is_back(void **state) {
    (void)state;
    software_rss_free(rss);
    assert_int_equal(rte_mempool_avail_count(pool), buffers);
    return 0;
}

static struct rte_mbuf *segment(uint16_t port) {
    return frame_tcp(pool, port, RTE_TCP_ACK_FLAG, 1, 1, "");
}

static uint16_t port_of(const struct rte_mbuf *packet) {
    const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(packet, const struct rte_tcp_hdr *, 34);

    return rte_be_to_cpu_16(tcp->src_port);
}

static void take_and_free(unsigned core, unsigned expected) {
    struct rte_mbuf *packets[SOFTWARE_RSS_BURST_MAX];

    assert_int_equal(software_rss_take(&cores[core], packets, SOFTWARE_RSS_BURST_MAX), expected);
    rte_pktmbuf_free_bulk(packets, expected);
}

static void test_a_flow_has_one_core_whatever_its_segments_are(void **state) {
    (void)state;
    for (unsigned port = 1024; port < 1124; port++) {
        struct rte_mbuf *syn = frame_tcp(pool, (uint16_t)port, RTE_TCP_SYN_FLAG, 7, 0, "");
        struct rte_mbuf *data = frame_tcp(pool, (uint16_t)port, RTE_TCP_ACK_FLAG, 8, 9, "some data");
        unsigned owner = software_rss_owner(rss, syn);

        assert_true(owner < CORES);
        assert_int_equal(software_rss_owner(rss, data), owner);
        rte_pktmbuf_free(syn);
        rte_pktmbuf_free(data);
    }
}

/* 64,000 flows: the standard deviation of a core's share is 110. */
static void test_flows_are_spread_evenly(void **state) {
    struct rte_mbuf *packet = segment(0);
    struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(packet, struct rte_tcp_hdr *, 34);
    unsigned flows[CORES] = {0};

    (void)state;
    for (unsigned port = 1000; port < 65000; port++) {
        unsigned owner;

        tcp->src_port = rte_cpu_to_be_16((uint16_t)port);
        owner = software_rss_owner(rss, packet);
        assert_true(owner < CORES);
        flows[owner]++;
    }
    for (unsigned core = 0; core < CORES; core++) {
        assert_in_range(flows[core], 14000, 18000);
    }
    rte_pktmbuf_free(packet);
}

/* A client takes consecutive ports, and few of them. 50 a core are expected; 15 is six standard deviations.
 */
static void test_no_key_puts_consecutive_ports_on_one_core(void **state) {
    struct rte_mbuf *packet = segment(0);
    struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(packet, struct rte_tcp_hdr *, 34);

    (void)state;
    for (unsigned table = 0; table < 1000; table++) {
        struct software_rss *one = software_rss_create(CORES, false, NULL);
        unsigned flows[CORES] = {0};

        assert_non_null(one);
        for (unsigned port = 2000; port < 2000 + 50 * CORES; port++) {
            tcp->src_port = rte_cpu_to_be_16((uint16_t)port);
            flows[software_rss_owner(one, packet)]++;
        }
        for (unsigned core = 0; core < CORES; core++) {
            assert_in_range(flows[core], 15, 100);
        }
        software_rss_free(one);
    }
    rte_pktmbuf_free(packet);
}

static void test_another_table_has_other_keys(void **state) {
    struct software_rss *other = software_rss_create(CORES, false, NULL);
    unsigned same = 0;

    (void)state;
    assert_non_null(other);
    for (uint16_t port = 1; port <= 1000; port++) {
        struct rte_mbuf *packet = segment(port);

        same += software_rss_owner(rss, packet) == software_rss_owner(other, packet);
        rte_pktmbuf_free(packet);
    }
    assert_in_range(same, 1, 999);
    software_rss_free(other);
}

static void test_an_icmp_error_is_news_to_all(void **state) {
    struct rte_mbuf *packet = segment(1);
    struct rte_ipv4_hdr *ip =
        rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
    uint8_t *type = (uint8_t *)(ip + 1);

    (void)state;
    ip->next_proto_id = IPPROTO_ICMP;
    for (unsigned i = 0; i < 256; i++) {
        *type = (uint8_t)i;
        assert_int_equal(software_rss_owner(rss, packet),
                         i == 3 || i == 11 ? SOFTWARE_RSS_EVERYBODY : SOFTWARE_RSS_WHOEVER);
    }
    rte_pktmbuf_free(packet);
}

static void test_what_has_no_ports_stays_where_it_came(void **state) {
    struct rte_mbuf *packets[] = {segment(1), segment(2), segment(3), segment(4), rte_pktmbuf_alloc(pool)};
    struct rte_ipv4_hdr *ip[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        ip[i] = rte_pktmbuf_mtod_offset(packets[i], struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
    }
    ip[0]->next_proto_id = IPPROTO_ICMP;
    ip[1]->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG);
    ip[2]->fragment_offset = rte_cpu_to_be_16(64);
    rte_pktmbuf_trim(packets[3], sizeof(struct rte_tcp_hdr) - 3); /* the ports are not all there */
    assert_non_null(rte_pktmbuf_append(packets[4], 13));          /* no whole header of Ethernet */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(software_rss_owner(rss, packets[i]), SOFTWARE_RSS_WHOEVER);
    }
    assert_int_equal(software_rss_sort(&cores[2], packets, 5, pool), 5);
    assert_int_equal(cores[2].handed_over, 0);
    rte_pktmbuf_free_bulk(packets, 5);
}

static void test_each_packet_comes_to_its_core_once_and_in_order(void **state) {
    struct rte_mbuf *packets[SOFTWARE_RSS_BURST_MAX], *taken[SOFTWARE_RSS_BURST_MAX];
    unsigned came = 0, kept;
    uint16_t last[CORES] = {0};

    (void)state;
    for (uint16_t i = 0; i < SOFTWARE_RSS_BURST_MAX; i++) {
        packets[i] = segment((uint16_t)(i + 1));
    }
    kept = software_rss_sort(&cores[1], packets, SOFTWARE_RSS_BURST_MAX, pool);
    for (unsigned core = 0; core < CORES; core++) {
        unsigned count = core == 1 ? kept : software_rss_take(&cores[core], taken, SOFTWARE_RSS_BURST_MAX);
        struct rte_mbuf **mine = core == 1 ? packets : taken;

        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(software_rss_owner(rss, mine[i]), core);
            assert_true(port_of(mine[i]) > last[core]);
            last[core] = port_of(mine[i]);
        }
        came += count;
        rte_pktmbuf_free_bulk(mine, count);
    }
    assert_int_equal(came, SOFTWARE_RSS_BURST_MAX);
    assert_int_equal(cores[1].handed_over, SOFTWARE_RSS_BURST_MAX - kept);
    assert_int_equal(cores[0].taken_over + cores[2].taken_over + cores[3].taken_over,
                     SOFTWARE_RSS_BURST_MAX - kept);
}

static void test_an_answer_of_arp_reaches_every_core_a_question_one(void **state) {
    struct rte_mbuf *answer = frame_arp(pool, RTE_ARP_OP_REPLY, FRAME_SERVER);
    struct rte_mbuf *question = frame_arp(pool, RTE_ARP_OP_REQUEST, FRAME_SERVER);
    struct rte_mbuf *news = frame_arp(pool, RTE_ARP_OP_REQUEST, FRAME_CLIENT);

    (void)state;
    assert_int_equal(software_rss_sort(&cores[0], &question, 1, pool), 1);
    for (unsigned core = 1; core < CORES; core++) {
        take_and_free(core, 0);
    }
    assert_int_equal(software_rss_sort(&cores[0], &answer, 1, pool), 1);
    assert_int_equal(software_rss_sort(&cores[0], &news, 1, pool), 1);
    for (unsigned core = 1; core < CORES; core++) {
        struct rte_mbuf *copies[SOFTWARE_RSS_BURST_MAX];

        assert_int_equal(software_rss_take(&cores[core], copies, SOFTWARE_RSS_BURST_MAX), 2);
        assert_int_equal(copies[0]->pkt_len, answer->pkt_len);
        assert_memory_equal(rte_pktmbuf_mtod(copies[0], void *), rte_pktmbuf_mtod(answer, void *),
                            answer->pkt_len);
        rte_pktmbuf_free_bulk(copies, 2);
    }
    rte_pktmbuf_free(answer);
    rte_pktmbuf_free(question);
    rte_pktmbuf_free(news);
}

static void test_what_the_port_has_spread_is_not_sorted_again(void **state) {
    struct rte_mbuf *packets[SOFTWARE_RSS_BURST_MAX];
    unsigned kept;

    (void)state;
    for (uint16_t i = 0; i < SOFTWARE_RSS_BURST_MAX; i++) {
        packets[i] = segment((uint16_t)(i + 1));
        packets[i]->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    }
    assert_int_equal(software_rss_sort(&cores[3], packets, SOFTWARE_RSS_BURST_MAX, pool),
                     SOFTWARE_RSS_BURST_MAX);
    for (unsigned i = 0; i < SOFTWARE_RSS_BURST_MAX; i++) {
        packets[i]->ol_flags = 0; /* the port did not judge it */
    }
    kept = software_rss_sort(&cores[3], packets, SOFTWARE_RSS_BURST_MAX, pool);
    assert_true(kept < SOFTWARE_RSS_BURST_MAX);
    rte_pktmbuf_free_bulk(packets, kept);
}

/* Whose ring is full loses packets, and nobody else does; those still on their way are freed at the end. */
static void test_a_core_that_does_not_take_its_packets_loses_them(void **state) {
    unsigned sent = 0, to = 0;
    uint16_t port = 0;

    (void)state;
    while (to == 0) {
        struct rte_mbuf *packet = segment(++port);

        to = software_rss_owner(rss, packet);
        rte_pktmbuf_free(packet);
    }
    while (cores[0].dropped == 0 && sent < 2 * SOFTWARE_RSS_RING) {
        struct rte_mbuf *packet = segment(port);

        assert_int_equal(software_rss_sort(&cores[0], &packet, 1, pool), 0);
        sent++;
    }
    assert_int_equal(sent, SOFTWARE_RSS_RING); /* a ring holds one less */
    assert_int_equal(cores[0].handed_over, SOFTWARE_RSS_RING - 1);
    take_and_free(to, SOFTWARE_RSS_BURST_MAX);
}

static void test_whoever_takes_little_takes_from_each_in_turn(void **state) {
    unsigned from[CORES] = {0};
    uint16_t port = 1;

    (void)state;
    for (unsigned core = 1; core < CORES; core++) {
        for (int i = 0; i < 20;) {
            struct rte_mbuf *packet = segment(port++);

            if (software_rss_owner(rss, packet) == 0) {
                packet->port = (uint16_t)core;
                assert_int_equal(software_rss_sort(&cores[core], &packet, 1, pool), 0);
                i++;
            } else {
                rte_pktmbuf_free(packet);
            }
        }
    }
    for (int turn = 0; turn < CORES; turn++) {
        struct rte_mbuf *packets[5];

        assert_int_equal(software_rss_take(&cores[0], packets, 5), 5);
        for (int i = 0; i < 5; i++) {
            from[packets[i]->port]++;
        }
        rte_pktmbuf_free_bulk(packets, 5);
    }
    for (unsigned core = 1; core < CORES; core++) {
        assert_in_range(from[core], 5, 10);
    }
}

#define SOFTWARE_RSS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, every_buffer_is_back)

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        SOFTWARE_RSS_TEST(test_a_flow_has_one_core_whatever_its_segments_are),
        SOFTWARE_RSS_TEST(test_flows_are_spread_evenly),
        SOFTWARE_RSS_TEST(test_no_key_puts_consecutive_ports_on_one_core),
        SOFTWARE_RSS_TEST(test_another_table_has_other_keys),
        SOFTWARE_RSS_TEST(test_an_icmp_error_is_news_to_all),
        SOFTWARE_RSS_TEST(test_what_has_no_ports_stays_where_it_came),
        SOFTWARE_RSS_TEST(test_each_packet_comes_to_its_core_once_and_in_order),
        SOFTWARE_RSS_TEST(test_an_answer_of_arp_reaches_every_core_a_question_one),
        cmocka_unit_test_setup_teardown(test_what_the_port_has_spread_is_not_sorted_again, set_up_by_port,
                                        every_buffer_is_back),
        SOFTWARE_RSS_TEST(test_a_core_that_does_not_take_its_packets_loses_them),
        SOFTWARE_RSS_TEST(test_whoever_takes_little_takes_from_each_in_turn),
    };

    (void)argc;
    start_eal(argv[0], "net_ring", 0);
    pool = rte_pktmbuf_pool_create("frames", BUFFERS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (pool == NULL) {
        return EXIT_FAILURE;
    }
    buffers = rte_mempool_avail_count(pool);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
