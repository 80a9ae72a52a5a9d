/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells what a stack has counted, and what its port is. */
#include "stack.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/syn_cookie.h"
#include "lwip/tcp_budget.h"

#include "stack_state.h"

void stack_count(struct stack_counters *counters) {
    uint64_t lost, no_mbuf;

    port_receive_losses(&stack.port, &lost, &no_mbuf);
    *counters = (struct stack_counters){
        .rx_packets = stack.port.counters.rx_packets,
        .tx_packets = stack.port.counters.tx_packets,
        .rx_dropped = lost + stack.rx_no_memory,
        .tx_dropped = stack.port.counters.tx_dropped + stack.tx_no_mbuf,
        .rx_copied = stack.zero_copy.copied,
        .segments_held = tcp_budget_counters.segments,
        .input_dropped = tcp_budget_counters.input,
        .out_of_order_dropped = tcp_budget_counters.out_of_order,
        .no_mbuf = no_mbuf,
        .retransmits = lwip_stats.mib2.tcpretranssegs,
        .polls_busy = stack.polls_busy,
        .polls_idle = stack.polls_idle,
        .cycles_busy = stack.cycles_busy,
        .cycles_idle = stack.cycles_idle,
        .cycles_away = stack.cycles_away,
        .cycles_asleep = stack.cycles_asleep,
        .sleeps = stack.sleeps,
        .wakeups = stack.wakeups,
        .handed_over = stack.port.rss.handed_over,
        .taken_over = stack.port.rss.taken_over,
        .orphans_given_up = tcp_orphan_counters.given_up,
        .syn_cookies_sent = syn_cookie_counters.sent,
        .syn_cookies_accepted = syn_cookie_counters.accepted,
        .syn_cookies_refused = syn_cookie_counters.refused,
        .tsc_hz = stack.tsc_hz,
    };
}

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct stack_counters, name) }

const struct counter_field stack_counter_fields[] = {
    FIELD(rx_packets),       FIELD(tx_packets),       FIELD(rx_dropped),           FIELD(tx_dropped),
    FIELD(rx_copied),        FIELD(no_mbuf),          FIELD(polls_busy),           FIELD(polls_idle),
    FIELD(cycles_busy),      FIELD(cycles_idle),      FIELD(cycles_asleep),        FIELD(sleeps),
    FIELD(wakeups),          FIELD(cycles_away),      FIELD(handed_over),          FIELD(taken_over),
    FIELD(orphans_given_up), FIELD(syn_cookies_sent), FIELD(syn_cookies_accepted), FIELD(syn_cookies_refused),
    FIELD(segments_held),    FIELD(input_dropped),    FIELD(out_of_order_dropped), FIELD(tsc_hz),
};
const size_t stack_counter_field_count = sizeof(stack_counter_fields) / sizeof(stack_counter_fields[0]);

void stack_counters_add(struct stack_counters *sum, const struct stack_counters *counters) {
    for (size_t i = 0; i < stack_counter_field_count; i++) {
        *(uint64_t *)((char *)sum + stack_counter_fields[i].offset) +=
            *(const uint64_t *)((const char *)counters + stack_counter_fields[i].offset);
    }
    sum->retransmits += counters->retransmits;
    sum->tsc_hz = counters->tsc_hz;
}

void stack_describe_port(char *text, size_t size) {
    port_describe(&stack.port, text, size);
}

void stack_print_port_xstats(FILE *out) {
    port_print_xstats(&stack.port, out);
}
