/* SPDX-License-Identifier: BSD-3-Clause */
/* answer.h for bytes that lie in packets. */
#ifndef STACKDUEL_ANSWER_PACKET_H
#define STACKDUEL_ANSWER_PACKET_H

#include <rte_mbuf.h>

#include "http/answer.h"

/* answer_check() of `length` bytes from `offset` of the packet on. */
enum answer_verdict answer_check_packet(struct answer *answer, uint32_t at, const struct rte_mbuf *packet,
                                        uint32_t offset, uint32_t length);

#endif
