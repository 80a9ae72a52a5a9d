/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes and ends under attack (stack/patches/obligations/, 0010 to 0019), seen from outside of lwIP.
 * Every test runs with all optimisations and with none. */
#include "lwip_client.h"

#include "lwip/memp.h"
#include "lwip/syn_cookie.h"

#define BACKLOG 10
#define BODY "response"

static struct tcp_pcb_listen *listener;
static char received[64];

static void listen_full(void) {
    listener = (struct tcp_pcb_listen *)listen_with(BACKLOG);
    for (uint16_t i = 0; i < BACKLOG; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
    }
    assert_int_equal(listener->accepts_pending, BACKLOG);
    assert_int_equal(syn_acks, BACKLOG);
    syn_cookie_counters = (struct syn_cookie_counters){0};
}

static size_t connections(void) {
    size_t count = 0;

    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        count++;
    }
    return count;
}

static void pass(unsigned seconds) {
    for (unsigned i = 0; i < 4 * seconds; i++) {
        tcp_tmr();
    }
}

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    (void)error;
    if (data != NULL) {
        pbuf_copy_partial(data, received, sizeof(received) - 1, 0);
        tcp_recved(pcb, data->tot_len);
        pbuf_free(data);
    }
    return ERR_OK;
}

static err_t accept_and_read(void *argument, struct tcp_pcb *pcb, err_t error) {
    tcp_recv(pcb, on_receive);
    memset(received, 0, sizeof(received));
    return on_accept(argument, pcb, error);
}

/* --- SYN cookies --------------------------------------------------------------------------------------- */

static void test_obligations_0010_a_full_backlog_answers_and_forgets_nobody(void **state) {
    uint32_t oldest, first = 0;

    (void)state;
    listener = (struct tcp_pcb_listen *)listen_with(BACKLOG);
    inject(10000, 1, 0, TCP_SYN);
    oldest = last_sequence;
    for (uint16_t i = 1; i < BACKLOG; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
    }
    syn_cookie_counters = (struct syn_cookie_counters){0};
    for (uint16_t i = 0; i < 1000; i++) {
        inject((uint16_t)(20000 + i), 1, 0, TCP_SYN);
        first = i == 0 ? last_sequence : first;
    }
    assert_int_equal(syn_acks, BACKLOG + 1000);
    assert_int_equal(syn_cookie_counters.sent, 1000);
    assert_int_equal(connections(), BACKLOG);
    assert_int_equal(listener->accepts_pending, BACKLOG);
    assert_int_equal(listener->syn_dropped, 0);
    inject(20000, 2, first + 1, TCP_ACK);
    assert_non_null(accepted);
    assert_int_equal(accepted->remote_port, 20000);
    assert_int_equal(accepted->state, ESTABLISHED);
    assert_int_equal(listener->accepts_pending, BACKLOG);
    inject(10000, 2, oldest + 1, TCP_ACK);
    assert_int_equal(accepted->remote_port, 10000);
    assert_int_equal(syn_cookie_counters.accepted, 1);
    assert_int_equal(resets, 0);
}

