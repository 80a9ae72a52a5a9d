/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes next for a connection, by the mode and the phase. */
#ifndef STACKDUEL_MODES_H
#define STACKDUEL_MODES_H

#include "generator.h"

/* Has one connection opened from now on, which asks. Of none active, all are opened. */
void mode_learn(struct generator *generator);

/* Has all connections opened from now on. */
void mode_open(struct generator *generator);

/* Begins the load. */
void mode_load(struct generator *generator);

/* Does what follows events of a connection. */
void mode_connected(struct generator *generator, uint32_t index);
void mode_answered(struct generator *generator, uint32_t index);
void mode_ended(struct generator *generator, uint32_t index);

/* Puts the connection into the queue of those that send when there is room. */
void mode_make_ready(struct generator *generator, uint32_t index);

/* Sends what is due, as far as there is room; once a turn. */
void mode_send(struct generator *generator);

/* Counts, in an open loop, requests that were due by now and have not been sent, as their connections are
 * busy. */
uint64_t mode_unsent(const struct generator *generator);

/* Checks, once a millisecond, whether the load goes on by itself. */
void mode_check(struct generator *generator);

#endif
