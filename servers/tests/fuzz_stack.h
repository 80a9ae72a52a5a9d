/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACKDUEL_TESTS_FUZZ_STACK_H
#define STACKDUEL_TESTS_FUZZ_STACK_H

#include <stddef.h>
#include <stdint.h>

/* One input to its end; 0. Aborts the process when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
