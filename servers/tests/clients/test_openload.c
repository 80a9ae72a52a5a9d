/* SPDX-License-Identifier: BSD-3-Clause */
/* The pure parts of the open-loop client: when requests are due, which wait and in which order, and what is
 * made of its histograms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "openload/backlog.h"
#include "openload/report.h"
#include "openload/schedule.h"

#define MS UINT64_C(1000000)

/* --- schedule ----------------------------------------------------------------------------------------- */

static void test_equal_distances_add_no_error_up(void **state) {
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 30000, false, 1, 0, 1); /* 33.3 us, which no number of ns is */
    for (uint64_t number = 0; number < 3000000; number++, schedule_advance(&schedule)) {
        uint64_t exact = number * SECOND / 30000;

        assert_in_range(schedule.time_ns, exact > 0 ? exact - 1 : 0, exact + 1);
    }
}

static void test_shares_at_equal_distances_are_the_whole(void **state) {
    struct schedule whole, shares[3];

    (void)state;
    schedule_init(&whole, 70000, false, 1, 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        schedule_init(&shares[i], 70000, false, 1, i, 3);
    }
    for (int number = 0; number < 9000; number++) {
        assert_int_equal(shares[number % 3].time_ns, whole.time_ns);
        schedule_advance(&shares[number % 3]);
        schedule_advance(&whole);
    }
}

/* Mean and standard deviation of the distances of an exponential distribution are the same, and a distance
 * says nothing of the next one. */
static void check_poisson(uint32_t share, uint32_t shares) {
    enum { COUNT = 200000 };
    struct schedule schedule;
    double expected = 1e9 / 50000 * shares, sum = 0, squares = 0, products = 0, last = 0, mean, variance;
    uint64_t before = 0;

    schedule_init(&schedule, 50000, true, 7, share, shares);
    for (int i = 0; i < COUNT; i++, schedule_advance(&schedule)) {
        double distance = (double)(schedule.time_ns - before);

        assert_true(schedule.time_ns >= before);
        before = schedule.time_ns;
        sum += distance;
        squares += distance * distance;
        products += distance * last;
        last = distance;
    }
    mean = sum / COUNT;
    variance = squares / COUNT - mean * mean;
    assert_true(mean > 0.99 * expected && mean < 1.01 * expected);
    assert_true(variance > 0.97 * expected * expected && variance < 1.03 * expected * expected);
    assert_true(products / COUNT > 0.98 * mean * mean && products / COUNT < 1.02 * mean * mean);
}

static void test_poisson_arrivals_are_exponentially_apart(void **state) {
    (void)state;
    check_poisson(0, 1);
    check_poisson(0, 2);
    check_poisson(1, 2);
}

static void test_the_seed_decides_when_poisson_arrivals_come(void **state) {
    struct schedule first, again, other_seed, other_share;
    int equal = 0;

    (void)state;
    schedule_init(&first, 1000, true, 5, 0, 2);
    schedule_init(&again, 1000, true, 5, 0, 2);
    schedule_init(&other_seed, 1000, true, 6, 0, 2);
    schedule_init(&other_share, 1000, true, 5, 1, 2);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(first.time_ns, again.time_ns);
        equal += first.time_ns == other_seed.time_ns || first.time_ns == other_share.time_ns;
        schedule_advance(&first);
        schedule_advance(&again);
        schedule_advance(&other_seed);
        schedule_advance(&other_share);
    }
    assert_int_equal(equal, 0);
}

/* --- backlog ------------------------------------------------------------------------------------------ */

static struct backlog backlog_of(double rate, uint64_t begin, uint64_t end) {
    struct schedule schedule;
    struct backlog backlog;

    schedule_init(&schedule, rate, false, 1, 0, 1);
    backlog_init(&backlog, &schedule, begin, end);
    return backlog;
}

static void test_who_waits_longest_is_first(void **state) {
    struct backlog backlog = backlog_of(1000, 0, SECOND);

    (void)state;
    assert_int_equal(backlog_update(&backlog, 10 * MS), 11); /* at 0, 1, … 10 ms */
    for (uint64_t i = 0; i < 11; i++) {
        assert_int_equal(backlog_time(&backlog), i * MS);
        assert_int_equal(backlog_take(&backlog), i * MS);
    }
    assert_int_equal(backlog.waiting, 0);
    assert_int_equal(backlog_time(&backlog), 11 * MS);
    assert_int_equal(backlog_update(&backlog, 11 * MS - 1), 0);
    assert_int_equal(backlog_update(&backlog, 11 * MS), 1);
    assert_int_equal(backlog.longest, 11);
}

