/* SPDX-License-Identifier: BSD-3-Clause */
/* http_known.c by what it must not change: two servers, one that knows requests by their bytes and one that
 * parses all, get the same bytes in the same pieces, and after each piece everything that can be seen of them
 * must be equal. Input lies at a guard page. */
#include "common/features.h"
#include "http_client.h"
#include "http_samples.h"

#define ONE GET "\r\n"
#define OTHER "GET /other HTTP/1.1\r\n" HOST "X: y\r\n\r\n"
#define GARBAGE "\x16\x03\x01 no request\r\n\r\n"

enum {
    ONE_SIZE = sizeof(ONE) - 1,
    OTHER_SIZE = sizeof(OTHER) - 1,
    SAMPLES = sizeof(samples) / sizeof(samples[0])
};

static struct guard guard;
static struct pair {
    struct client knowing;
    struct client parsing;
} pair;

static void know(bool on) {
    features = on ? UINT32_MAX : ~(uint32_t)FEATURE_REQUEST;
}

static int open_pair(void **state) {
    (void)state;
    client_open(&pair.knowing, 1);
    client_open(&pair.parsing, 1);
    return 0;
}

static int close_pair(void **state) {
    (void)state;
    assert_int_equal(pair.parsing.counters.requests_known, 0);
    client_close(&pair.knowing);
    client_close(&pair.parsing);
    return 0;
}

static void use(int connection) {
    pair.knowing.connection = &pair.knowing.connections[connection];
    pair.parsing.connection = &pair.parsing.connections[connection];
}

static void reconnect(void) {
    client_reconnect(&pair.knowing);
    client_reconnect(&pair.parsing);
}

static void compare(void) {
    const struct http_connection *a = pair.knowing.connection;
    const struct http_connection *b = pair.parsing.connection;
    struct counters counters = pair.knowing.counters;
    counters.requests_known = 0;
    assert_memory_equal(&counters, &pair.parsing.counters, sizeof(counters));
    assert_int_equal(pair.knowing.size, pair.parsing.size);
    assert_memory_equal(pair.knowing.output, pair.parsing.output, pair.knowing.size);
    assert_int_equal(http_has_room(a), http_has_room(b));
    assert_int_equal(http_finished(a), http_finished(b));
    assert_int_equal(a->closing, b->closing);
    assert_int_equal(a->parser != NULL, b->parser != NULL);
    assert_int_equal(pair.knowing.server.parsers.taken, pair.parsing.server.parsers.taken);
}

/* One piece to both. Output is taken when no more input is. */
static void give(const char *data, size_t size) {
    const char *input = guard_put(&guard, data, size);
    while (size > 0) {
        know(true);
        size_t used = http_input(&pair.knowing.server, pair.knowing.connection, input, size);
        know(false);
        assert_int_equal(http_input(&pair.parsing.server, pair.parsing.connection, input, size), used);
        compare();
        drain(&pair.knowing, SIZE_MAX);
        drain(&pair.parsing, SIZE_MAX);
        compare();
        input += used;
        size -= used;
    }
    pair.knowing.size = 0;
    pair.parsing.size = 0;
}

static void give_in_two(const char *data, size_t size, size_t split) {
    give(data, split);
    give(data + split, size - split);
}

static uint64_t known(void) {
    return pair.knowing.counters.requests_known;
}

/* On a connection that has closed nothing is read any more. */
static void reopen(void) {
    if (pair.knowing.connection->closing) {
        reconnect();
    }
}

/* Remembered the first time, and since the second what a new connection looks for. */
static void make_known(const char *data, size_t size) {
    for (int times = 0; times < 2; times++) {
        reconnect();
        give(data, size);
    }
}

static uint64_t random_number(void) {
    static uint64_t seed = 0x2545F4914F6CDD1DU;
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed;
}

/* On a connection that has sent it, on one that has not, and the rest after a cut. */
static void test_samples_again_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        for (size_t split = 0; split <= sample->size; split++) {
            make_known(sample->request, sample->size);
            reopen();
            give_in_two(sample->request, sample->size, split);
            reconnect();
            give_in_two(sample->request, sample->size, split);
            reopen();
            give(sample->request, sample->size);
        }
    }
    assert_true(known() > 5000);
}

/* The original, its mutant in two pieces and whole, the original again. One pair for all: the table is long
 * full, and holds mutants too. */
static void test_mutants_of_known_requests(void **state) {
    (void)state;
    static const char interesting[] = "\r\n\0 :;,/0123456789aGHT\xff\t";
    for (int round = 0; round < 60000; round++) {
        const struct sample *sample = &samples[1 + (size_t)round % (SAMPLES - 1)];
        char mutant[256];
        memcpy(mutant, sample->request, sample->size);
        for (int i = 0; i < 1 + round % 3; i++) {
            mutant[random_number() % sample->size] = interesting[random_number() % (sizeof(interesting) - 1)];
        }
        use(round % CLIENT_CONNECTIONS);
        make_known(sample->request, sample->size);
        reopen();
        give_in_two(mutant, sample->size, random_number() % (sample->size + 1));
        reopen();
        give(mutant, sample->size);
        reopen();
        give(mutant, sample->size);
        reopen();
        give(sample->request, sample->size);
    }
    assert_true(known() > 5000);
}

