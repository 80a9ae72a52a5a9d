/* SPDX-License-Identifier: BSD-3-Clause */
#include "steer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_ring.h>

#define KEYS 4

struct steering {
    unsigned cores;
    bool by_port;
    uint64_t keys[KEYS];
    const struct waker *wakers;
    struct rte_ring *rings[STEER_CORES_MAX][STEER_CORES_MAX]; /* [from][to] */
};

struct ports {
    rte_be16_t source, destination;
};

static bool draw_keys(uint64_t keys[KEYS]) {
    size_t got = 0;

    while (got < KEYS * sizeof(keys[0])) {
        ssize_t now = getrandom((uint8_t *)keys + got, KEYS * sizeof(keys[0]) - got, 0);

        if (now < 0 && errno != EINTR) {
            return false;
        }
        got += now > 0 ? (size_t)now : 0;
    }
    return true;
}

/* In memory of its own: 64 cores have more rings than DPDK has named zones. */
static struct rte_ring *create_ring(void) {
    size_t size = (size_t)rte_ring_get_memsize(STEER_RING);
    struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(size, (size_t)RTE_CACHE_LINE_SIZE));

    if (ring != NULL && rte_ring_init(ring, "steer", STEER_RING, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        free(ring);
        ring = NULL;
    }
    return ring;
}

struct steering *steering_create(unsigned cores, bool by_port, const struct waker *wakers) {
    struct steering *steering = calloc(1, sizeof(*steering));

    if (steering == NULL || !draw_keys(steering->keys)) {
        free(steering);
        return NULL;
    }
    steering->cores = cores;
    steering->by_port = by_port;
    steering->wakers = wakers;
    for (unsigned from = 0; from < cores; from++) {
        for (unsigned to = 0; to < cores; to++) {
            if (from != to && (steering->rings[from][to] = create_ring()) == NULL) {
                steering_free(steering);
                return NULL;
            }
        }
    }
    return steering;
}

static void free_ring(struct rte_ring *ring) {
    struct rte_mbuf *packets[STEER_BURST_MAX];
    unsigned count;

    while (ring != NULL &&
           (count = rte_ring_sc_dequeue_burst(ring, (void **)packets, STEER_BURST_MAX, NULL)) > 0) {
        rte_pktmbuf_free_bulk(packets, count);
    }
    free(ring);
}

void steering_free(struct steering *steering) {
    if (steering == NULL) {
        return;
    }
    for (unsigned from = 0; from < steering->cores; from++) {
        for (unsigned to = 0; to < steering->cores; to++) {
            free_ring(steering->rings[from][to]);
        }
    }
    free(steering);
}

/* An ordinary question is for whoever answers; everything else that ARP says is news. */
static unsigned owner_of_arp(const struct rte_mbuf *packet) {
    const struct rte_arp_hdr *arp =
        rte_pktmbuf_mtod_offset(packet, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));

    if (packet->data_len < sizeof(struct rte_ether_hdr) + sizeof(*arp)) {
        return STEER_WHOEVER;
    }
    return arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) &&
                   arp->arp_data.arp_sip != arp->arp_data.arp_tip
               ? STEER_WHOEVER
               : STEER_EVERYBODY;
}

/* A multiply-shift hash, which is strongly universal (Dietzfelbinger 1996), scaled to the number of cores. */
static unsigned owner_of_flow(const struct steering *steering, const struct rte_ipv4_hdr *ip,
                              const struct ports *ports) {
    const uint64_t *keys = steering->keys;
    uint64_t hash = keys[0] + keys[1] * ip->src_addr + keys[2] * ip->dst_addr +
                    keys[3] * ((uint32_t)ports->source << 16 | ports->destination);

    return (unsigned)((hash >> 32) * steering->cores >> 32);
}

