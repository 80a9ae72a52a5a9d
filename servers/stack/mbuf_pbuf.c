/* SPDX-License-Identifier: BSD-3-Clause */
#include "mbuf_pbuf.h"

#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_memcpy.h>

#include "common/features.h"

struct lent_pbuf {
    struct pbuf_custom custom; /* first: lwIP hands back a pointer to the pbuf in it */
    struct rte_mbuf *segment;
    struct mbuf_lending *lending;
};

uint16_t mbuf_pbuf_private_size(void) {
    return RTE_ALIGN(sizeof(struct lent_pbuf), RTE_MBUF_PRIV_ALIGN);
}

static void give_back(struct pbuf *pbuf) {
    struct lent_pbuf *lent = (struct lent_pbuf *)pbuf;

    lent->lending->lent--;
    rte_pktmbuf_free_seg(lent->segment);
}

/* Owns `segment` afterwards through the pbuf. Cannot fail: the length fits, as the buffer holds it. */
static struct pbuf *lend_segment(struct mbuf_lending *lending, struct rte_mbuf *segment) {
    struct lent_pbuf *lent = rte_mbuf_to_priv(segment);

    lent->custom.custom_free_function = give_back;
    lent->segment = segment;
    lent->lending = lending;
    lending->lent++;
    return pbuf_alloced_custom(PBUF_RAW, segment->data_len, PBUF_REF, &lent->custom,
                               rte_pktmbuf_mtod(segment, void *), segment->data_len);
}

static struct pbuf *lend(struct mbuf_lending *lending, struct rte_mbuf *packet) {
    struct rte_mbuf *next = packet->next;
    struct pbuf *chain;

    packet->next = NULL;
    packet->nb_segs = 1;
    chain = lend_segment(lending, packet);
    while (next != NULL) {
        struct rte_mbuf *segment = next;

        next = segment->next;
        segment->next = NULL;
        segment->nb_segs = 1;
        pbuf_cat(chain, lend_segment(lending, segment));
    }
    return chain;
}

struct pbuf *pbuf_lent(struct mbuf_lending *lending, struct rte_mbuf *packet) {
    return likely(lending->lent + packet->nb_segs <= lending->lend_limit) ? lend(lending, packet) : NULL;
}

static struct pbuf *copy(struct mbuf_lending *lending, struct rte_mbuf *packet) {
    struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (uint16_t)packet->pkt_len, PBUF_RAM);

    if (pbuf != NULL) {
        const void *data = rte_pktmbuf_read(packet, 0, packet->pkt_len, pbuf->payload);

        /* Contiguous packets are not copied by rte_pktmbuf_read() but pointed at. */
        if (data != pbuf->payload) {
            memcpy(pbuf->payload, data, packet->pkt_len);
        }
        lending->copied++;
    }
    rte_pktmbuf_free(packet);
    return pbuf;
}

struct pbuf *pbuf_from_mbuf(struct mbuf_lending *lending, struct rte_mbuf *packet) {
    struct pbuf *pbuf;

    if (unlikely(packet->pkt_len == 0 || packet->pkt_len > UINT16_MAX)) {
        rte_pktmbuf_free(packet);
        return NULL;
    }
    pbuf = pbuf_lent(lending, packet);
    return pbuf != NULL ? pbuf : copy(lending, packet);
}

/* The way of the plain design: together in a buffer of its own, and from there into the packet. */
static void copy_twice(uint8_t *to, const struct pbuf *chain) {
    uint8_t whole[UINT16_MAX];

    pbuf_copy_partial(chain, whole, chain->tot_len, 0);
    memcpy(to, whole, chain->tot_len);
}

struct rte_mbuf *mbuf_from_pbuf(struct rte_mempool *pool, const struct pbuf *chain) {
    struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);
    uint8_t *to;

    if (unlikely(packet == NULL)) {
        return NULL;
    }
    to = (uint8_t *)rte_pktmbuf_append(packet, chain->tot_len);
    if (unlikely(to == NULL)) {
        rte_pktmbuf_free(packet);
        return NULL;
    }
    if (unlikely(!feature_on(FEATURE_TX_IN_PLACE))) {
        copy_twice(to, chain);
        return packet;
    }
    for (const struct pbuf *part = chain;; part = part->next) {
        rte_memcpy(to, part->payload, part->len);
        to += part->len;
        if (part->len == part->tot_len) {
            return packet;
        }
    }
}
