/* SPDX-License-Identifier: BSD-3-Clause */
/* http.c, http_parser.c and http_site.c: every answer, every split of the input, every split of the output,
 * at a guard page. All of it twice: with the table of known requests and without. */
#include "common/features.h"
#include "http_client.h"
#include "http_samples.h"

static struct guard guard;

static void check(struct client *c, const struct sample *sample, const char *how, size_t where) {
    char got[256];
    summarize(c, got);
    if (strcmp(got, sample->answers) != 0) {
        fail_msg("%s, %s %zu: got '%s', expected '%s'", sample->name, how, where, got, sample->answers);
    }
}

static void test_samples_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *sample = &samples[i];
        for (size_t split = 0; split <= sample->size; split++) {
            struct client c;
            client_open(&c, 1);
            feed(&c, &guard, sample->request, split);
            feed(&c, &guard, sample->request + split, sample->size - split);
            check(&c, sample, "split at", split);
            assert_int_equal(c.counters.responses_sent, c.counters.requests_parsed + c.counters.errors_http);
            client_close(&c);
        }
    }
}

static void test_samples_in_pieces(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *sample = &samples[i];
        for (size_t piece = 1; piece <= 7; piece++) {
            struct client c;
            client_open(&c, 1);
            for (size_t at = 0; at < sample->size; at += piece) {
                feed(&c, &guard, sample->request + at, piece < sample->size - at ? piece : sample->size - at);
            }
            check(&c, sample, "pieces of", piece);
            client_close(&c);
        }
    }
}

/* Byte for byte what goes out, for each response there is. */
static void test_response_bytes(void **state) {
    (void)state;
    static const char *const expected[HTTP_ANSWERS] = {
        [HTTP_200] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0000000\n0",
        [HTTP_200_KEEP_ALIVE_1_0] =
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n0000000\n0",
        [HTTP_200_CLOSE] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n0000000\n0",
        [HTTP_200_HEAD] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        [HTTP_200_HEAD_KEEP_ALIVE_1_0] =
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n",
        [HTTP_200_HEAD_CLOSE] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
        [HTTP_400] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_405] = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nAllow: GET, HEAD\r\n"
                     "Connection: close\r\n\r\n",
        [HTTP_413] = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_414] = "HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_417] = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_431] = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n"
                     "Connection: close\r\n\r\n",
        [HTTP_501] = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_503] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        [HTTP_505] =
            "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    };
    struct http_site site;
    void *memory = site_new(&site, 9);
    for (int i = 0; i < HTTP_ANSWERS; i++) {
        assert_int_equal(site.responses[i].size, strlen(expected[i]));
        assert_int_equal(site.responses[i].part[0].iov_len, site.responses[i].size);
        assert_memory_equal(site.responses[i].part[0].iov_base, expected[i], site.responses[i].size);
    }
    free(memory);
}

/* Which prebuilt response a request gets: what test_samples cannot tell apart. */
static void test_variants(void **state) {
    (void)state;
    static const struct {
        const char *request;
        enum http_answer answer;
    } rows[] = {
        {GET "\r\n", HTTP_200},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HTTP_200_KEEP_ALIVE_1_0},
        {"GET / HTTP/1.0\r\n\r\n", HTTP_200_CLOSE},
        {"HEAD / HTTP/1.1\r\n" HOST "\r\n", HTTP_200_HEAD},
        {"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HTTP_200_HEAD_KEEP_ALIVE_1_0},
        {"HEAD / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", HTTP_200_HEAD_CLOSE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        client_open(&c, 9);
        feed(&c, &guard, rows[i].request, strlen(rows[i].request));
        const struct http_response *expected = &c.site.responses[rows[i].answer];
        assert_int_equal(c.size, expected->size);
        assert_memory_equal(c.output, expected->part[0].iov_base, expected->size);
        client_close(&c);
    }
}

/* `size` bytes that start with `head`, go on with `filler` and end with `tail`, in pieces: the answer. */
static void check_long(size_t size, const char *head, char filler, const char *tail, const char *expected) {
    static char request[HTTP_BODY_LIMIT + 1024];
    assert_true(size <= sizeof(request));
    memset(request, filler, size);
    memcpy(request, head, strlen(head));
    memcpy(request + size - strlen(tail), tail, strlen(tail));
    static const size_t pieces[] = {SIZE_MAX, 1, 1000, 1460, 8192, 16384, 65536};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct client c;
        client_open(&c, 1);
        for (size_t at = 0; at < size;) {
            size_t piece = pieces[i] < size - at ? pieces[i] : size - at;
            feed(&c, &guard, request + at, piece);
            at += piece;
        }
        check(&c, &(struct sample){head, NULL, 0, expected}, "pieces of", pieces[i]);
        client_close(&c);
    }
}

