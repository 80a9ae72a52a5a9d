/* SPDX-License-Identifier: BSD-3-Clause */
#include "turns.h"

#include <stdlib.h>

static uint32_t divisor(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

void order_init(struct order *order, uint32_t count) {
    /* The golden section leaves the widest gaps. */
    uint32_t stride = (uint32_t)((uint64_t)count * 618034 / 1000000);

    if (stride == 0) {
        stride = 1;
    }
    while (divisor(stride, count) != 1) {
        stride++;
    }
    *order = (struct order){.count = count, .stride = stride};
}

bool queue_init(struct queue *queue, uint32_t capacity) {
    uint32_t size = 1;

    while (size < capacity) {
        size *= 2;
    }
    *queue = (struct queue){.items = malloc((size_t)size * sizeof(*queue->items)), .mask = size - 1};
    return queue->items != NULL;
}

void queue_free(struct queue *queue) {
    free(queue->items);
    *queue = (struct queue){0};
}

uint64_t queue_bytes(const struct queue *queue) {
    return ((uint64_t)queue->mask + 1) * sizeof(*queue->items);
}
