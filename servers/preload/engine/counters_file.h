/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library counts, in a file that others read while the program runs: one JSON object, padded with
 * spaces to COUNTERS_FILE_SIZE bytes and rewritten in place. Who reads it reads until two readings are equal.
 */
#ifndef STACKDUEL_COUNTERS_FILE_H
#define STACKDUEL_COUNTERS_FILE_H

#include <stdint.h>

#define COUNTERS_FILE_SIZE 4096

/* Sockets that are open, and what they have done since the start; the sockets count here. */
struct socket_counters {
    uint64_t sockets, listeners; /* open now */
    uint64_t connects, accepts, closes;
    uint64_t bytes_received, bytes_sent;
};

extern struct socket_counters socket_counters;

/* Creates the file, or empties it. 0, or -1 with errno. */
int counters_file_open(const char *path);

/* Rewrites it if the last time is long enough ago; `now_ms` is the stack's clock. */
void counters_file_keep(uint32_t now_ms);

/* Rewrites it. Nothing without a file. */
void counters_file_write(void);

/* In a child of fork(): the file is the parent's. */
void counters_file_leave(void);

#endif