static void test_limits(void **state) {
    (void)state;
    const char *line_end = " HTTP/1.1\r\n" HOST "\r\n";
    size_t tail = strlen(line_end);
    check_long(HTTP_TARGET_LIMIT + tail, "GET /", 'a', line_end, "200");
    check_long(HTTP_TARGET_LIMIT + 1 + tail, "GET /", 'a', line_end, "414.");
    check_long(HTTP_TARGET_LIMIT + 2, "GET /", 'a', "a", "414."); /* before the line has ended */
    check_long(HTTP_TARGET_LIMIT + 2, "BREW /", 'a', "a", "414.");
    check_long(HTTP_HEAD_LIMIT, GET "X: ", 'a', "\r\n\r\n", "200");
    check_long(HTTP_HEAD_LIMIT + 1, GET "X: ", 'a', "\r\n\r\n", "431.");
    check_long(HTTP_HEAD_LIMIT, GET "X: ", 'a', "a", "431."); /* before the head has ended */
    const char *head = GET "Content-Length: 1048576\r\n\r\n";
    check_long(strlen(head) + HTTP_BODY_LIMIT, head, 'a', "a", "200");
    head = GET
        "Transfer-Encoding: chunked\r\n\r\nFFFF4\r\n"; /* 7 + 0xFFFF4 + 2 + 5 bytes: two too many, or not */
    check_long(strlen(head) - 7 + HTTP_BODY_LIMIT + 2, head, 'a', "\r\n0\r\n\r\n", "413.");
    head = GET "Transfer-Encoding: chunked\r\n\r\nFFFF2\r\n";
    check_long(strlen(head) - 7 + HTTP_BODY_LIMIT, head, 'a', "\r\n0\r\n\r\n", "200");
    head = GET "Transfer-Encoding: chunked\r\n\r\n0\r\nX: "; /* a trailer without end */
    check_long(strlen(head) + HTTP_BODY_LIMIT, head, 'a', "a", "413.");
}

static void test_pipeline_deeper_than_the_queue(void **state) {
    (void)state;
    enum { REQUESTS = 5 * HTTP_QUEUE_SIZE + 3 };
    static const char one[] = GET "\r\n";
    enum { SIZE = sizeof(one) - 1 };
    char requests[REQUESTS * SIZE];
    for (int i = 0; i < REQUESTS; i++) {
        memcpy(requests + i * SIZE, one, SIZE);
    }
    struct client c;
    client_open(&c, 1);
    assert_int_equal(http_input(&c.server, c.connection, requests, sizeof(requests)), HTTP_QUEUE_SIZE * SIZE);
    assert_int_equal(http_input(&c.server, c.connection, requests, SIZE), 0); /* full */
    http_sent(&c.server, c.connection, c.site.responses[HTTP_200].size - 1); /* not yet the first one whole */
    assert_int_equal(c.counters.responses_sent, 0);
    assert_int_equal(http_input(&c.server, c.connection, requests, SIZE), 0);
    http_sent(&c.server, c.connection, 1);
    assert_int_equal(http_input(&c.server, c.connection, requests, 2 * SIZE), SIZE);
    drain(&c, SIZE_MAX);
    feed(&c, &guard, requests, sizeof(requests));
    assert_int_equal(c.counters.requests_parsed, HTTP_QUEUE_SIZE + 1 + REQUESTS);
    assert_int_equal(c.counters.responses_sent, c.counters.requests_parsed);
    client_close(&c);
}

static void test_output_at_every_step(void **state) {
    (void)state;
    static const char requests[] =
        GET "\r\nHEAD / HTTP/1.1\r\n" HOST "\r\n" GET "\r\nPOST / HTTP/1.1\r\n" HOST "\r\n";
    static const size_t sizes[] = {0, 1, 40, HTTP_CONTIGUOUS_LIMIT + 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct client whole;
        client_open(&whole, sizes[i]);
        feed(&whole, &guard, requests, sizeof(requests) - 1);
        size_t last = sizes[i] > 1000 ? 1000 : whole.size;
        for (size_t step = 1; step <= last; step += sizes[i] > 1000 ? 111 : 1) {
            struct client c;
            client_open(&c, sizes[i]);
            assert_int_equal(http_input(&c.server, c.connection, requests, sizeof(requests) - 1),
                             sizeof(requests) - 1);
            drain(&c, step);
            assert_int_equal(c.size, whole.size);
            assert_memory_equal(c.output, whole.output, whole.size);
            assert_int_equal(c.counters.responses_sent, 4);
            assert_true(http_finished(c.connection));
            client_close(&c);
        }
        client_close(&whole);
    }
}

