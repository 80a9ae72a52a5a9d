/* SPDX-License-Identifier: BSD-3-Clause */
/* common/initial_sequence.h: what a hash and a clock make of a flow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/initial_sequence.h"

#define FLOWS 2048
#define PLACES 16
#define HZ 2000000000u
#define PERIOD (HZ / SEQUENCE_TICKS_A_SECOND)

static const struct sequence_key key = {"0123456789abcde"}, other = {"0123456789abcdf"};

static uint32_t at(uint32_t flow, uint64_t tsc) {
    return initial_sequence(&key, &flow, sizeof(flow), tsc, HZ);
}

/* As flows one after the other are spread over the numbers, so are the steps between them, and the steps'
 * steps. */
static void test_flows_have_nothing_in_common(void **state) {
    unsigned numbers[PLACES] = {0}, steps[PLACES] = {0}, differences[PLACES] = {0};

    (void)state;
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        uint32_t step = at(flow + 1, 0) - at(flow, 0);

        numbers[at(flow, 0) / (UINT32_MAX / PLACES + 1)]++;
        steps[step / (UINT32_MAX / PLACES + 1)]++;
        differences[(at(flow + 2, 0) - at(flow + 1, 0) - step) / (UINT32_MAX / PLACES + 1)]++;
    }
    for (unsigned i = 0; i < PLACES; i++) {
        assert_in_range(numbers[i], FLOWS / PLACES / 2, FLOWS / PLACES * 3 / 2);
        assert_in_range(steps[i], FLOWS / PLACES / 2, FLOWS / PLACES * 3 / 2);
        assert_in_range(differences[i], FLOWS / PLACES / 2, FLOWS / PLACES * 3 / 2);
    }
}

static void test_a_flow_grows_with_the_clock(void **state) {
    (void)state;
    for (uint64_t tsc = 1; tsc < UINT64_MAX / 3; tsc *= 3) {
        assert_int_equal((uint32_t)(at(1, tsc + PERIOD) - at(1, tsc)), 1);
        assert_int_equal((uint32_t)(at(1, tsc + 60ull * HZ) - at(1, tsc)), 60ull * HZ / PERIOD);
    }
}

static void test_a_clock_slower_than_the_tick_counts_as_it_is(void **state) {
    uint32_t flow = 1;

    (void)state;
    assert_int_equal(initial_sequence(&key, &flow, sizeof(flow), 7, 1000) -
                         initial_sequence(&key, &flow, sizeof(flow), 0, 1000),
                     7);
}

static void test_another_key_knows_nothing(void **state) {
    unsigned same = 0;

    (void)state;
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        same += initial_sequence(&other, &flow, sizeof(flow), 0, HZ) >> 24 == at(flow, 0) >> 24;
    }
    assert_in_range(same, 0, FLOWS / 256 * 4);
}

static void test_every_key_is_another(void **state) {
    struct sequence_key one = sequence_key_draw(), two = sequence_key_draw();

    (void)state;
    assert_memory_not_equal(&one, &two, sizeof(one));
}

static bool no_random;

/* In place of libc's. */
ssize_t getrandom(void *bytes, size_t size, unsigned flags) {
    if (no_random) {
        errno = ENOSYS;
        return -1;
    }
    return syscall(SYS_getrandom, bytes, size, flags);
}

static void test_without_random_numbers_the_program_ends(void **state) {
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        no_random = true;
        alarm(10);
        (void)sequence_key_draw();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flows_have_nothing_in_common),
        cmocka_unit_test(test_a_flow_grows_with_the_clock),
        cmocka_unit_test(test_a_clock_slower_than_the_tick_counts_as_it_is),
        cmocka_unit_test(test_another_key_knows_nothing),
        cmocka_unit_test(test_every_key_is_another),
        cmocka_unit_test(test_without_random_numbers_the_program_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
