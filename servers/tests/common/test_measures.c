/* SPDX-License-Identifier: BSD-3-Clause */
/* measures.c: names in, bits out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/measures.h"

static int all_in_force(void **state) {
    (void)state;
    measures = UINT32_MAX;
    return 0;
}

static void test_every_row_has_a_bit_of_its_own_and_a_name(void **state) {
    uint32_t seen = 0;

    (void)state;
    for (size_t i = 0; i < measure_row_count; i++) {
        char error[128];

        assert_int_equal(__builtin_popcount(measure_rows[i].bit), 1);
        assert_int_equal(seen & measure_rows[i].bit, 0);
        seen |= measure_rows[i].bit;
        assert_true(measures_leave_out(measure_rows[i].name, error, sizeof(error)));
        assert_int_equal(measures, ~seen);
    }
}

static void test_names_add_up(void **state) {
    char text[512], error[128];

    (void)state;
    assert_true(measures_leave_out("", error, sizeof(error)));
    assert_int_equal(measures, UINT32_MAX);
    assert_true(measures_leave_out("lookup,request", error, sizeof(error)));
    assert_false(measure(MEASURE_LOOKUP));
    assert_false(measure(MEASURE_REQUEST));
    assert_true(measure(MEASURE_TIMERS));
    assert_true(measures_leave_out("all", error, sizeof(error)));
    assert_int_equal(measures, 0);
    measures_describe(text, sizeof(text));
    assert_string_equal(text, "[]");
    measures = MEASURE_POOLS | MEASURE_REQUEST;
    measures_describe(text, sizeof(text));
    assert_string_equal(text, "[\"pools\", \"request\"]");
}

static void test_an_unknown_name_is_refused_and_changes_nothing(void **state) {
    const char *lists[] = {"lookups", "look", "lookup,,timers", ",", "lookup, timers"};
    char error[128];

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        assert_false(measures_leave_out(lists[i], error, sizeof(error)));
        assert_int_equal(measures, UINT32_MAX);
    }
    assert_false(measures_leave_out("speed", error, sizeof(error)));
    assert_string_equal(error, "--without: there is no measure 'speed'; see --help");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_row_has_a_bit_of_its_own_and_a_name, all_in_force),
        cmocka_unit_test_setup(test_names_add_up, all_in_force),
        cmocka_unit_test_setup(test_an_unknown_name_is_refused_and_changes_nothing, all_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
