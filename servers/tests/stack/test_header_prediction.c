/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/header_prediction.c and stack/prefetch.c: which received packets go the short way to their
 * connection. All others go the long way, with the same outcome as ever; no byte is lost or comes twice, and
 * every mbuf is back in its pool after every test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "netif/ethernet.h"

#include "stack/header_prediction.h"
#include "stack/mbuf_pbuf.h"
#include "stack/port/port.h"
#include "stack/prefetch.h"
#include "stack/tcp_headers.h"
#include "tests/port/eal.h"

#define MBUFS 63
#define PORT 80
#define PEER_PORT 40000
#define HEADERS ((unsigned)sizeof(struct tcp_headers))

static const ip4_addr_t own = {PP_HTONL(0xc6120003)}, peer = {PP_HTONL(0xc6120064)};
static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static struct rte_mempool *pool;
static struct zero_copy zero_copy;
static struct netif netif;
static struct tcp_pcb *accepted;
static uint32_t next;     /* sequence number of the peer's next byte */
static uint32_t answered; /* what lwIP has sent up to */
static uint8_t received[8192];
static size_t received_size;
static uint8_t sent[8192]; /* by the peer, in segments that are to arrive */
static size_t sent_size;

static err_t output(struct netif *from, struct pbuf *packet, const ip4_addr_t *to) {
    const struct tcp_hdr *header = (const struct tcp_hdr *)((const uint8_t *)packet->payload + IP_HLEN);
    uint8_t flags = TCPH_FLAGS(header);

    (void)from;
    (void)to;
    answered = lwip_ntohl(header->seqno) + packet->tot_len - IP_HLEN - TCPH_HDRLEN_BYTES(header) +
               ((flags & (TCP_SYN | TCP_FIN)) != 0);
    return ERR_OK;
}

/* The interface's own address, by ARP. */
static err_t announce(struct netif *from, struct pbuf *packet) {
    (void)from;
    (void)packet;
    return ERR_OK;
}

static err_t interface_init(struct netif *to) {
    to->mtu = 1500;
    to->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(to->hwaddr, own_mac, ETH_HWADDR_LEN);
    to->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    to->output = output;
    to->linkoutput = announce;
    NETIF_SET_CHECKSUM_CTRL(to, NETIF_CHECKSUM_ENABLE_ALL);
    return ERR_OK;
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    assert_non_null(data);
    assert_true(received_size + data->tot_len <= sizeof(received));
    received_size += pbuf_copy_partial(data, received + received_size, data->tot_len, 0);
    tcp_recved(pcb, data->tot_len);
    pbuf_free(data);
    return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    accepted = pcb;
    tcp_recv(pcb, on_received);
    return ERR_OK;
}

/* Makes the sums right. */
static void sum_up(struct rte_mbuf *packet) {
    struct tcp_headers *headers = rte_pktmbuf_mtod(packet, struct tcp_headers *);
    unsigned length = lwip_ntohs(headers->ip._len) - IP_HLEN;
    uint32_t sum;

    headers->ip._chksum = 0;
    headers->ip._chksum = (uint16_t)~stack_checksum(&headers->ip, IP_HLEN);
    headers->tcp.chksum = 0;
    sum = (uint32_t)tcp_headers_pseudo_sum(headers, length) + stack_checksum(&headers->tcp, (int)length);
    headers->tcp.chksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* The peer's next segment, `size` bytes of data. */
static struct rte_mbuf *segment(uint8_t flags, unsigned size) {
    struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);
    struct tcp_headers *headers;
    uint8_t *data;

    assert_non_null(packet);
    headers = (struct tcp_headers *)rte_pktmbuf_append(packet, (uint16_t)(HEADERS + size));
    *headers = (struct tcp_headers){
        .ethernet = {.type = PP_HTONS(ETHTYPE_IP)},
        .ip = {._v_hl = 0x45, ._ttl = 64, ._proto = IP_PROTO_TCP, .src = {peer.addr}, .dest = {own.addr}},
        .tcp = {.src = PP_HTONS(PEER_PORT),
                .dest = PP_HTONS(PORT),
                .seqno = lwip_htonl(next),
                .ackno = lwip_htonl(answered),
                .wnd = PP_HTONS(20000)}};
    memcpy(&headers->ethernet.dest, own_mac, ETH_HWADDR_LEN);
    headers->ip._len = lwip_htons((uint16_t)(IP_HLEN + TCP_HLEN + size));
    TCPH_HDRLEN_FLAGS_SET(&headers->tcp, 5, flags);
    data = (uint8_t *)(headers + 1);
    for (unsigned i = 0; i < size; i++) {
        data[i] = (uint8_t)(next + i);
    }
    sum_up(packet);
    return packet;
}

