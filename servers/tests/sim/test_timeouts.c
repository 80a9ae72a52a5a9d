/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients that take longer than the server's limits are ended in time, each in its way; one that is slow and
 * goes on is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_http.h"
#include "sim_main.h"
#include "sim_net.h"
#include "sim_stream.h"

#define PORT 80
#define BODY (2u << 20)
#define HEADER 5
#define IDLE 20
#define SEND 10
#define LATE 3 /* seconds: a look a second, a linger, a round trip */
#define PATIENCE 600

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

enum who { SILENT, STALLED, DEAF, SLOW, CLIENTS };

static struct sim_http http;
static struct stream clients[CLIENTS];

static bool ended(enum who who) {
    return clients[who].pcb == NULL;
}

static bool silent_ended(void) {
    return ended(SILENT);
}

static bool stalled_ended(void) {
    return ended(STALLED);
}

/* As the server sees it: the client's window is shut, so it need not take a reset. */
static bool deaf_ended(void) {
    return http.server.counters.timeouts == 2;
}

static bool slow_has_all(void) {
    return clients[SLOW].received == clients[SLOW].expected;
}

/* Runs until `has` and asserts that this is `limit` seconds after the beginning. */
static void expect_end(bool (*has)(void), uint64_t begin_us, unsigned limit) {
    assert_true(sim_run_until(has, (uint64_t)PATIENCE * SIM_SECOND));
    assert_in_range(sim_now_us() - begin_us, (uint64_t)limit * SIM_SECOND,
                    (uint64_t)(limit + LATE) * SIM_SECOND);
}

static void begin(const struct http_limits *limits) {
    const struct sim_config config = {.rates = {.delay_us = 200}};
    struct tcp_pcb *pcb;

    sim_begin(&config);
    pcb = sim_pcb(SIM_SERVER);
    assert_int_equal(tcp_bind(pcb, sim_address(SIM_SERVER), PORT), ERR_OK);
    http = (struct sim_http){.limits = *limits};
    sim_http_start(&http, pcb, BODY, PATIENCE);
}

static void end(void) {
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].pcb != NULL) {
            stream_abort(&clients[i]);
        }
    }
    sim_run_until(sim_no_connections, (uint64_t)PATIENCE * SIM_SECOND);
    assert_int_equal(http.server.counters.accepts, http.server.counters.closes);
    sim_http_stop(&http);
    sim_end();
}

static uint8_t *begin_clients(void) {
    const struct http_response *response = &http.site.responses[HTTP_200];
    uint8_t *expected = malloc(response->size);

    assert_non_null(expected);
    memcpy(expected, response->part[0].iov_base, response->part[0].iov_len);
    memcpy(expected + response->part[0].iov_len, response->part[1].iov_base, response->part[1].iov_len);
    memset(clients, 0, sizeof(clients));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].keeps_open = true;
        clients[i].out = (const uint8_t *)request;
        clients[i].to_send = i == SILENT ? 0 : i == STALLED ? sizeof(request) - 3 : sizeof(request) - 1;
        clients[i].in = expected;
        clients[i].expected = i == DEAF || i == SLOW ? response->size : 0;
    }
    clients[DEAF].stalled = true;
    clients[SLOW].read_per_tick = HTTP_LEAST_PROGRESS / SEND;
    for (int i = 0; i < CLIENTS; i++) {
        stream_connect(&clients[i], PORT);
    }
    return expected;
}

static void test_who_takes_too_long_is_ended(void **state) {
    const struct http_limits limits = {.header = HEADER, .idle = IDLE, .send = SEND};
    uint8_t *expected;
    uint64_t begin_us;

    (void)state;
    begin(&limits);
    begin_us = sim_now_us();
    expected = begin_clients();
    expect_end(stalled_ended, begin_us, HEADER);
    assert_true(stream_complete(&clients[STALLED])); /* with a FIN */
    expect_end(deaf_ended, begin_us, SEND);
    assert_int_equal(sim_http_sessions(&http), CLIENTS - 2);
    expect_end(silent_ended, begin_us, IDLE);
    assert_true(stream_complete(&clients[SILENT]));
    assert_true(sim_run_until(slow_has_all, (uint64_t)PATIENCE * SIM_SECOND));
    assert_true(sim_now_us() - begin_us > 2 * (IDLE + LATE) * (uint64_t)SIM_SECOND);
    assert_int_equal(http.server.counters.timeouts, 3);
    assert_int_equal(http.server.counters.errors_socket, 0);
    end();
    free(expected);
}

static void test_no_limit_ends_nobody(void **state) {
    const struct http_limits limits = {0};
    uint8_t *expected;

    (void)state;
    begin(&limits);
    expected = begin_clients();
    assert_true(sim_run_until(slow_has_all, (uint64_t)PATIENCE * SIM_SECOND));
    assert_false(ended(SILENT) || ended(STALLED) || ended(DEAF));
    assert_int_equal(http.server.counters.timeouts, 0);
    end();
    free(expected);
}

static int run_all(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_takes_too_long_is_ended),
        cmocka_unit_test(test_no_limit_ends_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char *argv[]) {
    return sim_main(argc, argv, run_all);
}
