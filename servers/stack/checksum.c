/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum (RFC 1071) for lwIP where no port computes it. Knows neither lwIP nor the port. */
#include "checksum.h"

#include <string.h>

#include <rte_ip.h>

#include "arch/cc.h"

/* One's complement sum of `length` bytes, folded to 16 bits, not inverted, in network byte order. */
uint16_t stack_checksum(const void *data, int length) {
    return rte_raw_cksum(data, (size_t)length);
}

/* One's complement addition (RFC 1071, 2: in words of any size, folded in the end). */
static inline uint64_t add(uint64_t sum, uint64_t word) {
    sum += word;
    return sum + (sum < word);
}

/* The next `size` bytes, which is a constant, as a word. */
static inline __attribute__((always_inline)) uint64_t copy(uint8_t **to, const uint8_t **from, size_t size) {
    uint64_t word = 0;

    memcpy(&word, *from, size);
    memcpy(*to, &word, size);
    *to += size;
    *from += size;
    return word;
}

/* Two sums, so that one addition need not wait for the other. */
uint16_t stack_copy_and_sum(void *to, const void *from, size_t size) {
    const uint8_t *source = from;
    uint8_t *target = to;
    uint64_t sum = 0, other = 0;

    for (size_t left = size / 16; left > 0; left--) {
        sum = add(sum, copy(&target, &source, 8));
        other = add(other, copy(&target, &source, 8));
    }
    if (size & 8) {
        sum = add(sum, copy(&target, &source, 8));
    }
    if (size & 4) {
        other = add(other, copy(&target, &source, 4));
    }
    if (size & 2) {
        sum = add(sum, copy(&target, &source, 2));
    }
    if (size & 1) {
        other = add(other, copy(&target, &source, 1));
    }
    sum = add(sum, other);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
