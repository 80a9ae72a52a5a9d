/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What a router has told of the way to a host: how large a packet may be (RFC 1191). Kept for ten minutes, in a
 * table of fixed size, in which what is told later takes the place of what was told before.
 */
#ifndef LWIP_HDR_PATH_MTU_H
#define LWIP_HDR_PATH_MTU_H

#include "lwip/ip4_addr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As Linux's min_pmtu: less is believed of no router, as it makes us send many packets for little. */
#define PATH_MTU_MIN 552

/* That of the way to a host, if it is known and smaller than the link's; else the link's. */
u16_t path_mtu_of(const ip4_addr_t *host, u16_t of_link);

/* A router has dropped a packet of `length` bytes and told `mtu`, which is 0 if it is an old one. What is believed of
   it, and kept; `length` if nothing is. */
u16_t path_mtu_told(const ip4_addr_t *host, u16_t mtu, u16_t length);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_PATH_MTU_H */