unsigned steer_owner(const struct steering *steering, const struct rte_mbuf *packet) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    uint32_t offset;

    if (packet->data_len < sizeof(*ethernet)) {
        return STEER_WHOEVER;
    }
    if (ethernet->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
        return owner_of_arp(packet);
    }
    if (ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
        packet->data_len < sizeof(*ethernet) + sizeof(*ip)) {
        return STEER_WHOEVER;
    }
    offset = (uint32_t)sizeof(*ethernet) + rte_ipv4_hdr_len(ip);
    if ((ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP) ||
        (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0 ||
        packet->data_len < offset + sizeof(struct ports)) {
        return STEER_WHOEVER;
    }
    return owner_of_flow(steering, ip, rte_pktmbuf_mtod_offset(packet, const struct ports *, offset));
}

static void hand_over(struct steer *steer, unsigned to, struct rte_mbuf **packets, unsigned count) {
    struct steering *shared = steer->shared;
    unsigned taken = rte_ring_sp_enqueue_burst(shared->rings[steer->core][to], (void **)packets, count, NULL);

    steer->handed_over += taken;
    if (unlikely(taken < count)) {
        steer->dropped += count - taken;
        rte_pktmbuf_free_bulk(packets + taken, count - taken);
    }
    if (shared->wakers != NULL) {
        waker_wake_if_asleep(&shared->wakers[to]);
    }
}

static void copy_to_the_others(struct steer *steer, const struct rte_mbuf *packet, struct rte_mempool *pool) {
    for (unsigned to = 0; to < steer->shared->cores; to++) {
        struct rte_mbuf *copy;

        if (to == steer->core) {
            continue;
        }
        copy = rte_pktmbuf_copy(packet, pool, 0, UINT32_MAX);
        if (copy != NULL) {
            hand_over(steer, to, &copy, 1);
        } else {
            steer->dropped++;
        }
    }
}

/* A batch for each core that gets any. */
static void hand_over_all(struct steer *steer, struct rte_mbuf **packets, const uint8_t *to, unsigned count) {
    uint64_t destinations = 0;

    for (unsigned i = 0; i < count; i++) {
        destinations |= UINT64_C(1) << to[i];
    }
    while (destinations != 0) {
        unsigned destination = (unsigned)__builtin_ctzll(destinations);
        struct rte_mbuf *batch[STEER_BURST_MAX];
        unsigned size = 0;

        for (unsigned i = 0; i < count; i++) {
            if (to[i] == destination) {
                batch[size++] = packets[i];
            }
        }
        hand_over(steer, destination, batch, size);
        destinations &= destinations - 1;
    }
}

unsigned steer_sort(struct steer *steer, struct rte_mbuf **packets, unsigned count,
                    struct rte_mempool *pool) {
    const struct steering *shared = steer->shared;
    struct rte_mbuf *leaving[STEER_BURST_MAX];
    uint8_t to[STEER_BURST_MAX];
    unsigned kept = 0, left = 0;

    for (unsigned i = 0; i < count; i++) {
        bool sorted = shared->by_port && (packets[i]->ol_flags & RTE_MBUF_F_RX_RSS_HASH);
        unsigned owner = sorted ? steer->core : steer_owner(shared, packets[i]);

        if (unlikely(owner == STEER_EVERYBODY)) {
            copy_to_the_others(steer, packets[i], pool);
        }
        if (owner == steer->core || owner >= STEER_CORES_MAX) {
            packets[kept++] = packets[i];
        } else {
            to[left] = (uint8_t)owner;
            leaving[left++] = packets[i];
        }
    }
    hand_over_all(steer, leaving, to, left);
    return kept;
}

unsigned steer_take(struct steer *steer, struct rte_mbuf **packets, unsigned room) {
    struct steering *shared = steer->shared;
    unsigned count = 0;

    for (unsigned i = 0; i < shared->cores && count < room; i++) {
        unsigned from = (steer->next + i) % shared->cores;

        if (from != steer->core) {
            count += rte_ring_sc_dequeue_burst(shared->rings[from][steer->core], (void **)(packets + count),
                                               room - count, NULL);
        }
    }
    steer->next = (steer->next + 1) % shared->cores; /* each is first in its turn */
    steer->taken_over += count;
    return count;
}
