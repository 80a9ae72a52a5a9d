/* SPDX-License-Identifier: BSD-3-Clause */
/* How lwIP recovers from losses that duplicate acknowledgements tell of (loss/0003), with time simulated: no
 * time-out passes in these tests but where they say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "peer.h"

enum { MSS = 536, FIRST = 10 }; /* the MSS of whoever names none; the first window in segments */

static struct trace trace;
static struct peer peer;
static const char body[100 * MSS];
static uint32_t begin; /* the number of the first byte of the answer */

static int set_up(void **state) {
    (void)state;
    wire_start(&peer, 1);
    peer.window = 0xffff;
    peer_connects(&peer);
    begin = peer.received;
    trace.count = 0;
    peer.trace = &trace;
    peer.deaf = true; /* each test says what the peer has received */
    assert_int_equal(tcp_write(peer.pcb, body, sizeof(body), 0), ERR_OK);
    assert_int_equal(tcp_output(peer.pcb), ERR_OK);
    return 0;
}

/* The peer has everything up to here, in segments, and says so. */
static void acknowledges_up_to(uint32_t segments) {
    peer.received = begin + segments * MSS;
    peer_acknowledges(&peer);
}

static uint32_t on_the_way(void) {
    return (peer.pcb->snd_nxt - peer.pcb->lastack) / MSS;
}

/* Which segment left last, counted from the answer's first; and how many have left since the test began. */
static uint32_t last_sent(void) {
    const struct record *last = &trace.records[trace.count - 1];

    while (last->what != 'P' || last->length == 0) {
        last--;
    }
    return (last->sequence - (begin - peer.server_first)) / MSS;
}

static size_t sent(void) {
    size_t count = 0;

    for (size_t i = 0; i < trace.count; i++) {
        count += trace.records[i].what == 'P' && trace.records[i].length > 0;
    }
    return count;
}

static void test_the_first_two_duplicates_each_let_a_new_segment_out(void **state) {
    (void)state;
    assert_int_equal(on_the_way(), FIRST);
    for (uint32_t duplicates = 1; duplicates <= 2; duplicates++) {
        acknowledges_up_to(0);
        assert_int_equal(on_the_way(), FIRST + duplicates);
        assert_int_equal(last_sent(), FIRST + duplicates - 1);
    }
    acknowledges_up_to(0);
    assert_int_equal(last_sent(), 0);
    assert_int_equal(sent(), FIRST + 3);
    assert_int_equal(peer.pcb->ssthresh, FIRST / 2 * MSS); /* not of what they let out */
}

/* The first, the fourth and the seventh segment are lost. */
static void test_each_loss_of_a_window_is_sent_again_at_once(void **state) {
    (void)state;
    for (int duplicates = 0; duplicates < 7; duplicates++) {
        acknowledges_up_to(0);
    }
    assert_true(peer.pcb->flags & TF_INFR);
    acknowledges_up_to(3);
    assert_true(peer.pcb->flags & TF_INFR);
    acknowledges_up_to(6);
    assert_true(peer.pcb->flags & TF_INFR);
    acknowledges_up_to((peer.pcb->rto_end - begin) / MSS);
    assert_false(peer.pcb->flags & TF_INFR);
    assert_true(peer.pcb->cwnd <= peer.pcb->ssthresh);
    assert_int_equal(peer.pcb->nrtx, 0);
    for (uint32_t lost = 0; lost <= 6; lost++) {
        size_t times = 0;

        for (size_t i = 0; i < trace.count; i++) {
            const struct record *record = &trace.records[i];

            times += record->what == 'P' && record->length > 0 &&
                     record->sequence == begin - peer.server_first + lost * MSS;
        }
        assert_int_equal(times, lost % 3 == 0 ? 2 : 1);
    }
}

static void test_lwips_own_recovery_ends_with_the_first(void **state) {
    (void)state;
    features = UINT32_MAX & ~(uint32_t)OBLIGATION_RECOVERY;
    for (int duplicates = 0; duplicates < 7; duplicates++) {
        acknowledges_up_to(0);
    }
    acknowledges_up_to(3);
    assert_false(peer.pcb->flags & TF_INFR);
}

/* All of it is sent again, and the peer, which has some, answers with duplicates. */
static void test_duplicates_after_a_time_out_begin_no_recovery(void **state) {
    size_t before;

    (void)state;
    while (peer.pcb->nrtx == 0) {
        wire_step();
    }
    assert_true(peer.pcb->flags & TF_RTO);
    acknowledges_up_to(2);
    before = sent();
    for (int duplicates = 0; duplicates < 5; duplicates++) {
        acknowledges_up_to(2);
    }
    assert_int_equal(sent(), before);
    assert_false(peer.pcb->flags & TF_INFR);
    acknowledges_up_to(FIRST);
    assert_false(peer.pcb->flags & TF_RTO);
}

static void test_a_time_out_ends_recovery(void **state) {
    (void)state;
    for (int duplicates = 0; duplicates < 3; duplicates++) {
        acknowledges_up_to(0);
    }
    assert_true(peer.pcb->flags & TF_INFR);
    while (!(peer.pcb->flags & TF_RTO)) {
        wire_step();
    }
    assert_false(peer.pcb->flags & TF_INFR);
    assert_int_equal(peer.pcb->cwnd, MSS);
}

/* What was to be sent again could not leave, and then the time is over: all leaves in its order. */
static void test_a_time_out_sends_in_order_what_could_not_be_sent_again(void **state) {
    (void)state;
    peer.refused = true;
    for (int duplicates = 0; duplicates < 3; duplicates++) {
        acknowledges_up_to(0);
    }
    assert_true(peer.pcb->flags & TF_INFR);
    while (!(peer.pcb->flags & TF_RTO)) {
        wire_step();
    }
    peer.refused = false;
    wire_steps(8);
    assert_int_equal(last_sent(), 0);
    for (const struct tcp_seg *segment = peer.pcb->unsent; segment->next != NULL; segment = segment->next) {
        assert_true(TCP_SEQ_LT(lwip_ntohl(segment->tcphdr->seqno), lwip_ntohl(segment->next->tcphdr->seqno)));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, wire_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_two_duplicates_each_let_a_new_segment_out),
        TEST(test_each_loss_of_a_window_is_sent_again_at_once),
        TEST(test_lwips_own_recovery_ends_with_the_first),
        TEST(test_duplicates_after_a_time_out_begin_no_recovery),
        TEST(test_a_time_out_ends_recovery),
        TEST(test_a_time_out_sends_in_order_what_could_not_be_sent_again),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
