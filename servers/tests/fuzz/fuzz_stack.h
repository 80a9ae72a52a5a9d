/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACKDUEL_TESTS_FUZZ_STACK_H
#define STACKDUEL_TESTS_FUZZ_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be called before the first input, if at all: whether frames may go the short way to the connection that
 * expects them. */
void fuzz_stack_predict(bool predict);

/* A number that follows from all that lwIP has sent. */
uint64_t fuzz_stack_digest(void);

/* One input to its end; 0. Aborts the process when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
