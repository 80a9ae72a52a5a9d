/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP's timers (patch 0015), with time simulated: what each does and when, the same by deadline as by walking
 * all connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "lwip/timeouts.h"
#include "peer.h"
#include "stack/stack_state.h"

static struct trace traces[2];

/* The events from `first` on: letter and step, in a row. */
static void describe(const struct trace *trace, size_t first, char *text, size_t size) {
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = first; i < trace->count && length < size; i++) {
        length += (size_t)snprintf(text + length, size - length, "%s%c%u", length > 0 ? " " : "",
                                   trace->records[i].what, (unsigned)trace->records[i].step);
    }
}

/* Runs a scenario by deadline and by walking, which sees no less than half a second: so lwIP's own times. The
 * connection is established at step 0 when it begins (but for those that say otherwise), and what is recorded
 * from there on must be `expected`, in both. */
static void check(void (*scenario)(struct peer *peer), bool established, const char *expected) {
    static struct peer peers[2]; /* one is looked at */
    struct peer *peer = &peers[0];
    char text[4096];

    for (int i = 0; i < 2; i++) {
        size_t first;

        features = UINT32_MAX & ~(uint32_t)(OBLIGATION_RTO | (i == 0 ? 0 : FEATURE_TIMERS));
        traces[i].count = 0;
        wire_start(peers, 2);
        peer->trace = &traces[i];
        if (established) {
            peer_connects(peer);
            assert_non_null(peer->pcb);
        }
        first = traces[i].count;
        scenario(peer);
        wire_stop();
        describe(&traces[i], first, text, sizeof(text));
        assert_string_equal(text, expected);
    }
    features = UINT32_MAX;
    assert_int_equal(traces[0].count, traces[1].count);
    assert_memory_equal(traces[0].records, traces[1].records, traces[0].count * sizeof(struct record));
}

static void application_writes(struct peer *peer, uint16_t length) {
    static const char bytes[4 * TCP_MSS];

    assert_int_equal(tcp_write(peer->pcb, bytes, length, 0), ERR_OK);
    assert_int_equal(tcp_output(peer->pcb), ERR_OK);
}

static void lost_data(struct peer *peer) {
    peer->deaf = true;
    application_writes(peer, 100);
    wire_steps(12000);
}

static void test_lost_data_is_sent_again_ever_more_seldom_and_then_given_up(void **state) {
    (void)state;
    check(lost_data, true, "P0 P10 P30 P70 P150 P310 P630 P1270 P2550 P3830 P5110 P6390 P7670 E7672");
}

static void lost_and_found(struct peer *peer) {
    peer->deaf = true;
    application_writes(peer, 2000);
    wire_steps(50);
    peer->deaf = false;
    wire_steps(100);
    peer_acknowledges(peer); /* rto is that of before */
    wire_steps(100);
}

static void test_an_acknowledgement_ends_the_backing_off(void **state) {
    (void)state;
    check(lost_and_found, true, "P0 P0 P0 P0 P10 P30 P70 P150 S150 P150 P150 P158 P174 P206");
}

/* Data first, as a window is made smaller only from a later sequence number on. */
static void close_window(struct peer *peer) {
    peer_sends_data(peer, 1);
    peer->window = 0;
    peer_acknowledges(peer);
    application_writes(peer, 100);
}

static void closed_window(struct peer *peer) {
    close_window(peer);
    wire_steps(500);
    peer->window = 50; /* room for a half */
    peer_acknowledges(peer);
    wire_steps(200);
    peer->window = 60000;
    peer_acknowledges(peer);
}

static void test_a_closed_window_is_probed(void **state) {
    (void)state;
    check(closed_window, true, "R0 P1 P6 P18 P42 P90 P186 P378 P618 P628 P648 P688 S700 P700");
}

static void closed_window_silence(struct peer *peer) {
    close_window(peer);
    wire_steps(4000);
}

static void test_a_window_that_stays_closed_is_given_up(void **state) {
    (void)state;
    check(closed_window_silence, true,
          "R0 P1 P6 P18 P42 P90 P186 P378 P618 P858 P1098 P1338 P1578 P1818 E1820");
}

static void last_byte_as_probe(struct peer *peer) {
    peer_sends_data(peer, 1);
    peer->window = 0;
    peer_acknowledges(peer);
    application_writes(peer, 1);
    wire_steps(10);
    peer_acknowledges(peer);
    wire_steps(500);
    assert_int_equal(peer->pcb->persist_backoff, 0);
    application_writes(peer, 1); /* the interval begins anew */
    wire_steps(10);
}