static void test_obligations_0010_a_connection_by_a_cookie_is_one(void **state) {
    static const uint8_t options[] = {2, 4, 1300 >> 8, 1300 & 0xff, 3, 3, 7, 1};
    struct content syn = {.options = options, .options_size = sizeof(options)};
    struct content request = {.data = "request", .data_size = 7};
    uint32_t next;

    (void)state;
    listen_full();
    tcp_accept((struct tcp_pcb *)listener, accept_and_read);
    inject_content(CLIENT_ADDRESS, 20000, SERVER_PORT, 1, 0, TCP_SYN, syn);
    next = last_sequence + 1;
    /* the bare ACK is lost, and the request brings the cookie back */
    inject_content(CLIENT_ADDRESS, 20000, SERVER_PORT, 2, next, TCP_ACK | TCP_PSH, request);
    assert_non_null(accepted);
    assert_string_equal(received, "request");
    assert_int_equal(accepted->rcv_nxt, 9);
    assert_int_equal(accepted->mss, 1300);
    assert_int_equal(accepted->flags & TF_WND_SCALE, 0);
    assert_int_equal(accepted->snd_wnd, 60000);
    assert_in_range(accepted->rcv_wnd, 1, UINT16_MAX);
    assert_int_equal(tcp_write(accepted, BODY, sizeof(BODY) - 1, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    assert_int_equal(data_segments, 1);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    assert_int_equal(fins, 1);
    next += sizeof(BODY) - 1 + 1;
    inject(20000, 9, next, TCP_ACK | TCP_FIN);
    assert_int_equal(tcp_tw_pcbs->remote_port, 20000);
}

static void test_obligations_0010_nothing_else_is_a_cookie(void **state) {
    uint32_t cookie;

    (void)state;
    listen_full();
    inject(20000, 1, 0, TCP_SYN);
    cookie = last_sequence + 1;
    for (unsigned bit = 2; bit < 32; bit++) { /* less is another MSS */
        inject(20000, 2, cookie ^ (1U << bit), TCP_ACK);
        inject(20000, 2 ^ (1U << bit), cookie, TCP_ACK);
    }
    inject(20001, 2, cookie, TCP_ACK);
    inject_from(CLIENT_ADDRESS + 1, 20000, SERVER_PORT, 2, cookie, TCP_ACK);
    assert_null(accepted);
    assert_int_equal(resets, 62);
    assert_int_equal(syn_cookie_counters.refused, 62);
    inject(20000, 2, cookie, TCP_ACK | TCP_SYN);
    inject(20000, 2, cookie, TCP_ACK | TCP_RST);
    assert_null(accepted);
    assert_int_equal(resets, 63);
    assert_int_equal(connections(), BACKLOG);
    inject(20000, 2, cookie, TCP_ACK);
    assert_non_null(accepted);
}

static void test_obligations_0010_a_cookie_grows_old(void **state) {
    uint32_t cookie;

    (void)state;
    listen_full();
    inject(20000, 1, 0, TCP_SYN);
    cookie = last_sequence + 1;
    pass(59);
    inject(20000, 2, cookie, TCP_ACK);
    assert_non_null(accepted);
    tcp_abort(accepted);
    accepted = NULL;
    pass(61);
    inject(20000, 2, cookie, TCP_ACK);
    assert_null(accepted);
}

static void test_obligations_0010_without_a_flood_no_ack_is_looked_at(void **state) {
    (void)state;
    syn_cookie_counters = (struct syn_cookie_counters){0};
    listen_with(BACKLOG);
    inject(20000, 2,
           syn_cookie_make(&(struct syn_cookie_flow){lwip_htonl(SERVER_ADDRESS), lwip_htonl(CLIENT_ADDRESS),
                                                     SERVER_PORT, 20000},
                           1, 1460, tcp_ticks) +
               1,
           TCP_ACK);
    assert_null(accepted);
    assert_int_equal(resets, 1);
    assert_int_equal(syn_cookie_counters.refused, 0);
}

static err_t accept_later(void *argument, struct tcp_pcb *pcb, err_t error) {
    tcp_backlog_delayed(pcb);
    return on_accept(argument, pcb, error);
}

static void test_obligations_0010_a_backlog_that_nobody_accepts_stays_bounded(void **state) {
    uint32_t cookies[3 * BACKLOG];

    (void)state;
    listen_full();
    tcp_accept((struct tcp_pcb *)listener, accept_later);
    for (uint16_t i = 0; i < 3 * BACKLOG; i++) {
        inject((uint16_t)(20000 + i), 1, 0, TCP_SYN);
        cookies[i] = last_sequence + 1;
    }
    /* who answers takes the place of who has not, until all have answered */
    for (uint16_t i = 0; i < 3 * BACKLOG; i++) {
        inject((uint16_t)(20000 + i), 2, cookies[i], TCP_ACK);
        assert_int_equal(listener->accepts_pending, BACKLOG);
    }
    assert_int_equal(connections(), BACKLOG);
    assert_int_equal(syn_cookie_counters.accepted, BACKLOG);
    assert_int_equal(listener->syn_dropped, 2 * BACKLOG);
    assert_int_equal(resets, 0);
    syn_acks = 0;
    inject(30000, 1, 0, TCP_SYN);
    assert_int_equal(syn_acks, 0);
    /* there is a place again, and the client has sent again */
    tcp_backlog_accepted(accepted);
    inject(20000 + 2 * BACKLOG, 2, cookies[2 * BACKLOG], TCP_ACK);
    assert_int_equal(accepted->remote_port, 20000 + 2 * BACKLOG);
}

static void test_obligations_0010_what_is_in_time_wait_begins_beyond(void **state) {
    uint32_t used;

    (void)state;
    listener = (struct tcp_pcb_listen *)listen_with(BACKLOG);
    inject(20000, 1, 0, TCP_SYN);
    inject(20000, 2, last_sequence + 1, TCP_ACK);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    inject(20000, 2, last_sequence + 2, TCP_ACK | TCP_FIN);
    used = tcp_tw_pcbs->snd_nxt += 1U << 30;
    for (uint16_t i = 0; i < BACKLOG; i++) {
        inject((uint16_t)(10000 + i), 1, 0, TCP_SYN);
    }
    syn_cookie_counters = (struct syn_cookie_counters){0};
    inject(20000, 1000, 0, TCP_SYN);
    assert_int_equal(syn_cookie_counters.sent, 0);
    assert_true(TCP_SEQ_GT(last_sequence, used));
    assert_int_equal(listener->accepts_pending, BACKLOG);
}

/* --- orphans ------------------------------------------------------------------------------------------- */

static const uint32_t orphans_default = MEMP_NUM_TCP_PCB / 4;

/* The server has accepted a connection from that port, written if asked to, and closed. The client says
 * nothing. */
static void leave_orphan(uint16_t source, bool with_data) {
    uint32_t before = tcp_orphan_counters.count;

    inject(source, 1, 0, TCP_SYN);
    inject(source, 2, last_sequence + 1, TCP_ACK);
    assert_int_equal(accepted->remote_port, source);
    if (with_data) {
        assert_int_equal(tcp_write(accepted, BODY, sizeof(BODY) - 1, 0), ERR_OK);
    }
    assert_int_equal(tcp_close(accepted), ERR_OK);
    assert_in_range(tcp_orphan_counters.count, before, before + 1);
}

static struct tcp_pcb *find(uint16_t source) {
    struct tcp_pcb *pcb = tcp_active_pcbs;

    while (pcb != NULL && pcb->remote_port != source) {
        pcb = pcb->next;
    }
    return pcb;
}

static void test_obligations_0011_an_orphan_gives_way_to_a_new_connection(void **state) {
    static void *held[MEMP_NUM_TCP_PCB];
    size_t count = 0;

    (void)state;
    listen_with(BACKLOG);
    leave_orphan(20000, true); /* FIN-WAIT-1 */
    leave_orphan(20001, false);
    inject(20001, 2, last_sequence + 2, TCP_ACK); /* FIN-WAIT-2 */
    assert_int_equal(find(20000)->state, FIN_WAIT_1);
    assert_int_equal(find(20001)->state, FIN_WAIT_2);
    while ((held[count] = memp_malloc(MEMP_TCP_PCB)) != NULL) {
        count++;
    }
    tcp_orphan_counters.given_up = 0;
    inject(20002, 1, 0, TCP_SYN);
    assert_non_null(find(20002));
    assert_null(find(20000));
    assert_int_equal(resets, 1); /* it has not got all */
    inject(20003, 1, 0, TCP_SYN);
    assert_non_null(find(20003));
    assert_null(find(20001));
    assert_int_equal(resets, 1);
    assert_int_equal(tcp_orphan_counters.given_up, 2);
    assert_int_equal(tcp_orphan_counters.count, 0);
    while (count > 0) {
        memp_free(MEMP_TCP_PCB, held[--count]);
    }
}

static void test_obligations_0011_there_is_a_limit_to_orphans(void **state) {
    (void)state;
    listen_with(BACKLOG);
    tcp_orphan_counters.limit = 3;
    tcp_orphan_counters.given_up = 0;
    for (uint16_t i = 0; i < 5; i++) {
        leave_orphan((uint16_t)(20000 + i), true);
    }
    tcp_orphan_counters.limit = orphans_default;
    assert_int_equal(tcp_orphan_counters.count, 3);
    assert_int_equal(tcp_orphan_counters.given_up, 2);
    assert_int_equal(resets, 2);
    assert_null(find(20000));
    assert_null(find(20001));
    for (uint16_t i = 2; i < 5; i++) {
        assert_non_null(find((uint16_t)(20000 + i)));
    }
}

/* How many seconds the only connection lives on; 1,000 at the most. */
static unsigned seconds_left(void) {
    unsigned seconds = 0;

    for (; tcp_active_pcbs != NULL && seconds < 1000; seconds++) {
        pass(1);
    }
    return seconds;
}

static void test_obligations_0011_an_orphan_without_an_answer_ends(void **state) {
    (void)state;
    listen_with(BACKLOG);
    leave_orphan(20000, true);
    data_segments = 0;
    assert_in_range(seconds_left(), 30, 320);
    assert_int_equal(data_segments, TCP_ORPHAN_RETRIES);
    assert_int_equal(tcp_orphan_counters.count, 0);
}

static void test_obligations_0011_what_has_an_application_is_given_more_time(void **state) {
    (void)state;
    listen_with(BACKLOG);
    inject(20000, 1, 0, TCP_SYN);
    inject(20000, 2, last_sequence + 1, TCP_ACK);
    assert_int_equal(tcp_write(accepted, BODY, sizeof(BODY) - 1, 0), ERR_OK);
    assert_int_equal(tcp_shutdown(accepted, 0, 1), ERR_OK);
    assert_int_equal(tcp_orphan_counters.count, 0);
    assert_in_range(seconds_left(), 201, 1000);
}

static void test_obligations_0011_a_closed_window_does_not_keep_an_orphan(void **state) {
    unsigned seconds;

    (void)state;
    listen_with(BACKLOG);
    inject(20000, 1, 0, TCP_SYN);
    inject_content(CLIENT_ADDRESS, 20000, SERVER_PORT, 2, last_sequence + 1, TCP_ACK,
                   (struct content){.closed = true});
    assert_int_equal(tcp_write(accepted, BODY, sizeof(BODY) - 1, 0), ERR_OK);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    /* each second the peer answers, whether it is probed or not */
    for (seconds = 0; tcp_active_pcbs != NULL && seconds < 1000; seconds++) {
        pass(1);
        if (tcp_active_pcbs != NULL) {
            inject_content(CLIENT_ADDRESS, 20000, SERVER_PORT, 2, last_sequence + 1, TCP_ACK,
                           (struct content){.closed = true});
        }
    }
    assert_in_range(seconds, 10, 220);
}

static void test_obligations_0011_who_ends_well_is_counted_no_more(void **state) {
    (void)state;
    listen_with(BACKLOG);
    /* it closes first: FIN-WAIT-1, CLOSING or FIN-WAIT-2, TIME-WAIT */
    leave_orphan(20000, false);
    assert_int_equal(tcp_orphan_counters.count, 1);
    inject(20000, 2, last_sequence + 1, TCP_ACK | TCP_FIN);
    assert_int_equal(find(20000)->state, CLOSING);
    inject(20000, 3, last_sequence + 2, TCP_ACK);
    assert_int_equal(tcp_orphan_counters.count, 0);
    assert_int_equal(tcp_tw_pcbs->remote_port, 20000);
    leave_orphan(20001, false);
    inject(20001, 2, last_sequence + 2, TCP_ACK);
    assert_int_equal(tcp_orphan_counters.count, 1);
    inject(20001, 2, last_sequence + 2, TCP_ACK | TCP_FIN);
    assert_int_equal(tcp_orphan_counters.count, 0);
    assert_int_equal(tcp_tw_pcbs->remote_port, 20001);
    /* the client does: LAST-ACK */
    inject(20002, 1, 0, TCP_SYN);
    inject(20002, 2, last_sequence + 1, TCP_ACK);
    tcp_recv(accepted, on_receive);
    inject(20002, 2, last_sequence + 1, TCP_ACK | TCP_FIN);
    assert_int_equal(tcp_shutdown(accepted, 0, 1), ERR_OK);
    assert_int_equal(tcp_orphan_counters.count, 0);
    assert_int_equal(tcp_close(accepted), ERR_OK);
    assert_int_equal(tcp_orphan_counters.count, 1);
    inject(20002, 3, last_sequence + 2, TCP_ACK);
    assert_null(find(20002));
    assert_int_equal(tcp_orphan_counters.count, 0);
    /* and a reset */
    leave_orphan(20003, false);
    inject(20003, 2, 0, TCP_RST);
    assert_int_equal(tcp_orphan_counters.count, 0);
}

/* --- strangers ----------------------------------------------------------------------------------------- */

static void test_obligations_0012_a_flood_of_strangers_is_not_answered_with_one(void **state) {
    (void)state;
    listen_with(BACKLOG);
    pass(1);
    for (unsigned i = 0; i < 2 * TCP_STRANGERS_RESET; i++) {
        inject_from(CLIENT_ADDRESS, 20000, SERVER_PORT + 1, i, 1, TCP_ACK);
        inject(20000, i, 1, TCP_ACK);
    }
    assert_int_equal(resets, TCP_STRANGERS_RESET);
    pass(1);
    inject_from(CLIENT_ADDRESS, 20000, SERVER_PORT + 1, 1, 0, TCP_SYN);
    inject(20000, 1, 1, TCP_ACK);
    assert_int_equal(resets, TCP_STRANGERS_RESET + 2);
}

static void test_obligations_0012_a_syn_with_fin_opens_nothing(void **state) {
    (void)state;
    listen_with(BACKLOG);
    inject(20000, 1, 0, TCP_SYN | TCP_FIN);
    inject(20000, 1, 0, TCP_SYN | TCP_FIN | TCP_PSH | TCP_URG);
    assert_int_equal(syn_acks + resets, 0);
    assert_null(tcp_active_pcbs);
}

/* --- a SYN-ACK that is lost ---------------------------------------------------------------------------- */

static void test_obligations_0013_a_syn_ack_is_sent_again_after_a_second(void **state) {
    /* Of a second; by walking over all connections half a second later. */
    static const unsigned by_deadline[][2] = {{4, 1},  {5, 2},  {12, 2}, {13, 3},
                                              {28, 3}, {29, 4}, {61, 5}, {80, 5}};
    static const unsigned by_walking[][2] = {{3, 1},  {6, 2},  {11, 2}, {18, 3},
                                             {33, 3}, {42, 4}, {79, 4}, {80, 4}};
    const unsigned(*quarters)[2] = feature_on(FEATURE_TIMERS) ? by_deadline : by_walking;
    unsigned now = 0;

    (void)state;
    listen_with(BACKLOG);
    inject(20000, 1, 0, TCP_SYN);
    for (size_t i = 0; i < sizeof(by_deadline) / sizeof(by_deadline[0]); i++) {
        for (; now < quarters[i][0]; now++) {
            tcp_tmr();
        }
        assert_int_equal(syn_acks, quarters[i][1]);
    }
    pass(2);
    assert_null(tcp_active_pcbs);
    assert_int_equal(syn_acks, feature_on(FEATURE_TIMERS) ? 5 : 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_obligations_0010_a_full_backlog_answers_and_forgets_nobody),
        TEST(test_obligations_0010_a_connection_by_a_cookie_is_one),
        TEST(test_obligations_0010_nothing_else_is_a_cookie),
        TEST(test_obligations_0010_a_cookie_grows_old),
        TEST(test_obligations_0010_without_a_flood_no_ack_is_looked_at),
        TEST(test_obligations_0010_a_backlog_that_nobody_accepts_stays_bounded),
        TEST(test_obligations_0010_what_is_in_time_wait_begins_beyond),
        TEST(test_obligations_0011_an_orphan_gives_way_to_a_new_connection),
        TEST(test_obligations_0011_there_is_a_limit_to_orphans),
        TEST(test_obligations_0011_an_orphan_without_an_answer_ends),
        TEST(test_obligations_0011_what_has_an_application_is_given_more_time),
        TEST(test_obligations_0011_a_closed_window_does_not_keep_an_orphan),
        TEST(test_obligations_0011_who_ends_well_is_counted_no_more),
        TEST(test_obligations_0012_a_flood_of_strangers_is_not_answered_with_one),
        TEST(test_obligations_0012_a_syn_with_fin_opens_nothing),
        TEST(test_obligations_0013_a_syn_ack_is_sent_again_after_a_second),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
