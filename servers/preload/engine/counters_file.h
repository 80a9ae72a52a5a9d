/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library counts, in a file that others read while the program runs: one JSON object, padded with
 * spaces to COUNTERS_FILE_SIZE bytes and rewritten in place. Who reads it reads until two readings are equal.
 */
#ifndef STACKDUEL_COUNTERS_FILE_H
#define STACKDUEL_COUNTERS_FILE_H

#include <stdint.h>

#define COUNTERS_FILE_SIZE 4096

/* Creates the file, or empties it. 0, or -1 with errno. */
int counters_file_open(const char *path);

/* Rewrites it if the last time is long enough ago; `now_ms` is the stack's clock. */
void counters_file_keep(uint32_t now_ms);

/* Rewrites it. Nothing without a file. */
void counters_file_write(void);

/* In a child of fork(): the file is the parent's. */
void counters_file_leave(void);

#endif
