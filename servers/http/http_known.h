/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that were parsed before, by their bytes, with the answers they got. The answer to a request
 * depends on its bytes alone, from its first to its last; so input that begins with the bytes of a known one
 * gets the same answer without a parse. The comparison is of all bytes and is the proof: an index that has
 * gone stale, because another request took the place, costs a parse and cannot be mistaken.
 *
 * Clients repeat themselves, and most send the same: one small table for all connections of a core, a byte in
 * each of them. Must not know connections nor what a request looks like.
 */
#ifndef STACKDUEL_HTTP_KNOWN_H
#define STACKDUEL_HTTP_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    HTTP_KNOWN_REQUESTS = 64,
    HTTP_KNOWN_LIMIT = 1024, /* bytes of a request that is remembered */
};

struct http_known_request {
    _Alignas(64) uint16_t size; /* bytes; 0: none yet */
    uint8_t answer;
    bool recent; /* recognised since the hand last passed */
    char bytes[HTTP_KNOWN_LIMIT];
};

struct http_known {
    struct http_known_request requests[HTTP_KNOWN_REQUESTS];
    uint8_t places[256]; /* by the hash of its bytes, where a request was put; may be stale */
    uint8_t hand;        /* where the search for room begins */
    uint8_t expected;    /* of a new connection: the last that came again */
};

void http_known_init(struct http_known *known);

/* Returns the bytes of the request `index` if data[len] begins with them, and its answer; else 0. */
static inline size_t http_known_match(struct http_known *known, uint8_t index, const char *data, size_t len,
                                      uint8_t *answer) {
    struct http_known_request *request = &known->requests[index];
    size_t size = request->size;
    if (size == 0 || len < size || memcmp(data, request->bytes, size) != 0) {
        return 0;
    }
    request->recent = true;
    *answer = request->answer;
    return size;
}

/* Remembers a whole request of `size` ≤ HTTP_KNOWN_LIMIT bytes, which are copied, and returns its index. One
 * that was not recognised since the last round makes room. */
uint8_t http_known_remember(struct http_known *known, const char *data, size_t size, uint8_t answer);

#endif
