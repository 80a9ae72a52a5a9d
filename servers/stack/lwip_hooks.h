/* SPDX-License-Identifier: BSD-3-Clause */
/* Where lwIP asks the stack. Must not include DPDK. */
#ifndef STACKDUEL_LWIP_HOOKS_H
#define STACKDUEL_LWIP_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/err.h"

struct ip4_addr;
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

/* stack_interface.c: where a new connection's sequence numbers begin. */
uint32_t stack_initial_sequence(const struct ip4_addr *local, uint16_t local_port,
                                const struct ip4_addr *remote, uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                            \
    stack_initial_sequence(local, local_port, remote, remote_port)

/* stack.c: a neighbour (network byte order) has not answered, and what waited for it is dropped. */
void stack_neighbour_silent(uint32_t neighbour);
#define LWIP_HOOK_ARP_UNANSWERED(neighbour) stack_neighbour_silent(neighbour)

/* stack_interface.c: whether what comes out of fragments is this core's, as they have no ports to tell whose
 * they are. */
bool stack_reassembles(void);
#define LWIP_HOOK_IP4_REASSEMBLES(netif) stack_reassembles()

/* A tag for a priority is none for a network (IEEE 802.1Q, VLAN 0). */
#define LWIP_HOOK_VLAN_CHECK(netif, ethernet, vlan) (VLAN_ID(vlan) == 0)

#endif
