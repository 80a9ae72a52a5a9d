/* SPDX-License-Identifier: BSD-3-Clause */
/* What one connection may have of what all share: lwip/tcp_budget.c and the patches that ask it. Every test
 * runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/input_queue.h"
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

static struct pbuf *segment_of(const uint8_t *bytes, uint16_t size) {
    struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);

    assert_non_null(pbuf);
    memcpy(pbuf->payload, bytes, size);
    return pbuf;
}

static unsigned buffers_of(const struct input_queue *queue) {
    const struct pbuf *at = queue->last;
    unsigned count = 0;

    do {
        count += at != NULL;
    } while (at != NULL && (at = at->next) != queue->last);
    return count;
}

static void test_input_comes_out_as_it_came(void **state) {
    static uint8_t bytes[300000];
    struct input_queue queue = {0};
    size_t in = 0, out = 0;

    (void)state;
    srand(1);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)rand();
    }
    while (out < sizeof(bytes)) {
        size_t drawn = (size_t)(rand() % 2 ? 1 + rand() % 30 : 1 + rand() % 1460);
        size_t size = LWIP_MIN(sizeof(bytes) - in, drawn);
        const struct pbuf *first;

        if (size > 0) {
            struct pbuf *chain = segment_of(bytes + in, (uint16_t)size);

            in += size;
            if (in < sizeof(bytes) && rand() % 4 == 0) {
                pbuf_cat(chain, segment_of(bytes + in++, 1));
            }
            input_queue_add(&queue, chain);
        }
        while ((first = input_queue_first(&queue)) != NULL && (rand() % 2 || in == sizeof(bytes))) {
            uint16_t length = (uint16_t)(1 + rand() % first->len);

            assert_memory_equal(first->payload, bytes + out, length);
            out += length;
            input_queue_read(&queue, length);
        }
    }
    assert_null(queue.last);
}

/* More bytes than tot_len could tell, in buffers that are full. */
static void test_single_bytes_share_a_buffer(void **state) {
    struct input_queue queue = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        input_queue_add(&queue, segment_of((const uint8_t *)"x", 1));
    }
    assert_in_range(buffers_of(&queue), 66, 68);
    assert_int_equal(input_queue_clear(&queue), 100000);
}

/* What a program holds that reads nothing. */
static struct input_queue unread[CONNECTIONS];

static err_t on_unread(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)pcb;
    assert_int_equal(error, ERR_OK);
    input_queue_add(argument, data);
    return ERR_OK;
}

/* A full segment with data. */
static void inject_data(struct tcp_pcb *pcb, uint32_t sequence) {
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, IP_HLEN + TCP_HLEN + TCP_MSS, PBUF_RAM);
    struct ip_hdr *ip = packet->payload;
    struct tcp_hdr *tcp = (struct tcp_hdr *)(ip + 1);

    memset(packet->payload, 0, packet->len);
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons(packet->tot_len));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = lwip_htonl(CLIENT_ADDRESS);
    ip->dest.addr = lwip_htonl(SERVER_ADDRESS);
    tcp->src = lwip_htons(pcb->remote_port);
    tcp->dest = lwip_htons(SERVER_PORT);
    tcp->seqno = lwip_htonl(sequence);
    tcp->ackno = lwip_htonl(pcb->snd_nxt);
    tcp->wnd = lwip_htons(60000);
    TCPH_HDRLEN_FLAGS_SET(tcp, 5, TCP_ACK);
    assert_int_equal(netif.input(packet, &netif), ERR_OK);
}

static struct tcp_pcb *establish_unread(unsigned i) {
    struct tcp_pcb *pcb = establish();

    unread[i] = (struct input_queue){0};
    tcp_arg(pcb, &unread[i]);
    tcp_recv(pcb, on_unread);
    return pcb;
}

