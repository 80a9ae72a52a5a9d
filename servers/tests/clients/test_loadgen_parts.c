/* SPDX-License-Identifier: BSD-3-Clause */
/* The pure parts of the load generator: histogram, flows, order and queue, templates, reading of segments,
 * ARP, and the wheel of deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "common/histogram.h"
#include "loadgen/deadlines.h"
#include "loadgen/flows.h"
#include "loadgen/tcp/arp.h"
#include "loadgen/tcp/segment.h"
#include "loadgen/tcp/template.h"
#include "loadgen/turns.h"

static uint64_t seed = 88172645463325252u;

/* xorshift64 */
static uint64_t any(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* --- histogram ---------------------------------------------------------------------------------------- */

static void test_a_bucket_is_its_values_to_three_digits(void **state) {
    uint32_t before = 0;

    (void)state;
    for (uint64_t value = 0; value <= HISTOGRAM_MAX; value += value / 3000 + 1) {
        uint32_t bucket = histogram_bucket(value);
        double error = histogram_value(bucket) - (double)value;

        assert_in_range(bucket, before, before + 1); /* without gaps, and never back */
        assert_true(bucket < HISTOGRAM_BUCKETS);
        assert_true((error < 0 ? -error : error) <= (double)value / 2048);
        before = bucket;
    }
    assert_int_equal(histogram_bucket(HISTOGRAM_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* The plain model: all values, sorted. */
static void test_quantiles_are_those_of_the_values(void **state) {
    enum { COUNT = 20000 };
    struct histogram *histogram = malloc(sizeof(*histogram));
    uint64_t *values = malloc(COUNT * sizeof(*values));
    uint64_t seen = 0;

    (void)state;
    assert_non_null(histogram);
    assert_non_null(values);
    histogram_clear(histogram);
    for (int i = 0; i < COUNT; i++) {
        values[i] = any() >> (22 + any() % 40);
        histogram_add(histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(*values), ascending);
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        for (uint64_t i = 0; i < histogram->counts[bucket]; i++) {
            assert_int_equal(histogram_bucket(values[seen++]), bucket);
        }
    }
    assert_int_equal(seen, COUNT);
    free(values);
    free(histogram);
}

/* --- flows, order, queue ------------------------------------------------------------------------------ */

static void test_every_flow_has_one_address_and_port(void **state) {
    const struct flows flows = {.address = 0xc61200fe, .addresses = 3};

    (void)state;
    assert_int_equal(flow_address(&flows, 0), 0xc61200fe);
    assert_int_equal(flow_port(0), 1024);
    assert_int_equal(flow_port(FLOW_PORTS - 1), 65535);
    assert_int_equal(flow_address(&flows, FLOW_PORTS), 0xc61200ff);
    for (uint32_t flow = 0; flow < 3 * FLOW_PORTS; flow++) {
        assert_int_equal(flow_find(&flows, flow_address(&flows, flow), flow_port(flow)), flow);
    }
    assert_int_equal(flow_find(&flows, 0xc61200fd, 2000), FLOW_NONE);
    assert_int_equal(flow_find(&flows, 0xc6120101, 2000), FLOW_NONE);
    assert_int_equal(flow_find(&flows, 0xc61200fe, 1023), FLOW_NONE);
}

static void test_an_order_has_each_once_and_neighbours_far_apart(void **state) {
    static uint8_t seen[5000];

    (void)state;
    for (uint32_t count = 1; count <= sizeof(seen); count += count / 7 + 1) {
        struct order order;
        uint32_t last = 0;

        order_init(&order, count);
        for (int round = 1; round <= 2; round++) {
            for (uint32_t i = 0; i < count; i++) {
                uint32_t next = order_next(&order);

                assert_true(next < count);
                assert_true(i == 0 || count < 20 || next > last + 5 || last > next + 5);
                seen[next]++;
                last = next;
            }
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(seen[i], round);
            }
        }
        memset(seen, 0, sizeof(seen));
    }
}

static void test_a_queue_keeps_its_order(void **state) {
    struct queue queue;
    uint32_t pushed = 0, popped = 0;

    (void)state;
    assert_true(queue_init(&queue, 100));
    assert_int_equal(queue_peek(&queue, 0), QUEUE_EMPTY);
    for (int i = 0; i < 10000; i++) {
        if (any() % 2 == 0 && queue_count(&queue) < 100) {
            queue_push(&queue, pushed++);
        } else if (queue_count(&queue) > 0) {
            uint32_t ahead = (uint32_t)(any() % 100);

            assert_int_equal(queue_peek(&queue, ahead),
                             ahead < queue_count(&queue) ? popped + ahead : QUEUE_EMPTY);
            assert_int_equal(queue_pop(&queue), popped++);
        }
        assert_int_equal(queue_count(&queue), pushed - popped);
    }
    queue_free(&queue);
}

/* --- frames ------------------------------------------------------------------------------------------- */

static const struct template_ends ends = {
    .mac = {2, 0, 0, 0, 0, 1}, .server_mac = {2, 0, 0, 0, 0, 2}, .server = 0xc6120003, .server_port = 80};

/* A packet of these bytes, in one buffer. */
static struct rte_mbuf packet_of(void *bytes, uint16_t length) {
    return (struct rte_mbuf){.buf_addr = bytes, .data_len = length, .pkt_len = length, .nb_segs = 1};
}

static void assert_checksums_right(uint8_t *frame) {
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + sizeof(struct rte_ether_hdr));
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    uint16_t cksum = tcp->cksum;

    assert_int_equal(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
    tcp->cksum = 0;
    assert_int_equal(rte_ipv4_udptcp_cksum(ip, tcp) % 0xffff, cksum % 0xffff); /* two zeros */
    tcp->cksum = cksum;
}

static void test_a_written_template_is_read_as_what_it_says(void **state) {
    static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 3, 3, 4};
    static char payload[TEMPLATE_PAYLOAD_MAX];
    struct template template;
    _Alignas(16) uint8_t frame[TEMPLATE_MAX];

    (void)state;
    for (int i = 0; i < 2000; i++) {
        uint32_t flow = (uint32_t)any();
        struct template_values values = {.address = flow,
                                         .seq = (uint32_t)any(),
                                         .ack = (uint32_t)any(),
                                         .port = (uint16_t)any(),
                                         .window = (uint16_t)any()};
        size_t size = any() % (sizeof(payload) + 1), options_size = any() % 3 * 4;
        uint8_t flags = (uint8_t)(any() & 0x3f);
        struct segment segment;
        struct rte_mbuf packet;

        for (size_t j = 0; j < size; j++) {
            payload[j] = (char)any();
        }
        template_init(&template, &ends, flags, options, options_size, payload, size);
        memset(frame, 0xee, sizeof(frame));
        template_write(&template, frame, &values);
        assert_checksums_right(frame);
        packet = packet_of(frame, template.size);
        assert_int_equal(segment_read(&segment, &packet), SEGMENT_TCP);
        assert_int_equal(segment.source, values.address);
        assert_int_equal(segment.destination, ends.server);
        assert_int_equal(segment.source_port, values.port);
        assert_int_equal(segment.destination_port, 80);
        assert_int_equal(segment.seq, values.seq);
        assert_int_equal(segment.ack, values.ack);
        assert_int_equal(segment.flags, flags);
        assert_int_equal(segment.length, size);
        assert_int_equal(template.payload, size);
        assert_memory_equal(frame + segment.payload, payload, size);
        assert_memory_equal(frame, ends.server_mac, 6);
        assert_memory_equal(frame + 6, ends.mac, 6);
        assert_int_equal(segment_offers_scaling(&segment), options_size == 8);
    }
}

/* In a buffer that ends where the frame ends, so that a byte too many is found by ASan. */
static enum segment_kind read_exactly(const uint8_t *frame, uint16_t length) {
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    struct rte_mbuf packet = packet_of(bytes, length);
    struct segment segment;
    enum segment_kind kind;

    assert_non_null(bytes);
    memcpy(bytes, frame, length);
    kind = segment_read(&segment, &packet);
    if (kind == SEGMENT_TCP) {
        (void)segment_offers_scaling(&segment);
        assert_true(segment.payload + segment.length <= length);
    }
    free(bytes);
    return kind;
}

static void test_a_frame_cut_short_or_with_wrong_lengths_is_bad(void **state) {
    static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 3, 3, 4};
    const struct template_values values = {.address = 0xc6120001, .port = 1024};
    struct template template;
    _Alignas(16) uint8_t frame[TEMPLATE_MAX];

    (void)state;
    template_init(&template, &ends, RTE_TCP_SYN_FLAG, options, sizeof(options), "body", 4);
    template_write(&template, frame, &values);
    assert_int_equal(read_exactly(frame, template.size), SEGMENT_TCP);
    for (uint16_t length = 0; length < template.size; length++) {
        assert_int_equal(read_exactly(frame, length), SEGMENT_BAD);
    }
    /* Ethernet pads; what counts is what IP says. */
    assert_int_equal(read_exactly(frame, template.size + 6), SEGMENT_TCP);
    for (int i = 0; i < 20000; i++) {
        uint8_t damaged[TEMPLATE_MAX];

        memcpy(damaged, frame, sizeof(frame));
        for (int hits = 0; hits < 3; hits++) {
            damaged[12 + any() % (template.size - 12)] = (uint8_t)any();
        }
        (void)read_exactly(damaged, template.size);
    }
}

static void test_what_is_no_tcp_is_for_others(void **state) {
    const struct template_values values = {.address = 0xc6120001, .port = 1024};
    struct template template;
    _Alignas(16) uint8_t frame[TEMPLATE_MAX];
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + sizeof(struct rte_ether_hdr));

    (void)state;
    template_init(&template, &ends, RTE_TCP_ACK_FLAG, NULL, 0, NULL, 0);
    template_write(&template, frame, &values);
    ip->next_proto_id = IPPROTO_UDP;
    assert_int_equal(read_exactly(frame, template.size), SEGMENT_OTHER);
    ip->next_proto_id = IPPROTO_TCP;
    ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
    assert_int_equal(read_exactly(frame, template.size), SEGMENT_OTHER);
    frame[12] = 0x86; /* ether type of IPv6 */
    frame[13] = 0xdd;
    assert_int_equal(read_exactly(frame, template.size), SEGMENT_OTHER);
}

