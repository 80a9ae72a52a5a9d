/* SPDX-License-Identifier: BSD-3-Clause */
/* The wheel of deadlines (patch 0014) against a plain model of it: for each entry the tick of its visit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/def.h"
#include "lwip/tcp_wheel.h"

enum { ENTRIES = 300, TICKS = 5 * TCP_WHEEL_SLOTS };

static struct {
    struct tcp_wheel_entry entries[ENTRIES];
    bool armed[ENTRIES];   /* the model: whether it is to be visited */
    uint32_t due[ENTRIES]; /* and at which tick */
    struct tcp_wheel wheel;
    unsigned visits;
} world;

static int set_up(void **state) {
    (void)state;
    memset(&world, 0, sizeof(world));
    srandom(20240607);
    return 0;
}

/* Mostly near, some beyond one and several turns, some exactly a turn away. */
static uint32_t some_ticks(void) {
    switch (random() % 8) {
    case 0:
        return 1;
    case 1:
        return TCP_WHEEL_SLOTS * (1 + (uint32_t)random() % 3);
    case 2:
        return 1 + (uint32_t)random() % (5 * TCP_WHEEL_SLOTS);
    default:
        return 1 + (uint32_t)random() % 40;
    }
}

static void arm(unsigned i, uint32_t ticks) {
    tcp_wheel_arm(&world.wheel, &world.entries[i], ticks);
    world.armed[i] = true;
    world.due[i] = world.wheel.now + ticks;
}

static void within(unsigned i, uint32_t ticks) {
    tcp_wheel_within(&world.wheel, &world.entries[i], ticks);
    if (!world.armed[i] || world.due[i] - world.wheel.now > ticks) {
        world.armed[i] = true;
        world.due[i] = world.wheel.now + ticks;
    }
}

static void cancel(unsigned i) {
    tcp_wheel_cancel(&world.entries[i]);
    world.armed[i] = false;
}

static void do_something(void) {
    unsigned i = (unsigned)random() % ENTRIES;

    switch (random() % 5) {
    case 0:
    case 1:
        within(i, some_ticks());
        break;
    case 2:
    case 3:
        arm(i, some_ticks());
        break;
    default:
        cancel(i);
        break;
    }
}

/* Takes what is due, doing something between two visits. */
static void visit_all(void) {
    struct tcp_wheel_entry *entry;

    while ((entry = tcp_wheel_next(&world.wheel)) != NULL) {
        unsigned i = (unsigned)(entry - world.entries);

        assert_true(i < ENTRIES);
        assert_true(world.armed[i]);
        assert_int_equal(world.due[i], world.wheel.now);
        world.armed[i] = false;
        world.visits++;
        if (random() % 2 == 0) {
            do_something();
        }
    }
}

/* In a list, at the tick that the model says. */
static void check_all(void) {
    for (unsigned i = 0; i < ENTRIES; i++) {
        const struct tcp_wheel_entry *entry = &world.entries[i];

        assert_int_equal(entry->at != NULL, world.armed[i]);
        if (world.armed[i]) {
            assert_ptr_equal(*entry->at, entry);
            assert_true(world.due[i] - world.wheel.now - 1 < 6 * TCP_WHEEL_SLOTS); /* nobody was forgotten */
            assert_int_equal(entry->due, world.due[i]);
        }
    }
}

/* No slot before that tick has entries, and that one has, if it is not the last that was asked for. */
static void check_quiet(void) {
    uint32_t most = 1 + (uint32_t)random() % 40, quiet = tcp_wheel_quiet(&world.wheel, most), nearest = most;

    for (unsigned i = 0; i < ENTRIES; i++) {
        if (world.armed[i]) {
            nearest = LWIP_MIN(nearest, (world.due[i] - world.wheel.now - 1) % TCP_WHEEL_SLOTS + 1);
        }
    }
    assert_int_equal(quiet, nearest);
}

static void run(void) {
    for (unsigned tick = 0; tick < TICKS; tick++) {
        for (long actions = random() % 12; actions > 0; actions--) {
            do_something();
        }
        check_quiet();
        tcp_wheel_tick(&world.wheel);
        visit_all();
        check_all();
    }
}

static void test_every_visit_is_at_its_tick_and_none_is_missed(void **state) {
    (void)state;
    run();
    assert_true(world.visits > TICKS);
    assert_int_equal(world.wheel.visits, world.visits);
}

static void test_ticks_may_wrap(void **state) {
    (void)state;
    world.wheel.now = UINT32_MAX - TICKS / 2;
    run();
    assert_true(world.wheel.now < TICKS);
}

static void test_a_tick_without_deadlines_visits_nobody(void **state) {
    (void)state;
    for (unsigned i = 0; i < ENTRIES; i++) {
        arm(i, 7 * TCP_WHEEL_SLOTS + 1);
    }
    for (unsigned tick = 0; tick < 7 * TCP_WHEEL_SLOTS; tick++) {
        tcp_wheel_tick(&world.wheel);
        assert_null(tcp_wheel_next(&world.wheel));
    }
    assert_int_equal(world.wheel.visits, 0);
    tcp_wheel_tick(&world.wheel);
    for (unsigned visits = 0; visits < ENTRIES; visits++) {
        assert_non_null(tcp_wheel_next(&world.wheel));
    }
    assert_null(tcp_wheel_next(&world.wheel));
    assert_int_equal(world.wheel.visits, ENTRIES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_visit_is_at_its_tick_and_none_is_missed, set_up),
        cmocka_unit_test_setup(test_ticks_may_wrap, set_up),
        cmocka_unit_test_setup(test_a_tick_without_deadlines_visits_nobody, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
