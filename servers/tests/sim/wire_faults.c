/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire_faults.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t wire_random(uint64_t *state) {
    uint64_t value = *state += 0x9e3779b97f4a7c15;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

static bool happens(struct wire *wire, unsigned rate) {
    return rate > 0 && wire_random(&wire->random) % WIRE_ALWAYS < rate;
}

static void *or_die(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "wire: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static bool before(const struct wire_frame *a, const struct wire_frame *b) {
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap(struct wire_frame **a, struct wire_frame **b) {
    struct wire_frame *kept = *a;

    *a = *b;
    *b = kept;
}

static void push(struct wire *wire, struct wire_frame *frame) {
    size_t at = wire->count++;

    if (wire->count > wire->room) {
        wire->room = wire->room == 0 ? 64 : 2 * wire->room;
        wire->heap = or_die(realloc(wire->heap, wire->room * sizeof(wire->heap[0])));
    }
    wire->heap[at] = frame;
    for (; at > 0 && before(wire->heap[at], wire->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        swap(&wire->heap[at], &wire->heap[(at - 1) / 2]);
    }
}

static struct wire_frame *pop(struct wire *wire) {
    struct wire_frame *first = wire->heap[0];
    size_t at = 0;

    wire->heap[0] = wire->heap[--wire->count];
    for (size_t child; (child = 2 * at + 1) < wire->count; at = child) {
        if (child + 1 < wire->count && before(wire->heap[child + 1], wire->heap[child])) {
            child++;
        }
        if (!before(wire->heap[child], wire->heap[at])) {
            break;
        }
        swap(&wire->heap[child], &wire->heap[at]);
    }
    return first;
}

void wire_init(struct wire *wire, const struct wire_rates *rates, uint64_t seed) {
    *wire = (struct wire){.rates = *rates, .random = seed};
}

static void put_one(struct wire *wire, const void *bytes, size_t size, uint64_t now_us) {
    const struct wire_rates *rates = &wire->rates;
    struct wire_frame *frame;

    if (happens(wire, rates->loss) || (rates->queue > 0 && wire->count >= rates->queue)) {
        wire->counts.lost++;
        return;
    }
    frame = or_die(malloc(sizeof(*frame) + size));
    frame->number = wire->numbered++;
    frame->size = size;
    frame->due_us = now_us + rates->delay_us;
    memcpy(frame->bytes, bytes, size);
    if (happens(wire, rates->reorder)) {
        frame->due_us += 1 + wire_random(&wire->random) % rates->jitter_us;
        wire->counts.reordered++;
    }
    if (happens(wire, rates->damage)) {
        size_t bit = wire_random(&wire->random) % (8 * size);

        frame->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        wire->counts.damaged++;
    }
    push(wire, frame);
}

void wire_put(struct wire *wire, const void *frame, size_t size, uint64_t now_us) {
    wire->counts.taken++;
    if (happens(wire, wire->rates.duplicate)) {
        wire->counts.duplicated++;
        put_one(wire, frame, size, now_us);
    }
    put_one(wire, frame, size, now_us);
}

uint64_t wire_due_us(const struct wire *wire) {
    return wire->count > 0 ? wire->heap[0]->due_us : UINT64_MAX;
}

struct wire_frame *wire_take(struct wire *wire, uint64_t now_us) {
    if (wire_due_us(wire) > now_us) {
        return NULL;
    }
    wire->counts.delivered++;
    return pop(wire);
}

void wire_clear(struct wire *wire) {
    while (wire->count > 0) {
        free(pop(wire));
    }
    free(wire->heap);
    wire->heap = NULL;
    wire->room = 0;
}
