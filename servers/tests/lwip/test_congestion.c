/* SPDX-License-Identifier: BSD-3-Clause */
/* How much lwIP has on the way at first, after a pause and after a time-out (loss/0002), with time simulated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "peer.h"

enum { MSS = 536 }; /* that of whoever names none */

static struct peer peer;
static const char body[200 * MSS];

static int set_up(void **state) {
    (void)state;
    wire_start(&peer, 1);
    peer.window = 0xffff;
    return 0;
}

static void answer(uint32_t bytes) {
    assert_int_equal(tcp_write(peer.pcb, body, (uint16_t)bytes, 0), ERR_OK);
    assert_int_equal(tcp_output(peer.pcb), ERR_OK);
}

static uint32_t on_the_way(void) {
    return peer.pcb->snd_nxt - peer.pcb->lastack;
}

static void test_at_first_ten_segments_are_sent(void **state) {
    (void)state;
    peer_connects(&peer);
    answer(100 * MSS);
    assert_int_equal(on_the_way(), 10 * MSS);
}

static void test_lwips_own_are_four(void **state) {
    (void)state;
    features = UINT32_MAX & ~(uint32_t)OBLIGATION_CONGESTION_WINDOW;
    peer_connects(&peer);
    answer(100 * MSS);
    assert_int_equal(on_the_way(), 4 * MSS);
}

/* Once may have been too soon. */
static void test_after_a_syn_ack_that_was_lost_twice_one_segment_is_sent(void **state) {
    (void)state;
    for (unsigned tries = 1; tries <= 2; tries++) {
        peer_sends(&peer, peer.next++, TCP_SYN, 0);
        wire_steps(tries == 1 ? 6 : 15);
        peer_acknowledges(&peer);
        answer(100 * MSS);
        assert_int_equal(on_the_way(), (tries == 1 ? 10 : 1) * MSS);
        wire_tear_down(state);
        set_up(state);
    }
}

/* The peer takes all, so that the window grows beyond the first. */
static void grow(void) {
    peer_connects(&peer);
    answer(100 * MSS);
    while (peer.pcb->unacked != NULL) {
        peer_acknowledges(&peer);
    }
    assert_true(peer.pcb->cwnd > 20 * MSS);
}

static void test_after_a_pause_ten_segments_are_sent_again(void **state) {
    (void)state;
    grow();
    wire_steps(12);
    peer_sends_data(&peer, 100);
    answer(100 * MSS);
    assert_int_equal(on_the_way(), 10 * MSS);
}

/* Not at the end of each half of a second, either. */
static void test_a_window_in_use_stays(void **state) {
    (void)state;
    grow();
    for (int i = 0; i < 10; i++) {
        tcpwnd_size_t before = peer.pcb->cwnd;

        peer_sends_data(&peer, 100);
        answer(MSS);
        peer_acknowledges(&peer);
        wire_step();
        assert_true(peer.pcb->cwnd >= before);
    }
}

static void test_a_time_out_halves_what_was_on_the_way_once(void **state) {
    (void)state;
    peer_connects(&peer);
    peer.deaf = true;
    answer(8 * MSS);
    assert_int_equal(on_the_way(), 8 * MSS);
    for (uint8_t tries = 1; tries <= 3; tries++) {
        while (peer.pcb->nrtx < tries) {
            wire_step();
        }
        assert_int_equal(peer.pcb->ssthresh, 4 * MSS);
        assert_int_equal(peer.pcb->cwnd, MSS);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, wire_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_at_first_ten_segments_are_sent),
        TEST(test_lwips_own_are_four),
        TEST(test_after_a_syn_ack_that_was_lost_twice_one_segment_is_sent),
        TEST(test_after_a_pause_ten_segments_are_sent_again),
        TEST(test_a_window_in_use_stays),
        TEST(test_a_time_out_halves_what_was_on_the_way_once),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
