/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors that come to lwIP, those that are about what it has sent and those that are not, and those that
 * it sends. Every test runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/path_mtu.h"
#include "lwip/prot/icmp.h"

#include "stack/stack_state.h"

#define ROUTER 0xc61200feu
#define EACH_SECOND 1000
#define FRAGMENTATION_NEEDED 4

static unsigned icmp_sent;
static err_t told; /* to the application */

/* The wire: ICMP is counted, and TCP as lwip_client.h does. */
static err_t watch(struct netif *out, struct pbuf *packet, const ip4_addr_t *address) {
    const struct ip_hdr *ip = packet->payload;

    if (IPH_PROTO(ip) == IP_PROTO_TCP) {
        return output(out, packet, address);
    }
    icmp_sent += IPH_PROTO(ip) == IP_PROTO_ICMP;
    return ERR_OK;
}

static int begin(void **state) {
    netif.output = watch;
    NETIF_SET_CHECKSUM_CTRL(&netif, NETIF_CHECKSUM_CHECK_ICMP);
    icmp_sent = 0;
    told = ERR_OK;
    stack.now_ms += 10 * 60 * 1000; /* no path MTU is left of another test */
    return set_up(state);
}

static void on_error(void *argument, err_t error) {
    (void)argument;
    told = error;
}

/* An IP packet of `size` bytes after its header from `source`, which the caller fills. */
static struct pbuf *packet_of(uint32_t source, uint8_t proto, size_t size) {
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, (uint16_t)(IP_HLEN + size), PBUF_RAM);
    struct ip_hdr *ip = packet->payload;

    memset(packet->payload, 0, packet->len);
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons(packet->tot_len));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, proto);
    ip->src.addr = lwip_htonl(source);
    ip->dest.addr = lwip_htonl(SERVER_ADDRESS);
    return packet;
}

/* What an error says of the packet that it is about. */
struct about {
    uint8_t type, code, proto;
    uint16_t local_port, remote_port;
    uint32_t sequence;
    uint16_t length, mtu;
};

static void tell_with_checksum(const struct about *about, uint16_t wrong) {
    struct pbuf *packet = packet_of(ROUTER, IP_PROTO_ICMP, 8 + IP_HLEN + 8);
    struct icmp_echo_hdr *icmp = (struct icmp_echo_hdr *)((uint8_t *)packet->payload + IP_HLEN);
    struct ip_hdr *ip = (struct ip_hdr *)(icmp + 1);
    uint16_t *ports = (uint16_t *)(ip + 1);
    uint32_t sequence = lwip_htonl(about->sequence);

    icmp->type = about->type;
    icmp->code = about->code;
    icmp->seqno = lwip_htons(about->mtu);
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons(about->length));
    IPH_PROTO_SET(ip, about->proto);
    ip->src.addr = lwip_htonl(SERVER_ADDRESS);
    ip->dest.addr = lwip_htonl(CLIENT_ADDRESS);
    ports[0] = lwip_htons(about->local_port);
    ports[1] = lwip_htons(about->remote_port);
    memcpy(ports + 2, &sequence, sizeof(sequence));
    icmp->chksum = (uint16_t)(inet_chksum(icmp, 8 + IP_HLEN + 8) ^ wrong);
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

static void tell(const struct about *about) {
    tell_with_checksum(about, 0);
}

/* --- an attempt to connect ---------------------------------------------------------------------------------
 */

static struct tcp_pcb *connecting(void) {
    ip_addr_t client = IPADDR4_INIT(PP_HTONL(CLIENT_ADDRESS));
    struct tcp_pcb *pcb = tcp_new();

    tcp_err(pcb, on_error);
    told = ERR_OK;
    assert_int_equal(tcp_connect(pcb, &client, 7, NULL), ERR_OK);
    return pcb;
}

static struct about about_syn(const struct tcp_pcb *pcb, uint8_t code) {
    return (struct about){.type = ICMP_DUR,
                          .code = code,
                          .proto = IP_PROTO_TCP,
                          .local_port = pcb->local_port,
                          .remote_port = pcb->remote_port,
                          .sequence = pcb->snd_nxt - 1,
                          .length = 44};
}

static void test_an_attempt_to_connect_ends_at_once(void **state) {
    static const struct {
        uint8_t code;
        err_t error;
    } cases[] = {{ICMP_DUR_NET, ERR_IF}, {ICMP_DUR_HOST, ERR_RTE}, {ICMP_DUR_PORT, ERR_RST}, {13, ERR_RTE}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct about about = about_syn(connecting(), cases[i].code);

        tell(&about);
        assert_int_equal(told, cases[i].error);
        assert_null(tcp_active_pcbs);
    }
}

