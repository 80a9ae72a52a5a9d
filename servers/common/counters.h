/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every server counts, and the two lines it prints on stdout: READY, and one JSON object of counters.
 * Must not know any server or stack: a server's own counters come as a second table.
 */
#ifndef STACKDUEL_COUNTERS_H
#define STACKDUEL_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Once every response has left: requests_parsed == responses_sent - errors_http.
 */
struct counters {
    uint64_t requests_parsed; /* complete requests that are answered with 200 */
    uint64_t requests_known;  /* those of them that were known by their bytes and not parsed again */
    uint64_t responses_sent;  /* responses, of any status, handed to the TCP stack to the last byte */
    uint64_t bytes_received;  /* TCP payload */
    uint64_t bytes_sent;      /* TCP payload handed to the TCP stack */
    uint64_t accepts;         /* connections served */
    uint64_t closes;          /* connections of `accepts` that have ended, however they did */
    uint64_t refused;         /* connections turned away: beyond --max-connections, or no resources */
    uint64_t errors_http;     /* 4xx and 5xx answers */
    uint64_t errors_socket;   /* resets, failed writes, TCP's own time-outs */
    uint64_t timeouts;        /* connections that were ended because the client was too slow (http.h) */
    uint64_t retransmits;     /* TCP segments sent again */
};

/* One row of a table of uint64_t counters: its key in JSON and where it lies in its struct. */
struct counter_field {
    const char *name;
    size_t offset;
};

/* Writes `, "name": value` for each of `count` fields at `base` into text[size]; the length, at most `size`.
 */
size_t counters_append(char *text, size_t size, const struct counter_field *fields, size_t count,
                       const void *base);

/* Writes the counters that all servers have, in the same way. */
size_t counters_append_common(char *text, size_t size, const struct counters *counters);

/* Adds one core's counters to a sum. */
void counters_add(struct counters *sum, const struct counters *counters);

/*
 * Prints one line on stdout and flushes it:
 *     {"server": "lwip", <every field of counters>, <`count` fields of `more` at `base`>, <tail>}
 * `more` may be NULL with count 0. `tail` is NULL, or further members as literal JSON without the comma
 * before them ("\"port\": {…}"). All arguments are only read.
 */
void counters_print(const char *server, const struct counters *counters, const struct counter_field *more,
                    size_t count, const void *base, const char *tail);

/* Prints `READY <addr>:<port>` and flushes it. `address` in network byte order, `port` in host byte order. */
void ready_print(uint32_t address, uint16_t port);

#endif
