/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_queue.h"

#include "lwip/tcp_budget.h"

#define QUEUED_SEGMENTS 8 /* may be queued for a client whatever its window, without the obligation */

bool tcp_queue_has_data(const struct tcp_pcb *pcb) {
    return pcb->snd_buf < TCP_SND_BUF; /* tcp_sndbuf() says 64 KiB at the most */
}

/* How much may be queued now: twice what the client's window and congestion allow to be on its way. A client
 * that does not read holds a few segments, not a send buffer full of them, so that no number of such clients
 * takes the segments of all others. What waits here is a count in HTTP's queue, in lwIP it is a segment. */
static size_t room_to_write(const struct tcp_pcb *pcb) {
    size_t queued = TCP_SND_BUF - pcb->snd_buf;
    size_t flight = 2 * (size_t)LWIP_MIN(pcb->cwnd, pcb->snd_wnd);
    size_t always = feature_on(OBLIGATION_SEGMENT_BUDGET) ? TCP_BUDGET_ALWAYS : QUEUED_SEGMENTS;
    size_t limit = LWIP_MAX(flight, always * tcp_mss(pcb));

    return limit <= queued ? 0 : LWIP_MIN(limit - queued, (size_t)pcb->snd_buf);
}

/* Small answers behind one that has not left are copied together into one segment. */
static bool joins(const struct tcp_pcb *pcb, size_t size) {
    return pcb->unsent != NULL && size <= tcp_mss(pcb) / 2u && feature_on(OBLIGATION_SEGMENT_BUDGET);
}

static err_t write_chunk(struct tcp_pcb *pcb, const uint8_t *bytes, size_t size, bool more) {
    uint8_t copy = feature_on(FEATURE_TX_IN_PLACE) && !joins(pcb, size) ? 0 : TCP_WRITE_FLAG_COPY;

    return tcp_write(pcb, bytes, (uint16_t)size, (uint8_t)(copy | (more ? TCP_WRITE_FLAG_MORE : 0)));
}

size_t tcp_queue_bytes(struct tcp_pcb *pcb, const uint8_t *bytes, size_t size, bool more, uint64_t *refused) {
    size_t written = 0;
    /* tcp_write() takes 16 bits; whole segments, so that none is cut short. */
    size_t most = UINT16_MAX / tcp_mss(pcb) * tcp_mss(pcb);

    while (written < size) {
        size_t chunk = LWIP_MIN(LWIP_MIN(size - written, most), room_to_write(pcb));
        err_t error;

        if (chunk < LWIP_MIN(size - written, tcp_mss(pcb))) {
            break;
        }
        while ((error = write_chunk(pcb, bytes + written, chunk, more || written + chunk < size)) ==
                   ERR_MEM &&
               chunk > tcp_mss(pcb)) {
            /* Of small segments the queue is full before it is full of bytes. */
            chunk = LWIP_MAX(chunk / 2, tcp_mss(pcb));
        }
        if (error != ERR_OK) {
            (*refused)++;
            break;
        }
        written += chunk;
    }
    return written;
}
