/* SPDX-License-Identifier: BSD-3-Clause */
/* settings.c: option words to settings, directly and by way of the environment. */
#include "preload/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static int length(char *const argv[]) {
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    return argc;
}

static int parse(struct settings *settings, char error[256], char *argv[]) {
    memset(settings, 0xff, sizeof(*settings));
    error[0] = '\0';
    return settings_parse(settings, length(argv), argv, error, 256);
}

/* The same through the environment variable. */
static int hand_on(struct settings *settings, char error[256], char *argv[]) {
    char *value = settings_join(length(argv), argv);
    assert_non_null(value);
    setenv(SETTINGS_VARIABLE, value, 1);
    free(value);
    memset(settings, 0xff, sizeof(*settings));
    error[0] = '\0';
    return settings_from_environment(settings, error, 256);
}

#define WORDS(...)                                                                                           \
    (char *[]) {                                                                                             \
        "on-lwip", __VA_ARGS__, NULL                                                                         \
    }

typedef int (*way)(struct settings *, char error[256], char *argv[]);
static const way ways[] = {parse, hand_on};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void test_defaults(void **state) {
    (void)state;
    for (int i = 0; i < WAYS; i++) {
        struct settings s;
        char error[256];
        assert_int_equal(ways[i](&s, error, WORDS("--address", "198.18.0.2")), SETTINGS_OK);
        assert_string_equal(error, "");
        assert_int_equal(s.stack.address, inet_addr("198.18.0.2"));
        assert_int_equal(s.stack.netmask, inet_addr("255.255.255.0"));
        assert_int_equal(s.stack.gateway, 0);
        assert_memory_equal(s.stack.mac, ((uint8_t[6]){0}), 6);
        assert_int_equal(s.stack.mtu, 1500);
        assert_int_equal(s.stack.rx_descriptors, 1024);
        assert_int_equal(s.stack.tx_descriptors, 1024);
        assert_int_equal(s.stack.mbufs, 16383);
        assert_true(s.stack.offload);
        assert_int_equal(s.eal_count, 0);
        assert_null(s.eal_words[0]);
        assert_int_equal(s.idle_sleep_us, 0);
        assert_int_equal(s.linger_ms, 2000);
        assert_null(s.counters_path);
        assert_true(rules_match(&s.rules, false, inet_addr("198.18.0.3"), 80));
        assert_false(rules_match(&s.rules, false, inet_addr("127.0.0.1"), 80));
        settings_free(&s);
    }
}

static void test_everything(void **state) {
    (void)state;
    for (int i = 0; i < WAYS; i++) {
        struct settings s;
        char error[256];
        assert_int_equal(
            ways[i](&s, error,
                    WORDS("--address", "10.1.2.3", "--netmask", "255.0.0.0", "--gateway", "10.0.0.1", "--mac",
                          "02:00:00:00:00:01", "--mtu", "9000", "--rx-descriptors", "65", "--tx-descriptors",
                          "66", "--mbufs", "2047", "--no-offload", "--sockets", "!udp:0.0.0.0/0,10.0.0.0/8",
                          "--idle", "sleep:20", "--linger", "5", "--counters", "/run/a b", "--eal",
                          " --no-pci  -l\t1 ", "--eal", "", "--eal=--vdev=net_tap0,iface=t")),
            SETTINGS_OK);
        assert_int_equal(s.stack.address, inet_addr("10.1.2.3"));
        assert_int_equal(s.stack.netmask, inet_addr("255.0.0.0"));
        assert_int_equal(s.stack.gateway, inet_addr("10.0.0.1"));
        assert_memory_equal(s.stack.mac, ((uint8_t[6]){2, 0, 0, 0, 0, 1}), 6);
        assert_int_equal(s.stack.mtu, 9000);
        assert_int_equal(s.stack.rx_descriptors, 65);
        assert_int_equal(s.stack.tx_descriptors, 66);
        assert_int_equal(s.stack.mbufs, 2047);
        assert_false(s.stack.offload);
        assert_int_equal(s.idle_sleep_us, 20);
        assert_int_equal(s.linger_ms, 5);
        assert_string_equal(s.counters_path, "/run/a b");
        assert_int_equal(s.eal_count, 4);
        assert_string_equal(s.eal_words[0], "--no-pci");
        assert_string_equal(s.eal_words[1], "-l");
        assert_string_equal(s.eal_words[2], "1");
        assert_string_equal(s.eal_words[3], "--vdev=net_tap0,iface=t");
        assert_null(s.eal_words[4]);
        assert_true(rules_match(&s.rules, false, inet_addr("10.0.0.9"), 80));
        assert_false(rules_match(&s.rules, true, inet_addr("10.0.0.9"), 80));
        settings_free(&s);
        settings_free(&s); /* nothing is left to free */
    }
}

