/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients that come and go over a wire with faults: they ask, close, half-close, reset, stop reading, say
 * nothing or vanish. Who behaves gets exactly his bytes, whatever the others do, and in the end nothing is
 * left allocated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/priv/tcp_priv.h"

#include "sim_http.h"
#include "sim_main.h"
#include "sim_net.h"
#include "sim_stream.h"

#define PORT 80
#define SLOTS 64
#define CONNECTIONS 400
#define REQUESTS_MAX 20
#define MINUTE (60ull * SIM_SECOND)
#define PATIENCE (20 * MINUTE) /* for a client that behaves */
/* Seconds: six times the same segment may be lost. After four, one of many thousand clients is given up. */
#define SERVER_PATIENCE 180

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char last_request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

enum behaviour { ASK, ASK_TO_CLOSE, SAY_NOTHING, RESET, STOP_READING, VANISH, BEHAVIOURS };

struct slot {
    struct stream stream;
    enum behaviour behaviour;
    uint16_t port;
    bool busy;
    uint64_t ends_us; /* when it does what it is there for, or when patience ends */
};

static struct {
    struct sim_http http;
    struct slot slots[SLOTS];
    uint8_t *requests;  /* REQUESTS_MAX of them */
    uint8_t *responses; /* to them */
    uint8_t *last_response;
    size_t response_size;
    unsigned requests_most; /* of one client */
    unsigned started;
    unsigned total;
    unsigned done[BEHAVIOURS];
} churn;

static uint8_t *append(uint8_t *to, const struct http_response *response) {
    for (int i = 0; i < 2 && response->part[i].iov_len > 0; i++) {
        memcpy(to, response->part[i].iov_base, response->part[i].iov_len);
        to += response->part[i].iov_len;
    }
    return to;
}

static void *allocated(size_t size) {
    void *memory = malloc(size);

    assert_non_null(memory);
    return memory;
}

static void write_what_is_expected(void) {
    const struct http_response *response = &churn.http.site.responses[HTTP_200];
    const struct http_response *last = &churn.http.site.responses[HTTP_200_CLOSE];
    uint8_t *to;

    churn.response_size = response->size;
    churn.requests = allocated(REQUESTS_MAX * (sizeof(request) - 1));
    to = churn.responses = allocated(REQUESTS_MAX * response->size);
    for (unsigned i = 0; i < REQUESTS_MAX; i++) {
        memcpy(churn.requests + i * (sizeof(request) - 1), request, sizeof(request) - 1);
        to = append(to, response);
    }
    churn.last_response = allocated(last->size);
    append(churn.last_response, last);
}

static void set_out(struct slot *slot) {
    unsigned count = 1 + sim_random(churn.requests_most);
    struct stream *stream = &slot->stream;

    *stream = (struct stream){0};
    if (slot->behaviour == SAY_NOTHING) {
        stream->keeps_open = true;
    } else if (slot->behaviour == ASK_TO_CLOSE) {
        stream->keeps_open = true;
        stream->out = (const uint8_t *)last_request;
        stream->to_send = sizeof(last_request) - 1;
        stream->in = churn.last_response;
        stream->expected = churn.http.site.responses[HTTP_200_CLOSE].size;
    } else {
        stream->stalled = slot->behaviour == STOP_READING;
        stream->out = churn.requests;
        stream->to_send = count * (sizeof(request) - 1);
        stream->in = churn.responses;
        stream->expected = count * churn.response_size;
    }
}

static void start(struct slot *slot) {
    bool behaves = (slot->behaviour = (enum behaviour)sim_random(BEHAVIOURS)) <= ASK_TO_CLOSE;

    set_out(slot);
    stream_connect(&slot->stream, PORT);
    slot->port = slot->stream.pcb->local_port;
    sim_appear(slot->port);
    slot->busy = true;
    slot->ends_us = sim_now_us() + (behaves ? PATIENCE : sim_random(20 * SIM_SECOND));
    churn.started++;
}

static void half_close(struct stream *stream) {
    stream->keeps_open = false;
    if (stream->pcb->state == ESTABLISHED || stream->pcb->state == CLOSE_WAIT) {
        assert_int_equal(tcp_shutdown(stream->pcb, 0, 1), ERR_OK);
        stream->half_closed = true;
    }
}

