/* SPDX-License-Identifier: BSD-3-Clause */
/* What the load generator makes of a server's segments: handshake, answers whole, cut, repeated, overtaken,
 * wrong; closing, resets. The server here is a list of segments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_tcp.h>

#include "loadgen/tcp/connection.h"

#define BODY 20
#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
#define PATTERN "0000000\n0000001\n0000"
#define ANSWER HEAD PATTERN
#define REQUEST_SIZE 36
#define ISS 0xfffffff0u /* the numbers wrap within the first request */
#define IRS 0xffffffe0u

enum { ACK = RTE_TCP_ACK_FLAG, SYN = RTE_TCP_SYN_FLAG, FIN = RTE_TCP_FIN_FLAG, RST = RTE_TCP_RST_FLAG };

#define SIZE ((uint32_t)sizeof(ANSWER) - 1)
#define WHOLE (EVENT_ACKED | EVENT_RECEIVED | EVENT_ANSWERED)

static struct answer answer;
static struct connection connection;

static int set_up(void **state) {
    (void)state;
    answer_init(&answer, BODY);
    connection = (struct connection){.state = CONNECTION_OPENING, .una = ISS, .nxt = ISS + 1};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    answer_free(&answer);
    return 0;
}

/* A segment with a copy of `data`, `pieces` buffers long. */
static unsigned deliver_pieces(uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t length,
                               uint32_t pieces) {
    struct rte_mbuf *mbufs = calloc(pieces, sizeof(*mbufs));
    uint8_t **buffers = calloc(pieces, sizeof(*buffers));
    struct segment segment = {.packet = mbufs, .seq = seq, .ack = ack, .length = length, .flags = flags};
    uint32_t at = 0;
    unsigned events;

    assert_non_null(mbufs);
    assert_non_null(buffers);
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t size = i + 1 < pieces ? length / pieces : length - at;

        buffers[i] = malloc(size > 0 ? size : 1);
        assert_non_null(buffers[i]);
        if (size > 0) {
            memcpy(buffers[i], (const uint8_t *)data + at, size);
        }
        mbufs[i] = (struct rte_mbuf){.buf_addr = buffers[i], .data_len = (uint16_t)size, .pkt_len = length};
        mbufs[i].next = i + 1 < pieces ? &mbufs[i + 1] : NULL;
        at += size;
    }
    events = connection_input(&connection, &segment, &answer);
    for (uint32_t i = 0; i < pieces; i++) {
        free(buffers[i]);
    }
    free(buffers);
    free(mbufs);
    return events;
}

static unsigned deliver(uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t length) {
    return deliver_pieces(flags, seq, ack, data, length, 1);
}

static void stand(void) {
    assert_int_equal(deliver(SYN | ACK, IRS, ISS + 1, NULL, 0), EVENT_CONNECTED | EVENT_ACKED);
}

static void ask(void) {
    connection.flags |= CONNECTION_ASKED;
    connection.una = connection.nxt;
    connection.nxt += REQUEST_SIZE;
    connection.rcv_told = connection.rcv_nxt;
}

static void stand_and_ask(void) {
    stand();
    ask();
}

/* The next `length` bytes of an answer, acknowledging all. */
static unsigned continue_with(const char *data, uint32_t length) {
    return deliver(ACK, connection.rcv_nxt, connection.nxt, data, length);
}

static void test_a_handshake(void **state) {
    (void)state;
    assert_int_equal(deliver(SYN | ACK, IRS, ISS, NULL, 0), EVENT_STRAY);
    assert_int_equal(deliver(ACK, IRS, ISS + 2, NULL, 0), EVENT_STRAY);
    assert_int_equal(deliver(ACK, IRS, ISS + 1, NULL, 0), 0);
    assert_int_equal(deliver(SYN, IRS, 0, NULL, 0), 0);
    assert_int_equal(deliver(RST, IRS, 0, NULL, 0), 0); /* of nobody who has seen the SYN */
    assert_int_equal(connection.state, CONNECTION_OPENING);
    stand();
    assert_int_equal(connection.state, CONNECTION_STANDS);
    assert_int_equal(connection.rcv_nxt, IRS + 1);
    assert_true(connection.flags & CONNECTION_UNSCALED);
    /* our acknowledgement was lost */
    assert_int_equal(deliver(SYN | ACK, IRS, ISS + 1, NULL, 0), EVENT_ACK_OWED);
}

