/* SPDX-License-Identifier: BSD-3-Clause */
/* Where lwIP asks the stack. Must not include DPDK. */
#ifndef STACKDUEL_LWIP_HOOKS_H
#define STACKDUEL_LWIP_HOOKS_H

#include <stdint.h>

#include "lwip/err.h"

struct netif;
struct tcp_pcb;
struct tcp_seg;

/* stack.c: sends a lean segment as a packet made in the port's own buffer. ERR_VAL: that cannot be done, and
 * lwIP goes its usual way; ERR_MEM: no room now. The segment stays lwIP's. */
err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment);
#define LWIP_HOOK_TCP_OUTPUT_LEAN(netif, pcb, segment) stack_output_segment(netif, pcb, segment)

/* stack.c: how many of these bytes one segment may have, which is more than the MSS only where the port cuts
 * it up. */
uint16_t stack_largest_segment(const struct tcp_pcb *pcb, const uint8_t *data, uint16_t size);
#define LWIP_HOOK_TCP_LEAN_MAX(pcb, data, size) stack_largest_segment(pcb, data, size)

#endif