static struct tcp_headers *headers_of(struct rte_mbuf *packet) {
    return rte_pktmbuf_mtod(packet, struct tcp_headers *);
}

/* These bytes are to arrive, so the peer goes on behind them. */
static void counts(unsigned size) {
    for (unsigned i = 0; i < size; i++) {
        sent[sent_size++] = (uint8_t)next++;
    }
}

/* As whoever polls the port does it. True: it went the short way. */
static bool deliver(struct rte_mbuf *packet) {
    struct pbuf *pbuf;

    prefetch_connections(&packet, 1);
    if (rx_fast_path(&netif, &zero_copy, packet)) {
        return true;
    }
    pbuf = pbuf_from_mbuf(&zero_copy, packet);
    if (pbuf != NULL && netif.input(pbuf, &netif) != ERR_OK) {
        pbuf_free(pbuf);
    }
    return false;
}

static void assert_short_way(unsigned size) {
    struct rte_mbuf *packet = segment(TCP_ACK | TCP_PSH, size);

    counts(size);
    assert_true(deliver(packet));
}

static int connect_peer(void **state) {
    (void)state;
    received_size = sent_size = 0;
    accepted = NULL;
    zero_copy.limit = MBUFS;
    NETIF_SET_CHECKSUM_CTRL(&netif, NETIF_CHECKSUM_ENABLE_ALL);
    assert_false(deliver(segment(TCP_SYN, 0)));
    next++;
    assert_false(deliver(segment(TCP_ACK, 0)));
    assert_non_null(accepted);
    return 0;
}

/* Nothing was lost, came twice or leaked, and the connection goes on. */
static int check_and_end(void **state) {
    (void)state;
    zero_copy.limit = MBUFS;
    NETIF_SET_CHECKSUM_CTRL(&netif, NETIF_CHECKSUM_ENABLE_ALL);
    assert_short_way(11);
    assert_int_equal(received_size, sent_size);
    assert_memory_equal(received, sent, sent_size);
    tcp_abort(accepted);
    assert_int_equal(zero_copy.held, 0);
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS);
    return 0;
}

static void test_the_next_segment_goes_the_short_way(void **state) {
    (void)state;
    assert_short_way(1);
    assert_short_way(1460);
    assert_short_way(100);
    assert_int_equal(received_size, 1561);
}

static void test_one_that_is_padded_arrives_without_its_padding(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK, 1);

    (void)state;
    memset(rte_pktmbuf_append(packet, 5), 0xee, 5);
    counts(1);
    assert_false(deliver(packet));
    assert_int_equal(received_size, 1);
}

/* The next segment with 100 bytes, of which the first mbuf has only `here`. */
static void deliver_in_two_mbufs(unsigned here) {
    struct rte_mbuf *packet = segment(TCP_ACK, 100), *rest = rte_pktmbuf_alloc(pool);
    uint16_t there = (uint16_t)(100 - here);

    memcpy(rte_pktmbuf_append(rest, there), rte_pktmbuf_mtod_offset(packet, void *, HEADERS + here), there);
    assert_int_equal(rte_pktmbuf_trim(packet, there), 0);
    assert_int_equal(rte_pktmbuf_chain(packet, rest), 0);
    counts(100);
    assert_false(deliver(packet));
}

static void test_one_in_two_mbufs_arrives(void **state) {
    (void)state;
    deliver_in_two_mbufs(60);
    deliver_in_two_mbufs(0);
    assert_int_equal(received_size, 200);
}

