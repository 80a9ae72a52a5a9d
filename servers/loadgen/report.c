/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "counters.h"

#define CLIENT_BOUND 1.0 / 3 /* of its core: from here on the client may be what limits */

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

static void print_latencies(const struct generator *generator) {
    double us = 1e6 / (double)generator->tsc_hz;
    const char *comma = "";

    printf("\"latency_us\": [");
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (generator->latencies.counts[i] > 0) {
            printf("%s[%.3f, %" PRIu64 "]", comma, histogram_value(i) * us, generator->latencies.counts[i]);
            comma = ", ";
        }
    }
    printf("], ");
}

/* Of the process's life. */
static void print_errors(const struct tally *tally) {
    printf("\"errors\": {\"connect\": %" PRIu64 ", \"reset\": %" PRIu64 ", \"timeout\": %" PRIu64
           ", \"content\": %" PRIu64 ", \"status\": %" PRIu64 "}, ",
           tally->failures[FAILED_CONNECT], tally->failures[FAILED_RESET], tally->failures[FAILED_TIMEOUT],
           tally->failures[FAILED_CONTENT], tally->failures[FAILED_STATUS]);
}

static void print_cycles(const struct interval *interval, const struct generator *generator) {
    uint64_t busy = interval->end.cycles_busy - interval->begin.cycles_busy;
    uint64_t idle = interval->end.cycles_idle - interval->begin.cycles_idle;
    double share = busy + idle > 0 ? (double)busy / (double)(busy + idle) : 0;

    printf("\"busy_share\": %.4f, \"client_bound\": %s, \"cycles_busy\": %" PRIu64
           ", \"cycles_idle\": %" PRIu64 ", \"tsc_hz\": %" PRIu64 ", ",
           share, share > CLIENT_BOUND ? "true" : "false", busy, idle, generator->tsc_hz);
}

void report_print(const struct interval *interval, const struct generator *generator) {
    double seconds = (double)(interval->end_tsc - interval->begin_tsc) / (double)generator->tsc_hz;
    uint64_t requests = interval->end.requests - interval->begin.requests;
    uint64_t connects = interval->end.connects - interval->begin.connects;
    char port[2048];

    port_describe(&generator->link.port, port, sizeof(port));
    printf("{\"program\": \"loadgen\", \"mode\": \"%s\", \"connections\": %u, \"active\": %u, ",
           modes[generator->options->mode], generator->count, generator->active);
    printf("\"duration_seconds\": %.6f, \"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"requests_per_sec\": %.1f, ",
           seconds, requests, interval->end.bytes - interval->begin.bytes,
           seconds > 0 ? (double)requests / seconds : 0);
    printf("\"connects\": %" PRIu64 ", \"connects_per_sec\": %.1f, \"connect_seconds\": %.6f, ", connects,
           seconds > 0 ? (double)connects / seconds : 0, interval->connect_seconds);
    printf("\"total_requests\": %" PRIu64 ", \"total_connects\": %" PRIu64 ", \"in_flight\": %u, ",
           generator->tally.requests, generator->tally.connects, generator->in_flight);
    print_errors(&generator->tally);
    printf("\"retransmits\": %" PRIu64 ", \"total_retransmits\": %" PRIu64 ", ",
           interval->end.retransmits - interval->begin.retransmits, generator->tally.retransmits);
    print_latencies(generator);
    print_cycles(interval, generator);
    printf("\"rx_packets\": %" PRIu64 ", \"tx_packets\": %" PRIu64 ", \"rx_dropped\": %" PRIu64
           ", \"tx_dropped\": %" PRIu64 ", ",
           interval->rx_packets, interval->tx_packets, interval->rx_dropped, interval->tx_dropped);
    printf("\"state_bytes_per_connection\": %zu, \"memory_bytes\": %" PRIu64 ", \"port\": %s}\n",
           sizeof(struct connection), generator_bytes(generator), port);
    fflush(stdout);
}
