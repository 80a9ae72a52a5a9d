/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port does with a lean segment of lwIP: the packets that leave are made from it, and one of more than
 * the MSS is cut up as hardware does it. Must not know the wire. */
#ifndef STACKDUEL_TESTS_SIM_CUT_H
#define STACKDUEL_TESTS_SIM_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/netif.h"

struct tcp_pcb;
struct tcp_seg;

/* Takes one frame, which is gone afterwards. */
typedef void sim_put(struct netif *netif, const uint8_t *frame, size_t size);

/* Gives put() the packets of a segment whose header is complete but for its checksum, in order, from the
 * first byte to the last: whole frames with all checksums. False, and none was given, if lwIP must ask for
 * the neighbour first. */
bool sim_cut(struct netif *netif, const struct tcp_pcb *pcb, const struct tcp_seg *segment, sim_put *put);

#endif
