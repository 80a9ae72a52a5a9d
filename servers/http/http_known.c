/* SPDX-License-Identifier: BSD-3-Clause */
#include "http_known.h"

void http_known_init(struct http_known *known) {
    for (int i = 0; i < HTTP_KNOWN_REQUESTS; i++) {
        known->requests[i].size = 0;
        known->requests[i].recent = false;
    }
    memset(known->places, 0, sizeof(known->places));
    known->hand = 0;
    known->expected = 0;
}

/* Finds where to look for a request that was remembered before. Of two that fall together each is remembered
 * anew when it misses, which costs a copy and no more: the hash needs no key. */
static uint8_t *place_of(struct http_known *known, const char *data, size_t size) {
    const uint64_t spread = UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio */
    uint64_t mark = size;
    uint64_t word;
    for (; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        mark = (mark ^ word) * spread;
        mark ^= mark >> 32;
    }
    word = 0;
    memcpy(&word, data, size);
    mark = (mark ^ word) * spread;
    return &known->places[mark >> 56];
}

/* Makes room by second chance: what is in use stays, however many requests pass that come but once. */
static uint8_t make_room(struct http_known *known) {
    uint8_t place;
    bool recent;
    do {
        place = known->hand;
        known->hand = (uint8_t)((place + 1) % HTTP_KNOWN_REQUESTS);
        recent = known->requests[place].recent;
        known->requests[place].recent = false;
    } while (recent);
    return place;
}

uint8_t http_known_remember(struct http_known *known, const char *data, size_t size, uint8_t answer) {
    uint8_t *place = place_of(known, data, size);
    struct http_known_request *request = &known->requests[*place];
    if (request->size == size && memcmp(request->bytes, data, size) == 0) {
        request->recent = true;
        known->expected = *place;
    } else {
        *place = make_room(known);
        request = &known->requests[*place];
        memcpy(request->bytes, data, size);
        request->size = (uint16_t)size;
        request->answer = answer;
    }
    return *place;
}
