/* SPDX-License-Identifier: BSD-3-Clause */
#include "software_rss.h"

#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_ring.h>

#include "common/random.h"

#define KEYS 4

struct software_rss {
    unsigned cores;
    bool by_port;
    uint64_t keys[KEYS];
    const struct waker *wakers;
    struct rte_ring *rings[SOFTWARE_RSS_CORES_MAX][SOFTWARE_RSS_CORES_MAX]; /* [from][to] */
};

struct ports {
    rte_be16_t source, destination;
};

/* In memory of its own: 64 cores have more rings than DPDK has named zones. */
static struct rte_ring *create_ring(void) {
    size_t size = (size_t)rte_ring_get_memsize(SOFTWARE_RSS_RING);
    struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(size, (size_t)RTE_CACHE_LINE_SIZE));

    if (ring != NULL &&
        rte_ring_init(ring, "software_rss", SOFTWARE_RSS_RING, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        free(ring);
        ring = NULL;
    }
    return ring;
}

struct software_rss *software_rss_create(unsigned cores, bool by_port, const struct waker *wakers) {
    struct software_rss *rss = calloc(1, sizeof(*rss));

    if (rss == NULL) {
        return NULL;
    }
    random_draw(rss->keys, sizeof(rss->keys));
    rss->cores = cores;
    rss->by_port = by_port;
    rss->wakers = wakers;
    for (unsigned from = 0; from < cores; from++) {
        for (unsigned to = 0; to < cores; to++) {
            if (from != to && (rss->rings[from][to] = create_ring()) == NULL) {
                software_rss_free(rss);
                return NULL;
            }
        }
    }
    return rss;
}

static void free_ring(struct rte_ring *ring) {
    struct rte_mbuf *packets[SOFTWARE_RSS_BURST_MAX];
    unsigned count;

    while (ring != NULL &&
           (count = rte_ring_sc_dequeue_burst(ring, (void **)packets, SOFTWARE_RSS_BURST_MAX, NULL)) > 0) {
        rte_pktmbuf_free_bulk(packets, count);
    }
    free(ring);
}

void software_rss_free(struct software_rss *rss) {
    if (rss == NULL) {
        return;
    }
    for (unsigned from = 0; from < rss->cores; from++) {
        for (unsigned to = 0; to < rss->cores; to++) {
            free_ring(rss->rings[from][to]);
        }
    }
    free(rss);
}

/* An ordinary question is for whoever answers; everything else that ARP says is news. */
static unsigned owner_of_arp(const struct rte_mbuf *packet) {
    const struct rte_arp_hdr *arp =
        rte_pktmbuf_mtod_offset(packet, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));

    if (packet->data_len < sizeof(struct rte_ether_hdr) + sizeof(*arp)) {
        return SOFTWARE_RSS_WHOEVER;
    }
    return arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) &&
                   arp->arp_data.arp_sip != arp->arp_data.arp_tip
               ? SOFTWARE_RSS_WHOEVER
               : SOFTWARE_RSS_EVERYBODY;
}

/* An error is about a packet that may be any core's. */
static unsigned owner_of_icmp(uint8_t type) {
    const uint8_t unreachable = 3, time_exceeded = 11;

    return type == unreachable || type == time_exceeded ? SOFTWARE_RSS_EVERYBODY : SOFTWARE_RSS_WHOEVER;
}

/* A multiply-shift hash, which is strongly universal (Dietzfelbinger 1996), then mixed, since by itself it
 * leaves consecutive ports in an arithmetic series, which one key in a hundred puts on one core; scaled to
 * the number of cores.
 */
static unsigned owner_of_flow(const struct software_rss *rss, const struct rte_ipv4_hdr *ip,
                              const struct ports *ports) {
    const uint64_t *keys = rss->keys;
    uint64_t hash = keys[0] + keys[1] * ip->src_addr + keys[2] * ip->dst_addr +
                    keys[3] * ((uint32_t)ports->source << 16 | ports->destination);

    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / the golden ratio, odd */
    return (unsigned)((hash >> 32) * rss->cores >> 32);
}

