/* SPDX-License-Identifier: BSD-3-Clause */
/* When lwIP sends again (loss/0001), with the clock simulated: the times of RFC 6298, counted from what was
 * measured in milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "lwip/timeouts.h"
#include "peer.h"
#include "stack/stack_state.h"

enum {
    GRANULARITY = 17, /* milliseconds: two ticks of the wheel, rounded up, and one of the clock */
    LEAST_ADDED = 200,
};

static struct trace trace;
static struct peer peer;

/* Millisecond by millisecond, which are the steps of the trace. */
static void pass(uint32_t ms) {
    while (ms-- > 0) {
        wire.step = ++stack.now_ms;
        sys_check_timeouts();
    }
}

static int set_up(void **state) {
    (void)state;
    pass(1000); /* TCP's timer ends */
    wire_start(&peer, 1);
    wire.step = stack.now_ms;
    trace.count = 0;
    peer.trace = &trace;
    return 0;
}

/* The peer's ACK of the SYN-ACK comes after so many milliseconds. */
static void connect_after(uint32_t ms) {
    peer_sends(&peer, peer.next++, TCP_SYN, 0);
    pass(ms);
    peer_acknowledges(&peer);
    assert_non_null(peer.pcb);
}

static void answer(void) {
    assert_int_equal(tcp_write(peer.pcb, "answer", 6, 0), ERR_OK);
    assert_int_equal(tcp_output(peer.pcb), ERR_OK);
}

static void answer_acknowledged_after(uint32_t ms) {
    answer();
    pass(ms);
    peer_acknowledges(&peer);
}

/* When segments with these flags left, from `begin` on, in milliseconds. */
static size_t times_of(uint8_t flags, uint32_t begin, uint32_t *times, size_t room) {
    size_t count = 0;

    for (size_t i = 0; i < trace.count; i++) {
        const struct record *record = &trace.records[i];

        if (record->what == 'P' && (record->flags & flags) == flags && record->step >= begin &&
            count < room) {
            times[count++] = record->step - begin;
        }
    }
    return count;
}

/* What is rounded up is doubled too. */
static uint32_t at_most(uint32_t ms) {
    return ms + ms / 16 + GRANULARITY;
}

/* What leaves now is lost, and sent again after these times, which are those between two tries. */
static void expect_tries(uint8_t flags, const uint32_t *after, size_t count) {
    uint32_t begin = stack.now_ms, times[16];

    for (size_t i = 0; i < count; i++) {
        pass(at_most(after[i]));
    }
    assert_true(times_of(flags, begin, times, 16) >= count + 1);
    assert_int_equal(times[0], 0);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(times[i + 1], times[i] + after[i], times[i] + at_most(after[i]));
    }
}

