/* SPDX-License-Identifier: BSD-3-Clause */
/* The turn in which everything happens: it receives, keeps time, and asks modes.c what comes next. */
#ifndef STACKDUEL_LOOP_H
#define STACKDUEL_LOOP_H

#include "generator.h"

/* Makes one turn: receives a burst, runs what is due, sends. Sets `problem` when the link or the server is
 * gone. */
void loop_turn(struct generator *generator);

#endif
