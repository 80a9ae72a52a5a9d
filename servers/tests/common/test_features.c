/* SPDX-License-Identifier: BSD-3-Clause */
/* features.c: names in, bits out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/features.h"

static int all_in_force(void **state) {
    (void)state;
    features = UINT32_MAX;
    return 0;
}

static void test_every_row_has_a_bit_of_its_own_and_a_name(void **state) {
    uint32_t seen = 0;

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        const struct feature_table *table = t == 0 ? &optimisations : &obligations;

        for (size_t i = 0; i < table->count; i++) {
            const struct feature_row *row = &table->rows[i];
            char error[128];

            assert_int_equal(__builtin_popcount(row->bit), 1);
            assert_int_equal(row->bit & ~table->all, 0);
            assert_int_equal(seen & row->bit, 0);
            seen |= row->bit;
            assert_true(features_leave_out(table, row->name, error, sizeof(error)));
            assert_int_equal(features, ~seen);
        }
    }
}

static void test_names_add_up(void **state) {
    char text[512], error[128];

    (void)state;
    assert_true(features_leave_out(&optimisations, "", error, sizeof(error)));
    assert_int_equal(features, UINT32_MAX);
    assert_true(features_leave_out(&optimisations, "lookup,request", error, sizeof(error)));
    assert_false(feature_on(FEATURE_LOOKUP));
    assert_false(feature_on(FEATURE_REQUEST));
    assert_true(feature_on(FEATURE_TIMERS));
    assert_true(features_leave_out(&optimisations, "all", error, sizeof(error)));
    assert_int_equal(features, OBLIGATIONS);
    features_describe(&optimisations, text, sizeof(text));
    assert_string_equal(text, "[]");
    features = FEATURE_POOLS | FEATURE_REQUEST;
    features_describe(&optimisations, text, sizeof(text));
    assert_string_equal(text, "[\"request\", \"pools\"]");
    features = UINT32_MAX;
    assert_true(features_leave_out(&obligations, "all", error, sizeof(error)));
    assert_int_equal(features, ~OBLIGATIONS);
}

static void test_an_unknown_name_is_refused_and_changes_nothing(void **state) {
    const char *lists[] = {"lookups", "look", "lookup,,timers", ",", "lookup, timers"};
    char error[128];

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        assert_false(features_leave_out(&optimisations, lists[i], error, sizeof(error)));
        assert_int_equal(features, UINT32_MAX);
    }
    assert_false(features_leave_out(&optimisations, "speed", error, sizeof(error)));
    assert_string_equal(error, "--without: there is no optimisation 'speed'; see --help");
    assert_false(features_leave_out(&obligations, "lookup", error, sizeof(error)));
    assert_string_equal(error, "--waive: there is no obligation 'lookup'; see --help");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_row_has_a_bit_of_its_own_and_a_name, all_in_force),
        cmocka_unit_test_setup(test_names_add_up, all_in_force),
        cmocka_unit_test_setup(test_an_unknown_name_is_refused_and_changes_nothing, all_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
