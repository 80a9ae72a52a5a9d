/* SPDX-License-Identifier: BSD-3-Clause */
/* What a segment must be before lwIP uses anything of it (stack/patches/obligations/0041 to 0045). Every test
 * runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/stats.h"
#include "lwip/tcp_acceptable.h"

#define PORT 20000
#define FORGED 2000 /* segments in a second */

/* Of the client's. */
struct segment {
    uint16_t source, destination; /* 0: the server's port */
    uint32_t sequence, acknowledged;
    uint8_t flags;
    uint16_t window, urgent, length;
    uint8_t options_size;
    const uint8_t *options;
};

static void inject_segment(const struct segment *segment) {
    inject_content(CLIENT_ADDRESS, segment->source,
                   segment->destination != 0 ? segment->destination : SERVER_PORT, segment->sequence,
                   segment->acknowledged, segment->flags,
                   (struct content){.options = segment->options,
                                    .options_size = segment->options_size,
                                    .data_size = segment->length,
                                    .window = segment->window,
                                    .urgent = segment->urgent});
}

/* What the peer has said so far, and what lwIP has: as all segments of a test follow from it. */
static struct segment next;
static unsigned received; /* bytes, by the application */
static unsigned connected;

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    if (data != NULL) {
        received += data->tot_len;
        tcp_recved(pcb, data->tot_len);
        pbuf_free(data);
    }
    return ERR_OK;
}

/* An established connection, to which `next` is what comes next. */
static struct tcp_pcb *establish(void) {
    received = 0;
    tcp_ticks += 1000; /* whatever others were answered is long ago */
    if (tcp_listen_pcbs.pcbs == NULL) {
        listen_with(10);
    }
    inject(PORT, 1000, 0, TCP_SYN);
    next = (struct segment){
        .source = PORT, .sequence = 1001, .acknowledged = last_sequence + 1, .flags = TCP_ACK, .length = 0};
    inject_segment(&next);
    assert_non_null(accepted);
    tcp_recv(accepted, on_receive);
    acknowledgements = resets = data_segments = 0;
    return accepted;
}

static void write_some(struct tcp_pcb *pcb, uint16_t length) {
    static const char bytes[4 * TCP_MSS];

    assert_int_equal(tcp_write(pcb, bytes, length, 0), ERR_OK);
    assert_int_equal(tcp_output(pcb), ERR_OK);
}

/* All that a segment may change. */
struct state {
    uint32_t rcv_nxt, snd_nxt, lastack, snd_wnd, snd_wl1, snd_wl2, tmr;
    uint16_t mss;
    uint8_t snd_scale, state;
    unsigned received;
};

static struct state state_of(const struct tcp_pcb *pcb) {
    return (struct state){.rcv_nxt = pcb->rcv_nxt,
                          .snd_nxt = pcb->snd_nxt,
                          .lastack = pcb->lastack,
                          .snd_wnd = pcb->snd_wnd,
                          .snd_wl1 = pcb->snd_wl1,
                          .snd_wl2 = pcb->snd_wl2,
                          .tmr = pcb->tmr,
                          .mss = pcb->mss,
                          .snd_scale = pcb->snd_scale,
                          .state = (uint8_t)pcb->state,
                          .received = received};
}

static void assert_unchanged(struct tcp_pcb *pcb, struct segment segment) {
    struct state before, after;

    memset(&before, 0, sizeof(before)); /* padding too */
    memset(&after, 0, sizeof(after));
    tcp_ticks++;
    before = state_of(pcb);
    inject_segment(&segment);
    after = state_of(pcb);
    assert_memory_equal(&before, &after, sizeof(before));
}

static const uint32_t far[] = {1u << 17, 1u << 30, (1u << 31) - 1, 1u << 31, 3u << 30, 0u - (1u << 20)};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_0041_nothing_is_used_of_a_segment_with_an_impossible_ack(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    for (size_t i = 0; i < COUNT(far); i++) {
        struct segment segment = next;

        segment.acknowledged += far[i];
        segment.window = 1;
        segment.length = (uint16_t)(i % 2 * 100);
        acknowledgements = 0;
        assert_unchanged(pcb, segment);
        assert_int_equal(acknowledgements, 1); /* RFC 5961, 5.2 */
    }
}

