/* SPDX-License-Identifier: BSD-3-Clause */
#include "measures.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
const struct measure_row measure_rows[] = {
    {MEASURE_LOOKUP, "lookup", "connections and listeners found in a keyed table, not by walking a list"},
    {MEASURE_POOLS, "pools", "buffers from constant-time pools, not from lwIP's first-fit heap"},
    {MEASURE_TIMERS, "timers", "timers by deadline in a wheel, not by walking all connections"},
    {MEASURE_RX_LEND, "rx-lend", "received packets reach TCP without a copy"},
    {MEASURE_TX_IN_PLACE, "tx-in-place", "headers and small bodies built in the packet that leaves, not copied thrice"},
    {MEASURE_TX_ATTACH, "tx-attach", "large bodies attached to the packet, where the port takes several segments"},
    {MEASURE_SUM_IN_COPY, "sum-in-copy", "checksums that no hardware computes, folded into the copy or kept"},
    {MEASURE_OFFLOAD, "offload", "checksums left to the port where it offers"},
    {MEASURE_TSO, "tso", "segmentation left to the port where it offers"},
    {MEASURE_BATCH, "batch", "packets sent in bursts, not one by one"},
    {MEASURE_PREFETCH, "prefetch", "the connections of a burst looked up ahead"},
    {MEASURE_CLOCK, "clock", "the clock read once a turn, not for every packet"},
    {MEASURE_PREDICTION, "prediction", "header prediction for the segment that is expected next"},
    {MEASURE_REQUEST, "request", "a request known by its bytes is not parsed again"},
};
/* clang-format on */

const size_t measure_row_count = sizeof(measure_rows) / sizeof(measure_rows[0]);

uint32_t measures = UINT32_MAX;

static uint32_t bit_of(const char *name, size_t length) {
    for (size_t i = 0; i < measure_row_count; i++) {
        if (strlen(measure_rows[i].name) == length && memcmp(measure_rows[i].name, name, length) == 0) {
            return measure_rows[i].bit;
        }
    }
    return 0;
}

bool measures_leave_out(const char *list, char *error, size_t size) {
    uint32_t left_out = 0;

    for (const char *name = list; *name != '\0';) {
        size_t length = strcspn(name, ",");
        bool all = length == 3 && memcmp(name, "all", 3) == 0;
        uint32_t bit = all ? UINT32_MAX : bit_of(name, length);

        if (bit == 0) {
            snprintf(error, size, "--without: there is no measure '%.*s'; see --help", (int)length, name);
            return false;
        }
        left_out |= bit;
        name += length + (name[length] == ',');
    }
    measures &= ~left_out;
    return true;
}

void measures_describe(char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "[");

    for (size_t i = 0; i < measure_row_count && length < size; i++) {
        if (measure(measure_rows[i].bit)) {
            length += (size_t)snprintf(text + length, size - length, "%s\"%s\"", length > 1 ? ", " : "",
                                       measure_rows[i].name);
        }
    }
    if (length < size) {
        snprintf(text + length, size - length, "]");
    }
}
