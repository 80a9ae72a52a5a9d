/* SPDX-License-Identifier: BSD-3-Clause */
/* What one connection may have of what all share: lwip/tcp_budget.c and the patches that ask it. Every test
 * runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/memp.h"
#include "lwip/tcp_budget.h"
#include "stack/memory/memory.h"

#define CONNECTIONS 4096u
#define FIRST_PORT 20000u

static uint16_t next_port;

/* A connection whose client takes nothing. */
static struct tcp_pcb *establish(void) {
    uint16_t source = (uint16_t)(FIRST_PORT + next_port++);

    accepted = NULL;
    inject(source, 1, 0, TCP_SYN);
    inject(source, 2, last_sequence + 1, TCP_ACK);
    assert_non_null(accepted);
    tcp_nagle_disable(accepted);
    return accepted;
}

/* Answers of 40 bytes, which are not beside one another in memory, until lwIP takes no more. */
static unsigned queue_all(struct tcp_pcb *pcb, uint8_t flags) {
    static const char answers[2][64];
    unsigned count = 0;

    while (tcp_write(pcb, answers[count % 2], 40, flags) == ERR_OK) {
        count++;
        assert_true(count < 100000);
    }
    return count;
}

static int begin(void **state) {
    next_port = 0;
    tcp_budget_counters = (struct tcp_budget_counters){0};
    set_up(state);
    listen_with(10);
    return 0;
}

static void test_one_alone_has_all_that_a_queue_holds(void **state) {
    struct tcp_pcb *pcb = establish();

    (void)state;
    assert_true(queue_all(pcb, 0) >= TCP_SND_QUEUELEN / 2);
    assert_in_range(pcb->snd_queuelen, TCP_SND_QUEUELEN - 1, TCP_SND_QUEUELEN);
}

static void test_any_number_that_hoard_leave_segments_for_the_others(void **state) {
    struct tcp_pcb *last;
    unsigned before;

    (void)state;
    for (unsigned i = 0; i + 1 < CONNECTIONS; i++) {
        queue_all(establish(), 0);
    }
    assert_true(memp_room(MEMP_TCP_SEG) >= 2 * CONNECTIONS);
    if (!feature_on(FEATURE_POOLS)) {
        skip(); /* lwIP's heap ends before */
    }
    assert_true(tcp_budget_counters.segments >= CONNECTIONS - 1);
    before = syn_acks;
    last = establish();
    assert_int_equal(syn_acks, before + 1);
    assert_true(queue_all(last, 0) >= 1);
    assert_int_equal(tcp_shutdown(last, 0, 1), ERR_OK);
}

static void test_what_is_copied_behind_what_waits_joins_it(void **state) {
    static const char answer[40];
    struct tcp_pcb *pcb = establish();
    unsigned count = tcp_mss(pcb) / sizeof(answer);

    (void)state;
    assert_int_equal(tcp_write(pcb, answer, sizeof(answer), 0), ERR_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(tcp_write(pcb, answer, sizeof(answer), TCP_WRITE_FLAG_COPY), ERR_OK);
    }
    assert_in_range(pcb->snd_queuelen, 2, 4); /* pbufs: without lean segments the first has two */
    assert_int_equal(tcp_output(pcb), ERR_OK);
    assert_int_equal(data_segments, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

static bool reserve(void) {
    return memory_reserve(CONNECTIONS) == 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_one_alone_has_all_that_a_queue_holds),
        TEST(test_any_number_that_hoard_leave_segments_for_the_others),
        TEST(test_what_is_copied_behind_what_waits_joins_it),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), reserve);
}
