/* SPDX-License-Identifier: BSD-3-Clause */
/* Turns a packet into its answer, in its own buffer, and remembers nothing of it: ARP, ping, and as much TCP
 * as keeps a client's connections open. A segment that begins with "GET " and ends with an empty line is one
 * request. What is lost is not sent again, but a request that comes again is answered again. Must not know
 * the port's queues, nor how it is measured. */
#ifndef STACKDUEL_FLOOR_ANSWER_H
#define STACKDUEL_FLOOR_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "common/counters.h"
#include "http/http.h"

struct floor {
    uint8_t mac[6];
    rte_be32_t address;
    rte_be16_t port;
    bool sums_tcp; /* the port fills in TCP's checksum */
    const struct http_response *response;
    struct counters counters;
};

/* Makes the packet its answer. False: there is none, and it is still the packet that came. */
bool floor_answer(struct floor *floor, struct rte_mbuf *packet);

#endif