static void test_0041_nothing_is_used_of_a_segment_without_ack(void **state) {
    struct tcp_pcb *pcb = establish();
    struct segment segment = next;

    (void)state;
    segment.length = 100;
    segment.flags = 0;
    assert_unchanged(pcb, segment);
    segment.flags = TCP_PSH;
    assert_unchanged(pcb, segment);
    segment.flags = TCP_FIN;
    assert_unchanged(pcb, segment);
    assert_int_equal(acknowledgements, 0);
}

static void test_0041_nothing_is_used_of_a_segment_outside_of_the_window(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    for (size_t i = 0; i < COUNT(far); i++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            struct segment segment = next;

            segment.sequence += i == 0 ? pcb->rcv_wnd + 2 : far[i];
            segment.window = 1;
            segment.length = kind & 1 ? 100 : 0;
            segment.flags |= kind & 2 ? TCP_FIN : 0;
            acknowledgements = 0;
            assert_unchanged(pcb, segment);
            assert_int_equal(acknowledgements, 1); /* RFC 9293, 3.10.7.4: first check */
        }
    }
}

/* It may be younger by its sequence number, but what it acknowledges is older. */
static void test_0041_an_old_ack_brings_its_data_and_no_window(void **state) {
    struct tcp_pcb *pcb = establish();
    struct segment segment;

    (void)state;
    write_some(pcb, 1000);
    next.acknowledged += 1000;
    inject_segment(&next);
    assert_int_equal(pcb->lastack, next.acknowledged);
    segment = next;
    segment.acknowledged -= 1000;
    segment.window = 1;
    segment.length = 100;
    inject_segment(&segment);
    assert_int_equal(received, 100);
    assert_int_equal(pcb->snd_wnd, 60000);
    segment.sequence += 50; /* half of it again */
    inject_segment(&segment);
    assert_int_equal(received, 150);
    assert_int_equal(pcb->snd_wnd, 60000);
}

static void test_0041_a_closed_window_lets_acknowledgements_in(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    write_some(pcb, 300);
    pcb->rcv_wnd = pcb->rcv_ann_wnd = 0;
    next.acknowledged += 100;
    inject_segment(&next);
    assert_int_equal(pcb->lastack, next.acknowledged);
    next.acknowledged += 100; /* with the byte of a probe, which is not taken */
    next.length = 1;
    inject_segment(&next);
    assert_int_equal(pcb->lastack, next.acknowledged);
    next.acknowledged += 100; /* and behind that byte */
    next.length = 0;
    next.sequence++;
    inject_segment(&next);
    assert_int_equal(pcb->lastack, next.acknowledged);
    assert_int_equal(received, 0);
}

static void test_0041_a_reset_must_be_exact(void **state) {
    struct tcp_pcb *pcb = establish();
    struct segment segment = next;

    (void)state;
    segment.flags = TCP_RST;
    segment.sequence = next.sequence + 1;
    assert_unchanged(pcb, segment);
    assert_int_equal(acknowledgements, 1);
    segment.sequence = next.sequence - 1;
    assert_unchanged(pcb, segment);
    assert_int_equal(acknowledgements, 1);
    segment.sequence = next.sequence;
    inject_segment(&segment);
    assert_null(tcp_active_pcbs);
}

/* However much the application has not taken yet. */
static err_t refuse(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    (void)pcb;
    (void)data;
    (void)error;
    return ERR_MEM;
}

static void test_0041_a_reset_with_data_ends_a_connection_whose_data_wait(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    tcp_recv(pcb, refuse);
    next.length = 10;
    inject_segment(&next);
    assert_non_null(pcb->refused_data);
    next.sequence += 10;
    next.flags = TCP_RST | TCP_ACK;
    inject_segment(&next);
    assert_null(tcp_active_pcbs);
}

static void flood(struct segment segment, uint32_t sequence_step) {
    acknowledgements = 0;
    for (unsigned i = 0; i < FORGED; i++) {
        tcp_ticks += i == FORGED / 2;
        segment.sequence += sequence_step;
        inject_segment(&segment);
    }
}

