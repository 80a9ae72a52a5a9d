/* SPDX-License-Identifier: BSD-3-Clause */
/* The sleep of a core until its port has a packet for it, for ports opened with interrupts. Must not know
 * what else a core has to do. */
#ifndef STACKDUEL_PORT_SLEEP_H
#define STACKDUEL_PORT_SLEEP_H

#include "port_state.h"

/* Once, on the thread that will sleep. 0, or a negative errno with one line in error[]: -ENOTSUP when the
 * port has no receive interrupts. */
int port_sleep_prepare(struct port *port, char *error, size_t size);

/* Undoes it; port_close() does so. */
void port_sleep_finish(struct port *port);

/* From here on a packet that comes, or is handed over, ends the sleep that follows. Packets that came before
 * do not: they are to be looked for after this, and before port_sleep(). */
void port_sleep_arm(struct port *port);

/* Sleeps until a packet comes, the waker is used, or timeout_ms (0 or more) have passed; false: the last. */
bool port_sleep(struct port *port, int timeout_ms);

/* After port_sleep_arm(), whether it slept or not. */
void port_sleep_disarm(struct port *port);

/* Ends the sleep of this core; NULL if it was not opened for sleeping. Valid until core 0 closes the port. */
const struct waker *port_waker(const struct port *port);

#endif