/* The program that reads the settings may be in another directory than the launcher, but not before that. */
static void test_counters_path(void **state) {
    (void)state;
    struct settings s;
    char error[256];
    char *directory = getcwd(NULL, 0);
    char *expected;
    assert_true(asprintf(&expected, "%s/some/file.json", directory) > 0);
    assert_int_equal(parse(&s, error, WORDS("--address=10.0.0.1", "--counters", "some/file.json")),
                     SETTINGS_OK);
    assert_string_equal(s.counters_path, expected);
    settings_free(&s);
    free(expected);
    free(directory);
    assert_int_equal(parse(&s, error, WORDS("--address=10.0.0.1", "--counters", "")), -EINVAL);
    assert_string_equal(error, "--counters: '' is not a file");
}

static void test_errors(void **state) {
    (void)state;
    for (int i = 0; i < WAYS; i++) {
        struct settings s;
        char error[256];
        assert_int_equal(ways[i](&s, error, WORDS("--mtu", "1500")), -EINVAL);
        assert_string_equal(error, "--address is required; see --help");
        assert_int_equal(ways[i](&s, error, WORDS("--address", "x")), -EINVAL);
        assert_string_equal(error, "--address: 'x' is not an IPv4 address");
        assert_int_equal(ways[i](&s, error, WORDS("--address", "10.0.0.1", "--port", "80")), -EINVAL);
        assert_string_equal(error, "--port: no such option; see --help");
        assert_int_equal(ways[i](&s, error, WORDS("--address", "10.0.0.1", "--eal")), -EINVAL);
        assert_string_equal(error, "--eal: the value is missing");
        assert_int_equal(ways[i](&s, error, WORDS("--address", "10.0.0.1", "--sockets", "10.0.0.1/8")),
                         -EINVAL);
        assert_string_equal(error, "--sockets: '10.0.0.1/8': the address has bits outside the prefix");
        char many[RULES_MAX * 8 + 8] = "0.0.0.0";
        for (int rule = 0; rule < RULES_MAX; rule++)
            strcat(many, ",0.0.0.0");
        assert_int_equal(ways[i](&s, error, WORDS("--address", "10.0.0.1", "--sockets", many)), -E2BIG);
        assert_string_equal(error, "--sockets: more than 64 rules");
    }
}

static void test_help(void **state) {
    (void)state;
    struct settings s;
    char error[256];
    assert_int_equal(parse(&s, error, WORDS("--help")), SETTINGS_HELP);
    assert_int_equal(hand_on(&s, error, WORDS("--help")), -EINVAL);
    assert_string_equal(error, "STACKDUEL_PRELOAD: --help is for on-lwip's command line");
}

static void test_environment(void **state) {
    (void)state;
    struct settings s;
    char error[256];
    unsetenv(SETTINGS_VARIABLE);
    assert_int_equal(settings_from_environment(&s, error, sizeof(error)), -ENOENT);
    assert_string_equal(error, "STACKDUEL_PRELOAD is not set: start the program with on-lwip");
    setenv(SETTINGS_VARIABLE, "", 1);
    assert_int_equal(settings_from_environment(&s, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "--address is required; see --help");
    setenv(SETTINGS_VARIABLE, "--address\x1f", 1);
    assert_int_equal(settings_from_environment(&s, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "--address: '' is not an IPv4 address");
    setenv(SETTINGS_VARIABLE,
           "--address\x1f"
           "10.0.0.1\x1f--eal\x1f-l 1",
           1);
    assert_int_equal(settings_from_environment(&s, error, sizeof(error)), SETTINGS_OK);
    assert_string_equal(getenv(SETTINGS_VARIABLE), "--address\x1f"
                                                   "10.0.0.1\x1f--eal\x1f-l 1"); /* for children */
    assert_int_equal(s.eal_count, 2);
    settings_free(&s);
}

static void test_join(void **state) {
    (void)state;
    char *value = settings_join(4, WORDS("a", "", "b c"));
    assert_string_equal(value, "a\x1f\x1f"
                               "b c");
    free(value);
    value = settings_join(1, (char *[]){"on-lwip", NULL});
    assert_string_equal(value, "");
    free(value);
    errno = 0;
    assert_null(settings_join(2, WORDS("a\x1f"
                                       "b")));
    assert_int_equal(errno, EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_everything),
        cmocka_unit_test(test_counters_path), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_help),          cmocka_unit_test(test_environment),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