static void test_a_handshake_that_is_refused(void **state) {
    (void)state;
    assert_int_equal(deliver(RST | ACK, 0, ISS, NULL, 0), 0);
    assert_int_equal(deliver(RST | ACK, 0, ISS + 1, NULL, 0), EVENT_RESET);
}

static void test_answers_one_after_the_other(void **state) {
    (void)state;
    stand();
    for (int i = 0; i < 3; i++) {
        ask();
        assert_int_equal(continue_with(ANSWER, SIZE), WHOLE);
        assert_false(connection.flags & CONNECTION_ASKED);
        assert_int_equal(connection.received, 0);
    }
    assert_int_equal(connection.rcv_nxt, IRS + 1 + 3 * SIZE);
    assert_true(answer.keep_alive);
}

static void test_an_answer_in_any_two_segments(void **state) {
    (void)state;
    for (uint32_t cut = 1; cut < SIZE; cut++) {
        tear_down(state);
        set_up(state);
        stand();
        for (int i = 0; i < 2; i++) { /* learned, and compared */
            ask();
            assert_int_equal(continue_with(ANSWER, cut), EVENT_ACKED | EVENT_RECEIVED);
            assert_int_equal(connection.received, cut);
            assert_int_equal(continue_with(ANSWER + cut, SIZE - cut), EVENT_RECEIVED | EVENT_ANSWERED);
        }
    }
}

static void test_an_answer_in_any_number_of_buffers(void **state) {
    (void)state;
    stand();
    for (uint32_t pieces = 1; pieces <= SIZE + 3; pieces++) {
        if (pieces % 2 == 0) {
            answer_free(&answer);
            answer_init(&answer, BODY);
        }
        ask();
        assert_int_equal(deliver_pieces(ACK, connection.rcv_nxt, connection.nxt, ANSWER, SIZE, pieces),
                         WHOLE);
    }
}

static void test_every_wrong_byte_is_found(void **state) {
    uint32_t line = (uint32_t)strcspn(ANSWER, "\n") + 1;

    (void)state;
    for (uint32_t at = 0; at < SIZE; at++) {
        char wrong[] = ANSWER;
        unsigned expected = at < line ? EVENT_WRONG_STATUS : EVENT_WRONG_CONTENT;

        tear_down(state);
        set_up(state);
        stand_and_ask();
        assert_int_equal(continue_with(ANSWER, SIZE), WHOLE);
        ask();
        wrong[at] ^= 1;
        assert_int_equal(deliver_pieces(ACK, connection.rcv_nxt, connection.nxt, wrong, SIZE, 1 + at % 3),
                         EVENT_ACKED | expected);
    }
}

static void test_an_answer_that_goes_on_is_wrong(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(continue_with(ANSWER "x", SIZE + 1), EVENT_ACKED | EVENT_WRONG_CONTENT);
    tear_down(state);
    set_up(state);
    stand_and_ask();
    assert_int_equal(continue_with(ANSWER, SIZE), WHOLE);
    ask();
    assert_int_equal(continue_with(ANSWER "x", SIZE + 1), EVENT_ACKED | EVENT_WRONG_CONTENT);
}

static void test_an_answer_nobody_asked_for_is_wrong(void **state) {
    (void)state;
    stand();
    assert_int_equal(continue_with(ANSWER, SIZE), EVENT_WRONG_CONTENT);
}

static void test_first_answers_that_are_none(void **state) {
    static const struct {
        const char *bytes;
        unsigned event;
        const char *problem;
    } rows[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n", EVENT_WRONG_STATUS,
         "the first answer has status 404"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n", EVENT_WRONG_CONTENT,
         "the first answer has a body of 21 bytes, and --body-size is 20"},
        {"HTTP/1.1 200 OK\r\n\r\n", EVENT_WRONG_CONTENT, "the first answer has no Content-Length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", EVENT_WRONG_CONTENT,
         "the first answer has no Content-Length"},
        {"SSH-2.0-OpenSSH_9.2\r\n", EVENT_WRONG_STATUS, "the first answer is no HTTP: "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tear_down(state);
        set_up(state);
        stand_and_ask();
        assert_int_equal(continue_with(rows[i].bytes, (uint32_t)strlen(rows[i].bytes)),
                         EVENT_ACKED | rows[i].event);
        assert_int_equal(strncmp(answer.problem, rows[i].problem, strlen(rows[i].problem)), 0);
    }
}

