/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/counters.h"
#include "modes.h"
#include "stack/port/port_report.h"

#define CLIENT_BOUND (1.0 / 3) /* of its core: from here on the client may be what limits */

static const char *const modes[] = {
    [MODE_CLOSED] = "closed", [MODE_OPEN] = "open", [MODE_CONNECT] = "connect", [MODE_HOLD] = "hold"};

/* Adds sign * (what the port has counted until now). */
static void add_packets(struct interval *interval, const struct generator *generator, int sign) {
    const struct port_counters *port = &generator->link.port.counters;
    uint64_t dropped, no_mbuf;

    port_receive_losses(&generator->link.port, &dropped, &no_mbuf);
    interval->rx_packets += (uint64_t)sign * port->rx_packets;
    interval->tx_packets += (uint64_t)sign * port->tx_packets;
    interval->rx_dropped += (uint64_t)sign * (dropped + no_mbuf + generator->tally.rx_malformed);
    interval->tx_dropped += (uint64_t)sign * (port->tx_dropped + generator->link.no_mbuf);
}

void interval_begin(struct interval *interval, struct generator *generator) {
    interval->begin = generator->tally;
    interval->begin_tsc = generator->turn_end;
    interval->rx_packets = interval->tx_packets = interval->rx_dropped = interval->tx_dropped = 0;
    add_packets(interval, generator, -1);
    histogram_clear(&generator->latencies);
    generator->measuring = true;
}

void interval_end(struct interval *interval, struct generator *generator) {
    if (generator->measuring) {
        interval->end = generator->tally;
        interval->end_tsc = generator->turn_end;
        add_packets(interval, generator, 1);
        generator->measuring = false;
    }
}

/* What is printed as it is. Without "total": of the interval. */
struct figures {
    uint64_t requests, bytes, connects;
    uint64_t total_requests, total_connects, in_flight, unsent;
    uint64_t retransmits, total_retransmits;
    uint64_t polls_busy, polls_idle, cycles_busy, cycles_idle, tsc_hz;
    uint64_t rx_packets, tx_packets, rx_dropped, tx_dropped;
    uint64_t state_bytes_per_connection, memory_bytes;
};

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct figures, name) }

static const struct counter_field figure_fields[] = {
    FIELD(requests),
    FIELD(bytes),
    FIELD(connects),
    FIELD(total_requests),
    FIELD(total_connects),
    FIELD(in_flight),
    FIELD(unsent),
    FIELD(retransmits),
    FIELD(total_retransmits),
    FIELD(polls_busy),
    FIELD(polls_idle),
    FIELD(cycles_busy),
    FIELD(cycles_idle),
    FIELD(tsc_hz),
    FIELD(rx_packets),
    FIELD(tx_packets),
    FIELD(rx_dropped),
    FIELD(tx_dropped),
    FIELD(state_bytes_per_connection),
    FIELD(memory_bytes),
};

static struct figures figures_of(const struct interval *interval, const struct generator *generator) {
    const struct tally *begin = &interval->begin, *end = &interval->end;

    return (struct figures){
        .requests = end->requests - begin->requests,
        .bytes = end->bytes - begin->bytes,
        .connects = end->connects - begin->connects,
        .total_requests = generator->tally.requests,
        .total_connects = generator->tally.connects,
        .in_flight = generator->in_flight,
        .unsent = mode_unsent(generator),
        .retransmits = end->retransmits - begin->retransmits,
        .total_retransmits = generator->tally.retransmits,
        .polls_busy = end->polls_busy - begin->polls_busy,
        .polls_idle = end->polls_idle - begin->polls_idle,
        .cycles_busy = end->cycles_busy - begin->cycles_busy,
        .cycles_idle = end->cycles_idle - begin->cycles_idle,
        .tsc_hz = generator->tsc_hz,
        .rx_packets = interval->rx_packets,
        .tx_packets = interval->tx_packets,
        .rx_dropped = interval->rx_dropped,
        .tx_dropped = interval->tx_dropped,
        .state_bytes_per_connection = sizeof(struct connection),
        .memory_bytes = generator_bytes(generator),
    };
}

static const struct counter_field error_fields[FAILURES] = {
    {"connect", FAILED_CONNECT * sizeof(uint64_t)}, {"reset", FAILED_RESET * sizeof(uint64_t)},
    {"timeout", FAILED_TIMEOUT * sizeof(uint64_t)}, {"content", FAILED_CONTENT * sizeof(uint64_t)},
    {"status", FAILED_STATUS * sizeof(uint64_t)},
};

/* Prints the errors of the process's life. */
static void print_errors(const struct tally *tally) {
    char text[256];

    counters_append(text, sizeof(text), error_fields, FAILURES, tally->failures);
    printf(", \"errors\": {%s}", text + sizeof(", ") - 1);
}

static void print_latencies(const struct generator *generator) {
    double us = 1e6 / (double)generator->tsc_hz;
    const char *comma = "";

    printf(", \"latency_us\": [");
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (generator->latencies.counts[i] > 0) {
            printf("%s[%.3f, %" PRIu64 "]", comma, histogram_value(i) * us, generator->latencies.counts[i]);
            comma = ", ";
        }
    }
    printf("]");
}

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

void report_print(const struct interval *interval, const struct generator *generator) {
    struct figures figures = figures_of(interval, generator);
    double seconds = (double)(interval->end_tsc - interval->begin_tsc) / (double)generator->tsc_hz;
    double busy = ratio((double)figures.cycles_busy, (double)(figures.cycles_busy + figures.cycles_idle));
    char text[PORT_DESCRIPTION_SIZE];

    printf("{\"program\": \"loadgen\", \"mode\": \"%s\", \"connections\": %u, \"active\": %u",
           modes[generator->options->mode], generator->count, generator->active);
    printf(", \"duration_seconds\": %.6f, \"requests_per_sec\": %.1f, \"connects_per_sec\": %.1f", seconds,
           ratio((double)figures.requests, seconds), ratio((double)figures.connects, seconds));
    printf(", \"connect_seconds\": %.6f, \"busy_share\": %.4f, \"client_bound\": %s",
           interval->connect_seconds, busy, busy > CLIENT_BOUND ? "true" : "false");
    counters_append(text, sizeof(text), figure_fields, sizeof(figure_fields) / sizeof(figure_fields[0]),
                    &figures);
    printf("%s", text);
    print_errors(&generator->tally);
    print_latencies(generator);
    port_describe(&generator->link.port, text, sizeof(text));
    printf(", \"port\": %s}\n", text);
    fflush(stdout);
}
