/* SPDX-License-Identifier: BSD-3-Clause */
/* What each patch of stack/patches/ is for, seen from outside of lwIP: packets in, packets out, counters.
 * Every test runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/memp.h"
#include "lwip/stats.h"

static void test_fixes_0001_a_backlog_beyond_255_holds_them_all(void **state) {
    struct tcp_pcb *listener = listen_with(1000);

    (void)state;
    for (uint16_t i = 0; i < 1000; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
    }
    assert_int_equal(syn_acks, 1000);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->accepts_pending, 1000);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 0);
}

static void test_scale_0005_a_full_backlog_gives_up_its_oldest_and_counts_it(void **state) {
    struct tcp_pcb *listener = listen_with(10);
    uint32_t oldest_left = 0, all = features;

    (void)state;
    features &= ~(uint32_t)OBLIGATION_SYN_COOKIES;
    for (uint16_t i = 0; i < 13; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
        oldest_left = i == 3 ? last_sequence : oldest_left;
    }
    assert_int_equal(syn_acks, 13);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->accepts_pending, 10);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 3);
    inject(10002, 2, last_sequence + 1, TCP_ACK); /* given up: no connection of ours */
    assert_null(accepted);
    inject(10003, 2, oldest_left + 1, TCP_ACK);
    assert_non_null(accepted);
    accepted = NULL;
    inject(10012, 2, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
    features = all;
}

