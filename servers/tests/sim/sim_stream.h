/* SPDX-License-Identifier: BSD-3-Clause */
/* One end of a TCP connection over the simulated wire that sends given bytes, checks every byte that comes,
 * and closes in good order: it half-closes when it has sent all, and is gone when the peer has too. */
#ifndef STACKDUEL_TESTS_SIM_STREAM_H
#define STACKDUEL_TESTS_SIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/tcp.h"

struct stream {
    /* to be set before stream_attach(), the rest 0 */
    const uint8_t *out; /* must stay until the connection has ended */
    size_t to_send;
    const uint8_t *in;
    size_t expected;
    size_t read_per_tick; /* bytes in half a second; 0: all at once */
    bool stalled;         /* reads nothing at all */
    bool answers;         /* sends only when the peer has half-closed */
    bool keeps_open;      /* does not half-close before the peer has */
    /* how far it has come */
    struct tcp_pcb *pcb; /* NULL: this end has ended */
    size_t queued;
    size_t received;
    size_t unread; /* of received: the window is not yet open for as much */
    bool half_closed;
    bool peer_closed;
    bool failed; /* reset, or given up */
    uint64_t refused;
};

/* `pcb` is connected, or will be by stream_connect(). */
void stream_attach(struct stream *stream, struct tcp_pcb *pcb);

/* Makes a client's PCB and connects it to the server's `port`. */
void stream_connect(struct stream *stream, uint16_t port);

/* Ends it at once. */
void stream_abort(struct stream *stream);

/* All sent, all received, and closed by both. */
bool stream_complete(const struct stream *stream);

#endif
