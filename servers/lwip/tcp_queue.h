/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a response lwIP is given at a time. Must not know what the bytes mean, nor the port. */
#ifndef STACKDUEL_TCP_QUEUE_H
#define STACKDUEL_TCP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/tcp.h"

/* Queues up to `size` bytes by reference, so they must stay until they are acknowledged; returns how many
 * lwIP took. `more`: further bytes follow at once (no PSH). `refused` counts the times that lwIP had no
 * segment or no room in its queue. */
size_t tcp_queue_bytes(struct tcp_pcb *pcb, const uint8_t *bytes, size_t size, bool more, uint64_t *refused);

/* Whether bytes are queued or on their way that the peer has not acknowledged. */
bool tcp_queue_has_data(const struct tcp_pcb *pcb);

#endif