static void test_arp_is_read_as_it_was_written(void **state) {
    const struct arp written = {.operation = RTE_ARP_OP_REPLY,
                                .sender_mac = {2, 3, 4, 5, 6, 7},
                                .sender = 0xc6120001,
                                .target = 0xc6120003};
    uint8_t frame[ARP_FRAME];
    struct rte_mbuf packet = packet_of(frame, ARP_FRAME);
    struct arp arp = {0};

    (void)state;
    arp_write(frame, &written, ends.server_mac);
    assert_true(arp_read(&arp, &packet));
    assert_memory_equal(&arp, &written, sizeof(arp));
    assert_memory_equal(frame, ends.server_mac, 6);
    arp_write(frame, &written, NULL);
    assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff", 6);
    packet.data_len--;
    assert_false(arp_read(&arp, &packet));
    packet.data_len++;
    frame[21] = 9; /* an operation nobody knows */
    assert_false(arp_read(&arp, &packet));
    frame[21] = RTE_ARP_OP_REQUEST;
    frame[18] = 8; /* of hardware addresses that are none of Ethernet */
    assert_false(arp_read(&arp, &packet));
}

/* --- deadlines ---------------------------------------------------------------------------------------- */

enum { CONNECTIONS = 300 };

static struct connection connections[CONNECTIONS];
static struct deadlines wheel;

