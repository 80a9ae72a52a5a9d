/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sockets are lwIP's and which stay with the kernel: an ordered list of address and port ranges. Pure.
 */
#ifndef STACKDUEL_RULES_H
#define STACKDUEL_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULES_MAX 64

struct rule {
    uint32_t address; /* network byte order, as is the next; no bit set outside the mask */
    uint32_t mask;
    uint16_t first_port; /* host byte order, both inclusive */
    uint16_t last_port;
    bool kernel; /* it was written with '!' */
    bool tcp;    /* applies to stream sockets */
    bool udp;    /* applies to datagram sockets */
};

struct rules {
    unsigned count;
    struct rule rule[RULES_MAX];
};

/* Reads a comma list of [!][tcp:|udp:]ADDRESS[/PREFIX][:PORT[-PORT]]; no spaces. 0; or -EINVAL (not such a
 * list) or -E2BIG (more than RULES_MAX) with one line without newline in error[size], without the name of
 * the option. */
int rules_parse(struct rules *rules, const char *text, char *error, size_t size);

/* True if the socket is lwIP's: the first rule that matches decides, none is the kernel's. The address and
 * port are the local ones of a bind, the remote ones of a connect or sendto of an unbound socket. */
bool rules_match(const struct rules *rules, bool udp, uint32_t address_be, uint16_t port_host);

#endif