static void test_bodies(void **state) {
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   7,
                                   8,
                                   9,
                                   1460,
                                   100000,
                                   HTTP_CONTIGUOUS_LIMIT - 1,
                                   HTTP_CONTIGUOUS_LIMIT,
                                   HTTP_CONTIGUOUS_LIMIT + 1,
                                   1024 * 1024,
                                   HTTP_BODY_SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        static const enum http_answer with_body[] = {HTTP_200, HTTP_200_KEEP_ALIVE_1_0, HTTP_200_CLOSE};
        struct http_site site;
        void *memory = site_new(&site, sizes[i]);
        for (size_t k = 0; k < sizeof(with_body) / sizeof(with_body[0]); k++) {
            const struct http_response *response = &site.responses[with_body[k]];
            const char *body = response->part[1].iov_base;
            if (sizes[i] <= HTTP_CONTIGUOUS_LIMIT) {
                body = (char *)response->part[0].iov_base + response->size - sizes[i];
            }
            assert_int_equal(response->part[0].iov_len + response->part[1].iov_len, response->size);
            assert_int_equal(response->part[1].iov_len, sizes[i] <= HTTP_CONTIGUOUS_LIMIT ? 0 : sizes[i]);
            size_t stride = sizes[i] > 1 << 20 ? 8 * 997 : 8; /* all bytes, but of 64 MiB a sample */
            for (size_t at = 0; at < sizes[i]; at += stride) {
                char block[32];
                snprintf(block, sizeof(block), "%07zu\n", at / 8);
                assert_memory_equal(body + at, block, sizes[i] - at < 8 ? sizes[i] - at : 8);
            }
        }
        free(memory);
    }
}

static void test_end_of_input(void **state) {
    (void)state;
    struct client c;
    client_open(&c, 1);
    static const char requests[] = GET "\r\nGET /";
    assert_int_equal(http_input(&c.server, c.connection, requests, sizeof(requests) - 1),
                     sizeof(requests) - 1);
    assert_false(http_finished(c.connection));
    http_input_end(&c.server, c.connection);
    assert_int_equal(c.server.parsers.taken, 0);
    assert_false(http_finished(c.connection)); /* one response is still to go */
    assert_int_equal(http_input(&c.server, c.connection, GET, sizeof(GET)), sizeof(GET));
    drain(&c, SIZE_MAX);
    assert_true(http_finished(c.connection));
    assert_int_equal(c.counters.responses_sent, 1);
    client_close(&c);
}

/* More requests are partly read than there is memory for: only who comes too late is turned away. */
static void test_no_memory(void **state) {
    (void)state;
    enum { ROOM = 2 };
    struct client c;
    client_open(&c, 1);
    http_server_free(&c.server);
    assert_int_equal(http_server_init(&c.server, &c.site, &c.counters, ROOM), 0);
    for (int i = 0; i < ROOM; i++) {
        c.connection = &c.connections[i];
        feed(&c, &guard, "GET", 3);
    }
    c.connection = &c.connections[ROOM];
    feed(&c, &guard, GET "\r\n" GET "\r\n", 2 * strlen(GET "\r\n"));
    check(&c, &(struct sample){"more than there is memory for", NULL, 0, "503."}, "connection", 1);
    assert_int_equal(c.counters.errors_http, 1);
    assert_int_equal(c.counters.requests_parsed, 0);
    for (int i = 0; i < ROOM; i++) {
        c.connection = &c.connections[i];
        feed(&c, &guard, &GET "\r\n"[3], strlen(GET "\r\n") - 3);
    }
    assert_int_equal(c.counters.requests_parsed, ROOM);
    c.connection = &c.connections[ROOM + 1];
    feed(&c, &guard, GET "\r\n", strlen(GET "\r\n"));
    check(&c, &(struct sample){"more than there is memory for", NULL, 0, "503 200 200 200"}, "connection", 1);
    client_close(&c);
}

/* Looks once a second until the client is found too slow. The seconds; 0: it was not, within 400. */
static unsigned too_slow_after(struct http_connection *connection, const struct http_limits *limits,
                               struct http_clock *clock, void (*each_second)(void *), void *argument) {
    for (unsigned second = 0; second < 400; second++) {
        if (!http_keeps_up(connection, limits, clock)) {
            return second;
        }
        clock->ticks += HTTP_TICKS_A_SECOND;
        if (each_second != NULL) {
            each_second(argument);
        }
    }
    return 0;
}

static void send_byte_of_body(void *argument) {
    feed(argument, &guard, "x", 1);
}

static void send_kilobytes_of_body(void *argument) {
    char data[2048] = {0};
    feed(argument, &guard, data, sizeof(data));
}

/* The rest of a request and the beginning of the next. */
static void ask(void *argument) {
    struct client *c = argument;
    static const char rest[] = " / HTTP/1.1\r\n" HOST "\r\nGET";
    http_input(&c->server, c->connection, rest, sizeof(rest) - 1);
    http_sent(&c->server, c->connection, c->site.responses[0].size);
}

