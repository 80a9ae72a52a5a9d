/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses TCP's initial sequence numbers as RFC 6528 has it: a clock, so that a connection begins behind the
 * last one between the same ports, and a keyed hash of addresses and ports, so that nobody knows where
 * another one begins. */
#ifndef STACKDUEL_INITIAL_SEQUENCE_H
#define STACKDUEL_INITIAL_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

#include <sodium/crypto_shorthash_siphash24.h>

#include "random.h"

/* The clock's tick: some 64 ns, as Linux has it. With the RFC's 4 us a connection that sent more than 250 kB
 * in a second would end ahead of the clock. It wraps after four minutes, long after TIME-WAIT. */
#define SEQUENCE_TICKS_A_SECOND 15625000u

struct sequence_key {
    uint8_t secret[crypto_shorthash_siphash24_KEYBYTES];
};

static inline struct sequence_key sequence_key_draw(void) {
    struct sequence_key key;

    random_draw(&key, sizeof(key));
    return key;
}

/* Of the connection that flow[size] names, at `tsc` of a time stamp counter of `hz`. */
static inline uint32_t initial_sequence(const struct sequence_key *key, const void *flow, size_t size,
                                        uint64_t tsc, uint64_t hz) {
    uint64_t period = hz / SEQUENCE_TICKS_A_SECOND, hash;

    crypto_shorthash_siphash24((unsigned char *)&hash, flow, size, key->secret);
    return (uint32_t)hash + (uint32_t)(tsc / (period > 0 ? period : 1));
}

#endif
