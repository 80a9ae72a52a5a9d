/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/memory.c and lwIP's memory beneath it: what a connection costs, what buffers cost, and that all comes
 * back. Every test runs with all optimisations and with none. */
#include "tests/lwip/lwip_client.h"

#include <stdio.h>

#include "common/features.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "stack/memory/memory.h"

#define CONNECTIONS 100000u

static struct pool_usage usage_of(memp_t type) {
    struct pool_usage usage;

    memp_describe(type, &usage);
    return usage;
}

static size_t buffers_in_use(void) {
    size_t used = 0;

    for (unsigned i = 0; i < MEM_CLASSES; i++) {
        struct pool_usage usage;

        mem_describe(i, &usage);
        used += usage.used;
    }
    return used;
}

static void test_an_idle_connection_costs_what_is_told(void **state) {
    size_t before = usage_of(MEMP_TCP_PCB).bytes, count = 1000;

    (void)state;
    listen_with(10);
    for (size_t i = 0; i < count; i++) {
        inject((uint16_t)(20000 + i), 1, 0, TCP_SYN);
        inject((uint16_t)(20000 + i), 2, last_sequence + 1, TCP_ACK);
        assert_non_null(accepted);
    }
    assert_int_equal(usage_of(MEMP_TCP_PCB).used, count);
    assert_in_range(usage_of(MEMP_TCP_PCB).bytes - before, (count - 1) * memory_per_connection().pcb,
                    count * memory_per_connection().pcb + 4096);
    /* Nothing is on its way, so there is nothing else. */
    assert_int_equal(usage_of(MEMP_TCP_SEG).used, 0);
    assert_int_equal(usage_of(MEMP_PBUF).used, 0);
    assert_int_equal(buffers_in_use(), 0);
    assert_int_equal(memory_per_connection().pcb % 64, 0);
    assert_true(memory_per_connection().pcb <= 320);
    assert_true(memory_per_connection().table <= 16);
    tear_down(state);
    assert_int_equal(usage_of(MEMP_TCP_PCB).used, 0);
}

/* Where each row of the table in servers/stack/README.md ends, and how large it is. */
static void test_a_pcb_is_as_the_readme_has_it(void **state) {
    static const struct {
        size_t end, bytes;
    } rows[] = {{offsetof(struct tcp_pcb, table_next), 24}, {offsetof(struct tcp_pcb, tmr), 32},
                {offsetof(struct tcp_pcb, snd_nxt), 20},    {offsetof(struct tcp_pcb, ooseq), 52},
                {offsetof(struct tcp_pcb, recv), 16},       {offsetof(struct tcp_pcb, rttest), 16},
                {offsetof(struct tcp_pcb, rtime), 24},      {offsetof(struct tcp_pcb, timer), 24},
                {offsetof(struct tcp_pcb, rto_end), 24},    {offsetof(struct tcp_pcb, output_later), 24},
                {offsetof(struct tcp_pcb, connected), 40},  {sizeof(struct tcp_pcb), 24}};
    size_t begin = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(rows[i].end - begin, rows[i].bytes);
        begin = rows[i].end;
    }
    assert_int_equal(memory_per_connection().pcb, sizeof(struct tcp_pcb));
    assert_in_range(memory_per_connection().table, 8, 16);
}

static void test_there_is_room_for_what_was_asked_for(void **state) {
    static void *pcbs[2 * CONNECTIONS + 1], *segments[2 * CONNECTIONS + 1];
    size_t i;

    (void)state;
    for (i = 0; i < 2 * CONNECTIONS; i++) {
        pcbs[i] = memp_malloc(MEMP_TCP_PCB);
        segments[i] = memp_malloc(MEMP_TCP_SEG);
        assert_non_null(pcbs[i]);
        assert_non_null(segments[i]);
    }
    assert_null(memp_malloc(MEMP_TCP_PCB));
    while (i-- > 0) {
        memp_free(MEMP_TCP_PCB, pcbs[i]);
        memp_free(MEMP_TCP_SEG, segments[i]);
    }
}

#define HELD 300

