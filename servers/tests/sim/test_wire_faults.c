/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes over a wire that loses, repeats, delays, reorders and damages frames: lwIP with our options and
 * patches at both ends, in simulated time. Every transfer must end with exactly its bytes, and leave nothing
 * allocated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/priv/tcp_priv.h"

#include "sim_main.h"
#include "sim_net.h"
#include "sim_stream.h"

#define PORT 7
#define KIB 1024u
#define MIB (1024u * KIB)
#define PATTERN (4 * MIB + 64 * KIB)
#define MINUTE (60ull * SIM_SECOND)

static uint8_t pattern[PATTERN];
static struct stream client, server;
static struct wire_counts met; /* of all transfers so far */

struct transfer {
    size_t up, down;      /* bytes from the client, from the server */
    size_t read_per_tick; /* of both ends; 0: at once */
};

static const struct transfer sizes[] = {
    {1, 1, 0},     {0, 1, 0},           {1, 0, 0},          {1460, 1461, 0},
    {3700, 34, 0}, {64 * KIB, 3700, 0}, {34, 300 * KIB, 0}, {MIB, MIB, 0},
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    if (error == ERR_MEM) {
        return ERR_OK; /* no PCB was to be had; the client asks again */
    }
    assert_int_equal(error, ERR_OK);
    assert_null(server.pcb);
    stream_attach(&server, pcb);
    return ERR_OK;
}

static struct tcp_pcb *listen_at_server(void) {
    struct tcp_pcb *listener = sim_pcb(SIM_SERVER);

    assert_int_equal(tcp_bind(listener, sim_address(SIM_SERVER), PORT), ERR_OK);
    listener = tcp_listen(listener);
    assert_non_null(listener);
    tcp_accept(listener, on_accept);
    return listener;
}

static bool both_have_ended(void) {
    return client.pcb == NULL && (server.pcb == NULL && server.peer_closed);
}

/* Connects and lets both ends run to their good end. */
static void run_to_the_end(uint64_t limit_us) {
    stream_connect(&client, PORT);
    assert_true(sim_run_until(both_have_ended, limit_us));
    assert_true(stream_complete(&client));
    assert_true(stream_complete(&server));
    sim_check_lists();
    assert_true(
        sim_run_until(sim_no_connections, 5 * MINUTE)); /* TIME-WAIT, or the last ACK and FIN were lost */
}

/* Different bytes for each direction and seed. */
static void prepare(const struct transfer *transfer, uint64_t seed) {
    const uint8_t *up = pattern + seed % (32 * KIB), *down = pattern + 32 * KIB + seed * 7 % (32 * KIB);

    client = (struct stream){.out = up,
                             .to_send = transfer->up,
                             .in = down,
                             .expected = transfer->down,
                             .read_per_tick = transfer->read_per_tick};
    server = (struct stream){.out = down,
                             .to_send = transfer->down,
                             .in = up,
                             .expected = transfer->up,
                             .read_per_tick = transfer->read_per_tick};
}

static void count_what_was_met(void) {
    struct wire_counts now = sim_counts();

    met.lost += now.lost;
    met.duplicated += now.duplicated;
    met.reordered += now.reordered;
    met.damaged += now.damaged;
}

static void transfer_over(struct sim_config config, const struct transfer *transfer, uint64_t seed,
                          uint64_t limit_us) {
    struct tcp_pcb *listener;

    config.seed = seed;
    sim_begin(&config);
    prepare(transfer, seed);
    listener = listen_at_server();
    run_to_the_end(limit_us);
    assert_int_equal(tcp_close(listener), ERR_OK);
    count_what_was_met();
    sim_end();
}

/* Every size with `seeds` seeds, in both directions at once. */
static void transfer_all(struct sim_config config, unsigned seeds, uint64_t limit_us) {
    for (unsigned seed = 0; seed < seeds * sim_times; seed++) {
        for (size_t i = 0; i < SIZES; i++) {
            transfer_over(config, &sizes[i], seed * SIZES + i, limit_us);
        }
    }
}

static void test_the_same_seed_gives_the_same_faults(void **state) {
    const struct wire_rates rates = {
        .loss = 1000, .duplicate = 1000, .reorder = 3000, .damage = 1000, .delay_us = 50, .jitter_us = 400};
    struct wire wires[2];

    (void)state;
    wire_init(&wires[0], &rates, 1);
    wire_init(&wires[1], &rates, 1);
    for (uint64_t now = 0; now < 20000; now += 10) {
        struct wire_frame *a, *b;

        wire_put(&wires[0], &now, sizeof(now), now);
        wire_put(&wires[1], &now, sizeof(now), now);
        while ((a = wire_take(&wires[0], now)) != NULL) {
            b = wire_take(&wires[1], now);
            assert_non_null(b);
            assert_memory_equal(a->bytes, b->bytes, sizeof(now));
            free(a);
            free(b);
        }
        assert_null(wire_take(&wires[1], now));
    }
    assert_memory_equal(&wires[0].counts, &wires[1].counts, sizeof(wires[0].counts));
    wire_clear(&wires[0]);
    wire_clear(&wires[1]);
}