static void test_an_error_about_what_was_not_sent_is_ignored(void **state) {
    struct tcp_pcb *pcb = connecting();
    struct about right = about_syn(pcb, ICMP_DUR_HOST), about = right;

    (void)state;
    about.sequence++;
    tell(&about);
    about.sequence -= 2;
    tell(&about);
    about = right;
    about.local_port++;
    tell(&about);
    about = right;
    about.remote_port++;
    tell(&about);
    tell_with_checksum(&right, 1);
    about = right;
    about.type = ICMP_SQ;
    tell(&about);
    assert_int_equal(told, ERR_OK);
    assert_int_equal(pcb->state, SYN_SENT);
    tell(&right);
    assert_int_equal(told, ERR_RTE);
}

/* --- a connection
 * ------------------------------------------------------------------------------------------- */

static const char data[4 * TCP_MSS];

/* With the MSS option, without which it would be 536. */
static void inject_syn(uint16_t source) {
    struct pbuf *packet = packet_of(CLIENT_ADDRESS, IP_PROTO_TCP, TCP_HLEN + 4);
    struct tcp_hdr *tcp = (struct tcp_hdr *)((uint8_t *)packet->payload + IP_HLEN);
    const uint8_t option[] = {2, 4, TCP_MSS >> 8, TCP_MSS & 0xff};

    tcp->src = lwip_htons(source);
    tcp->dest = PP_HTONS(SERVER_PORT);
    tcp->seqno = PP_HTONL(1);
    tcp->wnd = PP_HTONS(60000);
    TCPH_HDRLEN_FLAGS_SET(tcp, 6, TCP_SYN);
    memcpy(tcp + 1, option, sizeof(option));
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

static struct tcp_pcb *connection(uint16_t source) {
    inject_syn(source);
    inject(source, 2, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
    tcp_err(accepted, on_error);
    accepted->cwnd = sizeof(data);
    return accepted;
}

static struct about about_data(const struct tcp_pcb *pcb, uint8_t code, uint16_t mtu) {
    return (struct about){.type = ICMP_DUR,
                          .code = code,
                          .proto = IP_PROTO_TCP,
                          .local_port = pcb->local_port,
                          .remote_port = pcb->remote_port,
                          .sequence = pcb->lastack,
                          .length = IP_HLEN + TCP_HLEN + TCP_MSS,
                          .mtu = mtu};
}

/* Answers how it ended. */
static err_t time_out(struct tcp_pcb *pcb, bool unreachable) {
    assert_int_equal(tcp_write(pcb, data, 10, 0), ERR_OK);
    assert_int_equal(tcp_output(pcb), ERR_OK);
    for (int ticks = 0; told == ERR_OK; ticks++) {
        assert_true(ticks < 10000);
        tcp_tmr();
        if (unreachable && told == ERR_OK && pcb->nrtx == 3) {
            struct about about = about_data(pcb, ICMP_DUR_HOST, 0);

            tell(&about);
            assert_int_equal(told, ERR_OK); /* it may get better */
        }
    }
    return told;
}

static void test_of_a_connection_an_error_is_remembered(void **state) {
    struct about about;

    (void)state;
    listen_with(10);
    about = about_data(connection(20000), ICMP_DUR_PORT, 0);
    assert_int_equal(tcp_write(accepted, data, 10, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    tell(&about);
    assert_int_equal(told, ERR_OK);
    inject(20000, 2, accepted->snd_nxt, TCP_ACK);
    assert_int_equal(time_out(accepted, true), ERR_RTE);
    told = ERR_OK;
    assert_int_equal(time_out(connection(20001), false), ERR_ABRT);
}

static void assert_all_sent(const struct tcp_pcb *pcb, uint32_t first, size_t size, uint16_t largest) {
    uint32_t next = first;

    assert_null(pcb->unsent);
    for (const struct tcp_seg *segment = pcb->unacked; segment != NULL; segment = segment->next) {
        assert_int_equal(lwip_ntohl(segment->tcphdr->seqno), next);
        assert_in_range(segment->len, 1, largest);
        next += segment->len;
    }
    assert_int_equal(next - first, size);
}

static void test_what_is_too_large_for_the_way_is_cut_again(void **state) {
    struct tcp_pcb *pcb;
    struct about about;
    uint32_t first;

    (void)state;
    listen_with(10);
    pcb = connection(20000);
    first = pcb->snd_nxt;
    assert_int_equal(tcp_write(pcb, data, sizeof(data), TCP_WRITE_FLAG_COPY), ERR_OK);
    assert_int_equal(tcp_output(pcb), ERR_OK);
    assert_all_sent(pcb, first, sizeof(data), sizeof(data));
    about = about_data(pcb, FRAGMENTATION_NEEDED, 1000);
    data_segments = 0;
    tell(&about);
    assert_int_equal(pcb->mss, 1000 - IP_HLEN - TCP_HLEN);
    assert_all_sent(pcb, first, sizeof(data), pcb->mss);
    assert_in_range(data_segments, sizeof(data) / pcb->mss, 2 * sizeof(data) / pcb->mss);
    data_segments = 0;
    tell(&about); /* about the next of the large ones */
    assert_int_equal(data_segments, 0);
    inject(20000, 2, first + sizeof(data), TCP_ACK);
    assert_null(pcb->unacked);
    /* others to that host begin with it, for ten minutes */
    assert_int_equal(connection(20001)->mss, 960);
    stack.now_ms += 10 * 60 * 1000;
    assert_int_equal(connection(20002)->mss, TCP_MSS);
}

static uint16_t mss_after(uint16_t source, uint16_t mtu, uint16_t length, uint32_t off) {
    struct tcp_pcb *pcb = connection(source);
    struct about about = about_data(pcb, FRAGMENTATION_NEEDED, mtu);

    assert_int_equal(tcp_write(pcb, data, TCP_MSS, 0), ERR_OK);
    assert_int_equal(tcp_output(pcb), ERR_OK);
    about.length = length;
    about.sequence += off;
    tell(&about);
    stack.now_ms += 10 * 60 * 1000;
    return pcb->mss;
}

static void test_not_every_path_mtu_is_believed(void **state) {
    (void)state;
    listen_with(10);
    assert_int_equal(mss_after(20000, 68, 1500, 0), PATH_MTU_MIN - 40);
    assert_int_equal(mss_after(20001, 0, 1500, 0), 1492 - 40); /* an old router does not tell */
    assert_int_equal(mss_after(20002, 1500, 1500, 0), TCP_MSS);
    assert_int_equal(mss_after(20003, 1000, 1000, 0), TCP_MSS); /* that would have passed */
    assert_int_equal(mss_after(20004, 1000, 1500, TCP_MSS), TCP_MSS);
    assert_int_equal(mss_after(20005, 1000, 1500, (uint32_t)-1), TCP_MSS);
}

/* --- UDP, and what we send
 * ---------------------------------------------------------------------------------- */

static unsigned refusals;

static void on_datagram(void *argument, struct udp_pcb *pcb, struct pbuf *got, const ip_addr_t *from,
                        uint16_t port) {
    (void)argument;
    (void)pcb;
    (void)from;
    (void)port;
    assert_null(got);
    refusals++;
}

static void test_a_connected_socket_is_told_that_nobody_is_there(void **state) {
    ip_addr_t client = IPADDR4_INIT(PP_HTONL(CLIENT_ADDRESS));
    struct udp_pcb *pcb = udp_new();
    struct about about = {.type = ICMP_DUR, .code = ICMP_DUR_PORT, .proto = IP_PROTO_UDP, .remote_port = 9};

    (void)state;
    refusals = 0;
    udp_recv(pcb, on_datagram, NULL);
    assert_int_equal(udp_bind(pcb, IP_ANY_TYPE, 0), ERR_OK);
    about.local_port = pcb->local_port;
    tell(&about);
    assert_int_equal(refusals, 0); /* it has many peers */
    assert_int_equal(udp_connect(pcb, &client, 9), ERR_OK);
    about.remote_port++;
    tell(&about);
    about.remote_port--;
    about.code = ICMP_DUR_HOST;
    tell(&about);
    assert_int_equal(refusals, 0);
    about.code = ICMP_DUR_PORT;
    tell(&about);
    assert_int_equal(refusals, 1);
    udp_remove(pcb);
}

static void ping(void) {
    struct pbuf *packet = packet_of(CLIENT_ADDRESS, IP_PROTO_ICMP, 40);
    struct icmp_echo_hdr *icmp = (struct icmp_echo_hdr *)((uint8_t *)packet->payload + IP_HLEN);

    icmp->type = ICMP_ECHO;
    icmp->chksum = inet_chksum(icmp, 40);
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

static void knock(uint8_t flags) {
    struct pbuf *packet = packet_of(CLIENT_ADDRESS, IP_PROTO_UDP, 8);
    struct udp_hdr *udp = (struct udp_hdr *)((uint8_t *)packet->payload + IP_HLEN);

    packet->flags |= flags;
    udp->dest = PP_HTONS(9);
    udp->len = PP_HTONS(8);
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

static void test_so_many_answers_leave_in_a_second(void **state) {
    (void)state;
    for (int i = 0; i < 2 * EACH_SECOND; i++) {
        ping();
    }
    assert_int_equal(icmp_sent, EACH_SECOND);
    for (int i = 0; i < 2 * EACH_SECOND; i++) {
        knock(0);
    }
    assert_int_equal(icmp_sent, 2 * EACH_SECOND);
    stack.now_ms += 1000;
    ping();
    knock(0);
    assert_int_equal(icmp_sent, 2 * EACH_SECOND + 2);
}

static void test_what_was_for_many_is_answered_by_no_error(void **state) {
    (void)state;
    knock(PBUF_FLAG_LLBCAST);
    knock(PBUF_FLAG_LLMCAST);
    assert_int_equal(icmp_sent, 0);
    knock(0);
    assert_int_equal(icmp_sent, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_attempt_to_connect_ends_at_once, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_an_error_about_what_was_not_sent_is_ignored, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_of_a_connection_an_error_is_remembered, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_for_the_way_is_cut_again, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_not_every_path_mtu_is_believed, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connected_socket_is_told_that_nobody_is_there, begin,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_so_many_answers_leave_in_a_second, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_for_many_is_answered_by_no_error, begin, tear_down),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