unsigned software_rss_owner(const struct software_rss *rss, const struct rte_mbuf *packet) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    uint32_t offset;

    if (packet->data_len < sizeof(*ethernet)) {
        return SOFTWARE_RSS_WHOEVER;
    }
    if (ethernet->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
        return owner_of_arp(packet);
    }
    if (ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
        packet->data_len < sizeof(*ethernet) + sizeof(*ip)) {
        return SOFTWARE_RSS_WHOEVER;
    }
    offset = (uint32_t)sizeof(*ethernet) + rte_ipv4_hdr_len(ip);
    if (ip->next_proto_id == IPPROTO_ICMP && packet->data_len > offset) {
        return owner_of_icmp(*rte_pktmbuf_mtod_offset(packet, const uint8_t *, offset));
    }
    if ((ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP) ||
        (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0 ||
        packet->data_len < offset + sizeof(struct ports)) {
        return SOFTWARE_RSS_WHOEVER;
    }
    return owner_of_flow(rss, ip, rte_pktmbuf_mtod_offset(packet, const struct ports *, offset));
}

static void hand_over(struct software_rss_core *end, unsigned to, struct rte_mbuf **packets, unsigned count) {
    struct software_rss *shared = end->shared;
    unsigned taken = rte_ring_sp_enqueue_burst(shared->rings[end->core][to], (void **)packets, count, NULL);

    end->handed_over += taken;
    if (unlikely(taken < count)) {
        end->dropped += count - taken;
        rte_pktmbuf_free_bulk(packets + taken, count - taken);
    }
    if (shared->wakers != NULL) {
        waker_wake_if_asleep(&shared->wakers[to]);
    }
}

static void copy_to_the_others(struct software_rss_core *end, const struct rte_mbuf *packet,
                               struct rte_mempool *pool) {
    for (unsigned to = 0; to < end->shared->cores; to++) {
        struct rte_mbuf *copy;

        if (to == end->core) {
            continue;
        }
        copy = rte_pktmbuf_copy(packet, pool, 0, UINT32_MAX);
        if (copy != NULL) {
            hand_over(end, to, &copy, 1);
        } else {
            end->dropped++;
        }
    }
}

/* A batch for each core that gets any. */
static void hand_over_all(struct software_rss_core *end, struct rte_mbuf **packets, const uint8_t *to,
                          unsigned count) {
    uint64_t destinations = 0;

    for (unsigned i = 0; i < count; i++) {
        destinations |= UINT64_C(1) << to[i];
    }
    while (destinations != 0) {
        unsigned destination = (unsigned)__builtin_ctzll(destinations);
        struct rte_mbuf *batch[SOFTWARE_RSS_BURST_MAX];
        unsigned size = 0;

        for (unsigned i = 0; i < count; i++) {
            if (to[i] == destination) {
                batch[size++] = packets[i];
            }
        }
        hand_over(end, destination, batch, size);
        destinations &= destinations - 1;
    }
}

unsigned software_rss_sort(struct software_rss_core *end, struct rte_mbuf **packets, unsigned count,
                           struct rte_mempool *pool) {
    const struct software_rss *shared = end->shared;
    struct rte_mbuf *leaving[SOFTWARE_RSS_BURST_MAX];
    uint8_t to[SOFTWARE_RSS_BURST_MAX];
    unsigned kept = 0, left = 0;

    for (unsigned i = 0; i < count; i++) {
        bool sorted = shared->by_port && (packets[i]->ol_flags & RTE_MBUF_F_RX_RSS_HASH);
        unsigned owner = sorted ? end->core : software_rss_owner(shared, packets[i]);

        if (unlikely(owner == SOFTWARE_RSS_EVERYBODY)) {
            copy_to_the_others(end, packets[i], pool);
        }
        if (owner == end->core || owner >= SOFTWARE_RSS_CORES_MAX) {
            packets[kept++] = packets[i];
        } else {
            to[left] = (uint8_t)owner;
            leaving[left++] = packets[i];
        }
    }
    hand_over_all(end, leaving, to, left);
    return kept;
}

unsigned software_rss_take(struct software_rss_core *end, struct rte_mbuf **packets, unsigned room) {
    struct software_rss *shared = end->shared;
    unsigned count = 0;

    for (unsigned i = 0; i < shared->cores && count < room; i++) {
        unsigned from = (end->next + i) % shared->cores;

        if (from != end->core) {
            count += rte_ring_sc_dequeue_burst(shared->rings[from][end->core], (void **)(packets + count),
                                               room - count, NULL);
        }
    }
    end->next = (end->next + 1) % shared->cores; /* each is first in its turn */
    end->taken_over += count;
    return count;
}
