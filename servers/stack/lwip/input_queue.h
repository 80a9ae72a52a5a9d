/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Received bytes that wait for whoever reads them. A byte is added in constant time, however many wait, and small
 * segments are copied together, so that what waits pins little more memory than it has bytes. Each buffer counts in the
 * budget of all input (tcp_budget.h).
 */
#ifndef LWIP_HDR_INPUT_QUEUE_H
#define LWIP_HDR_INPUT_QUEUE_H

#include "lwip/pbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A ring of pbufs, of which each counts by itself (its tot_len is its len): one address is enough. */
struct input_queue {
  struct pbuf *last; /* its next is the first; NULL: the queue is empty */
};

/* The chain is the queue's then. */
void input_queue_add(struct input_queue *queue, struct pbuf *chain);

static inline struct pbuf *
input_queue_first(const struct input_queue *queue)
{
  return queue->last != NULL ? queue->last->next : NULL;
}

/* The first `length` bytes of the first pbuf have been read, at most all of them. */
void input_queue_read(struct input_queue *queue, u16_t length);

/* Drops all. How many bytes that were. */
size_t input_queue_clear(struct input_queue *queue);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_INPUT_QUEUE_H */
