/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port says of itself: what it granted of what was asked for, and what its device has counted. Must
 * not know what is done with it. */
#ifndef STACKDUEL_PORT_REPORT_H
#define STACKDUEL_PORT_REPORT_H

#include <stddef.h>
#include <stdio.h>

struct port;

/* Bytes that port_describe() fills at most, of any driver. */
#define PORT_DESCRIPTION_SIZE 3072

/* Once, by core 0 of a port that has started: what its device says but once, or says slowly. */
void port_ask_device(struct port *port);

/* The object of facts about the port for the server's counters: a JSON object in text[]. */
void port_describe(const struct port *port, char *text, size_t size);

/* The device's extended statistics that are not 0, as a JSON object of counts under the driver's own names;
 * null if it does not tell them. By core 0, seldom: a device is asked register by register. */
void port_print_xstats(const struct port *port, FILE *out);

#endif