static void test_where_no_more_may_be_lent_it_arrives_as_a_copy(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK, 100);

    (void)state;
    zero_copy.limit = 0;
    counts(100);
    assert_false(deliver(packet));
    assert_int_equal(received_size, 100);
}

/* Every length that a frame can be cut short to. */
static void test_short_ones_are_dropped(void **state) {
    (void)state;
    for (uint16_t size = 1; size < HEADERS + 20; size++) {
        struct rte_mbuf *packet = segment(TCP_ACK, 20);

        assert_int_equal(rte_pktmbuf_trim(packet, (uint16_t)(HEADERS + 20 - size)), 0);
        assert_false(deliver(packet));
    }
    assert_int_equal(received_size, 0);
}

static void drop(struct rte_mbuf *packet) {
    size_t before = received_size;

    assert_false(deliver(packet));
    assert_int_equal(received_size, before);
}

static void test_fragments_are_dropped(void **state) {
    const uint16_t offsets[] = {IP_MF, IP_MF | 3, 3};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct rte_mbuf *packet = segment(TCP_ACK, 16);

        headers_of(packet)->ip._offset = lwip_htons(offsets[i]);
        sum_up(packet);
        drop(packet);
    }
}

static void test_don_t_fragment_is_no_fragment(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK, 16);

    (void)state;
    headers_of(packet)->ip._offset = PP_HTONS(IP_DF);
    sum_up(packet);
    counts(16);
    assert_true(deliver(packet));
}

static void test_foreign_ones_are_dropped(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK, 16);

    (void)state;
    headers_of(packet)->ip.dest.addr = PP_HTONL(0xc6120004);
    sum_up(packet);
    drop(packet);
    packet = segment(TCP_ACK, 16);
    headers_of(packet)->ethernet.dest.addr[5] ^= 1; /* of another host */
    assert_null(rx_predict_lookup(&netif, rte_pktmbuf_mtod(packet, void *), packet->data_len));
    rte_pktmbuf_free(packet);
    packet = segment(TCP_ACK, 16);
    headers_of(packet)->tcp.src = PP_HTONS(PEER_PORT + 1); /* of no connection */
    sum_up(packet);
    drop(packet);
    packet = segment(TCP_ACK, 16);
    headers_of(packet)->ip._proto = IP_PROTO_UDP;
    sum_up(packet);
    drop(packet);
}

/* Any byte of the IP packet. */
static void test_wrong_sums_are_dropped(void **state) {
    (void)state;
    for (unsigned at = SIZEOF_ETH_HDR; at < HEADERS + 20; at++) {
        struct rte_mbuf *packet = segment(TCP_ACK, 20);

        *rte_pktmbuf_mtod_offset(packet, uint8_t *, at) ^= 0x10;
        drop(packet);
    }
}

static void test_sums_that_the_port_has_verified_are_not_looked_at(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK, 20);

    (void)state;
    NETIF_SET_CHECKSUM_CTRL(&netif, NETIF_CHECKSUM_ENABLE_ALL &
                                        ~(NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_TCP));
    headers_of(packet)->tcp.chksum ^= 1;
    headers_of(packet)->ip._chksum ^= 1;
    counts(20);
    assert_true(deliver(packet));
}

static void test_what_is_out_of_order_arrives_in_order(void **state) {
    struct rte_mbuf *first = segment(TCP_ACK, 30), *second;

    (void)state;
    counts(30);
    second = segment(TCP_ACK, 40);
    counts(40);
    assert_false(deliver(second));
    assert_int_equal(received_size, 0);
    assert_false(deliver(first)); /* another one waits behind it */
    assert_int_equal(received_size, 70);
}

static void test_what_has_come_before_comes_once(void **state) {
    struct rte_mbuf *again = segment(TCP_ACK, 50);

    (void)state;
    assert_short_way(50);
    drop(again);
}

