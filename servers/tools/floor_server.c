/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a server on a DPDK port can do, to find how near to it others are: no HTTP server and no
 * contender. It answers in the buffer that a request came in, and keeps no connection (floor_answer.h). The
 * servers' contract is kept, and the cycles are counted as lwip_server counts them: a turn is busy that
 * received or sent something.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_log.h>
#include <rte_prefetch.h>

#include "floor_answer.h"
#include "floor_options.h"
#include "stack/port/eal.h"
#include "stack/port/port.h"
#include "stack/port/port_report.h"

#define CACHE_LINE 64

static const char PROGRAM[] = "floor_server";

/* By the names of lwip_server's counters of the same. */
struct turns {
    uint64_t rx_packets;
    uint64_t tx_packets;
    uint64_t rx_dropped;
    uint64_t tx_dropped;
    uint64_t no_mbuf;
    uint64_t polls_busy;
    uint64_t polls_idle;
    uint64_t cycles_busy;
    uint64_t cycles_idle;
    uint64_t tsc_hz;
};

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct turns, name) }

static const struct counter_field fields[] = {
    FIELD(rx_packets), FIELD(tx_packets), FIELD(rx_dropped),  FIELD(tx_dropped),  FIELD(no_mbuf),
    FIELD(polls_busy), FIELD(polls_idle), FIELD(cycles_busy), FIELD(cycles_idle), FIELD(tsc_hz),
};

static struct {
    struct floor floor;
    struct http_site site;
    struct port port;
    struct turns turns;
} server;

static volatile sig_atomic_t stopping, report_due;

static void on_signal(int number) {
    if (number == SIGUSR1) {
        report_due = 1;
    } else {
        stopping = 1;
    }
}

static void catch_signals(void) {
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static void print_counters(void) {
    char port[PORT_DESCRIPTION_SIZE], tail[PORT_DESCRIPTION_SIZE + 16];

    server.turns.rx_packets = server.port.counters.rx_packets;
    server.turns.tx_packets = server.port.counters.tx_packets;
    server.turns.tx_dropped = server.port.counters.tx_dropped;
    port_receive_losses(&server.port, &server.turns.rx_dropped, &server.turns.no_mbuf);
    port_describe(&server.port, port, sizeof(port));
    snprintf(tail, sizeof(tail), "\"port\": %s", port);
    counters_print("floor", &server.floor.counters, fields, sizeof(fields) / sizeof(fields[0]), &server.turns,
                   tail);
}

/* Tells whether something came. */
static bool turn(void) {
    struct rte_mbuf *packets[PORT_BURST];
    unsigned count = port_receive(&server.port, packets);

    for (unsigned i = 0; i < count; i++) {
        if (floor_answer(&server.floor, packets[i])) {
            port_send(&server.port, packets[i]);
        } else {
            rte_pktmbuf_free(packets[i]);
        }
    }
    return count > 0;
}

static void serve(void) {
    uint64_t before = rte_rdtsc();

    while (!stopping && !port_gone(&server.port)) {
        uint64_t sent = server.port.counters.tx_packets, now;
        bool busy = turn();

        if (server.port.tx_count > 0) {
            port_flush(&server.port);
        }
        busy |= server.port.counters.tx_packets != sent;
        now = rte_rdtsc();
        if (busy) {
            server.turns.polls_busy++;
            server.turns.cycles_busy += now - before;
        } else {
            server.turns.polls_idle++;
            server.turns.cycles_idle += now - before;
        }
        before = now;
        if (report_due) {
            report_due = 0;
            print_counters();
        }
    }
}

/* 0, or the exit code. */
static int start(const struct floor_options *options) {
    static const uint8_t none[6];
    bool own_mac = memcmp(options->mac, none, sizeof(none)) == 0;
    const struct port_config config = {.rx_descriptors = (uint16_t)options->rx_descriptors,
                                       .tx_descriptors = (uint16_t)options->tx_descriptors,
                                       .mtu = FLOOR_MTU,
                                       .mbufs = (unsigned)options->mbufs,
                                       .offload = true,
                                       .promiscuous = !own_mac};
    void *memory = aligned_alloc(CACHE_LINE, http_site_size(options->body_size));
    char error[256];

    if (memory == NULL) {
        fprintf(stderr, "%s: out of memory\n", PROGRAM);
        return 1;
    }
    http_site_init(&server.site, options->body_size, memory);
    if (port_open(&server.port, &config, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s: %s\n", PROGRAM, error);
        return 3;
    }
    server.floor = (struct floor){.address = options->address,
                                  .port = rte_cpu_to_be_16((uint16_t)options->port),
                                  .sums_tcp = port_checksums(&server.port) & PORT_TX_TCP,
                                  .response = &server.site.responses[HTTP_200]};
    memcpy(server.floor.mac, own_mac ? server.port.mac : options->mac, sizeof(server.floor.mac));
    server.turns.tsc_hz = rte_get_tsc_hz();
    return 0;
}

static void print_own_options(const char *program) {
    printf("\nAfter EAL's options and '--':\n");
    options_help(stdout, &floor_options, program);
}

int main(int argc, char *argv[]) {
    struct floor_options options;
    int eal_words, code;

    rte_openlog_stream(stderr);
    rte_set_application_usage_hook(print_own_options);
    eal_words = options_parse_after_eal_or_exit(&options, &floor_options, argc, argv);
    if ((code = eal_start(PROGRAM, eal_words, argv)) != 0 || (code = start(&options)) != 0) {
        return code;
    }
    catch_signals();
    ready_print(options.address, (uint16_t)options.port);
    serve();
    print_counters();
    port_close(&server.port);
    return 0; /* without rte_eal_cleanup(): see eal.h */
}
