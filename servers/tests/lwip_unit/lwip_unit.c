/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs lwIP's own unit tests (its test/unit) on our options and our patch series, with all optimisations and
 * with none: those suites whose modules the servers link. Not run: sockets, DHCP, IPv6, mDNS, MQTT and IP
 * reassembly, which are not built here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lwip_check.h"

#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/stats.h"

#include "core/test_def.h"
#include "core/test_mem.h"
#include "core/test_netif.h"
#include "core/test_pbuf.h"
#include "core/test_timers.h"
#include "etharp/test_etharp.h"
#include "tcp/test_tcp.h"
#include "tcp/test_tcp_oos.h"
#include "udp/test_udp.h"

/* Time is a variable that the tests move. */
u32_t lwip_sys_now;

u32_t sys_now(void);
u32_t sys_now(void) {
    return lwip_sys_now;
}

uint32_t stack_random(void) {
    return (uint32_t)rand();
}

/* The tests that count the ticks until lwIP's own first retransmission, or expect nothing of the first
 * duplicate. */
static bool loses_as_lwip_does(const char *name) {
    static const char *const names[] = {"test_tcp_rto_rexmit_wraparound", "test_tcp_retx_add_to_sent",
                                        "test_tcp_fast_rexmit_wraparound"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void waive_loss(void) {
    features &= ~(uint32_t)(OBLIGATION_RTO | OBLIGATION_RECOVERY);
}

/* Called by the suites: one test case a test, so that each runs in a process of its own. */
Suite *create_suite(const char *name, testfunc *tests, size_t count, SFun setup, SFun teardown) {
    Suite *suite = suite_create(name);

    for (size_t i = 0; i < count; i++) {
        TCase *test;

        if (strcmp(tests[i]->name, "test_udp_bind") == 0) {
            continue; /* IPv4 and IPv6 on one port */
        }
        test = tcase_create(name);

        if (loses_as_lwip_does(tests[i]->name)) {
            tcase_add_checked_fixture(test, waive_loss, NULL);
        }
        tcase_add_checked_fixture(test, setup, teardown);
        tcase_add_named_test(test, tests[i]);
        suite_add_tcase(suite, test);
    }
    return suite;
}

/* Called by the suites around every test: nothing may be left allocated. */
void lwip_check_ensure_no_alloc(unsigned int skip) {
    if (!(skip & SKIP_HEAP)) {
        fail_unless(lwip_stats.mem.used == 0);
    }
    for (int i = 0; i < MEMP_MAX; i++) {
        if (!(skip & (1u << i))) {
            fail_unless(lwip_stats.memp[i]->used == 0);
        }
    }
}

/* Whether any test failed. */
static bool run_suites(void) {
    suite_getter_fn *suites[] = {tcp_suite,  tcp_oos_suite, def_suite,    netif_suite,
                                 pbuf_suite, timers_suite,  etharp_suite, udp_suite};
    SRunner *runner = srunner_create(NULL);
    int failed;

    lwip_init();
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        srunner_add_suite(runner, suites[i]());
    }
    if (!feature_on(FEATURE_POOLS)) {
        srunner_add_suite(runner, mem_suite()); /* lwIP's heap */
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* The same in a process of its own, as optimisations are set once before lwIP starts. */
static bool run_suites_with(uint32_t in_force) {
    int status;
    pid_t child = fork();

    if (child == 0) {
        features = in_force;
        printf("obligations %s, optimisations %s\n", feature_on(OBLIGATIONS) ? "kept" : "waived",
               feature_on(FEATURE_POOLS) ? "on" : "off");
        exit(run_suites() ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    return child < 0 || waitpid(child, &status, 0) != child || status != 0;
}

int main(void) {
    bool all = run_suites_with(UINT32_MAX), kept = run_suites_with(OBLIGATIONS), nothing = run_suites_with(0);

    return all || kept || nothing ? EXIT_FAILURE : EXIT_SUCCESS;
}