static void test_fixes_0007_a_last_byte_that_went_as_a_probe_ends_the_probing(void **state) {
    (void)state;
    check(last_byte_as_probe, true, "R0 P1 P6 S10 P516");
}

static void keep_alive(struct peer *peer) {
    ip_set_option(peer->pcb, SOF_KEEPALIVE);
    peer->pcb->keep_idle = 10000;
    peer->pcb->keep_intvl = 2000;
    peer->pcb->keep_cnt = 3;
    tcp_timer_update(peer->pcb);
}

static void silent(struct peer *peer) {
    keep_alive(peer);
    wire_steps(200);
}

static void test_a_silent_peer_is_probed_and_given_up(void **state) {
    (void)state;
    check(silent, true, "P42 P50 P58 P66 E66");
}

static void alive(struct peer *peer) {
    keep_alive(peer);
    wire_steps(51); /* the second probe is answered */
    peer_acknowledges(peer);
    wire_steps(50);
    peer_acknowledges(peer);
    wire_steps(50);
}

static void test_an_answer_ends_the_probing(void **state) {
    (void)state;
    check(alive, true, "P42 P50 P92 P100 P142 P150");
}

static void alive_before_the_next_probe(struct peer *peer) {
    keep_alive(peer);
    peer->pcb->keep_idle = 2000;
    peer->pcb->keep_intvl = 10000;
    tcp_timer_update(peer->pcb);
    wire_steps(11);
    peer_acknowledges(peer);
    wire_steps(20);
}

static void test_after_an_answer_the_first_probe_may_be_earlier_than_the_next_was(void **state) {
    (void)state;
    check(alive_before_the_next_probe, true, "P10 P20");
}

/* Whatever the clock says: it was idle for an hour when keep-alive was switched on. */
static void keep_alive_late(struct peer *peer) {
    wire_steps(14400);
    keep_alive(peer);
    wire_steps(9);
    peer_acknowledges(peer);
    wire_steps(43);
}

static void test_a_connection_long_idle_is_probed_first(void **state) {
    (void)state;
    check(keep_alive_late, true, "P14402 P14450");
}

static void keep_alive_late_and_silent(struct peer *peer) {
    wire_steps(14400);
    silent(peer);
}

static void test_late_probes_come_one_by_one(void **state) {
    (void)state;
    check(keep_alive_late_and_silent, true, "P14402 P14410 P14418 P14426 E14426");
}

static void keep_alive_refused(struct peer *peer) {
    keep_alive(peer);
    peer->refused = true;
    wire_steps(100);
    peer->refused = false;
    wire_steps(8);
    peer_acknowledges(peer);
}

static void test_a_probe_that_was_not_sent_is_not_unanswered(void **state) {
    size_t refused = 0;

    (void)state;
    traces[0].count = 0;
    check(keep_alive_refused, true,
          "X42 X44 X46 X48 X50 X52 X54 X56 X58 X60 X62 X64 X66 X68 X70 X72 X74 X76 X78 "
          "X80 X82 X84 X86 X88 X90 X92 X94 X96 X98 X100 P102");
    for (size_t i = 0; i < traces[0].count; i++) {
        refused += traces[0].records[i].what == 'X';
    }
    assert_int_equal(refused, 30);
}

/* --- the clock ------------------------------------------------------------------------------------------ */

static size_t sent(void) {
    size_t count = 0;

    for (size_t i = 0; i < traces[0].count; i++) {
        assert_int_not_equal(traces[0].records[i].what, 'E');
        count += traces[0].records[i].what == 'P';
    }
    return count;
}

/* By lwIP's own timers, which look at the clock. */
static void pass(uint32_t ms) {
    for (; ms >= 50; ms -= 50) {
        stack.now_ms += 50;
        sys_check_timeouts();
    }
}

/* The process was stopped for so long. */
static void stop(uint32_t ms) {
    stack.now_ms += ms;
    sys_check_timeouts();
}

static void on_the_clock(void (*scenario)(struct peer *peer)) {
    static struct peer peer;

    for (int i = 0; i < 2; i++) {
        features = UINT32_MAX & ~(uint32_t)(OBLIGATION_RTO | (i == 0 ? 0 : FEATURE_TIMERS));
        traces[0].count = 0;
        pass(1000); /* TCP's timer ends, and begins anew */
        wire_start(&peer, 1);
        peer.trace = &traces[0];
        peer_connects(&peer);
        traces[0].count = 0;
        scenario(&peer);
        wire_stop();
    }
    features = UINT32_MAX;
}

