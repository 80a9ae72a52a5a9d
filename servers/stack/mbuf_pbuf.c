/* SPDX-License-Identifier: BSD-3-Clause */
#include "mbuf_pbuf.h"

#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_memcpy.h>

#include "common/features.h"

struct zero_copy_pbuf {
    struct pbuf_custom custom; /* first: lwIP hands back a pointer to the pbuf in it */
    struct rte_mbuf *segment;
    struct zero_copy *zero_copy;
};

uint16_t mbuf_pbuf_private_size(void) {
    return RTE_ALIGN(sizeof(struct zero_copy_pbuf), RTE_MBUF_PRIV_ALIGN);
}

static void give_back(struct pbuf *pbuf) {
    struct zero_copy_pbuf *wrapped = (struct zero_copy_pbuf *)pbuf;

    wrapped->zero_copy->held--;
    rte_pktmbuf_free_seg(wrapped->segment);
}

/* Owns `segment` afterwards through the pbuf. Cannot fail: the length fits, as the buffer holds it. */
static struct pbuf *wrap_segment(struct zero_copy *zero_copy, struct rte_mbuf *segment) {
    struct zero_copy_pbuf *wrapped = rte_mbuf_to_priv(segment);

    wrapped->custom.custom_free_function = give_back;
    wrapped->segment = segment;
    wrapped->zero_copy = zero_copy;
    zero_copy->held++;
    return pbuf_alloced_custom(PBUF_RAW, segment->data_len, PBUF_REF, &wrapped->custom,
                               rte_pktmbuf_mtod(segment, void *), segment->data_len);
}

static struct pbuf *wrap(struct zero_copy *zero_copy, struct rte_mbuf *packet) {
    struct rte_mbuf *next = packet->next;
    struct pbuf *chain;

    packet->next = NULL;
    packet->nb_segs = 1;
    chain = wrap_segment(zero_copy, packet);
    while (next != NULL) {
        struct rte_mbuf *segment = next;

        next = segment->next;
        segment->next = NULL;
        segment->nb_segs = 1;
        pbuf_cat(chain, wrap_segment(zero_copy, segment));
    }
    return chain;
}

struct pbuf *pbuf_zero_copy(struct zero_copy *zero_copy, struct rte_mbuf *packet) {
    return likely(zero_copy->held + packet->nb_segs <= zero_copy->limit) ? wrap(zero_copy, packet) : NULL;
}

static struct pbuf *copy(struct zero_copy *zero_copy, struct rte_mbuf *packet) {
    struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (uint16_t)packet->pkt_len, PBUF_RAM);

    if (pbuf != NULL) {
        const void *data = rte_pktmbuf_read(packet, 0, packet->pkt_len, pbuf->payload);

        /* Contiguous packets are not copied by rte_pktmbuf_read() but pointed at. */
        if (data != pbuf->payload) {
            memcpy(pbuf->payload, data, packet->pkt_len);
        }
        zero_copy->copied++;
    }
    rte_pktmbuf_free(packet);
    return pbuf;
}

struct pbuf *pbuf_from_mbuf(struct zero_copy *zero_copy, struct rte_mbuf *packet) {
    struct pbuf *pbuf;

    if (unlikely(packet->pkt_len == 0 || packet->pkt_len > UINT16_MAX)) {
        rte_pktmbuf_free(packet);
        return NULL;
    }
    pbuf = pbuf_zero_copy(zero_copy, packet);
    return pbuf != NULL ? pbuf : copy(zero_copy, packet);
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