/* What it came for; then it may take until it ends. */
static void act(struct slot *slot) {
    switch (slot->behaviour) {
    case SAY_NOTHING:
        half_close(&slot->stream);
        slot->ends_us = UINT64_MAX;
        break;
    case VANISH:
        sim_vanish(slot->port);
        stream_abort(&slot->stream);
        break;
    case RESET:
    case STOP_READING:
        stream_abort(&slot->stream);
        break;
    default:
        fail_msg("a client that asked has no answer");
    }
}

static void look_at(struct slot *slot) {
    if (!slot->busy) {
        if (churn.started < churn.total) {
            start(slot);
        }
    } else if (slot->stream.pcb == NULL) {
        slot->busy = false;
        churn.done[slot->behaviour]++;
        if (slot->behaviour <= SAY_NOTHING && !stream_complete(&slot->stream)) {
            assert_int_equal(slot->behaviour, SAY_NOTHING); /* the server may have given it up */
        }
    } else if (sim_now_us() >= slot->ends_us) {
        act(slot);
    }
}

static bool all_have_gone(void) {
    bool busy = false;

    for (int i = 0; i < SLOTS; i++) {
        look_at(&churn.slots[i]);
        busy |= churn.slots[i].busy;
    }
    return !busy && churn.started == churn.total;
}

static bool no_sessions(void) {
    return sim_http_sessions(&churn.http) == 0;
}

static void run(const struct sim_config *config, size_t body_size, unsigned requests_most) {
    struct tcp_pcb *pcb;

    memset(&churn, 0, sizeof(churn));
    churn.requests_most = requests_most;
    churn.total = CONNECTIONS;
    sim_begin(config);
    pcb = sim_pcb(SIM_SERVER);
    assert_int_equal(tcp_bind(pcb, sim_address(SIM_SERVER), PORT), ERR_OK);
    sim_http_start(&churn.http, pcb, body_size, SERVER_PATIENCE);
    write_what_is_expected();
    for (unsigned step = 0; !all_have_gone(); step++) {
        assert_true(sim_step());
        if (step % 64 == 0) {
            sim_check_lists();
        }
    }
    assert_true(sim_run_until(no_sessions, 10 * MINUTE));
    assert_true(sim_run_until(sim_no_connections, 10 * MINUTE));
    assert_int_equal(churn.http.server.counters.accepts, churn.http.server.counters.closes);
    assert_int_equal(churn.http.server.counters.errors_http, 0);
    for (int i = 0; i < BEHAVIOURS; i++) {
        assert_true(churn.done[i] > 0);
    }
    sim_http_stop(&churn.http);
    free(churn.requests);
    free(churn.responses);
    free(churn.last_response);
    sim_end();
}

static const struct wire_rates mild = {.delay_us = 200};
static const struct wire_rates rough = {
    .loss = 200, .duplicate = 200, .reorder = 1000, .damage = 100, .delay_us = 2000, .jitter_us = 20000};

static void run_all_sizes(const struct wire_rates *rates, unsigned refuse) {
    for (uint64_t seed = 0; seed < sim_times; seed++) {
        const struct sim_config config = {.rates = *rates, .refuse = refuse, .seed = seed};

        run(&config, 1, REQUESTS_MAX);
        run(&config, 3700, REQUESTS_MAX);
        run(&config, 100 * 1024, 3);
    }
}

static void test_on_a_good_wire(void **state) {
    (void)state;
    run_all_sizes(&mild, 0);
}

static void test_on_a_wire_with_faults(void **state) {
    (void)state;
    run_all_sizes(&rough, 0);
}

static void test_on_a_port_that_has_no_room_now_and_then(void **state) {
    (void)state;
    run_all_sizes(&rough, 2000);
}

static int run_all(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_a_good_wire),
        cmocka_unit_test(test_on_a_wire_with_faults),
        cmocka_unit_test(test_on_a_port_that_has_no_room_now_and_then),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char *argv[]) {
    return sim_main(argc, argv, run_all);
}
