/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes next for a connection, by the mode and the phase. */
#ifndef STACKDUEL_MODES_H
#define STACKDUEL_MODES_H

#include "generator.h"

/* From now on one connection is opened, and asks. Of none active, all are opened. */
void mode_learn(struct generator *generator);

/* From now on all connections are opened. */
void mode_open(struct generator *generator);

/* From now on there is load. */
void mode_load(struct generator *generator);

/* What follows events of a connection. */
void mode_connected(struct generator *generator, uint32_t index);
void mode_answered(struct generator *generator, uint32_t index);
void mode_ended(struct generator *generator, uint32_t index);

/* Puts the connection into the queue of those that send when there is room. */
void mode_make_ready(struct generator *generator, uint32_t index);

/* Sends what is due, as far as there is room; once a turn. */
void mode_send(struct generator *generator);

/* Open loop: requests that were due by now and have not been sent, as their connections are busy. */
uint64_t mode_unsent(const struct generator *generator);

/* Once a millisecond: whether the load goes on by itself. */
void mode_check(struct generator *generator);

#endif