static void test_what_was_not_sent_is_counted_of_the_interval_alone(void **state) {
    struct backlog backlog = backlog_of(1000, 100 * MS, 200 * MS);

    (void)state;
    /* 150 are sent as they come, and then none: 100 of them before the interval */
    for (uint64_t i = 0; i < 150; i++) {
        assert_int_equal(backlog_update(&backlog, i * MS), 1);
        assert_int_equal(backlog_take(&backlog), i * MS);
    }
    assert_int_equal(backlog_unsent(&backlog), 0);
    assert_int_equal(backlog_update(&backlog, 200 * MS - 1), 50);
    assert_int_equal(backlog.due_inside, 100);
    assert_int_equal(backlog.sent_inside, 50);
    assert_int_equal(backlog_unsent(&backlog), 50);
    assert_int_equal(200 * MS - backlog_time(&backlog), 50 * MS); /* the age of the oldest */
    /* and what comes behind is none of it */
    assert_int_equal(backlog_update(&backlog, 300 * MS), 151);
    assert_int_equal(backlog_unsent(&backlog), 50);
}

static void test_what_waits_from_before_the_interval_is_sent_first_and_not_counted(void **state) {
    struct backlog backlog = backlog_of(1000, 100 * MS, 200 * MS);

    (void)state;
    assert_int_equal(backlog_update(&backlog, 99 * MS), 100);
    assert_int_equal(backlog.longest, 0); /* in the interval, so far */
    assert_int_equal(backlog_update(&backlog, 200 * MS - 1), 200);
    assert_int_equal(backlog.longest, 200);
    for (uint64_t i = 0; i < 110; i++) {
        assert_int_equal(backlog_take(&backlog), i * MS);
    }
    assert_int_equal(backlog.due_inside, 100);
    assert_int_equal(backlog_unsent(&backlog), 90);
}

static void test_a_backlog_takes_no_memory(void **state) {
    struct backlog backlog = backlog_of(1e6, 0, 100 * SECOND);

    (void)state;
    assert_int_equal(backlog_update(&backlog, 20 * SECOND), 20000001);
    assert_int_equal(backlog_take(&backlog), 0);
    assert_int_equal(backlog_take(&backlog), 1000);
    assert_int_equal(backlog_unsent(&backlog), 19999999);
}

/* --- histogram ---------------------------------------------------------------------------------------- */

static void test_quantiles_are_of_ranks(void **state) {
    struct histogram *histogram = calloc(1, sizeof(*histogram));

    (void)state;
    assert_non_null(histogram);
    assert_true(report_quantile(histogram, 0.99) == 0);
    for (uint64_t value = 1; value <= 1000; value++) {
        histogram_add(histogram, value);
    }
    assert_true(report_quantile(histogram, 0.5) == 500);
    assert_true(report_quantile(histogram, 0.99) == 990);
    assert_true(report_quantile(histogram, 1) == 1000);
    free(histogram);
}

/* All that a bucket of the account holds is within 1 % of what the account says of it. */
static void test_what_is_printed_is_right_to_one_percent(void **state) {
    struct client *client = calloc(1, sizeof(*client));
    struct client *clients[1] = {client};
    struct openload_options options = {.duration_us = 1000000, .connections = 1};
    struct report_stat stat = {"cpu  1 2\ncpu0 1 2\n", "cpu  3 4\n"};
    char *text, *at;
    size_t size;

    (void)state;
    assert_non_null(client);
    for (uint64_t value = 2048; value < SECOND; value += value / 100) {
        FILE *out = open_memstream(&text, &size);
        double printed;

        histogram_clear(&client->latencies);
        histogram_add(&client->latencies, value);
        report_print(out, &options, clients, 1, &stat);
        fclose(out);
        at = strstr(text, "\"latency_us\": [[");
        assert_non_null(at);
        printed = strtod(at + strlen("\"latency_us\": [["), NULL) * 1000;
        assert_true(printed > 0.995 * (double)value && printed < 1.005 * (double)value);
        assert_non_null(strstr(text, "\"before\": \"cpu  1 2\\ncpu0 1 2\\n\""));
        free(text);
    }
    free(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_distances_add_no_error_up),
        cmocka_unit_test(test_shares_at_equal_distances_are_the_whole),
        cmocka_unit_test(test_poisson_arrivals_are_exponentially_apart),
        cmocka_unit_test(test_the_seed_decides_when_poisson_arrivals_come),
        cmocka_unit_test(test_who_waits_longest_is_first),
        cmocka_unit_test(test_what_was_not_sent_is_counted_of_the_interval_alone),
        cmocka_unit_test(test_what_waits_from_before_the_interval_is_sent_first_and_not_counted),
        cmocka_unit_test(test_a_backlog_takes_no_memory),
        cmocka_unit_test(test_quantiles_are_of_ranks),
        cmocka_unit_test(test_what_is_printed_is_right_to_one_percent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