static void test_0041_a_connection_is_answered_twice_a_second(void **state) {
    struct segment segment;

    (void)state;
    establish();
    segment = next;
    segment.flags = TCP_RST;
    flood(segment, 1);
    assert_in_range(acknowledgements, 1, 2);
    segment.flags = TCP_SYN;
    flood(segment, 1);
    assert_in_range(acknowledgements, 1, 2);
    segment.flags = TCP_ACK;
    segment.acknowledged += 1u << 30;
    flood(segment, 0);
    assert_in_range(acknowledgements, 1, 2);
    segment = next;
    segment.sequence -= 10;
    flood(segment, 0);
    assert_in_range(acknowledgements, 1, 2);
}

/* How many challenges 4,000 connections get in a second. */
static unsigned challenge_all(void) {
    acknowledgements = 0;
    tcp_ticks += 2;
    for (uint16_t i = 0; i < 4000; i++) {
        inject((uint16_t)(10000 + i), 1000, 0, TCP_SYN);
    }
    return acknowledgements;
}

static void test_0041_a_stack_challenges_so_many_a_second_and_nobody_knows_how_many(void **state) {
    unsigned first, other = 0;

    (void)state;
    listen_with(5000);
    for (uint16_t i = 0; i < 4000; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
        inject((uint16_t)(10000 + i), 2, last_sequence + 1, TCP_ACK);
    }
    first = challenge_all();
    assert_in_range(first, TCP_CHALLENGES / 2, 3 * TCP_CHALLENGES / 2);
    for (int i = 0; i < 10 && (other == 0 || other == first); i++) {
        other = challenge_all();
        assert_in_range(other, TCP_CHALLENGES / 2, 3 * TCP_CHALLENGES / 2);
    }
    assert_int_not_equal(first, other);
}

/* Two connections of this stack's, each other's ends, over its loop. */
static void test_0041_two_ends_that_disagree_do_not_answer_each_other_for_ever(void **state) {
    ip_addr_t self = IPADDR4_INIT(PP_HTONL(SERVER_ADDRESS));
    struct tcp_pcb *pcb = tcp_new();
    unsigned sent;

    (void)state;
    listen_with(10);
    assert_int_equal(tcp_connect(pcb, &self, SERVER_PORT, NULL), ERR_OK);
    for (int i = 0; i < 10; i++) {
        netif_poll(&netif);
    }
    assert_int_equal(pcb->state, ESTABLISHED);
    assert_non_null(accepted);
    /* as if a forged segment had been taken by each */
    pcb->rcv_nxt += 100;
    accepted->rcv_nxt += 100;
    sent = (unsigned)lwip_stats.tcp.xmit;
    tcp_send_empty_ack(pcb);
    tcp_send_empty_ack(accepted);
    for (int i = 0; i < 1000; i++) {
        netif_poll(&netif);
        tcp_ticks += i % 100 == 0; /* ten in all */
    }
    assert_in_range(lwip_stats.tcp.xmit - sent, 2, 2 + 2 * 11);
}

static void test_0041_time_wait_is_ended_and_prolonged_by_its_own_peer_alone(void **state) {
    struct tcp_pcb *pcb = establish();
    uint32_t since;

    (void)state;
    assert_int_equal(tcp_close(pcb), ERR_OK);
    next.acknowledged++;
    next.flags = TCP_FIN | TCP_ACK;
    inject_segment(&next);
    assert_ptr_equal(tcp_tw_pcbs, pcb);
    since = pcb->tmr;
    tcp_ticks++;
    acknowledgements = 0;
    inject(PORT, next.sequence + 1, 0, TCP_RST); /* RFC 1337 */
    inject(PORT, next.sequence + 1, next.acknowledged, TCP_RST | TCP_ACK);
    inject(PORT, next.sequence + 1000, next.acknowledged, TCP_FIN | TCP_ACK);
    inject(PORT, next.sequence - 1000, next.acknowledged, TCP_FIN | TCP_ACK);
    assert_ptr_equal(tcp_tw_pcbs, pcb);
    assert_int_equal(pcb->tmr, since);
    inject(PORT, next.sequence + 1, 0, TCP_SYN); /* not beyond what was sent: no new connection */
    assert_int_equal(resets, 0);
    inject_segment(&next); /* its FIN once more */
    assert_int_equal(pcb->tmr, tcp_ticks);
    assert_in_range(acknowledgements, 2, 4);
}

