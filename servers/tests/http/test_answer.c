/* SPDX-License-Identifier: BSD-3-Clause */
/* What of an answer may change from one to the next: the time in its Date, and once that it is the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/answer.h"

#define DATE "Date: Mon, 30 Nov 2026 08:14:13 GMT\r\n"
#define LATER "Date: Tue, 01 Dec 2026 09:25:24 GMT\r\n"
#define LENGTH "Content-Length: 1\r\n"
#define KEEP "Connection: keep-alive\r\n"
#define CLOSE "Connection: close\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static enum answer_verdict check(struct answer *answer, const char *text) {
    return answer_check(answer, 0, (const uint8_t *)text, (uint32_t)strlen(text));
}

/* Judges `text` in two pieces, whichever they are. */
static void check_in_two(struct answer *answer, const char *text, enum answer_verdict expected) {
    uint32_t size = (uint32_t)strlen(text);

    for (uint32_t first = 0; first <= size; first++) {
        enum answer_verdict verdict = answer_check(answer, 0, (const uint8_t *)text, first);

        if (verdict == ANSWER_RIGHT) {
            verdict = answer_check(answer, first, (const uint8_t *)text + first, size - first);
        }
        assert_int_equal(verdict, expected);
    }
}

static struct answer *learned(const char *text) {
    struct answer *answer = malloc(sizeof(*answer));

    assert_non_null(answer);
    answer_init(answer, 1);
    assert_int_equal(check(answer, text), ANSWER_RIGHT);
    assert_int_equal(answer->size, strlen(text));
    return answer;
}

static void forget(struct answer *answer) {
    answer_free(answer);
    free(answer);
}

static void test_the_time_of_an_answer_may_be_another(void **state) {
    struct answer *answer = learned(OK "Server: x\r\n" DATE LENGTH "\r\n0");

    (void)state;
    check_in_two(answer, OK "Server: x\r\n" DATE LENGTH "\r\n0", ANSWER_RIGHT);
    check_in_two(answer, OK "Server: x\r\n" LATER LENGTH "\r\n0", ANSWER_RIGHT);
    check_in_two(answer, OK "Server: y\r\n" LATER LENGTH "\r\n0", ANSWER_WRONG_CONTENT);
    check_in_two(answer, OK "Server: x\r\n" LATER LENGTH "\r\n1", ANSWER_WRONG_CONTENT);
    check_in_two(answer, OK "Server: x\r\nData" LATER LENGTH "\r\n0", ANSWER_WRONG_CONTENT);
    check_in_two(answer, "HTTP/1.1 500 OK\r\nServer: x\r\n" LATER LENGTH "\r\n0", ANSWER_WRONG_STATUS);
    forget(answer);
}

static void test_names_of_fields_have_no_case(void **state) {
    struct answer *answer = learned(OK "dAtE:  Mon, 30 Nov 2026 08:14:13 GMT \r\n" LENGTH "\r\n0");

    (void)state;
    check_in_two(answer, OK "dAtE:  Tue, 01 Dec 2026 09:25:24 GMT \r\n" LENGTH "\r\n0", ANSWER_RIGHT);
    forget(answer);
}

static void test_what_is_no_time_is_compared(void **state) {
    struct answer *answer = learned(OK "Date: now\r\nX-" DATE LENGTH "\r\n0");

    (void)state;
    check_in_two(answer, OK "Date: now\r\nX-" DATE LENGTH "\r\n0", ANSWER_RIGHT);
    check_in_two(answer, OK "Date: new\r\nX-" DATE LENGTH "\r\n0", ANSWER_WRONG_CONTENT);
    check_in_two(answer, OK "Date: now\r\nX-" LATER LENGTH "\r\n0", ANSWER_WRONG_CONTENT);
    forget(answer);
}

static void check_last(const char *first, const char *last) {
    struct answer *answer = learned(first), *closing = malloc(sizeof(*closing));

    assert_non_null(closing);
    assert_true(answer_init_last(closing, answer));
    assert_false(closing->keep_alive);
    assert_int_equal(closing->size, strlen(last));
    check_in_two(closing, last, ANSWER_RIGHT);
    check_in_two(closing, first, ANSWER_WRONG_CONTENT);
    assert_memory_equal(answer->bytes, closing->bytes, closing->common);
    assert_int_not_equal(answer->bytes[closing->common], closing->bytes[closing->common]);
    forget(closing);
    forget(answer);
}

static void test_the_last_answer_says_that_it_is(void **state) {
    (void)state;
    check_last(OK DATE LENGTH KEEP "\r\n0", OK LATER LENGTH CLOSE "\r\n0");
    check_last(OK KEEP DATE LENGTH "\r\n0", OK CLOSE LATER LENGTH "\r\n0");
    check_last(OK LENGTH "\r\n0", OK LENGTH CLOSE "\r\n0");
    check_last(OK DATE LENGTH "\r\n0", OK LATER LENGTH CLOSE "\r\n0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_time_of_an_answer_may_be_another),
        cmocka_unit_test(test_names_of_fields_have_no_case),
        cmocka_unit_test(test_what_is_no_time_is_compared),
        cmocka_unit_test(test_the_last_answer_says_that_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