static void test_a_head_without_end_is_wrong(void **state) {
    char line[1000];
    unsigned events = 0;

    (void)state;
    stand_and_ask();
    assert_int_equal(continue_with("HTTP/1.1 200 OK\r\n", 17), EVENT_ACKED | EVENT_RECEIVED);
    memset(line, 'x', sizeof(line));
    memcpy(line, "a: ", 3);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(events & EVENT_WRONG_CONTENT, 0);
        events = continue_with(line, sizeof(line));
    }
    events = continue_with(line, sizeof(line));
    assert_int_equal(events, EVENT_WRONG_CONTENT);
    assert_string_equal(answer.problem, "the first answer has a head of more than 8192 bytes");
}

static void test_a_gap_is_dropped_and_told(void **state) {
    uint32_t first;

    (void)state;
    stand_and_ask();
    first = connection.rcv_nxt;
    assert_int_equal(deliver(ACK, first + 10, connection.nxt, ANSWER + 10, SIZE - 10), EVENT_ACK_OWED);
    assert_int_equal(connection.rcv_nxt, first);
    assert_int_equal(connection.una, connection.nxt - REQUEST_SIZE); /* nothing of it is taken */
    assert_int_equal(deliver(ACK, first, connection.nxt, ANSWER, 10), EVENT_ACKED | EVENT_RECEIVED);
    assert_int_equal(deliver(ACK, first + 10, connection.nxt, ANSWER + 10, SIZE - 10),
                     EVENT_RECEIVED | EVENT_ANSWERED);
}

static void test_what_comes_again_is_told_and_its_new_part_taken(void **state) {
    uint32_t first;

    (void)state;
    stand_and_ask();
    first = connection.rcv_nxt;
    assert_int_equal(deliver(ACK, first, connection.nxt, ANSWER, 30), EVENT_ACKED | EVENT_RECEIVED);
    assert_int_equal(deliver(ACK, first, connection.nxt, ANSWER, 30), EVENT_ACK_OWED);
    assert_int_equal(deliver(ACK, first + 5, connection.nxt, ANSWER + 5, 10), EVENT_ACK_OWED);
    assert_int_equal(connection.received, 30);
    assert_int_equal(deliver_pieces(ACK, first, connection.nxt, ANSWER, SIZE, 7),
                     EVENT_RECEIVED | EVENT_ANSWERED);
    assert_int_equal(connection.rcv_nxt, first + SIZE);
    assert_int_equal(deliver(ACK, first, connection.nxt, ANSWER, SIZE), EVENT_ACK_OWED);
}

static void test_a_keep_alive_probe_is_answered(void **state) {
    (void)state;
    stand();
    assert_int_equal(deliver(ACK, connection.rcv_nxt - 1, connection.nxt, NULL, 0), EVENT_ACK_OWED);
    assert_int_equal(deliver(ACK, connection.rcv_nxt - 1, connection.nxt, "", 1), EVENT_ACK_OWED);
    assert_int_equal(connection.rcv_nxt, IRS + 1);
}

static void test_acknowledgements(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt + 1, NULL, 0), EVENT_ACK_OWED);
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.una - 1, NULL, 0), 0);
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.una, NULL, 0), 0);
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.una + 5, NULL, 0), 0); /* part of it */
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt, NULL, 0), EVENT_ACKED);
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt, NULL, 0), 0);
    assert_int_equal(connection.una, connection.nxt);
}

static void test_resets(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(deliver(RST, connection.rcv_nxt - 1, 0, NULL, 0), 0);
    assert_int_equal(deliver(RST, connection.rcv_nxt + 1, 0, NULL, 0),
                     EVENT_ACK_OWED); /* RFC 5961's challenge */
    assert_int_equal(deliver(RST, connection.rcv_nxt, 0, NULL, 0), EVENT_RESET);
    assert_int_equal(deliver(RST | ACK, connection.rcv_nxt, connection.nxt, NULL, 0), EVENT_RESET);
    assert_int_equal(deliver(0, connection.rcv_nxt, 0, ANSWER, SIZE), 0); /* without ACK it is nothing */
}

static void close_by_client(void) {
    connection.state = CONNECTION_CLOSING;
    connection.una = connection.nxt;
    connection.nxt++;
}

static void test_the_client_closes(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(continue_with(ANSWER, SIZE), WHOLE);
    close_by_client();
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt, NULL, 0), EVENT_ACKED);
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt, connection.nxt, NULL, 0),
                     EVENT_PEER_CLOSED | EVENT_CLOSED);
}