static void test_0041_urgent_data_are_data(void **state) {
    (void)state;
    establish();
    next.flags |= TCP_URG;
    next.urgent = 5;
    next.length = 10;
    inject_segment(&next); /* RFC 6093: in band */
    assert_int_equal(received, 10);
    next.sequence += 10;
    next.urgent = 0xffff;
    inject_segment(&next);
    assert_int_equal(received, 20);
}

/* A LAND segment: the server's own address and port on both sides. */
static void test_0041_a_segment_from_the_listener_to_itself_starts_nothing(void **state) {
    unsigned sent = (unsigned)lwip_stats.tcp.xmit;

    (void)state;
    listen_with(10);
    inject_from(SERVER_ADDRESS, SERVER_PORT, SERVER_PORT, 1, 0, TCP_SYN);
    for (int i = 0; i < 1000; i++) {
        netif_poll(&netif);
    }
    assert_in_range(lwip_stats.tcp.xmit - sent, 0, 4);
    assert_null(accepted);
}

static void test_0041_odd_flags_open_nothing(void **state) {
    (void)state;
    listen_with(10);
    inject(PORT, 1, 0, TCP_SYN | TCP_FIN);
    inject(PORT, 1, 0, TCP_SYN | TCP_RST);
    inject(PORT, 1, 0, 0);
    inject(PORT, 1, 0, TCP_FIN | TCP_PSH | TCP_URG);
    assert_int_equal(syn_acks, 0);
    assert_null(tcp_active_pcbs);
}

/* --- options ------------------------------------------------------------------------------------------ */

static const uint8_t mss_of_1[] = {2, 4, 0, 1}, scale_of_3[] = {1, 3, 3, 3}, scale_of_9[] = {1, 3, 3, 9};
#define WITH(bytes) .options = bytes, .options_size = sizeof(bytes)

static void test_0042_options_of_a_syn_are_taken_from_none_other(void **state) {
    struct tcp_pcb *pcb = establish();
    struct segment segment = next;

    (void)state;
    segment.options = mss_of_1;
    segment.options_size = sizeof(mss_of_1);
    inject_segment(&segment);
    assert_int_equal(pcb->mss, 536);
    segment.options = scale_of_3;
    inject_segment(&segment);
    assert_int_equal(pcb->snd_scale, 0);
    segment.flags = TCP_SYN | TCP_ACK;
    segment.options = mss_of_1;
    assert_unchanged(pcb, segment);
}

static uint16_t mss_after_syn(const uint8_t *options, uint8_t size) {
    uint16_t mss;

    listen_with(10);
    inject_segment(&(struct segment){
        .source = PORT, .sequence = 1, .flags = TCP_SYN, .options = options, .options_size = size});
    assert_non_null(tcp_active_pcbs);
    mss = tcp_active_pcbs->mss;
    tear_down(NULL);
    return mss;
}

static void test_0042_the_mss_has_a_floor(void **state) {
    static const uint8_t mss_of_0[] = {2, 4, 0, 0}, mss_of_48[] = {2, 4, 0, 48},
                         mss_of_1000[] = {2, 4, 3, 232};
    static const uint8_t huge[] = {2, 4, 255, 255}, short_one[] = {2, 3, 9, 0}, beyond[] = {1, 1, 2, 4};

    (void)state;
    assert_int_equal(mss_after_syn(mss_of_0, 4), TCP_MSS_MIN);
    assert_int_equal(mss_after_syn(mss_of_1, 4), TCP_MSS_MIN);
    assert_int_equal(mss_after_syn(mss_of_48, 4), 48);
    assert_int_equal(mss_after_syn(mss_of_1000, 4), 1000);
    assert_int_equal(mss_after_syn(huge, 4), TCP_MSS);
    assert_int_equal(mss_after_syn(short_one, 4), 536); /* as without one */
    assert_int_equal(mss_after_syn(beyond, 4), 536);
}