static void test_unread_input_has_an_end_for_all_together(void **state) {
    unsigned most = 2000, held = 0;
    struct tcp_pcb *last;
    uint32_t expected;

    (void)state;
    if (!feature_on(FEATURE_POOLS)) {
        skip(); /* lwIP's heap ends before */
    }
    for (unsigned i = 0; i < most; i++) {
        struct tcp_pcb *pcb = establish_unread(i);
        uint32_t edge = pcb->rcv_ann_right_edge;

        for (unsigned segment = 0; segment < 60000 / TCP_MSS; segment++) {
            inject_data(pcb, pcb->rcv_nxt);
            assert_true(TCP_SEQ_GEQ(pcb->rcv_nxt + pcb->rcv_ann_wnd, edge)); /* never shrinks */
            edge = pcb->rcv_ann_right_edge;
        }
        held += buffers_of(&unread[i]);
        assert_true(buffers_of(&unread[i]) >= 1);
    }
    assert_in_range(held, TCP_BUDGET_INPUT / 2, TCP_BUDGET_INPUT + 2 * most);
    assert_true(tcp_budget_counters.input > 0);
    assert_false(tcp_budget_is_ample());

    /* Who reads is served, and gets out-of-order data too. */
    last = establish_unread(most);
    for (unsigned i = 0; i < 100; i++) {
        expected = last->rcv_nxt + TCP_MSS;
        inject_data(last, last->rcv_nxt);
        assert_int_equal(last->rcv_nxt, expected);
        tcp_recved(last, (uint16_t)input_queue_clear(&unread[most]));
    }
    for (unsigned i = 0; i < most; i++) {
        (void)input_queue_clear(&unread[i]);
    }
    assert_true(tcp_budget_is_ample());
}

static void test_out_of_order_data_counts_as_input_and_gives_it_back(void **state) {
    uint32_t before;
    struct tcp_pcb *pcb;

    (void)state;
    pcb = establish_unread(0);
    tcp_budget_hold_input(TCP_BUDGET_INPUT - 800); /* of others: a hundred segments for one */
    before = tcp_budget_unread;
    for (unsigned i = 1; i < 20; i++) {
        inject_data(pcb, pcb->rcv_nxt + 2 * i * TCP_MSS);
    }
    assert_true(tcp_budget_unread < before);
    tcp_budget_hold_input(784);
    inject_data(pcb, pcb->rcv_nxt + 42 * TCP_MSS);
    assert_int_equal(tcp_budget_counters.out_of_order, 1);
    assert_null(pcb->ooseq);
    tcp_budget_hold_input(-(TCP_BUDGET_INPUT - 16));
    assert_true(tcp_budget_is_ample());
    inject_data(pcb, pcb->rcv_nxt + TCP_MSS);
    assert_non_null(pcb->ooseq);
    inject_data(pcb, pcb->rcv_nxt);
    assert_null(pcb->ooseq);
    (void)input_queue_clear(&unread[0]);
    tcp_abort(pcb);
    tcp_budget_hold_input(0);
    assert_int_equal(tcp_budget_unread, TCP_BUDGET_INPUT / 8 * TCP_MSS);
}

static void test_a_window_that_was_closed_is_told_when_a_segment_has_room(void **state) {
    struct tcp_pcb *pcb = establish_unread(0);
    unsigned before;

    (void)state;
    for (unsigned i = 0; i <= TCPWND_MIN16(TCP_WND) / TCP_MSS; i++) {
        inject_data(pcb, pcb->rcv_nxt);
    }
    assert_int_equal(pcb->rcv_ann_wnd, 0);
    before = acknowledgements;
    tcp_recved(pcb, 1);
    tcp_recved(pcb, 100);
    assert_int_equal(acknowledgements, before); /* a silly window */
    tcp_recved(pcb, TCP_MSS);
    assert_int_equal(acknowledgements, before + 1);
    (void)input_queue_clear(&unread[0]);
}

static void test_tiny_windows_make_no_tiny_segments(void **state) {
    static const char answer[1000];
    struct tcp_pcb *pcb = establish();

    (void)state;
    pcb->snd_wnd = pcb->snd_wnd_max = 2;
    assert_int_equal(tcp_write(pcb, answer, sizeof(answer), 0), ERR_OK);
    assert_int_equal(pcb->unsent->len, TCP_BUDGET_SMALLEST);
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
        TEST(test_input_comes_out_as_it_came),
        TEST(test_single_bytes_share_a_buffer),
        TEST(test_unread_input_has_an_end_for_all_together),
        TEST(test_out_of_order_data_counts_as_input_and_gives_it_back),
        TEST(test_a_window_that_was_closed_is_told_when_a_segment_has_room),
        TEST(test_tiny_windows_make_no_tiny_segments),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), reserve);
}