static void test_both_close_at_once(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(continue_with(ANSWER, SIZE), WHOLE);
    close_by_client();
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt, connection.nxt - 1, NULL, 0), EVENT_PEER_CLOSED);
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt - 1, connection.nxt - 1, NULL, 0), EVENT_ACK_OWED);
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt, NULL, 0), EVENT_ACKED | EVENT_CLOSED);
}

static void test_the_server_closes_with_its_answer(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt, connection.nxt, ANSWER, SIZE),
                     WHOLE | EVENT_PEER_CLOSED);
    assert_int_equal(connection.rcv_nxt, IRS + 1 + SIZE + 1);
    close_by_client();
    assert_int_equal(deliver(ACK, connection.rcv_nxt, connection.nxt, NULL, 0), EVENT_ACKED | EVENT_CLOSED);
}

static void test_the_server_closes_too_early(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt, connection.nxt, ANSWER, SIZE - 1),
                     EVENT_ACKED | EVENT_RECEIVED | EVENT_PEER_CLOSED);
    assert_true(connection.flags & CONNECTION_ASKED);
}

static void test_a_fin_behind_a_gap_is_dropped(void **state) {
    (void)state;
    stand_and_ask();
    assert_int_equal(deliver(FIN | ACK, connection.rcv_nxt + SIZE, connection.nxt, NULL, 0), EVENT_ACK_OWED);
    assert_false(connection.flags & CONNECTION_PEER_CLOSED);
}

/* A wire that cuts, repeats, overtakes and loses, and a server that sends again what is not acknowledged. */
static void test_a_bad_wire_changes_nothing(void **state) {
    uint32_t random = 12345;
    char stream[5 * (sizeof(ANSWER) - 1)];
    uint32_t answered = 0, base;

    (void)state;
    for (int i = 0; i < 5; i++) {
        memcpy(stream + i * SIZE, ANSWER, SIZE);
    }
    stand();
    base = connection.rcv_nxt;
    ask();
    for (int step = 0; step < 20000 && answered < 5; step++) {
        uint32_t sent = connection.rcv_nxt - base, from, length;
        unsigned events;

        random = random * 1664525 + 1013904223;
        from = sent + (random >> 8) % 40;
        from -= from < 20 ? from : 20; /* up to 20 before or behind what is expected */
        length = 1 + (random >> 20) % 30;
        if (from + length > (answered + 1) * SIZE) {
            continue; /* has not been asked for */
        }
        events = deliver(ACK, base + from, connection.nxt, stream + from, length);
        assert_int_equal(events & (EVENT_WRONG_STATUS | EVENT_WRONG_CONTENT | EVENT_RESET), 0);
        assert_int_equal(events & EVENT_RECEIVED ? 0 : EVENT_ACK_OWED, events & EVENT_ACK_OWED);
        if (events & EVENT_ANSWERED) {
            answered++;
            assert_int_equal(connection.rcv_nxt - base, answered * SIZE);
            ask();
        }
    }
    assert_int_equal(answered, 5);
}

#define CONNECTION_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(test_a_handshake),
        CONNECTION_TEST(test_a_handshake_that_is_refused),
        CONNECTION_TEST(test_answers_one_after_the_other),
        CONNECTION_TEST(test_an_answer_in_any_two_segments),
        CONNECTION_TEST(test_an_answer_in_any_number_of_buffers),
        CONNECTION_TEST(test_every_wrong_byte_is_found),
        CONNECTION_TEST(test_an_answer_that_goes_on_is_wrong),
        CONNECTION_TEST(test_an_answer_nobody_asked_for_is_wrong),
        CONNECTION_TEST(test_first_answers_that_are_none),
        CONNECTION_TEST(test_a_head_without_end_is_wrong),
        CONNECTION_TEST(test_a_gap_is_dropped_and_told),
        CONNECTION_TEST(test_what_comes_again_is_told_and_its_new_part_taken),
        CONNECTION_TEST(test_a_keep_alive_probe_is_answered),
        CONNECTION_TEST(test_acknowledgements),
        CONNECTION_TEST(test_resets),
        CONNECTION_TEST(test_the_client_closes),
        CONNECTION_TEST(test_both_close_at_once),
        CONNECTION_TEST(test_the_server_closes_with_its_answer),
        CONNECTION_TEST(test_the_server_closes_too_early),
        CONNECTION_TEST(test_a_fin_behind_a_gap_is_dropped),
        CONNECTION_TEST(test_a_bad_wire_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
