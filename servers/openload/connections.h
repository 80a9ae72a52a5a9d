/* SPDX-License-Identifier: BSD-3-Clause */
/* The connections of a client: opened, free or asked, ended by the server and opened again. A server may end
 * one between two answers, as HTTP/1.1 has it: that is no failure.
 * Must not know what requests and answers are, nor when they are due. */
#ifndef STACKDUEL_OPENLOAD_CONNECTIONS_H
#define STACKDUEL_OPENLOAD_CONNECTIONS_H

#include "state.h"

/* Opens one and waits until it stands. False with errno set. */
bool connection_open(struct client *client, uint32_t index);

/* Puts one behind those that are free. */
void connection_set_free(struct client *client, uint32_t index, uint64_t now);

/* Takes the one that has been free for longest; there must be one. */
uint32_t connection_take_free(struct client *client);

/* Counts a failure and closes the connection, which is not used again. */
void connection_fail(struct client *client, uint32_t index, enum failure failure);

/* Opens one again that stands, without waiting: it is `opening` until connection_go_on() says otherwise. A
 * request that it was asked stays with it, to be sent from its first byte. */
void connection_reopen(struct client *client, uint32_t index);

/* Handles the end that the server made. It is a failure in the midst of an answer, and on a connection that
 * has not brought one yet; else the connection is opened again. */
void connection_end(struct client *client, uint32_t index);

/* Handles an event of one that is opening. True when it stands. */
bool connection_go_on(struct client *client, uint32_t index);

/* Says in words how the last connection of all was lost, in text[size]. */
void connection_describe_loss(const struct client *client, char *text, size_t size);

#endif
