/* SPDX-License-Identifier: BSD-3-Clause */
/* In which order connections take their turn, and the queue of those whose turn has come. Pure. */
#ifndef STACKDUEL_TURNS_H
#define STACKDUEL_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_EMPTY UINT32_MAX

/* All of 0..count-1 again and again in one order, in which neighbours lie far apart: a server that is asked
 * in the order in which it accepted would find its memory in the order of its prefetchers. */
struct order {
    uint32_t count;
    uint32_t stride; /* has no divisor in common with count */
    uint32_t at;
};

/* Begins an order of `count` ≥ 1. */
void order_init(struct order *order, uint32_t count);

static inline uint32_t order_next(struct order *order) {
    uint32_t now = order->at;
    uint64_t next = (uint64_t)now + order->stride;

    order->at = (uint32_t)(next >= order->count ? next - order->count : next);
    return now;
}

/* First in, first out. Holds as many as it was made for; the caller sees to it that there are not more. */
struct queue {
    uint32_t *items;
    uint32_t mask;
    uint32_t first, end; /* free-running */
};

/* Makes a queue. False: no memory. */
bool queue_init(struct queue *queue, uint32_t capacity);
void queue_free(struct queue *queue);
uint64_t queue_bytes(const struct queue *queue);

static inline uint32_t queue_count(const struct queue *queue) {
    return queue->end - queue->first;
}

static inline void queue_push(struct queue *queue, uint32_t item) {
    queue->items[queue->end++ & queue->mask] = item;
}

/* Returns the item `ahead` places behind the first, and leaves it there; QUEUE_EMPTY if there are fewer. */
static inline uint32_t queue_peek(const struct queue *queue, uint32_t ahead) {
    return ahead < queue_count(queue) ? queue->items[(queue->first + ahead) & queue->mask] : QUEUE_EMPTY;
}

/* Takes the first item of a queue that is not empty. */
static inline uint32_t queue_pop(struct queue *queue) {
    return queue->items[queue->first++ & queue->mask];
}

#endif