/* The same stream cut at random, on several connections in turn, of requests that come often or once, whole
 * or broken off. */
static void test_random_streams(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char stream[4096];
        size_t size = 0;
        use((int)(random_number() % CLIENT_CONNECTIONS));
        for (uint64_t requests = random_number() % 12; requests > 0; requests--) {
            uint64_t kind = random_number() % 16;
            if (kind == 0) {
                size += (size_t)sprintf(stream + size, "GET /%d HTTP/1.1\r\n" HOST "\r\n", round);
            } else if (kind == 1) {
                size += random_number() % OTHER_SIZE; /* what lay there */
            } else if (kind < 5) {
                size += (size_t)sprintf(stream + size, "%s", OTHER);
            } else {
                size += (size_t)sprintf(stream + size, "%s", ONE);
            }
        }
        for (size_t at = 0; at < size;) {
            size_t piece = 1 + random_number() % (random_number() % 2 == 0 ? 200 : size);
            piece = piece < size - at ? piece : size - at;
            give(stream + at, piece);
            at += piece;
        }
        if (random_number() % 4 == 0) {
            reconnect();
        }
        reopen();
    }
    assert_true(known() > 1000);
}

/* A known request broken off at each byte, then its rest, itself, or nonsense. */
static void test_a_prefix_of_a_known_request(void **state) {
    (void)state;
    static const char *const next[] = {ONE, OTHER, GARBAGE, "\r\n", "\r\n\r\n"};
    for (size_t cut = 0; cut <= ONE_SIZE; cut++) {
        for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
            reconnect();
            give(ONE, ONE_SIZE);
            give(ONE, cut);
            give(next[i], strlen(next[i]));
            give(ONE, ONE_SIZE);
        }
        reconnect();
        give_in_two(ONE, ONE_SIZE, cut);
        give(ONE ONE, ONE_SIZE + cut);
        give(&ONE[cut], ONE_SIZE - cut);
    }
}

static void test_any_byte_after_a_known_request(void **state) {
    (void)state;
    char request[ONE_SIZE + 1 + ONE_SIZE + 1] = ONE " " ONE;
    for (int byte = 0; byte < 256; byte++) {
        reconnect();
        give(ONE, ONE_SIZE);
        request[ONE_SIZE] = (char)byte;
        give(request, ONE_SIZE + 1);
        reconnect();
        give(request, sizeof(request) - 1);
        /* one byte more within, which only a comparison to the last byte sees */
        for (size_t at = 0; at < ONE_SIZE; at++) {
            char changed[ONE_SIZE + 1] = ONE;
            changed[at] = (char)byte;
            reconnect();
            give(changed, ONE_SIZE);
        }
    }
}

static void test_pipelines(void **state) {
    (void)state;
    enum { DEEPEST = 200 };
    static char ones[DEEPEST * ONE_SIZE], mixed[DEEPEST * (ONE_SIZE + OTHER_SIZE)];
    for (int i = 0; i < DEEPEST; i++) {
        memcpy(ones + i * ONE_SIZE, ONE, ONE_SIZE);
        memcpy(mixed + i * (ONE_SIZE + OTHER_SIZE), ONE OTHER, ONE_SIZE + OTHER_SIZE);
    }
    give(ONE, ONE_SIZE);
    for (int depth = 1; depth <= DEEPEST; depth++) {
        uint64_t before = known();
        reconnect();
        give(ones, (size_t)depth * ONE_SIZE);
        assert_int_equal(known() - before, depth); /* all of them, also the first of the connection */
        give(mixed, (size_t)depth * (ONE_SIZE + OTHER_SIZE));
        give_in_two(ones, (size_t)depth * ONE_SIZE, random_number() % ((size_t)depth * ONE_SIZE));
    }
}

/* What came again last is what a new connection is expected to send. */
static void test_the_first_request_of_a_connection(void **state) {
    (void)state;
    give(ONE, ONE_SIZE);
    make_known(OTHER, OTHER_SIZE);
    uint64_t before = known();
    reconnect();
    give(OTHER, OTHER_SIZE);
    assert_int_equal(known(), before + 1);
    make_known(ONE, ONE_SIZE);
    before = known();
    reconnect();
    give(ONE OTHER, ONE_SIZE + OTHER_SIZE);
    assert_int_equal(known(), before + 1);
}

