/* SPDX-License-Identifier: BSD-3-Clause */
/* rules.c: what a rule may look like, which one decides, and what is said of one that is wrong. */
#include "preload/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

enum { TCP = false, UDP = true };

static struct rules parsed(const char *text) {
    struct rules rules;
    char error[256] = "";
    memset(&rules, 0xff, sizeof(rules));
    assert_int_equal(rules_parse(&rules, text, error, sizeof(error)), 0);
    assert_string_equal(error, "");
    return rules;
}

static bool match(const char *text, bool udp, const char *address, uint16_t port) {
    struct rules rules = parsed(text);
    return rules_match(&rules, udp, inet_addr(address), port);
}

static void test_default(void **state) {
    (void)state;
    static const char text[] = "!127.0.0.0/8,0.0.0.0/0";
    assert_int_equal(parsed(text).count, 2);
    assert_false(match(text, TCP, "127.0.0.1", 80));
    assert_false(match(text, UDP, "127.255.255.255", 0));
    assert_true(match(text, TCP, "128.0.0.0", 80));
    assert_true(match(text, TCP, "126.255.255.255", 80));
    assert_true(match(text, UDP, "198.18.0.3", 53));
    assert_true(match(text, TCP, "0.0.0.0", 0));
    assert_true(match(text, TCP, "255.255.255.255", 65535));
}

static void test_prefixes(void **state) {
    (void)state;
    assert_true(match("198.18.0.3", TCP, "198.18.0.3", 1));
    assert_false(match("198.18.0.3", TCP, "198.18.0.2", 1));
    assert_true(match("198.18.0.3/32", TCP, "198.18.0.3", 1));
    assert_true(match("198.18.0.2/31", TCP, "198.18.0.3", 1));
    assert_false(match("198.18.0.2/31", TCP, "198.18.0.4", 1));
    assert_true(match("128.0.0.0/1", TCP, "255.0.0.1", 1));
    assert_false(match("128.0.0.0/1", TCP, "127.0.0.1", 1));
    for (unsigned prefix = 0; prefix <= 32; prefix++) {
        uint64_t size = (uint64_t)1 << (32 - prefix);
        char text[32];
        snprintf(text, sizeof(text), "0.0.0.0/%u", prefix);
        struct rules rules = parsed(text);
        assert_true(rules_match(&rules, TCP, htonl((uint32_t)(size - 1)), 1));
        if (prefix > 0)
            assert_false(rules_match(&rules, TCP, htonl((uint32_t)size), 1));
    }
}

static void test_ports_and_protocols(void **state) {
    (void)state;
    assert_true(match("10.0.0.1:80", TCP, "10.0.0.1", 80));
    assert_true(match("10.0.0.1:80", UDP, "10.0.0.1", 80));
    assert_false(match("10.0.0.1:80", TCP, "10.0.0.1", 79));
    assert_false(match("10.0.0.1:80", TCP, "10.0.0.1", 81));
    assert_true(match("0.0.0.0/0:8000-8010", TCP, "10.0.0.1", 8000));
    assert_true(match("0.0.0.0/0:8000-8010", TCP, "10.0.0.1", 8010));
    assert_false(match("0.0.0.0/0:8000-8010", TCP, "10.0.0.1", 7999));
    assert_false(match("0.0.0.0/0:8000-8010", TCP, "10.0.0.1", 8011));
    assert_true(match("0.0.0.0/0:0", TCP, "0.0.0.0", 0)); /* a bind to any port */
    assert_false(match("0.0.0.0/0:1-65535", TCP, "0.0.0.0", 0));
    assert_true(match("0.0.0.0/0:65535-65535", TCP, "0.0.0.0", 65535));
    assert_true(match("tcp:10.0.0.0/8", TCP, "10.0.0.1", 80));
    assert_false(match("tcp:10.0.0.0/8", UDP, "10.0.0.1", 80));
    assert_true(match("udp:10.0.0.0/8:53", UDP, "10.0.0.1", 53));
    assert_false(match("udp:10.0.0.0/8:53", TCP, "10.0.0.1", 53));
}