static size_t random_size(void) {
    static const size_t limits[] = {128, 700, 1600, 4000, 16000, 65500};

    return 1 + (size_t)rand() % limits[rand() % 6];
}

static void test_buffers_of_all_sizes_are_apart_and_come_back(void **state) {
    struct {
        uint8_t *bytes;
        size_t size;
    } held[HELD] = {0};

    (void)state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        size_t which = (size_t)rand() % HELD;

        if (held[which].bytes == NULL) {
            held[which].size = random_size();
            held[which].bytes = mem_malloc((mem_size_t)held[which].size);
            assert_non_null(held[which].bytes);
            assert_int_equal((uintptr_t)held[which].bytes % MEM_ALIGNMENT, 0);
            memset(held[which].bytes, (int)which & 0xff, held[which].size);
        } else {
            for (size_t at = 0; at < held[which].size; at += 13) {
                assert_int_equal(held[which].bytes[at], which & 0xff);
            }
            if (rand() % 4 == 0 && held[which].size > 1) {
                held[which].size /= 2;
                assert_ptr_equal(mem_trim(held[which].bytes, (mem_size_t)held[which].size),
                                 held[which].bytes);
                continue;
            }
            mem_free(held[which].bytes);
            held[which].bytes = NULL;
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        if (held[i].bytes != NULL) {
            mem_free(held[i].bytes);
        }
    }
    assert_int_equal(buffers_in_use(), 0);
}

static void test_pbufs_of_every_length_can_be_had(void **state) {
    (void)state;
    for (unsigned length = 0; length <= UINT16_MAX - 100; length += 97) {
        struct pbuf *pbuf = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)length, PBUF_RAM);

        assert_non_null(pbuf);
        assert_int_equal(pbuf->tot_len, length);
        memset(pbuf->payload, 1, length);
        pbuf_free(pbuf);
    }
}

static void test_more_than_256_of_anything_can_be_had(void **state) {
    static struct pbuf *pbufs[20000];

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        pbufs[i] = pbuf_alloc(PBUF_TRANSPORT, 600, i % 2 == 0 ? PBUF_RAM : PBUF_REF);
        assert_non_null(pbufs[i]);
    }
    for (size_t i = 0; i < 20000; i++) {
        pbuf_free(pbufs[i]);
    }
}

static void test_the_pools_are_told_by_name(void **state) {
    static const char table[] = "{\"tcp_table\": {\"used\": 131072, \"high\": 131072, \"bytes\": 1048576}, ";
    char text[2048], expected[128];
    void *segment = memp_malloc(MEMP_TCP_SEG);
    struct pool_usage usage = usage_of(MEMP_TCP_SEG);
    struct memory_usage all;

    (void)state;
    memory_count(&all);
    memory_describe(&all, text, sizeof(text));
    assert_memory_equal(text, table, sizeof(table) - 1);
    snprintf(expected, sizeof(expected), ", \"tcp_seg\": {\"used\": 1, \"high\": %zu, \"bytes\": %zu}",
             usage.high, usage.bytes);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\"tcp_pcb\": {\"used\": 0, "));
    assert_non_null(strstr(text, "\"buffer_65664\": {"));
    assert_int_equal(text[strlen(text) - 1], '}');
    memp_free(MEMP_TCP_SEG, segment);
    /* What does not fit is cut, not written. */
    memset(text, 'x', sizeof(text));
    memory_describe(&all, text, 100);
    assert_true(strlen(text) < 100);
    assert_int_equal(text[100], 'x');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static bool reserve(void) {
    return memory_reserve(CONNECTIONS) == 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_an_idle_connection_costs_what_is_told),
        TEST(test_a_pcb_is_as_the_readme_has_it),
        TEST(test_there_is_room_for_what_was_asked_for),
        TEST(test_buffers_of_all_sizes_are_apart_and_come_back),
        TEST(test_pbufs_of_every_length_can_be_had),
        TEST(test_more_than_256_of_anything_can_be_had),
        TEST(test_the_pools_are_told_by_name),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), reserve);
}