static void stopped_while_idle(struct peer *peer) {
    keep_alive(peer);
    pass(5000);
    for (int i = 0; i < 5; i++) {
        stop(3600000);
    }
    pass(3000);
    assert_int_equal(sent(), 0);
    pass(2500);
    assert_int_equal(sent(), 1);
    peer_acknowledges(peer);
    pass(9000);
    assert_int_equal(sent(), 1);
}

static void test_a_stopped_process_probes_before_it_gives_up(void **state) {
    (void)state;
    on_the_clock(stopped_while_idle);
}

static void stopped_while_sending(struct peer *peer) {
    peer->deaf = true;
    application_writes(peer, 100);
    stop(3600000);
    assert_in_range(sent(), 1, 2);
    pass(3000);
    assert_int_equal(sent(), 2);
    stop(3600000);
    assert_int_equal(sent(), 2);
    peer->deaf = false;
    pass(6000);
    assert_int_equal(sent(), 3);
    peer_acknowledges(peer);
    assert_null(peer->pcb->unacked);
}

static void test_a_stopped_process_sends_again_once(void **state) {
    (void)state;
    on_the_clock(stopped_while_sending);
}

static void stopped_while_probing(struct peer *peer) {
    peer->window = 0;
    peer_sends_data(peer, 1);
    peer->deaf = true; /* to what it has no window for */
    application_writes(peer, 100);
    for (int i = 0; i < 100; i++) { /* never given up while the peer answers */
        size_t before = sent();

        stop(3600000);
        assert_in_range(sent(), before, before + 1);
        pass(65000);
        assert_in_range(sent(), before + 1, before + 20);
        peer_acknowledges(peer);
    }
    assert_non_null(peer->pcb);
}

static void test_a_closed_window_is_probed_as_long_as_the_peer_answers(void **state) {
    (void)state;
    on_the_clock(stopped_while_probing);
}

static void over_the_end_of_the_clock(struct peer *peer) {
    uint32_t before;

    while (stack.now_ms < 0u - (1u << 30)) {
        stop(1u << 29);
    }
    stop(0u - 5000 - stack.now_ms);
    before = stack.now_ms;
    peer->deaf = true;
    application_writes(peer, 100);
    pass(10000);
    assert_true(stack.now_ms < before);
    assert_int_equal(sent(), 3); /* as at any other time */
    peer->deaf = false;
    pass(11000);
    assert_int_equal(sent(), 4);
    peer_acknowledges(peer);
    keep_alive(peer);
    pass(11000);
    assert_int_equal(sent(), 5);
}

static void test_timers_outlive_the_milliseconds_of_49_days(void **state) {
    (void)state;
    on_the_clock(over_the_end_of_the_clock);
}

/* Several small segments on their way, of which the first is acknowledged: the others get the usual time
 * again. */
static void partly_found(struct peer *peer) {
    tcp_nagle_disable(peer->pcb);
    peer->deaf = true;
    for (int i = 0; i < 3; i++) {
        application_writes(peer, 10);
    }
    wire_steps(160);
    peer->received += 10;
    peer_acknowledges(peer);
    wire_steps(40);
}

static void test_an_acknowledgement_of_a_part_ends_the_backing_off_too(void **state) {
    (void)state;
    check(partly_found, true, "P0 P0 P0 P10 P10 P10 P30 P30 P30 P70 P70 P70 P150 P150 P150 S160 P178 P178");
}

static void takes_data(struct peer *peer) {
    wire_step();
    peer_sends_data(peer, 10);
    wire_steps(3);
    peer_sends_data(peer, 10);
    peer_sends_data(peer, 10); /* the second is acknowledged at once */
    wire_steps(10);
}

static void test_an_acknowledgement_is_delayed_once(void **state) {
    (void)state;
    check(takes_data, true, "R1 P2 R4 R4 P4");
}

static void refuses_data(struct peer *peer) {
    peer->refuses = true;
    peer_sends_data(peer, 10);
    wire_steps(4);
    peer->refuses = false;
    wire_steps(4);
}

static void test_refused_data_is_offered_again(void **state) {
    (void)state;
    check(refuses_data, true, "R0 P1 R1 R2 R3 R4 R5");
}

static void half_closed(struct peer *peer) {
    assert_int_equal(tcp_close(peer->pcb), ERR_OK);
    wire_steps(3);
    peer_acknowledges(peer);
    assert_int_equal(peer->pcb->state, FIN_WAIT_2);
    wire_steps(200);
}

