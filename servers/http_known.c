/* SPDX-License-Identifier: BSD-3-Clause */
#include "http_known.h"

void http_known_init(struct http_known *known) {
    for (int i = 0; i < HTTP_KNOWN_REQUESTS; i++) {
        known->requests[i].size = 0;
        known->requests[i].recent = false;
    }
    memset(known->marks, 0, sizeof(known->marks));
    known->hand = 0;
    known->latest = 0;
}

/* Finds the place of a request without comparing it to all others. Whoever makes two with the same mark has
 * them replace each other. */
static uint32_t mark_of(const char *data, size_t size) {
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
    return (uint32_t)(mark >> 32);
}

/* No early exit, so that the compiler may compare several at once. HTTP_KNOWN_REQUESTS: none. */
static int find(const struct http_known *known, uint32_t mark) {
    int found = HTTP_KNOWN_REQUESTS;
    for (int i = 0; i < HTTP_KNOWN_REQUESTS; i++)
        found = known->marks[i] == mark ? i : found;
    return found;
}

/* Second chance: what is in use stays, however many requests pass that come but once. */
static int make_room(struct http_known *known) {
    int place;
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
    uint32_t mark = mark_of(data, size);
    int place = find(known, mark);
    if (place == HTTP_KNOWN_REQUESTS)
        place = make_room(known);
    struct http_known_request *request = &known->requests[place];
    if (request->size != size || memcmp(request->bytes, data, size) != 0) {
        memcpy(request->bytes, data, size);
        request->size = (uint16_t)size;
        request->answer = answer;
        request->recent = false;
        known->marks[place] = mark;
    } else {
        request->recent = true;
    }
    known->latest = (uint8_t)place;
    return (uint8_t)place;
}
