/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies alone: what is made is taken, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lwip/def.h"
#include "lwip/syn_cookie.h"

static const struct syn_cookie_flow flow = {0x030012c6, 0x010012c6, 80, 20000};

static void test_the_mss_is_rounded_down_to_what_the_table_has(void **state) {
    static const uint16_t sizes[][2] = {{0, 536},     {100, 536},   {536, 536},   {1299, 536},
                                        {1300, 1300}, {1439, 1300}, {1440, 1440}, {1460, 1460},
                                        {8960, 1460}, {65535, 1460}};

    (void)state;
    for (size_t i = 0; i < LWIP_ARRAYSIZE(sizes); i++) {
        uint32_t cookie = syn_cookie_make(&flow, 1000, sizes[i][0], 7);

        assert_int_equal(syn_cookie_mss(&flow, 1000, cookie, 7), sizes[i][1]);
    }
}

static void test_a_cookie_is_taken_for_one_to_two_minutes(void **state) {
    (void)state;
    /* also where the count of minutes in it wraps */
    for (uint32_t minute = 0; minute < 600; minute++) {
        uint32_t tick = minute * SYN_COOKIE_EPOCH, cookie = syn_cookie_make(&flow, 1000, 1460, tick);

        assert_int_equal(syn_cookie_mss(&flow, 1000, cookie, tick), 1460);
        assert_int_equal(syn_cookie_mss(&flow, 1000, cookie, tick + SYN_COOKIE_TICKS - 1), 1460);
        assert_int_equal(syn_cookie_mss(&flow, 1000, cookie, tick + SYN_COOKIE_TICKS), 0);
        assert_int_equal(syn_cookie_mss(&flow, 1000, cookie, tick - 1), 0);
    }
}

static void test_a_cookie_is_one_connections(void **state) {
    uint32_t cookie = syn_cookie_make(&flow, 1000, 1460, 7);

    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        struct syn_cookie_flow other = flow;

        other.remote ^= 1U << bit;
        assert_int_equal(syn_cookie_mss(&other, 1000, cookie, 7), 0);
        other = flow;
        other.local ^= 1U << bit;
        assert_int_equal(syn_cookie_mss(&other, 1000, cookie, 7), 0);
        other = flow;
        other.remote_port ^= (uint16_t)(1U << bit % 16);
        other.local_port ^= (uint16_t)(bit < 16 ? 0 : 1U << bit % 16);
        assert_int_equal(syn_cookie_mss(&other, 1000, cookie, 7), 0);
        if (bit > 1) { /* less is another MSS */
            assert_int_equal(syn_cookie_mss(&flow, 1000 + (1U << bit), cookie, 7), 0);
        }
    }
}

static void test_hardly_any_guess_is_taken(void **state) {
    unsigned taken = 0;

    (void)state;
    /* every 1009th number: 4.3 million, of which one in 2^29 is taken on average */
    for (uint32_t i = 0; i < UINT32_MAX / 1009; i++) {
        taken += syn_cookie_mss(&flow, 1000, i * 1009, SYN_COOKIE_EPOCH) != 0;
    }
    assert_in_range(taken, 0, 3);
}

static void test_a_later_one_of_the_same_ports_is_larger(void **state) {
    (void)state;
    for (uint32_t minute = 0; minute + 2 < 120; minute++) {
        uint32_t first = syn_cookie_make(&flow, 1000, 1460, minute * SYN_COOKIE_EPOCH);
        uint32_t second = syn_cookie_make(&flow, 1000, 1460, (minute + 2) * SYN_COOKIE_EPOCH);

        assert_true((int32_t)(second - first) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_mss_is_rounded_down_to_what_the_table_has),
        cmocka_unit_test(test_a_cookie_is_taken_for_one_to_two_minutes),
        cmocka_unit_test(test_a_cookie_is_one_connections),
        cmocka_unit_test(test_hardly_any_guess_is_taken),
        cmocka_unit_test(test_a_later_one_of_the_same_ports_is_larger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
