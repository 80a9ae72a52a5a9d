/* SPDX-License-Identifier: BSD-3-Clause */
/* Where lwIP asks the stack. Must not include DPDK. */
#ifndef STACKDUEL_LWIP_HOOKS_H
#define STACKDUEL_LWIP_HOOKS_H

#include "lwip/err.h"

struct netif;
struct tcp_pcb;
struct tcp_seg;

/* stack.c: sends a lean segment as a packet made in the port's own buffer. ERR_VAL: that cannot be done, and
 * lwIP goes its usual way; ERR_MEM: no room now. The segment stays lwIP's. */
err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment);
#define LWIP_HOOK_TCP_OUTPUT_LEAN(netif, pcb, segment) stack_output_segment(netif, pcb, segment)

#endif
