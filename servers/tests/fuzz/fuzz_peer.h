/* SPDX-License-Identifier: BSD-3-Clause */
/* The other end of the wire for the fuzzer: frames towards lwIP that are right but for what the input asks to
 * be wrong, with sequence numbers that follow what lwIP has sent. Must not know where the input comes from.
 */
#ifndef STACKDUEL_TESTS_FUZZ_PEER_H
#define STACKDUEL_TESTS_FUZZ_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/netif.h"

#define PEER_FRAME_MAX 1514
#define PEER_OPTIONS_MAX 40
/* A connection of the peer's is known by a number; each is to one of two ports of lwIP's. */
#define PEERS 6
#define PEER_HTTP_PORT 80
#define PEER_FREE_PORT 1200 /* where lwIP's own fuzz inputs knock */

struct peer_segment {
    uint8_t flags;
    uint32_t sequence_offset;        /* from what lwIP expects next */
    uint32_t acknowledgement_offset; /* from what lwIP has sent last */
    uint16_t window;
    uint16_t urgent;
    uint8_t options_size; /* a multiple of 4 */
    const uint8_t *options;
    uint16_t payload_size;
    const uint8_t *payload;
    bool bad_checksum;
    uint16_t cut; /* the pbuf is a chain of two if this lies inside */
};

/* lwIP's interface to the peer; its address is the one of lwIP's fuzz inputs. lwip_init() was called. */
void peer_start(void);

/* A new input: no connection is known, the ARP entry of the peer is. */
void peer_reset(void);

/* lwIP's next `count` frames are refused with ERR_MEM. */
void peer_refuse(unsigned count);

/* lwIP's port makes packets of its segments of up to `largest` bytes from now on, or of the MSS if that is
 * less; 0: it takes packets as they are. */
void peer_cut_up(uint16_t largest);

/* A segment of connection `number` (below PEERS) to lwIP. */
void peer_send(unsigned number, const struct peer_segment *segment);

/* Any frame, as it is but for checksums that are made right on demand. */
void peer_send_frame(const uint8_t *frame, size_t size, bool mend, uint16_t cut);

/* Answers ARP requests that lwIP has sent meanwhile. */
void peer_answer_arp(void);

/* Frames, or pieces of them, that lwIP has not given back. */
size_t peer_lent(void);

/* Whether frames go the short way to the connection that expects them. True at first. */
void peer_predict(bool predict);

/* A number that follows from all that lwIP has sent. */
uint64_t peer_digest(void);

/* The peer's port of a connection, and lwIP's. */
uint16_t peer_port(unsigned number);
uint16_t peer_server_port(unsigned number);
/* lwIP's port of a connection that lwIP opened. */
void peer_expect_from(unsigned number, uint16_t server_port);

const ip_addr_t *peer_address(void);
struct netif *peer_netif(void);

#endif