static void test_fixes_0002_a_segment_sent_again_after_a_timeout_is_counted(void **state) {
    unsigned before = lwip_stats.mib2.tcpretranssegs;

    (void)state;
    listen_with(10);
    inject(20000, 1, 0, TCP_SYN);
    inject(20000, 2, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
    assert_int_equal(tcp_write(accepted, "response", 8, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    assert_int_equal(data_segments, 1);
    assert_int_equal(lwip_stats.mib2.tcpretranssegs, before);
    for (int ticks = 0; ticks < 100 && data_segments < 3; ticks++) {
        tcp_tmr();
    }
    assert_int_equal(data_segments, 3);
    assert_int_equal(lwip_stats.mib2.tcpretranssegs, before + 2);
}

static void test_fixes_0002_only_a_syn_sent_again_is_counted(void **state) {
    unsigned before = lwip_stats.mib2.tcpretranssegs;
    ip_addr_t client = IPADDR4_INIT(PP_HTONL(0xc6120001));
    struct tcp_pcb *pcb = tcp_new();

    (void)state;
    assert_int_equal(tcp_connect(pcb, &client, 7, NULL), ERR_OK);
    assert_int_equal(syns, 1);
    assert_int_equal(lwip_stats.mib2.tcpretranssegs, before);
    for (int ticks = 0; ticks < 100 && syns < 2; ticks++) {
        tcp_tmr();
    }
    assert_int_equal(syns, 2);
    assert_int_equal(lwip_stats.mib2.tcpretranssegs, before + 1);
}

static void test_fixes_0002_a_fast_retransmit_is_counted_once(void **state) {
    unsigned before = lwip_stats.mib2.tcpretranssegs;
    uint32_t acknowledged;

    (void)state;
    listen_with(10);
    inject(20001, 1, 0, TCP_SYN);
    acknowledged = last_sequence + 1;
    inject(20001, 2, acknowledged, TCP_ACK);
    assert_int_equal(tcp_write(accepted, "response", 8, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    for (int duplicates = 0; duplicates < 3; duplicates++) {
        inject(20001, 2, acknowledged, TCP_ACK);
    }
    assert_int_equal(data_segments, 2);
    assert_int_equal(lwip_stats.mib2.tcpretranssegs, before + 1);
}

static void test_fixes_0003_a_pool_of_more_than_65535_elements_has_them_all(void **state) {
    static void *elements[MEMP_NUM_TCP_PCB];

    (void)state;
    assert_true(MEMP_NUM_TCP_PCB > UINT16_MAX);
    for (size_t i = 0; i < MEMP_NUM_TCP_PCB; i++) {
        elements[i] = memp_malloc(MEMP_TCP_PCB);
        assert_non_null(elements[i]);
    }
    assert_null(memp_malloc(MEMP_TCP_PCB));
    for (size_t i = 0; i < MEMP_NUM_TCP_PCB; i++) {
        memp_free(MEMP_TCP_PCB, elements[i]);
    }
}

/* The server closes first, so TIME-WAIT is its. */
static void leave_in_time_wait(uint16_t source) {
    inject(source, 1, 0, TCP_SYN);
    inject(source, 2, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    inject(source, 2, last_sequence + 2, TCP_ACK | TCP_FIN);
    assert_non_null(tcp_tw_pcbs);
    syn_acks = 0;
    accepted = NULL;
}

static void test_fixes_0004_a_later_syn_reopens_time_wait(void **state) {
    (void)state;
    listen_with(10);
    leave_in_time_wait(20002);
    inject(20002, 1000, 0, TCP_SYN);
    assert_int_equal(syn_acks, 1);
    assert_null(tcp_tw_pcbs);
    inject(20002, 1001, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
}

/* However much the old connection sent, and wherever the clock and the hash stand. */
static void test_fixes_0004_the_new_connection_begins_beyond_the_old_one(void **state) {
    (void)state;
    listen_with(10);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t used;

        leave_in_time_wait(20002);
        used = tcp_tw_pcbs->snd_nxt += i << 25;
        inject(20002, 1000, 0, TCP_SYN);
        assert_int_equal(syn_acks, 1);
        assert_true(TCP_SEQ_GT(last_sequence, used));
        tcp_abort(tcp_active_pcbs);
    }
}

static void test_fixes_0004_an_old_syn_does_not(void **state) {
    (void)state;
    listen_with(10);
    leave_in_time_wait(20003);
    inject(20003, 1, 0, TCP_SYN);
    assert_int_equal(syn_acks, 0);
    assert_non_null(tcp_tw_pcbs);
    inject(20003, 3, last_sequence + 2, TCP_SYN | TCP_ACK);
    assert_non_null(tcp_tw_pcbs);
}

/* Of DRAWS numbers so few may follow the one before: two in 16 bits are likely once in many runs. */
#define DRAWS 200
#define MOST_IN_ORDER 2

static void test_fixes_0016_ports_do_not_follow_one_another(void **state) {
    unsigned tcp_in_order = 0, udp_in_order = 0;
    uint16_t tcp_last = 0, udp_last = 0;

    (void)state;
    for (unsigned i = 0; i < DRAWS; i++) {
        struct tcp_pcb *tcp = tcp_new();
        struct udp_pcb *udp = udp_new();

        assert_int_equal(tcp_bind(tcp, IP_ANY_TYPE, 0), ERR_OK);
        assert_int_equal(udp_bind(udp, IP_ANY_TYPE, 0), ERR_OK);
        assert_in_range(tcp->local_port, TCP_LOCAL_PORT_RANGE_START, TCP_LOCAL_PORT_RANGE_END);
        assert_in_range(udp->local_port, 0xc000, 0xffff);
        tcp_in_order += tcp->local_port == tcp_last + 1;
        udp_in_order += udp->local_port == udp_last + 1;
        tcp_last = tcp->local_port;
        udp_last = udp->local_port;
        assert_int_equal(tcp_close(tcp), ERR_OK);
        udp_remove(udp);
    }
    assert_in_range(tcp_in_order, 0, MOST_IN_ORDER);
    assert_in_range(udp_in_order, 0, MOST_IN_ORDER);
}

static void test_fixes_0016_identifications_do_not_follow_one_another(void **state) {
    unsigned in_order = 0;

    (void)state;
    for (unsigned i = 0; i < DRAWS; i++) {
        uint16_t last = last_identification;

        inject((uint16_t)(30000 + i), 1, 0, TCP_SYN); /* nobody listens: answered with a reset */
        in_order += last_identification == (uint16_t)(last + 1);
    }
    assert_int_equal(resets, DRAWS);
    assert_in_range(in_order, 0, MOST_IN_ORDER);
}

#define CONNECTIONS 10000
#define FIRST_PORT 20000

static struct {
    struct tcp_pcb *pcb;
    uint32_t sequence; /* next of the server's */
} connections[CONNECTIONS];
static unsigned finished; /* the connection whose client's FIN came last */

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    assert_null(data);
    assert_int_equal(error, ERR_OK);
    finished = (unsigned)(uintptr_t)argument;
    assert_ptr_equal(connections[finished].pcb, pcb);
    return ERR_OK;
}

static void establish(unsigned i) {
    uint16_t source = (uint16_t)(FIRST_PORT + i);

    inject(source, 1, 0, TCP_SYN);
    connections[i].sequence = last_sequence + 1;
    inject(source, 2, connections[i].sequence, TCP_ACK);
    connections[i].pcb = accepted;
    tcp_arg(accepted, (void *)(uintptr_t)i);
    tcp_recv(accepted, on_received);
}

static void test_scale_0006_every_segment_finds_its_connection_and_no_other(void **state) {
    (void)state;
    listen_with(10);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        establish(i);
    }
    for (unsigned i = 1; i < CONNECTIONS; i += 2) {
        tcp_abort(connections[i].pcb);
    }
    resets = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (i % TCP_STRANGERS_RESET == 0) {
            tcp_slowtmr(); /* as many may be reset again */
        }
        finished = CONNECTIONS;
        inject((uint16_t)(FIRST_PORT + i), 2, connections[i].sequence, TCP_ACK | TCP_FIN);
        assert_int_equal(finished, i % 2 == 0 ? i : CONNECTIONS);
        assert_int_equal(resets, (i + 1) / 2);
    }
}

static void test_scale_0006_what_times_out_is_found_no_more(void **state) {
    (void)state;
    listen_with(10);
    inject(20004, 1000, 0, TCP_SYN); /* stays half open */
    leave_in_time_wait(20005);
    for (int ticks = 0; tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL; ticks++) {
        assert_true(ticks < 1000);
        tcp_tmr();
    }
    syn_acks = 0;
    inject(20004, 1, 0, TCP_SYN);
    inject(20005, 1, 0, TCP_SYN);
    assert_int_equal(syn_acks, 2);
}

static struct tcp_pcb *find(const struct netif *receiver, uint16_t source) {
    ip_addr_t local = {PP_HTONL(0xc6120003)}, remote = {PP_HTONL(0xc6120001)};

    return tcp_pcb_find(&local, SERVER_PORT, &remote, source, receiver);
}

static void test_scale_0006_an_active_connection_goes_before_one_in_time_wait(void **state) {
    struct tcp_pcb *active, *waiting;

    (void)state;
    listen_with(10);
    leave_in_time_wait(20006);
    waiting = find(&netif, 20006);
    assert_ptr_equal(waiting, tcp_tw_pcbs);
    establish(0);
    active = accepted;
    TCP_RMV_ACTIVE(active);
    active->remote_port = 20006;
    TCP_REG_ACTIVE(active);
    assert_ptr_equal(find(&netif, 20006), active);
    tcp_abort(active);
    assert_ptr_equal(find(&netif, 20006), waiting);
}

static void test_scale_0006_a_connection_bound_to_an_interface_is_of_no_other(void **state) {
    struct netif other = netif;

    (void)state;
    other.num++;
    listen_with(10);
    establish(1);
    assert_ptr_equal(find(&netif, FIRST_PORT + 1), accepted);
    assert_ptr_equal(find(&other, FIRST_PORT + 1), accepted);
    tcp_bind_netif(accepted, &netif);
    assert_ptr_equal(find(&netif, FIRST_PORT + 1), accepted);
    assert_null(find(&other, FIRST_PORT + 1));
}

static void test_fixes_0005_a_closed_window_takes_acknowledgements(void **state) {
    (void)state;
    listen_with(10);
    establish(0);
    accepted->rcv_wnd = 0;
    inject(FIRST_PORT, 2, connections[0].sequence, TCP_ACK);
    assert_int_equal(acknowledgements, 0);
    inject(FIRST_PORT, 1, connections[0].sequence, TCP_ACK); /* a probe, before the window */
    assert_int_equal(acknowledgements, 1);
    inject(FIRST_PORT, 3, connections[0].sequence, TCP_ACK); /* beyond it */
    assert_int_equal(acknowledgements, 2);
}

static void test_fixes_0006_nagle_waits_for_small_segments_only(void **state) {
    static const char message[TCP_MSS + 100];
    uint16_t mss;

    (void)state;
    listen_with(10);
    establish(0);
    mss = tcp_mss(accepted);
    assert_int_equal(tcp_write(accepted, message, mss, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    assert_int_equal(data_segments, 1);
    /* the rest of the message waits for no acknowledgement of a full segment */
    assert_int_equal(tcp_write(accepted, message, 100, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    assert_int_equal(data_segments, 2);
    /* a second small one does wait for the first */
    assert_int_equal(tcp_write(accepted, message, 10, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    assert_int_equal(data_segments, 2);
    inject(FIRST_PORT, 2, connections[0].sequence + mss, TCP_ACK);
    assert_int_equal(data_segments, 2);
    inject(FIRST_PORT, 2, connections[0].sequence + mss + 100, TCP_ACK);
    assert_int_equal(data_segments, 3);
}

/* Of a segment whose first 400 bytes are acknowledged, a window of 10 bytes lets pass the next 10. */
static void test_fixes_0009_a_segment_is_split_at_the_window(void **state) {
    static const char response[500];
    uint32_t sent;

    (void)state;
    listen_with(10);
    establish(0);
    sent = connections[0].sequence;
    assert_int_equal(tcp_write(accepted, response, sizeof(response), 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    inject(FIRST_PORT, 2, sent + 400, TCP_ACK);
    accepted->snd_wnd = 10;
    for (int ticks = 0; ticks < 100 && data_segments == 1; ticks++) {
        tcp_tmr();
    }
    assert_int_equal(data_segments, 2);
    assert_int_equal(lwip_ntohl(accepted->unacked->tcphdr->seqno) + accepted->unacked->len, sent + 410);
    inject(FIRST_PORT, 2, sent + 410, TCP_ACK);
    assert_int_equal(data_segments, 3);
    inject(FIRST_PORT, 2, sent + 500, TCP_ACK);
    assert_null(accepted->unacked);
    assert_null(accepted->unsent);
}

/* The first window that is told is tiny, after data were queued. */
static void test_fixes_0010_no_segment_grows_beyond_the_mss(void **state) {
    static const char response[1000];
    size_t queued = 0;

    (void)state;
    listen_with(10);
    establish(0);
    accepted->snd_wnd = accepted->snd_wnd_max = 0;
    assert_int_equal(tcp_write(accepted, response, 500, TCP_WRITE_FLAG_COPY), ERR_OK);
    accepted->snd_wnd = accepted->snd_wnd_max = 20;
    assert_int_equal(tcp_write(accepted, response, 1000, TCP_WRITE_FLAG_COPY), ERR_OK);
    for (const struct tcp_seg *segment = accepted->unsent; segment != NULL; segment = segment->next) {
        assert_in_range(segment->len, 1, tcp_mss(accepted));
        queued += segment->len;
    }
    assert_int_equal(queued, 1500);
}

static void test_fixes_0011_a_segment_that_is_split_keeps_no_fin(void **state) {
    static const char response[300];
    uint32_t sent;

    (void)state;
    listen_with(10);
    establish(0);
    sent = connections[0].sequence;
    accepted->snd_wnd = 100;
    assert_int_equal(tcp_write(accepted, response, sizeof(response), 0), ERR_OK);
    assert_int_equal(tcp_shutdown(accepted, 0, 1), ERR_OK);
    for (int ticks = 0; ticks < 100 && data_segments == 0; ticks++) {
        tcp_tmr();
    }
    assert_int_equal(data_segments, 1);
    assert_int_equal(fins, 0);
    inject(FIRST_PORT, 2, sent + 100, TCP_ACK);
    assert_int_equal(data_segments, 2);
    assert_int_equal(fins, 1);
}

static err_t on_accept_close(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)error;
    accepted = pcb;
    return tcp_shutdown(pcb, 0, 1);
}

static void test_fixes_0012_a_fin_with_the_end_of_the_handshake_leaves_our_own_standing(void **state) {
    struct tcp_pcb *listener = listen_with(10);

    (void)state;
    tcp_accept(listener, on_accept_close);
    inject(FIRST_PORT, 1, 0, TCP_SYN);
    inject(FIRST_PORT, 2, last_sequence + 1, TCP_ACK | TCP_FIN);
    assert_int_equal(fins, 1);
    assert_int_equal(accepted->state, CLOSING);
    inject(FIRST_PORT, 3, last_sequence + 2, TCP_ACK);
    assert_int_equal(accepted->state, TIME_WAIT);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    assert_int_equal(fins, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fixes_0005_a_closed_window_takes_acknowledgements, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0006_nagle_waits_for_small_segments_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0001_a_backlog_beyond_255_holds_them_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0002_a_segment_sent_again_after_a_timeout_is_counted,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0002_only_a_syn_sent_again_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0002_a_fast_retransmit_is_counted_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0004_a_later_syn_reopens_time_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0004_the_new_connection_begins_beyond_the_old_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0004_an_old_syn_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0016_ports_do_not_follow_one_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0016_identifications_do_not_follow_one_another, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_scale_0005_a_full_backlog_gives_up_its_oldest_and_counts_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scale_0006_every_segment_finds_its_connection_and_no_other,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scale_0006_what_times_out_is_found_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scale_0006_an_active_connection_goes_before_one_in_time_wait,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scale_0006_a_connection_bound_to_an_interface_is_of_no_other,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0009_a_segment_is_split_at_the_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0010_no_segment_grows_beyond_the_mss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixes_0011_a_segment_that_is_split_keeps_no_fin, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_fixes_0012_a_fin_with_the_end_of_the_handshake_leaves_our_own_standing, set_up, tear_down),
        cmocka_unit_test(test_fixes_0003_a_pool_of_more_than_65535_elements_has_them_all),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