static void test_faults_are_as_many_as_their_rates_say(void **state) {
    const struct wire_rates rates = {
        .loss = 1000, .duplicate = 500, .reorder = 2000, .damage = 100, .delay_us = 10, .jitter_us = 100};
    const uint64_t frames = 100000;
    uint64_t arrived = 0, overtaken = 0, inverted = 0, last = 0;
    struct wire_frame *frame;
    struct wire wire;

    (void)state;
    wire_init(&wire, &rates, 2);
    for (uint64_t i = 0; i < frames; i++) {
        uint64_t twice[2] = {i, i};

        wire_put(&wire, twice, sizeof(twice), i);
    }
    for (; (frame = wire_take(&wire, UINT64_MAX - 1)) != NULL; arrived++) {
        uint64_t twice[2];

        memcpy(twice, frame->bytes, sizeof(twice));
        inverted += (uint64_t)__builtin_popcountll(twice[0] ^ twice[1]);
        overtaken += frame->number < last;
        last = frame->number;
        free(frame);
    }
    assert_int_equal(wire.counts.delivered, arrived);
    assert_int_equal(wire.counts.taken + wire.counts.duplicated, wire.counts.lost + arrived);
    assert_int_equal(wire.counts.damaged, inverted);
    assert_in_range(wire.counts.lost, frames / 10, frames * 11 / 100);
    assert_in_range(wire.counts.duplicated, frames * 4 / 100, frames * 6 / 100);
    assert_in_range(overtaken, frames / 10, frames / 4);
    assert_in_range(inverted, frames / 200, frames / 50);
    wire_clear(&wire);
}

static void test_a_good_wire(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.delay_us = 100}}, 2, MINUTE);
}

static void test_loss(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.loss = 100, .delay_us = 200}}, 4, 20 * MINUTE);
    transfer_all((struct sim_config){.rates = {.loss = 500, .delay_us = 20000}}, 2, 60 * MINUTE);
}

static void test_duplicates(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.duplicate = 3000, .delay_us = 200}}, 2, 20 * MINUTE);
}

static void test_reordering(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.reorder = 2000, .delay_us = 100, .jitter_us = 1000}}, 2,
                 20 * MINUTE);
    transfer_all((struct sim_config){.rates = {.reorder = WIRE_ALWAYS, .delay_us = 100, .jitter_us = 200000}},
                 2, 60 * MINUTE);
}

static void test_damage(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.damage = 300, .delay_us = 200}}, 3, 60 * MINUTE);
}

static void test_a_short_queue(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.queue = 12, .delay_us = 5000}}, 2, 60 * MINUTE);
}

static void test_a_port_that_has_no_room_now_and_then(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.delay_us = 200}, .refuse = 3000}, 3, 20 * MINUTE);
}

static void test_memory_that_is_short_now_and_then(void **state) {
    (void)state;
    transfer_all((struct sim_config){.rates = {.delay_us = 200}, .starve = 1000}, 3, 60 * MINUTE);
    transfer_all(
        (struct sim_config){.rates = {.loss = 100, .reorder = 500, .delay_us = 200, .jitter_us = 500},
                            .refuse = 500,
                            .starve = 300},
        3, 60 * MINUTE);
}

static void test_everything_at_once(void **state) {
    const struct wire_rates rates = {.loss = 200,
                                     .duplicate = 300,
                                     .reorder = 1000,
                                     .damage = 100,
                                     .queue = 200,
                                     .delay_us = 300,
                                     .jitter_us = 3000};

    (void)state;
    transfer_all((struct sim_config){.rates = rates, .refuse = 500}, 8, 60 * MINUTE);
    assert_true(met.lost > 100 && met.duplicated > 100 && met.reordered > 100 && met.damaged > 100);
}

static void test_several_mebibytes_both_ways(void **state) {
    const struct wire_rates rates = {
        .loss = 20, .duplicate = 50, .reorder = 100, .damage = 10, .delay_us = 300, .jitter_us = 2000};
    const struct transfer large = {4 * MIB, 4 * MIB, 0};

    (void)state;
    for (uint64_t seed = 0; seed < 3 * sim_times; seed++) {
        transfer_over((struct sim_config){.rates = rates}, &large, seed, 60 * MINUTE);
    }
}