static void test_0042_another_syn_in_syn_received_changes_nothing(void **state) {
    struct segment syn = {.source = PORT, .sequence = 1, .flags = TCP_SYN, WITH(scale_of_3)};
    struct tcp_pcb *pcb;

    (void)state;
    listen_with(10);
    inject_segment(&syn);
    pcb = tcp_active_pcbs;
    assert_int_equal(pcb->state, SYN_RCVD);
    assert_int_equal(pcb->snd_scale, 3);
    syn.options = scale_of_9;
    syn.window = 5;
    assert_unchanged(pcb, syn);
    assert_int_equal(syn_acks, 2); /* the answer may have been lost */
    syn.options = mss_of_1;
    assert_unchanged(pcb, syn);
    syn.sequence = 50; /* another SYN: a challenge, and no more */
    acknowledgements = 0;
    assert_unchanged(pcb, syn);
    assert_int_equal(acknowledgements, 1);
    inject(PORT, 2, last_sequence + 1, TCP_ACK);
    assert_ptr_equal(accepted, pcb);
}

/* --- simultaneous open and close, half-close ------------------------------------------------------------ */

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)pcb;
    assert_int_equal(error, ERR_OK);
    connected++;
    return ERR_OK;
}

static struct tcp_pcb *connect_out(void) {
    ip_addr_t client = IPADDR4_INIT(PP_HTONL(CLIENT_ADDRESS));
    struct tcp_pcb *pcb = tcp_new();

    connected = 0;
    assert_int_equal(tcp_connect(pcb, &client, PORT, on_connected), ERR_OK);
    tcp_recv(pcb, on_receive);
    next = (struct segment){.source = PORT, .destination = pcb->local_port, .sequence = 500};
    return pcb;
}

static void answer(uint8_t flags, uint32_t acknowledged) {
    next.flags = flags;
    next.acknowledged = acknowledged;
    inject_segment(&next);
}

static void test_0043_both_ends_may_open_at_once(void **state) {
    (void)state;
    for (unsigned with_syn = 0; with_syn < 2; with_syn++) {
        struct tcp_pcb *pcb = connect_out();

        syn_acks = 0;
        answer(TCP_SYN, 0);
        assert_int_equal(pcb->state, SYN_RCVD);
        assert_int_equal(syn_acks, 1);
        if (with_syn) {
            answer(TCP_SYN | TCP_ACK, pcb->snd_nxt); /* RFC 9293, figure 7 */
        }
        next.sequence++;
        next.length = 10;
        answer(TCP_ACK, pcb->snd_nxt);
        assert_int_equal(pcb->state, ESTABLISHED);
        assert_int_equal(connected, 1);
        assert_int_equal(received, 10);
        received = 0;
        write_some(pcb, 100);
        next.sequence += 10;
        next.length = 0;
        answer(TCP_ACK, pcb->snd_nxt);
        assert_int_equal(pcb->lastack, pcb->snd_nxt);
        tcp_abort(pcb);
    }
}

static void test_0043_what_is_not_its_answer_opens_no_connection(void **state) {
    struct tcp_pcb *pcb = connect_out();
    uint32_t expected = pcb->snd_nxt;

    (void)state;
    next.options = mss_of_1;
    next.options_size = sizeof(mss_of_1);
    answer(TCP_RST, expected);
    answer(TCP_RST | TCP_ACK, expected + 1);
    answer(TCP_ACK, expected);
    assert_int_equal(resets, 0);
    answer(TCP_SYN | TCP_ACK, expected + 1);
    assert_int_equal(resets, 1);
    assert_int_equal(pcb->state, SYN_SENT);
    assert_true(pcb->mss > 48);
    next.options_size = 0;
    answer(TCP_SYN | TCP_ACK, expected);
    assert_int_equal(pcb->state, ESTABLISHED);
    assert_int_equal(connected, 1);
}

