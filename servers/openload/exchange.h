/* SPDX-License-Identifier: BSD-3-Clause */
/* One request and its answer on a connection of a client: sent, compared byte for byte, counted.
 * Must not know when requests are due or how events come. */
#ifndef STACKDUEL_OPENLOAD_EXCHANGE_H
#define STACKDUEL_OPENLOAD_EXCHANGE_H

#include "state.h"

/* Sends a request on a connection that has none, or as much of it as the socket takes. Its latency counts
 * from `intended`. */
void exchange_ask(struct client *client, uint32_t index, uint64_t intended);

/* Sends what is left of the request, or as much of it as the socket takes. */
void exchange_send_rest(struct client *client, uint32_t index);

/* Reads until the socket is empty and judges what has come; with `ended` up to the server's end. */
void exchange_receive(struct client *client, uint32_t index, bool ended);

#endif