#define EXPECT_TRIES(flags, ...)                                                                             \
    expect_tries(flags, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void test_the_first_sample_is_the_mean_and_half_of_it_the_deviation(void **state) {
    (void)state;
    connect_after(150);
    peer.deaf = true;
    answer();
    EXPECT_TRIES(TCP_PSH, 450, 900, 1800, 3600);
}

static void test_no_less_than_200_ms_are_added_to_the_mean(void **state) {
    (void)state;
    connect_after(0);
    peer.deaf = true;
    answer();
    EXPECT_TRIES(TCP_PSH, LEAST_ADDED, 2 * LEAST_ADDED, 4 * LEAST_ADDED);
}

static void test_a_syn_ack_is_sent_again_after_one_second(void **state) {
    (void)state;
    peer_sends(&peer, peer.next++, TCP_SYN, 0);
    EXPECT_TRIES(TCP_SYN, 1000, 2000, 4000, 8000);
}

static void test_a_syn_is_sent_again_ever_more_seldom(void **state) {
    ip_addr_t address = IPADDR4_INIT(PP_HTONL(0xc6120001));

    (void)state;
    peer.pcb = tcp_new();
    application_attach(&peer, peer.pcb);
    assert_int_equal(tcp_connect(peer.pcb, &address, peer.port, NULL), ERR_OK);
    EXPECT_TRIES(TCP_SYN, 1000, 2000, 4000, 8000, 16000, 32000);
    pass(60000);
    assert_non_null(peer.pcb);
    pass(at_most(64000));
    assert_null(peer.pcb); /* given up after 127 s */
}

/* RFC 6298, 5.7: one second was too short for the SYN-ACK, or its ACK was lost. */
static void test_after_a_handshake_that_took_two_tries_three_seconds_are_waited(void **state) {
    (void)state;
    connect_after(1500);
    peer.deaf = true;
    answer();
    EXPECT_TRIES(TCP_PSH, 3000, 6000);
}

/* Karn: whichever of the two it was that is acknowledged; and the time stays doubled until something is
 * measured. */
static void test_what_was_sent_again_is_not_measured(void **state) {
    (void)state;
    connect_after(10);
    peer.deaf = true;
    answer();
    pass(800); /* at 210 and 630 ms: the time is 840 */
    peer.deaf = false;
    peer.received += 6;
    peer_acknowledges(&peer);
    assert_null(peer.pcb->unacked);
    peer.deaf = true;
    answer();
    EXPECT_TRIES(TCP_PSH, 840);
    peer.received += 6;
    peer.deaf = false;
    peer_acknowledges(&peer);
    answer_acknowledged_after(10); /* measured: no longer doubled */
    peer.deaf = true;
    answer();
    EXPECT_TRIES(TCP_PSH, 10 + LEAST_ADDED);
}

/* Two segments, of which the first is acknowledged once it was sent again. */
static void test_an_acknowledgement_of_a_part_does_not_end_the_doubling(void **state) {
    static const char body[2 * TCP_MSS];
    uint32_t times[8], begin;

    (void)state;
    connect_after(10);
    peer.deaf = true;
    assert_int_equal(tcp_write(peer.pcb, body, sizeof(body), 0), ERR_OK);
    assert_int_equal(tcp_output(peer.pcb), ERR_OK);
    pass(700); /* at 210 and 630 ms */
    assert_int_equal(peer.pcb->nrtx, 2);
    peer.received += 536;
    begin = ++stack.now_ms;
    wire.step = begin;
    peer_acknowledges(&peer);
    assert_int_equal(peer.pcb->nrtx, 0);
    pass(2000);
    assert_true(times_of(TCP_ACK, begin, times, 8) >= 2);
    assert_int_equal(times[0], 0);
    for (size_t i = 1; i < times_of(TCP_ACK, begin, times, 8); i++) {
        assert_true(times[i] == 0 || times[i] >= 840);
    }
}

/* Jacobson's mean and deviation, in fractions. */
static void test_the_time_follows_what_was_measured(void **state) {
    double mean = 40, deviation = 20;

    (void)state;
    srandom(6298);
    connect_after(40);
    for (int i = 0; i < 300; i++) {
        uint32_t ms =
            i % 50 < 25 ? 20 + (uint32_t)random() % 30 : 100 + (uint32_t)random() % 100; /* never too long */
        double rto, error;

        answer_acknowledged_after(ms);
        error = ms - mean;
        deviation += (abs((int)error) - deviation) / 4;
        mean += error / 8;
        rto = mean + (4 * deviation > LEAST_ADDED ? 4 * deviation : LEAST_ADDED);
        assert_in_range(peer.pcb->rto * 500 / (int)TCP_TIMER_SLOW, (unsigned)rto - 10,
                        (unsigned)rto + 20 + GRANULARITY);
        pass(1);
    }
}

static void test_the_time_has_a_limit_of_two_minutes(void **state) {
    uint32_t times[16];
    uint32_t begin;
    size_t count;

    (void)state;
    connect_after(900);
    begin = stack.now_ms;
    peer.deaf = true;
    answer();
    pass(600000);
    count = times_of(TCP_PSH, begin, times, 16);
    assert_in_range(count, 9, 12);
    assert_in_range(times[count - 1] - times[count - 2], 120000, 120000 + 2 * GRANULARITY);
    assert_non_null(peer.pcb);
}

static void test_whoever_sleeps_is_woken_in_time_and_seldom(void **state) {
    uint32_t begin;

    (void)state;
    connect_after(3);
    pass(100);
    peer.deaf = true;
    begin = stack.now_ms;
    answer();
    for (unsigned naps = 0; peer.pcb->nrtx == 0; naps++) {
        tcp_timer_doze();
        stack.now_ms += sys_timeouts_sleeptime();
        wire.step = stack.now_ms;
        tcp_timer_rouse();
        sys_check_timeouts();
        assert_true(naps < 4);
    }
    assert_in_range(stack.now_ms - begin, 203, 203 + GRANULARITY);
}

/* The time in which it did not run has not passed. */
static void test_a_stopped_process_sends_again_once(void **state) {
    uint32_t begin, times[8];

    (void)state;
    connect_after(100);
    peer.deaf = true;
    begin = stack.now_ms;
    answer();
    stack.now_ms += 3600000;
    pass(400);
    assert_int_equal(times_of(TCP_PSH, begin, times, 8), 2);
    stack.now_ms += 3600000;
    pass(700);
    assert_int_equal(times_of(TCP_PSH, begin, times, 8), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, wire_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_sample_is_the_mean_and_half_of_it_the_deviation),
        TEST(test_no_less_than_200_ms_are_added_to_the_mean),
        TEST(test_a_syn_ack_is_sent_again_after_one_second),
        TEST(test_a_syn_is_sent_again_ever_more_seldom),
        TEST(test_after_a_handshake_that_took_two_tries_three_seconds_are_waited),
        TEST(test_what_was_sent_again_is_not_measured),
        TEST(test_an_acknowledgement_of_a_part_does_not_end_the_doubling),
        TEST(test_the_time_follows_what_was_measured),
        TEST(test_the_time_has_a_limit_of_two_minutes),
        TEST(test_a_stopped_process_sends_again_once),
        TEST(test_whoever_sleeps_is_woken_in_time_and_seldom),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