static void test_0043_both_ends_may_close_at_once(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    assert_int_equal(tcp_close(pcb), ERR_OK);
    next.flags = TCP_FIN | TCP_ACK;
    inject_segment(&next);
    assert_int_equal(pcb->state, CLOSING);
    next.sequence++;
    next.acknowledged++;
    next.flags = TCP_ACK;
    inject_segment(&next);
    assert_int_equal(pcb->state, TIME_WAIT);
}

static void test_0043_half_closed_each_way_the_other_goes_on(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    assert_int_equal(tcp_shutdown(pcb, 0, 1), ERR_OK);
    next.acknowledged++;
    inject_segment(&next);
    assert_int_equal(pcb->state, FIN_WAIT_2);
    next.length = 100;
    inject_segment(&next);
    assert_int_equal(received, 100);
    tear_down(NULL);

    pcb = establish();
    next.flags = TCP_FIN | TCP_ACK;
    inject_segment(&next);
    assert_int_equal(pcb->state, CLOSE_WAIT);
    write_some(pcb, 100);
    assert_int_equal(data_segments, 1);
    next.sequence++;
    next.acknowledged += 100;
    next.flags = TCP_ACK;
    inject_segment(&next);
    assert_int_equal(pcb->lastack, pcb->snd_nxt);
}

static void assert_reset(uint8_t flags, uint32_t sequence, uint32_t acknowledged) {
    assert_int_equal(resets, 1);
    assert_int_equal(TCPH_FLAGS(&last_header), flags);
    assert_int_equal(lwip_ntohl(last_header.seqno), sequence);
    assert_int_equal(lwip_ntohl(last_header.ackno), acknowledged);
    resets = 0;
}

static void test_0045_a_reset_says_what_it_answers(void **state) {
    (void)state;
    listen_with(10);
    inject(PORT, 1000, 77, TCP_ACK);
    assert_reset(TCP_RST, 77, 0);
    inject_from(CLIENT_ADDRESS, PORT, SERVER_PORT + 1, 1000, 77, TCP_ACK | TCP_FIN);
    assert_reset(TCP_RST, 77, 0);
    inject_from(CLIENT_ADDRESS, PORT, SERVER_PORT + 1, 1000, 77, TCP_SYN);
    assert_reset(TCP_RST | TCP_ACK, 0, 1001);
    inject_from(CLIENT_ADDRESS, PORT, SERVER_PORT + 1, 1000, 77, TCP_RST);
    inject_from(CLIENT_ADDRESS, PORT, SERVER_PORT + 1, 1000, 77, TCP_RST | TCP_ACK);
    assert_int_equal(resets, 0);
    inject(PORT, 1000, 0, TCP_SYN);
    inject(PORT, 1001, 77, TCP_ACK);
    assert_reset(TCP_RST, 77, 0);
    inject(PORT, 1001, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
}

/* --- as a whole ------------------------------------------------------------------------------------------
 */

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_0041_nothing_is_used_of_a_segment_with_an_impossible_ack, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_nothing_is_used_of_a_segment_without_ack, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_nothing_is_used_of_a_segment_outside_of_the_window, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_an_old_ack_brings_its_data_and_no_window, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_a_closed_window_lets_acknowledgements_in, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_a_reset_must_be_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_a_reset_with_data_ends_a_connection_whose_data_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0041_a_connection_is_answered_twice_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_0041_a_stack_challenges_so_many_a_second_and_nobody_knows_how_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_two_ends_that_disagree_do_not_answer_each_other_for_ever,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_time_wait_is_ended_and_prolonged_by_its_own_peer_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_urgent_data_are_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_a_segment_from_the_listener_to_itself_starts_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0041_odd_flags_open_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0042_options_of_a_syn_are_taken_from_none_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0042_the_mss_has_a_floor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0042_another_syn_in_syn_received_changes_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0043_both_ends_may_open_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0043_what_is_not_its_answer_opens_no_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_0043_both_ends_may_close_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0043_half_closed_each_way_the_other_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_0045_a_reset_says_what_it_answers, set_up, tear_down),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
