/* SPDX-License-Identifier: BSD-3-Clause */
#include "features.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct feature_row optimisation_rows[] = {
    {FEATURE_REQUEST, "request", "a request known by its bytes is not parsed again"},
    {FEATURE_BATCH, "batch", "packets sent in bursts, not one by one"},
    {FEATURE_LOOKUP, "lookup", "connections and listeners found in a keyed table, not by walking a list"},
    {FEATURE_POOLS, "pools", "buffers from constant-time pools, not from lwIP's first-fit heap"},
    {FEATURE_TIMERS, "timers", "timers by deadline in a wheel, not by walking all connections"},
    {FEATURE_RX_ZERO_COPY, "rx-zero-copy", "received packets reach TCP without a copy"},
    {FEATURE_TX_IN_PLACE, "tx-in-place", "headers and small bodies built in the packet that leaves, not copied thrice"},
    {FEATURE_TX_ATTACH, "tx-attach", "large bodies attached to the packet, where the port takes several segments"},
    {FEATURE_SUM_IN_COPY, "sum-in-copy", "checksums that no hardware computes, folded into the copy or kept"},
    {FEATURE_OFFLOAD, "offload", "checksums left to the port where it offers"},
    {FEATURE_TSO, "tso", "segmentation left to the port where it offers"},
    {FEATURE_PREFETCH, "prefetch", "the connections of a burst looked up ahead"},
    {FEATURE_CLOCK, "clock", "the clock read once a turn, not for every packet"},
    {FEATURE_PREDICTION, "prediction", "header prediction for the segment that is expected next"},
};

static const struct feature_row obligation_rows[] = {
    {OBLIGATION_ISN, "isn", "initial sequence numbers by a keyed hash of the connection (RFC 6528)"},
    {OBLIGATION_ACCEPTABLE, "acceptable", "nothing is used of a segment that is not acceptable (RFC 9293, RFC 5961)"},
    {OBLIGATION_SYN_COOKIES, "syn-cookies", "a full backlog answers with cookies, and forgets nobody (RFC 4987)"},
    {OBLIGATION_ORPHANS, "orphan-limit", "closed connections end soon, and give way to new ones"},
    {OBLIGATION_SEGMENT_BUDGET, "segment-budget", "a connection queues no more than its share of the segments (RFC 4732, 2.1.3)"},
    {OBLIGATION_INPUT_BUDGET, "input-budget", "windows shrink as unread input fills its budget (RFC 4732, 2.1.3)"},
    {OBLIGATION_RTO, "rto", "what was lost is sent again after its round trip's time (RFC 6298)"},
    {OBLIGATION_CONGESTION_WINDOW, "congestion-window", "the first window is ten segments, also after a pause (RFC 6928)"},
    {OBLIGATION_RECOVERY, "recovery", "several losses in one window need no time-out each (RFC 6582, 3042)"},
};
/* clang-format on */

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])
const struct feature_table optimisations = {"optimisation", "without", ~OBLIGATIONS, ROWS(optimisation_rows)};
const struct feature_table obligations = {"obligation", "waive", OBLIGATIONS, ROWS(obligation_rows)};

uint32_t features = UINT32_MAX;

static uint32_t bit_of(const struct feature_table *table, const char *name, size_t length) {
    for (size_t i = 0; i < table->count; i++) {
        if (strlen(table->rows[i].name) == length && memcmp(table->rows[i].name, name, length) == 0) {
            return table->rows[i].bit;
        }
    }
    return 0;
}

bool features_leave_out(const struct feature_table *table, const char *list, char *error, size_t size) {
    uint32_t left_out = 0;

    for (const char *name = list; *name != '\0';) {
        size_t length = strcspn(name, ",");
        bool all = length == 3 && memcmp(name, "all", 3) == 0;
        uint32_t bit = all ? table->all : bit_of(table, name, length);

        if (bit == 0) {
            snprintf(error, size, "--%s: there is no %s '%.*s'; see --help", table->option, table->kind,
                     (int)length, name);
            return false;
        }
        left_out |= bit;
        name += length + (name[length] == ',');
    }
    features &= ~left_out;
    return true;
}

void features_describe(const struct feature_table *table, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "[");

    for (size_t i = 0; i < table->count && length < size; i++) {
        if (feature_on(table->rows[i].bit)) {
            length += (size_t)snprintf(text + length, size - length, "%s\"%s\"", length > 1 ? ", " : "",
                                       table->rows[i].name);
        }
    }
    if (length < size) {
        snprintf(text + length, size - length, "]");
    }
}
