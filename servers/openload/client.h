/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread of the open-loop client: its connections, each with at most one request in flight, and its share
 * of the schedule. Latency is counted from when a request was meant to leave, so that a server that stalls
 * delays what it is asked meanwhile, too (Gil Tene's coordinated omission, as wrk2 counts it).
 *
 * How it waits: epoll_pwait2() with nanoseconds until `spin` before the next request is due, and asking
 * without waiting from then on; with every connection busy it sleeps until an answer comes.
 * Must not know options, other threads or how results are printed. */
#ifndef STACKDUEL_CLIENT_H
#define STACKDUEL_CLIENT_H

#include "state.h"

/* Prepares a client. False with *problem set: no memory, or no epoll. client_free() in any case. */
bool client_init(struct client *client, const struct client_order *order);
void client_free(struct client *client);

/* Opens all connections and asks once on each, so that the answer is known and nothing is cold. False with
 * *problem set where that fails. */
bool client_open(struct client *client);

/* Makes the load, and waits until what is in flight is answered. False with *problem set where it had to end
 * early. */
bool client_run(struct client *client, const struct client_interval *interval);

#endif