static void test_first_match_decides(void **state) {
    (void)state;
    static const char text[] = "!udp:0.0.0.0/0:53,10.0.0.1,!10.0.0.0/8,tcp:0.0.0.0/0:80";
    assert_false(match(text, UDP, "10.0.0.1", 53));
    assert_true(match(text, TCP, "10.0.0.1", 53));
    assert_true(match(text, UDP, "10.0.0.1", 54));
    assert_false(match(text, TCP, "10.0.0.2", 80));
    assert_true(match(text, TCP, "11.0.0.2", 80));
    assert_false(match(text, TCP, "11.0.0.2", 81)); /* none matches */
    assert_false(match(text, UDP, "11.0.0.2", 80));
    assert_true(match("10.0.0.0/8,!10.0.0.1", TCP, "10.0.0.1", 80));
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *line;
    } rows[] = {
        {"", "'': no IPv4 address where one is expected"},
        {"10.0.0.1,", "'': no IPv4 address where one is expected"},
        {",10.0.0.1", "'': no IPv4 address where one is expected"},
        {"10.0.0.1,,10.0.0.2", "'': no IPv4 address where one is expected"},
        {"!", "'!': no IPv4 address where one is expected"},
        {"!!10.0.0.1", "'!!10.0.0.1': no IPv4 address where one is expected"},
        {"tcp:", "'tcp:': no IPv4 address where one is expected"},
        {"tcp:!10.0.0.1", "'tcp:!10.0.0.1': no IPv4 address where one is expected"},
        {"tcp:udp:10.0.0.1", "'tcp:udp:10.0.0.1': no IPv4 address where one is expected"},
        {"sctp:10.0.0.1", "'sctp:10.0.0.1': no IPv4 address where one is expected"},
        {"TCP:10.0.0.1", "'TCP:10.0.0.1': no IPv4 address where one is expected"},
        {"10.0.1", "'10.0.1': no IPv4 address where one is expected"},
        {"10.0.0.256", "'10.0.0.256': no IPv4 address where one is expected"},
        {"1000000000000.0.0.0", "'1000000000000.0.0.0': no IPv4 address where one is expected"},
        {"::1", "'::1': no IPv4 address where one is expected"},
        {"localhost", "'localhost': no IPv4 address where one is expected"},
        {"10.0.0.1, 10.0.0.2", "' 10.0.0.2': no IPv4 address where one is expected"},
        {"10.0.0.1 ", "'10.0.0.1 ': there is more behind the rule"},
        {"10.0.0.1/32:80x", "'10.0.0.1/32:80x': there is more behind the rule"},
        {"10.0.0.1:80/32", "'10.0.0.1:80/32': there is more behind the rule"},
        {"10.0.0.1:1-2-3", "'10.0.0.1:1-2-3': there is more behind the rule"},
        {"10.0.0.0/33", "'10.0.0.0/33': the prefix is not in 0..32"},
        {"10.0.0.0/", "'10.0.0.0/': the prefix is not in 0..32"},
        {"10.0.0.0/-1", "'10.0.0.0/-1': the prefix is not in 0..32"},
        {"10.0.0.0/99999999999999999999", "'10.0.0.0/99999999999999999999': the prefix is not in 0..32"},
        {"10.0.0.1/8", "'10.0.0.1/8': the address has bits outside the prefix"},
        {"0.0.0.1/0", "'0.0.0.1/0': the address has bits outside the prefix"},
        {"10.0.0.1:", "'10.0.0.1:': the port is not in 0..65535"},
        {"10.0.0.1:65536", "'10.0.0.1:65536': the port is not in 0..65535"},
        {"10.0.0.1:http", "'10.0.0.1:http': the port is not in 0..65535"},
        {"10.0.0.1:1-", "'10.0.0.1:1-': the port is not in 0..65535"},
        {"10.0.0.1:1-65536", "'10.0.0.1:1-65536': the port is not in 0..65535"},
        {"10.0.0.1:81-80", "'10.0.0.1:81-80': the first port is above the last"},
        {"udp:10.0.0.1:000000000000000000000000000000000000000000000000080",
         "'udp:10.0.0.1:000000000000000000000000000000000000000000000000080': too long"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rules rules;
        char error[256];
        assert_int_equal(rules_parse(&rules, rows[i].text, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, rows[i].line);
    }
}

static void test_how_many(void **state) {
    (void)state;
    char text[(RULES_MAX + 1) * sizeof("10.0.0.100,")] = "";
    for (unsigned i = 0; i < RULES_MAX; i++)
        sprintf(text + strlen(text), "%s10.0.0.%u", i == 0 ? "" : ",", i);
    struct rules rules = parsed(text);
    assert_int_equal(rules.count, RULES_MAX);
    assert_true(rules_match(&rules, TCP, inet_addr("10.0.0.63"), 80));
    assert_false(rules_match(&rules, TCP, inet_addr("10.0.0.64"), 80));
    strcat(text, ",10.0.0.100");
    char error[256];
    assert_int_equal(rules_parse(&rules, text, error, sizeof(error)), -E2BIG);
    assert_string_equal(error, "more than 64 rules");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_ports_and_protocols),
        cmocka_unit_test(test_first_match_decides),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
