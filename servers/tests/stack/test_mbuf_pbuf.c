/* SPDX-License-Identifier: BSD-3-Clause */
/* Who owns a buffer: after every test each mbuf is back in its pool, and lwIP holds nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "lwip/init.h"
#include "lwip/pbuf.h"

#include "stack/mbuf_pbuf.h"
#include "tests/port/eal.h"

#define MBUFS 15

static struct rte_mempool *pool;
static struct zero_copy zero_copy;

static int set_up(void **state) {
    (void)state;
    zero_copy = (struct zero_copy){.limit = MBUFS};
    return 0;
}

static int nothing_is_lent(void **state) {
    (void)state;
    assert_int_equal(zero_copy.held, 0);
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS);
    return 0;
}

/* A packet of `segments` mbufs with `size` bytes each, counting up from `first`. */
static struct rte_mbuf *packet(int segments, int size, uint8_t first) {
    struct rte_mbuf *head = NULL;

    for (int i = 0; i < segments; i++) {
        struct rte_mbuf *segment = rte_pktmbuf_alloc(pool);
        uint8_t *data;

        assert_non_null(segment);
        data = (uint8_t *)rte_pktmbuf_append(segment, (uint16_t)size);
        for (int j = 0; j < size; j++) {
            data[j] = first++;
        }
        if (head == NULL) {
            head = segment;
        } else {
            assert_int_equal(rte_pktmbuf_chain(head, segment), 0);
        }
    }
    return head;
}

static void assert_bytes(const struct pbuf *pbuf, int size, uint8_t first) {
    assert_int_equal(pbuf->tot_len, size);
    for (int i = 0; i < size; i++) {
        assert_int_equal(pbuf_get_at(pbuf, (uint16_t)i), (uint8_t)(first + i));
    }
}

static void test_a_received_packet_is_lent_without_a_copy(void **state) {
    struct rte_mbuf *mbuf = packet(1, 60, 7);
    const void *data = rte_pktmbuf_mtod(mbuf, void *);
    struct pbuf *pbuf = pbuf_from_mbuf(&zero_copy, mbuf);

    (void)state;
    assert_non_null(pbuf);
    assert_ptr_equal(pbuf->payload, data);
    assert_bytes(pbuf, 60, 7);
    assert_int_equal(zero_copy.held, 1);
    assert_int_equal(zero_copy.copied, 0);
    pbuf_free(pbuf);
}

static void test_the_mbuf_returns_only_with_the_last_reference(void **state) {
    struct pbuf *pbuf = pbuf_from_mbuf(&zero_copy, packet(1, 10, 0));

    (void)state;
    pbuf_ref(pbuf);
    pbuf_free(pbuf);
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS - 1);
    assert_bytes(pbuf, 10, 0);
    pbuf_free(pbuf);
}

static void test_segments_become_a_chain_and_return_one_by_one(void **state) {
    struct pbuf *pbuf = pbuf_from_mbuf(&zero_copy, packet(3, 40, 100));

    (void)state;
    assert_bytes(pbuf, 120, 100);
    assert_int_equal(zero_copy.held, 3);
    pbuf = pbuf_free_header(pbuf, 50);
    assert_bytes(pbuf, 70, 150);
    assert_int_equal(zero_copy.held, 2);
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS - 2);
    assert_null(pbuf_free_header(pbuf, 70));
}

static void test_beyond_the_limit_packets_are_copied_and_the_mbuf_is_free_at_once(void **state) {
    struct pbuf *wrapped, *one, *three;

    (void)state;
    zero_copy.limit = 2;
    wrapped = pbuf_from_mbuf(&zero_copy, packet(2, 8, 0));
    one = pbuf_from_mbuf(&zero_copy, packet(1, 30, 50));
    three = pbuf_from_mbuf(&zero_copy, packet(3, 30, 60));
    assert_int_equal(zero_copy.held, 2);
    assert_int_equal(zero_copy.copied, 2);
    assert_int_equal(rte_mempool_avail_count(pool), MBUFS - 2);
    assert_bytes(wrapped, 16, 0);
    assert_bytes(one, 30, 50);
    assert_bytes(three, 90, 60);
    pbuf_free(one);
    pbuf_free(three);
    pbuf_free(wrapped);
}

static void test_an_empty_packet_is_freed(void **state) {
    (void)state;
    assert_null(pbuf_from_mbuf(&zero_copy, packet(1, 0, 0)));
}

static void test_a_chain_is_sent_as_one_mbuf(void **state) {
    static const char response[] = "HTTP/1.1 200 OK";
    struct pbuf *header = pbuf_alloc(PBUF_RAW, 4, PBUF_RAM);
    struct pbuf *body = pbuf_alloc_reference((void *)(uintptr_t)response, sizeof(response), PBUF_ROM);
    struct rte_mbuf *mbuf;

    (void)state;
    memcpy(header->payload, "abcd", 4);
    pbuf_cat(header, body);
    mbuf = mbuf_from_pbuf(pool, header);
    assert_non_null(mbuf);
    assert_int_equal(mbuf->nb_segs, 1);
    assert_int_equal(mbuf->pkt_len, 4 + sizeof(response));
    assert_memory_equal(rte_pktmbuf_mtod(mbuf, char *), "abcdHTTP/1.1 200 OK", 4 + sizeof(response));
    rte_pktmbuf_free(mbuf);
    assert_int_equal(header->tot_len, 4 + sizeof(response));
    pbuf_free(header);
}

static void test_without_a_free_mbuf_nothing_is_sent_and_the_pbuf_stays(void **state) {
    struct rte_mbuf *all[MBUFS];
    struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, 4, PBUF_RAM);

    (void)state;
    assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, MBUFS), 0);
    assert_null(mbuf_from_pbuf(pool, pbuf));
    assert_int_equal(pbuf->ref, 1);
    rte_pktmbuf_free_bulk(all, MBUFS);
    pbuf_free(pbuf);
}

static void test_a_chain_larger_than_a_buffer_is_refused(void **state) {
    struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, 4000, PBUF_RAM);

    (void)state;
    assert_null(mbuf_from_pbuf(pool, pbuf));
    pbuf_free(pbuf);
}

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_received_packet_is_lent_without_a_copy, set_up,
                                        nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_the_mbuf_returns_only_with_the_last_reference, set_up,
                                        nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_segments_become_a_chain_and_return_one_by_one, set_up,
                                        nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_beyond_the_limit_packets_are_copied_and_the_mbuf_is_free_at_once,
                                        set_up, nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_an_empty_packet_is_freed, set_up, nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_a_chain_is_sent_as_one_mbuf, set_up, nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_without_a_free_mbuf_nothing_is_sent_and_the_pbuf_stays, set_up,
                                        nothing_is_lent),
        cmocka_unit_test_setup_teardown(test_a_chain_larger_than_a_buffer_is_refused, set_up,
                                        nothing_is_lent),
    };

    (void)argc;
    start_eal(argv[0], "net_null", 1);
    lwip_init();
    pool = rte_pktmbuf_pool_create("test", MBUFS, 0, mbuf_pbuf_private_size(), RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    return pool == NULL ? EXIT_FAILURE : cmocka_run_group_tests(tests, NULL, NULL);
}