static void test_fin_wait_2_ends(void **state) {
    (void)state;
    check(half_closed, true, "P0 E82");
}

static void half_shut(struct peer *peer) {
    assert_int_equal(tcp_shutdown(peer->pcb, 0, 1), ERR_OK);
    peer_acknowledges(peer);
    wire_steps(200); /* not closed for receiving: waits for ever */
    assert_int_equal(tcp_shutdown(peer->pcb, 1, 0), ERR_OK);
    wire_steps(200);
}

static void test_fin_wait_2_ends_once_it_is_closed_for_receiving(void **state) {
    (void)state;
    check(half_shut, true, "P0 E202");
}

static void time_wait(struct peer *peer) {
    assert_int_equal(tcp_close(peer->pcb), ERR_OK);
    peer_sends_fin(peer);
    assert_non_null(tcp_tw_pcbs);
    wire_steps(100);
    peer->next--;
    peer_sends_fin(peer); /* its first was not acknowledged, so it says */
    for (int i = 0; i < 300 && tcp_tw_pcbs != NULL; i++) {
        wire_step();
    }
    trace_event(peer, 'T', 0);
}

static void test_time_wait_lasts_2_msl_from_the_last_fin_on(void **state) {
    (void)state;
    check(time_wait, true, "P0 F0 P0 P100 T342");
}

static void last_ack(struct peer *peer) {
    peer->deaf = true;
    peer_sends_fin(peer);
    wire_steps(3);
    assert_int_equal(tcp_close(peer->pcb), ERR_OK);
    assert_int_equal(peer->pcb->state, LAST_ACK);
    wire_steps(300);
}

static void test_last_ack_ends(void **state) {
    (void)state;
    check(last_ack, true, "F0 P0 P3 P12 P32 P72 P152 E242");
}

static void late_last_ack(struct peer *peer) {
    peer_sends_fin(peer);
    wire_steps(500);
    assert_int_equal(tcp_close(peer->pcb), ERR_OK);
    wire_steps(10);
}

/* LAST-ACK counts from what was last received, as 2.1.3 has it. */
static void test_last_ack_after_a_long_close_wait_ends_at_once(void **state) {
    (void)state;
    check(late_last_ack, true, "F0 P0 P500 E502");
}

static void half_open(struct peer *peer) {
    peer_sends(peer, peer->next++, TCP_SYN, 0);
    for (int i = 0; i < 100 && tcp_active_pcbs != NULL; i++) {
        wire_step();
    }
    trace_event(peer, 'T', 0);
}

static void test_syn_rcvd_ends(void **state) {
    (void)state;
    check(half_open, false, "P0 P6 P18 P42 T82");
}

static void nobody_there(struct peer *peer) {
    ip_addr_t address = IPADDR4_INIT(PP_HTONL(0xc6120001));

    application_attach(peer, tcp_new());
    tcp_poll(peer->pcb, application_polled, 20);
    wire_steps(7); /* not counted */
    assert_int_equal(tcp_connect(peer->pcb, &address, peer->port, NULL), ERR_OK);
    wire_steps(200);
}

static void test_a_syn_is_sent_again_and_then_given_up(void **state) {
    (void)state;
    check(nobody_there, false, "P7 P18 P30 P42 O46 P54 P66 P78 E80");
}

static void polled(struct peer *peer) {
    tcp_poll(peer->pcb, application_polled, 3);
    wire_steps(15);
    application_writes(peer, 10);
    wire_steps(3);
    peer_acknowledges(peer); /* which begins the interval anew */
    wire_steps(10);
    tcp_poll(peer->pcb, application_polled, 1); /* shorter than what has passed */
    wire_steps(5);
    tcp_poll(peer->pcb, NULL, 0);
    wire_steps(20);
}

static void test_poll_callbacks_come_every_interval(void **state) {
    (void)state;
    check(polled, true, "O6 O12 P15 O18 S18 O24 O30 O32");
}

/* To the second peer: the list of connections is another one then. */
static void application_connects(void) {
    ip_addr_t address = IPADDR4_INIT(PP_HTONL(0xc6120001));

    assert_int_equal(tcp_connect(tcp_new(), &address, PEER_FIRST_PORT + 1, NULL), ERR_OK);
}

static err_t connects_when_polled(void *argument, struct tcp_pcb *pcb) {
    application_connects();
    return application_polled(argument, pcb);
}

static void polled_and_connecting(struct peer *peer) {
    tcp_poll(peer->pcb, connects_when_polled, 2);
    wire_steps(13);
}

