/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum of bytes on their way. Must know neither lwIP nor the port. */
#ifndef STACKDUEL_CHECKSUM_H
#define STACKDUEL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Copies `size` bytes to where none of them is yet, in one pass with their sum, which is that of
 * stack_checksum(). */
uint16_t stack_copy_and_sum(void *to, const void *from, size_t size);

#endif
