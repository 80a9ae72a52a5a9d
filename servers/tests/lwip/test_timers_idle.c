/* SPDX-License-Identifier: BSD-3-Clause */
/* What idle connections cost the timers (patch 0015), in visits, with time simulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "peer.h"

enum { IDLE = 10000, MINUTE = 240 };

static struct peer many[IDLE];

static uint32_t visits_of_a_minute(void) {
    uint32_t before = tcp_wheel.visits;

    wire_steps(MINUTE);
    return tcp_wheel.visits - before;
}

static int idle_set_up(void **state) {
    (void)state;
    wire_start(many, IDLE);
    for (size_t i = 0; i < IDLE; i++) {
        peer_connects(&many[i]);
        assert_non_null(many[i].pcb);
    }
    return 0;
}

static void test_an_idle_connection_costs_no_visit(void **state) {
    (void)state;
    visits_of_a_minute(); /* of the handshake, of which each had a timer */
    for (int minutes = 0; minutes < 10; minutes++) {
        assert_int_equal(visits_of_a_minute(), 0);
    }
}

/* After a response that was acknowledged there is nothing left to wait for. */
static void test_a_connection_that_was_asked_is_idle_again(void **state) {
    (void)state;
    for (size_t i = 0; i < IDLE; i++) {
        peer_sends_data(&many[i], 50);
        assert_int_equal(tcp_write(many[i].pcb, "response", 8, 0), ERR_OK);
        assert_int_equal(tcp_output(many[i].pcb), ERR_OK);
        peer_acknowledges(&many[i]);
    }
    assert_true(visits_of_a_minute() <= IDLE);
    assert_int_equal(visits_of_a_minute(), 0);
}

static void test_keep_alive_costs_two_visits_a_probe(void **state) {
    uint32_t visits;

    (void)state;
    for (size_t i = 0; i < IDLE; i++) {
        ip_set_option(many[i].pcb, SOF_KEEPALIVE);
        many[i].pcb->keep_idle = 59500;
        many[i].pcb->keep_intvl = 10000;
        tcp_timer_update(many[i].pcb);
    }
    visits_of_a_minute();
    visits = tcp_wheel.visits;
    for (int minutes = 0; minutes < 5; minutes++) {
        for (size_t i = 0; i < IDLE; i++) {
            peer_acknowledges(&many[i]);
        }
        wire_steps(MINUTE);
    }
    assert_in_range(tcp_wheel.visits - visits, 5 * IDLE, 10 * IDLE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_idle_connection_costs_no_visit, idle_set_up, wire_tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_that_was_asked_is_idle_again, idle_set_up,
                                        wire_tear_down),
        cmocka_unit_test_setup_teardown(test_keep_alive_costs_two_visits_a_probe, idle_set_up,
                                        wire_tear_down),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