static void take_byte(void *argument) {
    struct client *c = argument;
    http_sent(&c->server, c->connection, 1);
    http_taken(c->connection, 1);
}

static void take_kilobytes(void *argument) {
    struct client *c = argument;
    http_sent(&c->server, c->connection, 2048);
    http_taken(c->connection, 2048);
}

static void ask_and_take_nothing(void *argument) {
    struct client *c = argument;
    http_input(&c->server, c->connection, GET "\r\n", strlen(GET "\r\n"));
}

static void test_who_takes_too_long(void **state) {
    (void)state;
    enum { SMALL = 1, LARGE = 4 << 20 }; /* of a client that takes all, or is slow */
    static const char body[] = GET "Content-Length: 1000000\r\n\r\n";
    static const struct {
        const char *name, *first;
        bool taken; /* what was answered first */
        void (*each_second)(void *);
        unsigned seconds;
    } rows[] = {
        {"says nothing", "", true, NULL, 300},
        {"stops after a request", GET "\r\n", true, NULL, 300},
        {"stops within a request", GET, true, NULL, 60},
        {"stops within a body", body, true, NULL, 60},
        {"a body byte by byte", body, true, send_byte_of_body, 60},
        {"a body that goes on", body, true, send_kilobytes_of_body, 0},
        {"always within a request, each another", "GET", true, ask, 0},
        {"takes nothing", GET "\r\n", false, NULL, 61},
        {"takes nothing and asks on", GET "\r\n", false, ask_and_take_nothing, 61},
        {"takes byte by byte", GET "\r\n", false, take_byte, 61},
        {"takes what is slow", GET "\r\n", false, take_kilobytes, 0},
    };
    const struct http_limits limits = {.header = 60, .idle = 300, .send = 61}, none = {0};
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        /* the clock's seconds wrap while it looks */
        struct http_clock clock = {.ticks = (UINT16_MAX - 30) * HTTP_TICKS_A_SECOND};
        bool limited = i % 2 == 0;
        struct client c;
        client_open(&c, rows[i / 2].taken ? SMALL : LARGE);
        assert_true(http_input(&c.server, c.connection, rows[i / 2].first, strlen(rows[i / 2].first)) > 0 ||
                    i < 2);
        if (rows[i / 2].taken) {
            http_sent(&c.server, c.connection, http_has_pending(c.connection) ? c.site.responses[0].size : 0);
        }
        unsigned seconds =
            too_slow_after(c.connection, limited ? &limits : &none, &clock, rows[i / 2].each_second, &c);
        if (seconds != (limited && rows[i / 2].seconds > 0 ? rows[i / 2].seconds + 1 : 0)) {
            fail_msg("%s: %u seconds", rows[i / 2].name, seconds);
        }
        client_close(&c);
    }
}

/* Deterministic: xorshift from a fixed seed. Every mutant in one piece and in two must get the same answers.
 */
static void test_mutations(void **state) {
    (void)state;
    static const char interesting[] = "\r\n\0 :;,/0123456789aGHT\xff\t";
    uint64_t seed = 0x2545F4914F6CDD1DU;
    for (int round = 0; round < 60000; round++) {
        const struct sample *sample = &samples[1 + round % (sizeof(samples) / sizeof(samples[0]) - 1)];
        char mutant[256];
        memcpy(mutant, sample->request, sample->size);
        for (int i = 0; i < 1 + round % 3; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            mutant[seed % sample->size] = interesting[(seed >> 32) % (sizeof(interesting) - 1)];
        }
        char answers[2][256];
        size_t split = (seed >> 20) % (sample->size + 1);
        for (int way = 0; way < 2; way++) {
            struct client c;
            client_open(&c, 1);
            feed(&c, &guard, mutant, way == 0 ? sample->size : split);
            feed(&c, &guard, mutant + split, way == 0 ? 0 : sample->size - split);
            summarize(&c, answers[way]);
            client_close(&c);
        }
        if (strcmp(answers[0], answers[1]) != 0) {
            fail_msg("round %d (%s) split at %zu: '%s' in one piece, '%s' in two", round, sample->name, split,
                     answers[0], answers[1]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_at_every_split),
        cmocka_unit_test(test_samples_in_pieces),
        cmocka_unit_test(test_response_bytes),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_pipeline_deeper_than_the_queue),
        cmocka_unit_test(test_output_at_every_step),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_end_of_input),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_who_takes_too_long),
        cmocka_unit_test(test_mutations),
    };
    guard = guard_new(HTTP_BODY_LIMIT + 1024);
    int failed = cmocka_run_group_tests_name("all optimisations", tests, NULL, NULL);
    features &= ~(uint32_t)FEATURE_REQUEST;
    failed += cmocka_run_group_tests_name("without request", tests, NULL, NULL);
    guard_free(&guard);
    return failed;
}
