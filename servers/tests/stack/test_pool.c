/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/pool.c: what a pool hands out, against a plain model, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "stack/memory/pool.h"

static void fill(uint8_t *element, size_t size, uint8_t value) {
    memset(element, value, size);
}

static void assert_filled(const uint8_t *element, size_t size, uint8_t value) {
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(element[i], value);
    }
}

static struct pool_usage usage_of(const struct pool *pool) {
    struct pool_usage usage;

    pool_describe(pool, &usage);
    return usage;
}

#define MODEL 500

/* Takes and gives back at random; every element keeps what was written into it, so that none overlaps
 * another. */
static void random_use(size_t size, size_t alignment) {
    uint8_t *held[MODEL];
    size_t count = 0, high = 0;
    struct pool pool;

    assert_int_equal(pool_open(&pool, size, alignment, MODEL), 0);
    for (int i = 0; i < 20000; i++) {
        if (rand() % 100 < (i / 2000 % 2 == 0 ? 55 : 45)) {
            uint8_t *element = pool_get(&pool);

            assert_true((element == NULL) == (count == MODEL));
            if (element != NULL) {
                assert_int_equal((uintptr_t)element % alignment, 0);
                assert_true(pool_owns(&pool, element));
                fill(element, size, (uint8_t)(uintptr_t)element ^ (uint8_t)((uintptr_t)element >> 8));
                held[count++] = element;
            }
        } else if (count > 0) {
            size_t which = (size_t)rand() % count;
            uint8_t *element = held[which];

            assert_filled(element, size, (uint8_t)(uintptr_t)element ^ (uint8_t)((uintptr_t)element >> 8));
            pool_put(&pool, element);
            held[which] = held[--count];
        }
        high = count > high ? count : high;
        assert_int_equal(usage_of(&pool).used, count);
        assert_int_equal(usage_of(&pool).high, high);
    }
    pool_close(&pool);
}

static void test_elements_are_as_in_a_plain_model(void **state) {
    static const size_t shapes[][2] = {{8, 8}, {24, 8}, {24, 32}, {100, 16}, {320, 64}, {4000, 64}};

    (void)state;
    srand(1);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        random_use(shapes[i][0], shapes[i][1]);
    }
}

static void test_the_last_given_back_comes_first_and_new_ones_in_order(void **state) {
    struct pool pool;
    uint8_t *elements[4];

    (void)state;
    assert_int_equal(pool_open(&pool, 64, 64, 4), 0);
    for (size_t i = 0; i < 3; i++) {
        elements[i] = pool_get(&pool);
        assert_ptr_equal(elements[i], elements[0] + 64 * i);
    }
    pool_put(&pool, elements[0]);
    pool_put(&pool, elements[2]);
    assert_ptr_equal(pool_get(&pool), elements[2]);
    assert_ptr_equal(pool_get(&pool), elements[0]);
    assert_ptr_equal(pool_get(&pool), elements[0] + 64 * 3);
    assert_null(pool_get(&pool));
    pool_close(&pool);
    pool_close(&pool);
}

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t resident_bytes(void) {
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * page_size();
}

static void test_what_is_not_used_costs_nothing(void **state) {
    struct pool pool;
    size_t before = resident_bytes();
    uint8_t *element;

    (void)state;
    assert_int_equal(pool_open(&pool, 320, 64, (size_t)1 << 26), 0); /* 20 GiB */
    assert_int_equal(usage_of(&pool).bytes, 0);
    element = pool_get(&pool);
    fill(element, 320, 1);
    assert_int_equal(usage_of(&pool).bytes, page_size());
    for (int i = 1; i < 1000; i++) {
        fill(pool_get(&pool), 320, 1);
    }
    assert_int_equal(usage_of(&pool).bytes, (1000 * 320 + page_size() - 1) / page_size() * page_size());
    assert_true(resident_bytes() - before < 16 * 1024 * 1024);
    pool_put(&pool, element);
    assert_int_equal(usage_of(&pool).bytes, (1000 * 320 + page_size() - 1) / page_size() * page_size());
    pool_close(&pool);
}

static void test_elements_of_others_are_not_its_own(void **state) {
    struct pool one, other;
    uint8_t *element;

    (void)state;
    assert_int_equal(pool_open(&one, 100, 8, 10), 0);
    assert_int_equal(pool_open(&other, 100, 8, 10), 0);
    element = pool_get(&one);
    assert_true(pool_owns(&one, element));
    assert_false(pool_owns(&other, element));
    assert_false(pool_owns(&one, pool_get(&other)));
    assert_false(pool_owns(&one, element + one.size));
    assert_false(pool_owns(&one, element - 1));
    pool_close(&one);
    pool_close(&other);
}

#ifdef __SANITIZE_ADDRESS__
static void test_what_is_free_must_not_be_touched(void **state) {
    struct pool pool;
    uint8_t *element;

    (void)state;
    assert_int_equal(pool_open(&pool, 64, 64, 2), 0);
    element = pool_get(&pool);
    pool_put(&pool, element);
    assert_true(__asan_address_is_poisoned(element + sizeof(void *)));
    assert_true(__asan_address_is_poisoned(element + 63));
    assert_ptr_equal(pool_get(&pool), element);
    assert_false(__asan_address_is_poisoned(element + 63));
    pool_put(&pool, element);
    pool_close(&pool);
}
#endif

static void test_shapes_that_cannot_be_are_refused(void **state) {
    struct pool pool;

    (void)state;
    assert_int_equal(pool_open(&pool, 0, 8, 1), -EINVAL);
    assert_int_equal(pool_open(&pool, 8, 8, 0), -EINVAL);
    assert_int_equal(pool_open(&pool, 8, 4, 1), -EINVAL);
    assert_int_equal(pool_open(&pool, 8, 24, 1), -EINVAL);
    assert_int_equal(pool_open(&pool, 8, 8192, 1), -EINVAL);
    assert_int_equal(pool_open(&pool, SIZE_MAX / 2, 8, 1), -EINVAL);
    assert_int_equal(pool_open(&pool, 8, 8, SIZE_MAX / 2), -EINVAL);
    assert_int_equal(pool_open(&pool, 4096, 8, (size_t)1 << 40), -ENOMEM);
    assert_null(pool_get(&pool));
    assert_null(pool_reserve(0));
    assert_null(pool_reserve(SIZE_MAX));
}

static void test_reserved_memory_is_zeroed_and_begins_at_a_huge_page(void **state) {
    static const size_t sizes[] = {1, 4096, 5000, 2 << 20, (2 << 20) + 1, 10 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *memory = pool_reserve(sizes[i]);

        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % (sizes[i] >= 2 << 20 ? 2 << 20 : page_size()), 0);
        assert_int_equal(memory[0] | memory[sizes[i] - 1], 0);
        memory[0] = memory[sizes[i] - 1] = 1;
        pool_release(memory, sizes[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_are_as_in_a_plain_model),
        cmocka_unit_test(test_the_last_given_back_comes_first_and_new_ones_in_order),
        cmocka_unit_test(test_what_is_not_used_costs_nothing),
        cmocka_unit_test(test_elements_of_others_are_not_its_own),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_what_is_free_must_not_be_touched),
#endif
        cmocka_unit_test(test_shapes_that_cannot_be_are_refused),
        cmocka_unit_test(test_reserved_memory_is_zeroed_and_begins_at_a_huge_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
