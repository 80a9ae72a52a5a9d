/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * ICMP errors: those that come are checked against what we have sent, as anybody can forge one, and those that we
 * send are limited.
 */
#ifndef LWIP_HDR_ICMP_ERROR_H
#define LWIP_HDR_ICMP_ERROR_H

#include "lwip/netif.h"
#include "lwip/pbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes an error that has come: `p` is at its ICMP header, and stays the caller's. */
void icmp_error_input(struct pbuf *p, struct netif *inp);

/* Kinds of ICMP messages that we send, each with a budget of its own. */
enum icmp_kind { ICMP_KIND_ECHO, ICMP_KIND_ERROR, ICMP_KINDS };

/* Whether one more may be sent in this second. */
int icmp_may_send(enum icmp_kind kind);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_ICMP_ERROR_H */