static void test_unusual_ones_go_the_long_way(void **state) {
    struct rte_mbuf *packet = segment(TCP_ACK | TCP_URG, 10);

    (void)state;
    counts(10);
    assert_false(deliver(packet));
    assert_false(deliver(segment(TCP_ACK, 0))); /* no data */
    assert_int_equal(received_size, 10);
    packet = segment(TCP_ACK, 24);
    TCPH_HDRLEN_FLAGS_SET(&headers_of(packet)->tcp, 6, TCP_ACK); /* four bytes of options */
    memset(headers_of(packet) + 1, 1, 4);
    for (unsigned i = 0; i < 20; i++) {
        *rte_pktmbuf_mtod_offset(packet, uint8_t *, HEADERS + 4 + i) = (uint8_t)(next + i);
    }
    sum_up(packet);
    counts(20);
    assert_false(deliver(packet));
    assert_int_equal(received_size, 30);
}

/* Whatever the packets are. */
static void test_looking_ahead_changes_nothing(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    uint8_t before[PORT_BURST][HEADERS + 20];
    struct tcp_pcb pcb;

    (void)state;
    memcpy(&pcb, accepted, sizeof(pcb));
    for (unsigned i = 0; i < PORT_BURST; i++) {
        packets[i] = segment(TCP_ACK, 20);
        headers_of(packets[i])->tcp.src = lwip_htons((uint16_t)(PEER_PORT + i / 2));
        memcpy(before[i], rte_pktmbuf_mtod(packets[i], void *), sizeof(before[i]));
        rte_pktmbuf_trim(packets[i], (uint16_t)(i % 2 * 2 * i));
    }
    prefetch_connections(packets, 0);
    prefetch_connections(packets, PORT_BURST);
    for (unsigned i = 0; i < PORT_BURST; i++) {
        assert_memory_equal(rte_pktmbuf_mtod(packets[i], void *), before[i], packets[i]->data_len);
    }
    assert_memory_equal(&pcb, accepted, sizeof(pcb));
    rte_pktmbuf_free_bulk(packets, PORT_BURST);
}

static void prepare(void) {
    const ip4_addr_t netmask = {PP_HTONL(0xfffe0000)}, none = {0};
    struct tcp_pcb *listener;

    pool = rte_pktmbuf_pool_create("packets", MBUFS, 0, mbuf_pbuf_private_size(), RTE_MBUF_DEFAULT_BUF_SIZE,
                                   SOCKET_ID_ANY);
    lwip_init();
    netif_add(&netif, &own, &netmask, &none, NULL, interface_init, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    listener = tcp_new();
    if (pool == NULL || listener == NULL || tcp_bind(listener, IP_ANY_TYPE, PORT) != ERR_OK ||
        (listener = tcp_listen(listener)) == NULL) {
        fprintf(stderr, "test_header_prediction: out of memory\n");
        exit(EXIT_FAILURE);
    }
    tcp_accept(listener, on_accept);
}

int main(void) {
#define EXPECTED_TEST(test) cmocka_unit_test_setup_teardown(test, connect_peer, check_and_end)
    const struct CMUnitTest tests[] = {
        EXPECTED_TEST(test_the_next_segment_goes_the_short_way),
        EXPECTED_TEST(test_one_that_is_padded_arrives_without_its_padding),
        EXPECTED_TEST(test_one_in_two_mbufs_arrives),
        EXPECTED_TEST(test_where_no_more_may_be_lent_it_arrives_as_a_copy),
        EXPECTED_TEST(test_short_ones_are_dropped),
        EXPECTED_TEST(test_fragments_are_dropped),
        EXPECTED_TEST(test_don_t_fragment_is_no_fragment),
        EXPECTED_TEST(test_foreign_ones_are_dropped),
        EXPECTED_TEST(test_wrong_sums_are_dropped),
        EXPECTED_TEST(test_sums_that_the_port_has_verified_are_not_looked_at),
        EXPECTED_TEST(test_what_is_out_of_order_arrives_in_order),
        EXPECTED_TEST(test_what_has_come_before_comes_once),
        EXPECTED_TEST(test_unusual_ones_go_the_long_way),
        EXPECTED_TEST(test_looking_ahead_changes_nothing),
    };

    start_eal("test_header_prediction", "", 0);
    prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
