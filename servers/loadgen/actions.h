/* SPDX-License-Identifier: BSD-3-Clause */
/* What is sent for one connection, and what that makes of its state. */
#ifndef STACKDUEL_ACTIONS_H
#define STACKDUEL_ACTIONS_H

#include <stdbool.h>

#include "generator.h"

/* Sends SYN from the connection's flow. */
void action_open(struct generator *generator, uint32_t index);

/* Sends the request; its latency counts from `since`. False: there was no buffer, and nothing has changed. */
bool action_ask(struct generator *generator, uint32_t index, uint64_t since);

void action_acknowledge(struct generator *generator, struct connection *connection);

/* Delays an acknowledgement, so that it can ride on a request that comes soon. */
void action_acknowledge_later(struct generator *generator, uint32_t index);

/* Sends those that no request has taken along. */
void action_delayed_acknowledgements(struct generator *generator);

/* Sends FIN. */
void action_close(struct generator *generator, uint32_t index);

/* Waits for the peer: nothing is unacknowledged, and what is missing is the peer's to send. */
void action_await_peer(struct generator *generator, uint32_t index);

/* After action_abandon() and action_end(), and where action_deadline() returns true, the caller must call
 * mode_ended(): modes.c decides what comes next. */

/* Ends and counts a connection that went wrong; `reset`: the peer does not know it yet. */
void action_abandon(struct generator *generator, uint32_t index, enum failure failure, bool reset);

/* Ends a connection both sides have closed. */
void action_end(struct generator *generator, uint32_t index);

/* Ends a connection that stands with RST, uncounted. */
void action_reset(struct generator *generator, uint32_t index);

/* Sends again, or abandons the connection, where nothing has come in time. True: it did that. */
bool action_deadline(struct generator *generator, uint32_t index);

#endif
