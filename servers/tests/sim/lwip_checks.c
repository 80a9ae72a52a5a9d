/* SPDX-License-Identifier: BSD-3-Clause */
#include "lwip_checks.h"

#include <stdbool.h>
#include <stdio.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"

static char message[160];

static const char *const pool_names[] = {
#define LWIP_MEMPOOL(name, count, size, description) description,
#include "lwip/priv/memp_std.h"
};

static size_t list_length(const struct tcp_pcb *list) {
    size_t length = 0;

    /* a ring has no end, so it ends at more than there can be */
    for (; list != NULL && length <= MEMP_NUM_TCP_PCB; list = list->next) {
        length++;
    }
    return length;
}

/* Segments of one connection, each behind the one before it, none of them acknowledged as a whole. */
static bool in_order(const struct tcp_seg *segment, uint32_t acknowledged) {
    uint32_t end = acknowledged;

    for (const struct tcp_seg *first = segment; segment != NULL; segment = segment->next) {
        uint32_t begin = lwip_ntohl(segment->tcphdr->seqno);

        if (segment != first && TCP_SEQ_LT(begin, end)) {
            return false;
        }
        end = begin + TCP_TCPLEN(segment);
        if (TCP_SEQ_LEQ(end, acknowledged)) {
            return false;
        }
    }
    return true;
}

static size_t places(const struct tcp_seg *segment) {
    size_t count = 0;

    for (; segment != NULL; segment = segment->next) {
        count += TCP_SEG_CLEN(segment);
    }
    return count;
}

/* The header of a segment that was received is in host byte order. */
static bool beyond(const struct tcp_seg *segment, uint32_t expected) {
    for (; segment != NULL; segment = segment->next) {
        if (TCP_SEQ_LT(segment->tcphdr->seqno, expected) || segment->p == NULL) {
            return false;
        }
        expected = segment->tcphdr->seqno + TCP_TCPLEN(segment);
    }
    return true;
}

static const char *connection_broken(const struct tcp_pcb *pcb) {
    struct netif *netif = netif_get_by_index(pcb->netif_idx);

    if (pcb->state <= LISTEN || pcb->state >= TIME_WAIT) {
        return "an active connection's state is none of an active one";
    }
    if (tcp_pcb_find(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port, netif) != pcb) {
        return "a connection is not found by its addresses";
    }
    if (!in_order(pcb->unacked, pcb->lastack)) {
        return "segments wait for acknowledgement in the wrong order";
    }
    if (!in_order(pcb->unsent, pcb->lastack)) {
        return "segments wait to be sent in the wrong order";
    }
    if (!beyond(pcb->ooseq, pcb->rcv_nxt)) {
        return "data held out of order is in the wrong order";
    }
    if (pcb->snd_buf > TCP_SND_BUF || pcb->rcv_wnd > TCP_WND || pcb->snd_queuelen > TCP_SND_QUEUELEN) {
        return "a window or a buffer is larger than it may be";
    }
    if (pcb->snd_queuelen != places(pcb->unacked) + places(pcb->unsent)) {
        return "more or fewer places of the queue are counted than its segments take";
    }
    return NULL;
}

/* Without the table a connection that is looked for becomes the first of its list. From the last to the first
 * leaves the list as it was. */
static const char *active_broken(void) {
    const struct tcp_pcb *active[MEMP_NUM_TCP_PCB];
    const char *broken = NULL;
    size_t count = 0;

    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        active[count++] = pcb;
    }
    while (count > 0 && broken == NULL) {
        broken = connection_broken(active[--count]);
    }
    return broken;
}

size_t lwip_connections(void) {
    return list_length(tcp_active_pcbs) + list_length(tcp_tw_pcbs) + list_length(tcp_bound_pcbs);
}

const char *lwip_lists_broken(void) {
    const char *broken;

    if (lwip_connections() > MEMP_NUM_TCP_PCB) {
        return "the lists hold more connections than there are";
    }
    broken = active_broken();
    for (const struct tcp_pcb *pcb = tcp_tw_pcbs; pcb != NULL && broken == NULL; pcb = pcb->next) {
        if (pcb->state != TIME_WAIT || pcb->unacked != NULL || pcb->unsent != NULL || pcb->ooseq != NULL) {
            broken = "a connection in TIME-WAIT holds data";
        }
    }
    for (const struct tcp_pcb *pcb = tcp_bound_pcbs; pcb != NULL && broken == NULL; pcb = pcb->next) {
        if (pcb->state != CLOSED) {
            broken = "a connection is among those that have none";
        }
    }
    return broken;
}

struct lwip_memory lwip_memory_used(void) {
    struct lwip_memory used = {.heap = lwip_stats.mem.used};

    for (size_t i = 0; i < MEMP_MAX; i++) {
        used.pool[i] = lwip_stats.memp[i]->used;
    }
    return used;
}

const char *lwip_memory_differs(const struct lwip_memory *then) {
    struct lwip_memory now = lwip_memory_used();

    for (size_t i = 0; i < MEMP_MAX; i++) {
        if (i != MEMP_SYS_TIMEOUT && now.pool[i] != then->pool[i]) {
            snprintf(message, sizeof(message), "pool %s: %zu in use, %zu before", pool_names[i], now.pool[i],
                     then->pool[i]);
            return message;
        }
    }
    if (now.heap != then->heap) {
        snprintf(message, sizeof(message), "heap: %zu bytes in use, %zu before", now.heap, then->heap);
        return message;
    }
    return NULL;
}

void lwip_abort_all(void) {
    while (tcp_active_pcbs != NULL) {
        tcp_abort(tcp_active_pcbs);
    }
    while (tcp_tw_pcbs != NULL) {
        tcp_abort(tcp_tw_pcbs);
    }
    while (tcp_bound_pcbs != NULL) {
        tcp_abort(tcp_bound_pcbs);
    }
}