static void test_requests_that_alternate(void **state) {
    (void)state;
    for (int round = 0; round < 3 * CLIENT_CONNECTIONS; round++) {
        use(round % CLIENT_CONNECTIONS);
        give(ONE, ONE_SIZE);
        give(OTHER, OTHER_SIZE);
    }
    uint64_t before = known();
    for (int round = 0; round < 10; round++) { /* each connection keeps to its own */
        for (int i = 0; i < CLIENT_CONNECTIONS; i++) {
            use(i);
            give(i % 2 == 0 ? ONE : OTHER, i % 2 == 0 ? ONE_SIZE : OTHER_SIZE);
        }
    }
    assert_int_equal(known() - before, 10 * CLIENT_CONNECTIONS - CLIENT_CONNECTIONS / 2);
}

static size_t numbered(char *request, int number) {
    return (size_t)sprintf(request, "GET /%d HTTP/1.1\r\n" HOST "\r\n", number);
}

/* What comes but once passes through the table and does not drive out what is in use. */
static void test_a_full_table(void **state) {
    (void)state;
    char request[64];
    give(ONE, ONE_SIZE);
    for (int i = 0; i < 10 * HTTP_KNOWN_REQUESTS; i++) {
        uint64_t before = known();
        use(1);
        give(request, numbered(request, i));
        assert_int_equal(known(), before);
        use(0);
        give(ONE, ONE_SIZE);
        assert_int_equal(known(), before + 1);
    }
}

/* A connection whose request was replaced, by one that begins as its own does: the bytes decide. */
static void test_a_replaced_request(void **state) {
    (void)state;
    char request[64];
    for (int i = 0; i < 3 * HTTP_KNOWN_REQUESTS; i++) {
        use(0);
        give(ONE, ONE_SIZE);
        uint8_t place = pair.knowing.connection->known;
        use(1);
        for (int k = 0; k < 2 * HTTP_KNOWN_REQUESTS; k++) {
            give(request, numbered(request, i * 1000 + k));
        }
        const struct http_known_request *replacement = &pair.knowing.server.known.requests[place];
        assert_memory_not_equal(replacement->bytes, ONE, ONE_SIZE);
        use(0);
        give(ONE, ONE_SIZE);
        use(1);
        pair.knowing.connection->known = place;
        give(request, numbered(request, i * 1000 + 2 * HTTP_KNOWN_REQUESTS - 1));
    }
}

static void test_which_requests_are_remembered(void **state) {
    (void)state;
    static const struct {
        const char *request;
        bool whole;
    } rows[] = {
        {"HEAD / HTTP/1.0\r\n\r\n", true}, /* closes */
        {"\r\n" ONE, true},
        {GET "Content-Length: 0\r\n\r\n", true},
        {GET "Content-Length: 1\r\n\r\nx", false},
        {GET "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
        {"POST / HTTP/1.1\r\n" HOST "\r\n", false},
        {"BREW / HTTP/1.1\r\n" HOST "\r\n", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int again = 0; again < 3; again++) {
            reconnect();
            give(rows[i].request, strlen(rows[i].request));
            pair.knowing.server.known.expected = pair.knowing.connection->known;
        }
        assert_int_equal(known(), rows[i].whole ? 2 : 0);
        close_pair(state);
        open_pair(state);
    }
}

static void test_the_longest_request_that_is_remembered(void **state) {
    (void)state;
    for (size_t size = HTTP_KNOWN_LIMIT - 2; size <= HTTP_KNOWN_LIMIT + 2; size++) {
        char request[HTTP_KNOWN_LIMIT + 2];
        size_t head = strlen(GET "X: ");
        memcpy(request, GET "X: ", head);
        memset(request + head, 'a', size - head);
        memcpy(request + size - 4, "\r\n\r\n", 4);
        uint64_t before = known();
        reconnect();
        give(request, size);
        give(request, size);
        assert_int_equal(known() - before, size <= HTTP_KNOWN_LIMIT);
        request[size - 5] = 'b';
        give(request, size);
        assert_int_equal(known() - before, size <= HTTP_KNOWN_LIMIT);
    }
}

/* Read in two pieces, it is not whole, and the next one of the kind is parsed as well. */
static void test_a_request_in_pieces_is_not_remembered(void **state) {
    (void)state;
    for (size_t split = 1; split < ONE_SIZE; split++) {
        give_in_two(ONE, ONE_SIZE, split);
        assert_int_equal(known(), 0);
    }
    give(ONE, ONE_SIZE);
    give(ONE, ONE_SIZE);
    assert_int_equal(known(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_samples_again_at_every_split),
        TEST(test_mutants_of_known_requests),
        TEST(test_random_streams),
        TEST(test_a_prefix_of_a_known_request),
        TEST(test_any_byte_after_a_known_request),
        TEST(test_pipelines),
        TEST(test_the_first_request_of_a_connection),
        TEST(test_requests_that_alternate),
        TEST(test_a_full_table),
        TEST(test_a_replaced_request),
        TEST(test_which_requests_are_remembered),
        TEST(test_the_longest_request_that_is_remembered),
        TEST(test_a_request_in_pieces_is_not_remembered),
    };
    guard = guard_new(64 * 1024);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guard_free(&guard);
    return failed;
}
