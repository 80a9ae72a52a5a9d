/* SPDX-License-Identifier: BSD-3-Clause */
/* kernel_steer.c: the list of CPUs, and what the program answers on each CPU, by an interpreter of the few
 * instructions that it has. */
#include "kernel/kernel_steer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static bool parse(struct kernel_cpus *cpus, const char *list, unsigned threads, char error[256]) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    for (int cpu = 2; cpu < 80; cpu++) {
        CPU_SET(cpu, &allowed);
    }
    error[0] = '\0';
    return kernel_cpus_parse(cpus, list, threads, &allowed, error, 256);
}

static void test_lists(void **state) {
    struct kernel_cpus cpus;
    char error[256];

    (void)state;
    assert_true(parse(&cpus, "", 3, error));
    assert_int_equal(cpus.count, 0);
    assert_true(parse(&cpus, "7", 1, error));
    assert_int_equal(cpus.count, 1);
    assert_int_equal(cpus.cpu[0], 7);
    assert_true(parse(&cpus, "79,2,10", 3, error));
    assert_int_equal(cpus.count, 3);
    assert_int_equal(cpus.cpu[0], 79);
    assert_int_equal(cpus.cpu[1], 2);
    assert_int_equal(cpus.cpu[2], 10);
}

static void test_lists_that_cannot_be_followed(void **state) {
    static const struct {
        const char *list;
        unsigned threads;
        const char *line;
    } rows[] = {
        {"2,3", 1, "--cpus: '2,3' has more CPUs than the 1 of --threads"},
        {"2,3", 3, "--cpus: '2,3' has fewer CPUs than the 3 of --threads"},
        {"2,2", 2, "--cpus: CPU 2 comes twice"},
        {"1", 1, "--cpus: there is no CPU 1 here, or this process may not run on it"},
        {"99999", 1, "--cpus: there is no CPU 99999 here, or this process may not run on it"},
        {"2,80", 2, "--cpus: there is no CPU 80 here, or this process may not run on it"},
        {"x", 1, "--cpus: 'x' is no list of CPUs, as 2,3"},
        {"2,", 1, "--cpus: '2,' is no list of CPUs, as 2,3"},
        {",2", 1, "--cpus: ',2' is no list of CPUs, as 2,3"},
        {"2;3", 2, "--cpus: '2;3' is no list of CPUs, as 2,3"},
        {"-2", 1, "--cpus: '-2' is no list of CPUs, as 2,3"},
        {" 2", 1, "--cpus: ' 2' is no list of CPUs, as 2,3"},
        {"2-3", 2, "--cpus: '2-3' is no list of CPUs, as 2,3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kernel_cpus cpus;
        char error[256];
        assert_false(parse(&cpus, rows[i].list, rows[i].threads, error));
        assert_string_equal(error, rows[i].line);
    }
}

/* What the kernel would get on `cpu`. */
static uint32_t run(const struct sock_filter *program, size_t length, uint32_t cpu) {
    uint32_t a = 0;
    for (size_t i = 0; i < length; i++) {
        const struct sock_filter *at = &program[i];
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_int_equal(at->k, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU));
            a = cpu;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += a == at->k ? at->jt : at->jf;
            break;
        case BPF_RET | BPF_K:
            return at->k;
        default:
            fail_msg("instruction %zu is 0x%x", i, at->code);
        }
    }
    fail_msg("it does not end");
    return 0;
}

static void test_each_cpu_has_its_thread(void **state) {
    struct sock_filter program[KERNEL_STEER_MAX];
    struct kernel_cpus cpus = {.count = 3, .cpu = {79, 0, 10}};
    size_t length = kernel_steer_program(program, &cpus);

    (void)state;
    assert_int_equal(run(program, length, 79), 0);
    assert_int_equal(run(program, length, 0), 1);
    assert_int_equal(run(program, length, 10), 2);
    assert_int_equal(run(program, length, 1), KERNEL_STEER_NOBODY);
    assert_int_equal(run(program, length, 2), KERNEL_STEER_NOBODY);
}

static void test_as_many_threads_as_there_may_be(void **state) {
    struct sock_filter program[KERNEL_STEER_MAX];
    struct kernel_cpus cpus = {.count = KERNEL_THREADS_MAX};
    size_t length;

    (void)state;
    for (int i = 0; i < KERNEL_THREADS_MAX; i++) {
        cpus.cpu[i] = 2 * i;
    }
    length = kernel_steer_program(program, &cpus);
    assert_int_equal(length, KERNEL_STEER_MAX);
    for (uint32_t cpu = 0; cpu < 2 * KERNEL_THREADS_MAX; cpu++) {
        assert_int_equal(run(program, length, cpu), cpu % 2 == 0 ? cpu / 2 : KERNEL_STEER_NOBODY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_that_cannot_be_followed),
        cmocka_unit_test(test_each_cpu_has_its_thread),
        cmocka_unit_test(test_as_many_threads_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