static void test_tiny_segments(void **state) {
    const struct wire_rates rates = {
        .loss = 100, .duplicate = 100, .reorder = 500, .delay_us = 300, .jitter_us = 2000};
    const struct transfer transfers[] = {{1, 1, 0}, {29, 28, 0}, {20 * KIB, 20 * KIB, 0}};

    (void)state;
    for (uint64_t seed = 0; seed < 9 * sim_times; seed++) {
        transfer_over((struct sim_config){.rates = rates, .mtu = 68}, &transfers[seed % 3], seed,
                      60 * MINUTE);
        transfer_over((struct sim_config){.rates = rates, .mtu = 140}, &transfers[seed % 3], seed,
                      60 * MINUTE);
    }
}

/* The window closes for long, and what opens it again may be lost. */
static void test_readers_that_are_slow(void **state) {
    const struct wire_rates rates = {
        .loss = 500, .duplicate = 300, .reorder = 1000, .delay_us = 300, .jitter_us = 3000};
    const struct transfer transfers[] = {
        {600 * KIB, 600 * KIB, 60000}, {300 * KIB, 500, 5000}, {1000, 400 * KIB, 999}};

    (void)state;
    for (uint64_t seed = 0; seed < 6 * sim_times; seed++) {
        transfer_over((struct sim_config){.rates = rates}, &transfers[seed % 3], seed, 120 * MINUTE);
        transfer_over((struct sim_config){.rates = {.delay_us = 300}}, &transfers[seed % 3], seed,
                      30 * MINUTE);
    }
}

/* The server answers only when it has had the client's FIN. */
static void test_half_closed_connections_are_answered(void **state) {
    const struct wire_rates rates = {
        .loss = 500, .duplicate = 500, .reorder = 1000, .damage = 200, .delay_us = 300, .jitter_us = 3000};
    const struct transfer transfers[] = {{0, 200 * KIB, 0}, {34, MIB, 0}, {100 * KIB, 1, 0}};

    (void)state;
    for (uint64_t seed = 0; seed < 12 * sim_times; seed++) {
        struct tcp_pcb *listener;

        sim_begin(&(struct sim_config){.rates = rates, .seed = seed});
        prepare(&transfers[seed % 3], seed);
        server.answers = true;
        listener = listen_at_server();
        run_to_the_end(60 * MINUTE);
        assert_int_equal(tcp_close(listener), ERR_OK);
        sim_end();
    }
}

static bool both_stand(void) {
    return server.pcb != NULL && server.received == 1 && client.received == 1;
}

static bool both_are_closing(void) {
    return tcp_active_pcbs == NULL || (tcp_active_pcbs->state == CLOSING && tcp_active_pcbs->next != NULL &&
                                       tcp_active_pcbs->next->state == CLOSING);
}

static void test_both_close_at_once(void **state) {
    const struct transfer one = {1, 1, 0};

    (void)state;
    for (uint64_t seed = 0; seed < 20 * sim_times; seed++) {
        const struct wire_rates rates = {.loss = seed == 0 ? 0 : 1000, .delay_us = 1000};
        struct tcp_pcb *listener;

        sim_begin(&(struct sim_config){.rates = rates, .seed = seed});
        prepare(&one, seed);
        client.keeps_open = server.keeps_open = true;
        listener = listen_at_server();
        stream_connect(&client, PORT);
        assert_true(sim_run_until(both_stand, 5 * MINUTE));
        client.half_closed = server.half_closed = true;
        assert_int_equal(tcp_shutdown(client.pcb, 0, 1), ERR_OK);
        assert_int_equal(tcp_shutdown(server.pcb, 0, 1), ERR_OK);
        if (seed == 0) { /* nothing is lost, so the FINs cross */
            assert_true(sim_run_until(both_are_closing, MINUTE));
            assert_non_null(tcp_active_pcbs);
        }
        assert_true(sim_run_until(both_have_ended, 20 * MINUTE));
        assert_true(stream_complete(&client));
        assert_true(stream_complete(&server));
        assert_true(sim_run_until(sim_no_connections, 5 * MINUTE));
        assert_int_equal(tcp_close(listener), ERR_OK);
        sim_end();
    }
}

static int fill_pattern(void **state) {
    uint64_t random = 3;

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)wire_random(&random);
    }
    return 0;
}

static int run_all(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_seed_gives_the_same_faults),
        cmocka_unit_test(test_faults_are_as_many_as_their_rates_say),
        cmocka_unit_test(test_a_good_wire),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_reordering),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_short_queue),
        cmocka_unit_test(test_a_port_that_has_no_room_now_and_then),
        cmocka_unit_test(test_memory_that_is_short_now_and_then),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_several_mebibytes_both_ways),
        cmocka_unit_test(test_tiny_segments),
        cmocka_unit_test(test_readers_that_are_slow),
        cmocka_unit_test(test_half_closed_connections_are_answered),
        cmocka_unit_test(test_both_close_at_once),
    };

    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}

int main(int argc, char *argv[]) {
    return sim_main(argc, argv, run_all);
}