static void test_polling_goes_on_when_a_callback_changes_the_list(void **state) {
    (void)state;
    check(polled_and_connecting, true, "O4 O8 O12");
}

static err_t connects_and_refuses(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    application_connects();
    return application_received(argument, pcb, data, error);
}

static void refusing_and_connecting(struct peer *peer) {
    peer->refuses = true;
    tcp_recv(peer->pcb, connects_and_refuses);
    peer_sends_data(peer, 10);
    wire_steps(4);
}

static void test_refused_data_is_offered_again_when_a_callback_changes_the_list(void **state) {
    (void)state;
    check(refusing_and_connecting, true, "R0 P1 R1 R2 R3 R4");
}

static void no_room(struct peer *peer) {
    peer->refused = true;
    peer->pcb->cwnd = 8;                          /* the response just fits */
    (void)tcp_write(peer->pcb, "response", 8, 0); /* sent by the slow timer, as tcp_output() is not called */
    wire_steps(6);
    peer->refused = false;
    wire_steps(4);
    peer_acknowledges(peer);
    peer->refused = true;
    peer_sends_data(peer, 10);
    wire_steps(3);
    peer_sends_data(peer, 10);
    wire_steps(3);
}

static void test_what_the_interface_refused_is_sent_again(void **state) {
    (void)state;
    check(no_room, true, "X2 X4 X6 P8 S10 R10 X11 R13 X14");
}

static void out_of_order(struct peer *peer) {
    peer_sends(peer, peer->next + 10, TCP_ACK, 10);
    wire_steps(58);
    peer_sends_data(peer, 10); /* both are acknowledged */
    peer->next += 10;
    peer_sends(peer, peer->next + 10, TCP_ACK, 10);
    wire_steps(60);
    peer_sends_data(peer, 10); /* the second was forgotten */
    wire_steps(2);
}

static void test_what_came_out_of_order_is_forgotten_after_a_while(void **state) {
    (void)state;
    check(out_of_order, true, "P0 R58 P58 R118 P119");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_data_is_sent_again_ever_more_seldom_and_then_given_up),
        cmocka_unit_test(test_an_acknowledgement_ends_the_backing_off),
        cmocka_unit_test(test_a_closed_window_is_probed),
        cmocka_unit_test(test_a_window_that_stays_closed_is_given_up),
        cmocka_unit_test(test_fixes_0007_a_last_byte_that_went_as_a_probe_ends_the_probing),
        cmocka_unit_test(test_a_silent_peer_is_probed_and_given_up),
        cmocka_unit_test(test_an_answer_ends_the_probing),
        cmocka_unit_test(test_after_an_answer_the_first_probe_may_be_earlier_than_the_next_was),
        cmocka_unit_test(test_a_connection_long_idle_is_probed_first),
        cmocka_unit_test(test_late_probes_come_one_by_one),
        cmocka_unit_test(test_a_probe_that_was_not_sent_is_not_unanswered),
        cmocka_unit_test(test_a_stopped_process_probes_before_it_gives_up),
        cmocka_unit_test(test_a_stopped_process_sends_again_once),
        cmocka_unit_test(test_a_closed_window_is_probed_as_long_as_the_peer_answers),
        cmocka_unit_test(test_timers_outlive_the_milliseconds_of_49_days),
        cmocka_unit_test(test_an_acknowledgement_of_a_part_ends_the_backing_off_too),
        cmocka_unit_test(test_an_acknowledgement_is_delayed_once),
        cmocka_unit_test(test_refused_data_is_offered_again),
        cmocka_unit_test(test_fin_wait_2_ends),
        cmocka_unit_test(test_fin_wait_2_ends_once_it_is_closed_for_receiving),
        cmocka_unit_test(test_time_wait_lasts_2_msl_from_the_last_fin_on),
        cmocka_unit_test(test_last_ack_ends),
        cmocka_unit_test(test_last_ack_after_a_long_close_wait_ends_at_once),
        cmocka_unit_test(test_syn_rcvd_ends),
        cmocka_unit_test(test_a_syn_is_sent_again_and_then_given_up),
        cmocka_unit_test(test_poll_callbacks_come_every_interval),
        cmocka_unit_test(test_polling_goes_on_when_a_callback_changes_the_list),
        cmocka_unit_test(test_refused_data_is_offered_again_when_a_callback_changes_the_list),
        cmocka_unit_test(test_what_the_interface_refused_is_sent_again),
        cmocka_unit_test(test_what_came_out_of_order_is_forgotten_after_a_while),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