/* What the wheel promises: nothing early, and nothing later than the horizon after an older deadline. Here a
 * deadline is moved later or dropped, as requests do it, or set anew, so that the wheel is exact. */
static void test_deadlines_are_those_of_a_plain_model(void **state) {
    static struct {
        bool set;
        uint32_t due;
        uint32_t placed; /* the earliest moment at which the wheel may look at it */
    } model[CONNECTIONS];
    uint32_t now = UINT32_MAX - 5000; /* across the wrap */

    (void)state;
    memset(connections, 0, sizeof(connections));
    deadlines_init(&wheel, connections, now);
    for (int step = 0; step < 20000; step++) {
        uint32_t index = (uint32_t)(any() % CONNECTIONS), due = now + 1 + (uint32_t)(any() % 3000);
        unsigned budget = CONNECTIONS * 2;

        if (any() % 4 == 0) {
            deadlines_drop(&connections[index]);
            model[index].set = false;
        } else if (!model[index].set || (int32_t)(due - model[index].due) >= 0) {
            deadlines_set(&wheel, index, due);
            model[index].set = true;
            model[index].due = due;
        }
        now += (uint32_t)(any() % 5);
        while ((index = deadlines_next(&wheel, now, &budget)) != DEADLINES_NONE) {
            assert_true(model[index].set);
            assert_true((int32_t)(now - model[index].due) >= 0);
            model[index].set = false;
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            /* A place from before a drop may lie up to the horizon later than the new deadline. */
            assert_false(model[i].set && (int32_t)(now - model[i].due) > DEADLINES_HORIZON);
        }
    }
}

