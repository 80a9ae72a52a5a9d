/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum (RFC 1071) for lwIP where no port computes it. Knows neither lwIP nor the port. */
#include <stddef.h>

#include <rte_ip.h>

#include "arch/cc.h"

/* One's complement sum of `length` bytes, folded to 16 bits, not inverted, in network byte order. */
uint16_t stack_checksum(const void *data, int length) {
    return rte_raw_cksum(data, (size_t)length);
}