static void test_a_deadline_comes_on_its_millisecond(void **state) {
    (void)state;
    for (uint32_t ahead = 1; ahead < 3 * DEADLINES_HORIZON; ahead += 97) {
        unsigned budget = 1000;

        memset(connections, 0, sizeof(connections));
        deadlines_init(&wheel, connections, 7);
        deadlines_set(&wheel, 5, 7 + ahead);
        for (uint32_t now = 8; now < 7 + ahead; now++) {
            assert_int_equal(deadlines_next(&wheel, now, &budget), DEADLINES_NONE);
        }
        assert_int_equal(deadlines_next(&wheel, 7 + ahead, &budget), 5);
        assert_int_equal(deadlines_next(&wheel, 7 + ahead, &budget), DEADLINES_NONE);
        assert_true(budget >= 1000 - 1 - ahead / (DEADLINES_HORIZON - 1) - 1);
    }
}

static void test_an_idle_connection_is_not_looked_at(void **state) {
    unsigned budget = 1000;

    (void)state;
    memset(connections, 0, sizeof(connections));
    deadlines_init(&wheel, connections, 0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        deadlines_set(&wheel, i, 10);
        deadlines_drop(&connections[i]);
    }
    assert_int_equal(deadlines_next(&wheel, 20, &budget), DEADLINES_NONE);
    assert_int_equal(budget, 1000 - CONNECTIONS); /* each once more, */
    assert_int_equal(deadlines_next(&wheel, 100000, &budget), DEADLINES_NONE);
    assert_int_equal(budget, 1000 - CONNECTIONS); /* and then no more */
}

static void test_a_budget_is_kept_and_the_rest_comes_later(void **state) {
    unsigned budget = 10, found = 0;

    (void)state;
    memset(connections, 0, sizeof(connections));
    deadlines_init(&wheel, connections, 0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        deadlines_set(&wheel, i, 1 + i % 3);
    }
    while (deadlines_next(&wheel, 5, &budget) != DEADLINES_NONE) {
        found++;
    }
    assert_int_equal(found, 10);
    assert_int_equal(budget, 0);
    budget = 1000;
    while (deadlines_next(&wheel, 5, &budget) != DEADLINES_NONE) {
        found++;
    }
    assert_int_equal(found, CONNECTIONS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket_is_its_values_to_three_digits),
        cmocka_unit_test(test_quantiles_are_those_of_the_values),
        cmocka_unit_test(test_every_flow_has_one_address_and_port),
        cmocka_unit_test(test_an_order_has_each_once_and_neighbours_far_apart),
        cmocka_unit_test(test_a_queue_keeps_its_order),
        cmocka_unit_test(test_a_written_template_is_read_as_what_it_says),
        cmocka_unit_test(test_a_frame_cut_short_or_with_wrong_lengths_is_bad),
        cmocka_unit_test(test_what_is_no_tcp_is_for_others),
        cmocka_unit_test(test_arp_is_read_as_it_was_written),
        cmocka_unit_test(test_deadlines_are_those_of_a_plain_model),
        cmocka_unit_test(test_a_deadline_comes_on_its_millisecond),
        cmocka_unit_test(test_an_idle_connection_is_not_looked_at),
        cmocka_unit_test(test_a_budget_is_kept_and_the_rest_comes_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
