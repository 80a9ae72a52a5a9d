/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip4.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include "lwip_checks.h"
#include "sim_cut.h"
#include "sim_memory.h"
#include "stack/header_prediction.h"
#include "stack/lwip_hooks.h"

#define SIDES 2
#define MTU 1500
#define LARGEST_SEGMENT (40 * 1024)
#define DECLINED 300 /* of WIRE_ALWAYS lean segments: the port cannot make the packet */

struct sim_ends sim_ends;
void (*sim_has_ended)(uint64_t seed);

/* A frame that lwIP holds as the port's buffers are held: a pbuf around memory of another. */
struct lent {
    struct pbuf_custom custom; /* first: lwIP hands back a pointer to the pbuf in it */
    struct wire_frame *frame;
};

static struct {
    struct netif netif[SIDES];
    struct wire wire[SIDES]; /* by the side that sends */
    struct lwip_memory memory;
    uint64_t now_us;
    uint64_t seed;
    uint64_t random;
    unsigned refuse;
    unsigned starve;
    bool refused;
    struct sim_met met;
    bool running; /* from sim_begin() to sim_end() */
    size_t lent;
    bool vanished[UINT16_MAX + 1];
} sim;

static const ip_addr_t address[SIDES] = {{PP_HTONL(0xc6120101)}, {PP_HTONL(0xc6120102)}};

u32_t sys_now(void) {
    return (u32_t)(sim.now_us / 1000);
}

uint32_t stack_random(void) {
    return (uint32_t)wire_random(&sim.random);
}

uint32_t sim_random(uint32_t bound) {
    return (uint32_t)(wire_random(&sim.random) % bound);
}

uint64_t sim_now_us(void) {
    return sim.now_us;
}

const ip_addr_t *sim_address(enum sim_side side) {
    return &address[side];
}

void sim_vanish(uint16_t client_port) {
    sim.vanished[client_port] = true;
}

void sim_appear(uint16_t client_port) {
    sim.vanished[client_port] = false;
}

static bool of_vanished(enum sim_side from, const uint8_t *frame, size_t size) {
    size_t at = SIZEOF_ETH_HDR + IP_HLEN + (from == SIM_CLIENT ? 0 : 2);

    return size >= at + 2 && frame[SIZEOF_ETH_HDR + 9] == IP_PROTO_TCP &&
           sim.vanished[frame[at] << 8 | frame[at + 1]];
}

static bool happens(unsigned rate) {
    return rate > 0 && sim_random(WIRE_ALWAYS) < rate;
}

static bool allocation_fails(void) {
    return happens(sim.starve);
}

static bool has_room(void) {
    if (happens(sim.refuse)) {
        sim.refused = true;
        return false;
    }
    return true;
}

/* FNV-1a (Fowler, Noll, Vo). */
static void digest(const void *data, size_t size) {
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        sim.met.digest = (sim.met.digest ^ bytes[i]) * 0x100000001b3;
    }
}

static void put_frame(struct netif *netif, const uint8_t *frame, size_t size) {
    enum sim_side side = (enum sim_side)(netif - sim.netif);

    assert_true(size <= (size_t)netif->mtu + SIZEOF_ETH_HDR);
    digest(&sim.now_us, sizeof(sim.now_us));
    digest(frame, size);
    if (!of_vanished(side, frame, size)) {
        wire_put(&sim.wire[side], frame, size, sim.now_us);
    }
}

static err_t put_packet(struct netif *netif, struct pbuf *packet) {
    uint8_t frame[SIZEOF_ETH_HDR + MTU];

    if (!has_room()) {
        return ERR_MEM;
    }
    assert_true(packet->tot_len <= sizeof(frame));
    assert_int_equal(pbuf_copy_partial(packet, frame, packet->tot_len, 0), packet->tot_len);
    put_frame(netif, frame, packet->tot_len);
    return ERR_OK;
}

err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment) {
    assert_true(segment->len <= pcb->mss || sim_ends.port == SIM_PORT_CUTS);
    if (sim_ends.port == SIM_PORT_PACKETS || happens(DECLINED)) {
        return ERR_VAL;
    }
    if (!has_room()) {
        return ERR_MEM;
    }
    sim.met.cut += segment->len > pcb->mss;
    return sim_cut(netif, pcb, segment, put_frame) ? ERR_OK : ERR_VAL;
}

/* How far the data are in one piece for the port is another number each time. */
uint16_t stack_largest_segment(const struct tcp_pcb *pcb, const uint8_t *data, uint16_t size) {
    uint16_t largest;

    (void)pcb;
    (void)data;
    if (sim_ends.port != SIM_PORT_CUTS) {
        return 0;
    }
    largest = (uint16_t)(sim_random(4) > 0 ? LARGEST_SEGMENT : sim_random(LARGEST_SEGMENT));
    return LWIP_MIN(size, largest);
}

static err_t interface_init(struct netif *netif) {
    netif->mtu = MTU;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, "\2SIM\0", ETH_HWADDR_LEN - 1);
    netif->hwaddr[ETH_HWADDR_LEN - 1] = (uint8_t)(netif - sim.netif);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->linkoutput = put_packet;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL);
    return ERR_OK;
}

static void initialise(void) {
    static bool done;
    const ip4_addr_t netmask = {PP_HTONL(0xffffff00)}, none = {0};

    if (done) {
        return;
    }
    done = true;
    lwip_init();
    for (int side = 0; side < SIDES; side++) {
        assert_non_null(netif_add(&sim.netif[side], &address[side], &netmask, &none, NULL, interface_init,
                                  ethernet_input));
        netif_set_up(&sim.netif[side]);
    }
}

void sim_begin(const struct sim_config *config) {
    if (sim.running) {
        skip();
    }
    sim.running = true;
    sim.seed = sim.random = config->seed;
    memset(sim.vanished, 0, sizeof(sim.vanished));
    for (int side = 0; side < SIDES; side++) {
        wire_init(&sim.wire[side], &config->rates, wire_random(&sim.random));
    }
    initialise();
    sim.netif[SIM_CLIENT].mtu = sim.netif[SIM_SERVER].mtu = config->mtu != 0 ? config->mtu : MTU;
    sim.refuse = config->refuse;
    sim.starve = config->starve;
    sim.memory = lwip_memory_used();
}

void sim_end(void) {
    const char *broken;

    sim.refuse = 0;
    lwip_abort_all();
    for (int side = 0; side < SIDES; side++) {
        wire_clear(&sim.wire[side]);
        etharp_cleanup_netif(&sim.netif[side]);
    }
    if ((broken = lwip_memory_differs(&sim.memory)) != NULL) {
        fail_msg("%s", broken);
    }
    assert_int_equal(sim.lent, 0);
    sim.running = false;
    if (sim_has_ended != NULL) {
        sim_has_ended(sim.seed);
    }
}

bool sim_left(uint64_t *seed) {
    *seed = sim.seed;
    return sim.running;
}

struct tcp_pcb *sim_pcb(enum sim_side side) {
    struct tcp_pcb *pcb = tcp_new();

    assert_non_null(pcb);
    tcp_bind_netif(pcb, &sim.netif[side]);
    return pcb;
}

static void give_back(struct pbuf *pbuf) {
    struct lent *lent = (struct lent *)pbuf;

    sim.lent--;
    free(lent->frame);
    free(lent);
}

static void deliver(enum sim_side to, struct wire_frame *frame) {
    struct netif *netif = &sim.netif[to], *other = &sim.netif[1 - to];
    struct tcp_pcb *pcb = sim_ends.predict ? rx_predict_lookup(netif, frame->bytes, frame->size) : NULL;
    struct lent *lent = malloc(sizeof(*lent));
    struct pbuf *packet;

    assert_non_null(lent);
    lent->frame = frame;
    lent->custom.custom_free_function = give_back;
    sim.lent++;
    packet = pbuf_alloced_custom(PBUF_RAW, (uint16_t)frame->size, PBUF_REF, &lent->custom, frame->bytes,
                                 (uint16_t)frame->size);
    /* Both interfaces lead to the network of whoever sent the packet. What answers without a PCB is to leave
     * by the one that it came by. */
    other->flags &= (uint8_t)~NETIF_FLAG_LINK_UP;
    if (pcb != NULL) {
        sim.met.expected++;
        rx_predict_input(pcb, packet);
    } else if (netif->input(packet, netif) != ERR_OK) {
        pbuf_free(packet);
    }
    other->flags |= NETIF_FLAG_LINK_UP;
}

static uint64_t next_timer_us(void) {
    uint32_t left = sys_timeouts_sleeptime();

    return left == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? UINT64_MAX : (sim.now_us / 1000 + left) * 1000;
}

bool sim_step(void) {
    uint64_t timer = next_timer_us();
    uint64_t next = timer;
    struct wire_frame *frame;

    for (int side = 0; side < SIDES; side++) {
        next = LWIP_MIN(next, wire_due_us(&sim.wire[side]));
    }
    if (next == UINT64_MAX) {
        return false;
    }
    sim.now_us = LWIP_MAX(sim.now_us, next);
    sim_memory_fails = allocation_fails;
    for (int side = 0; side < SIDES; side++) {
        if ((frame = wire_take(&sim.wire[side], sim.now_us)) != NULL) {
            deliver(side == SIM_CLIENT ? SIM_SERVER : SIM_CLIENT, frame);
        }
    }
    if (timer <= sim.now_us) {
        sys_check_timeouts();
    }
    if (sim.refused) {
        sim.refused = false;
        tcp_txnow();
    }
    sim_memory_fails = NULL;
    return true;
}

bool sim_run_until(bool (*done)(void), uint64_t limit_us) {
    uint64_t end = sim.now_us + limit_us;

    while (!done()) {
        if (sim.now_us > end || !sim_step()) {
            return false;
        }
    }
    return true;
}

bool sim_no_connections(void) {
    return tcp_active_pcbs == NULL && tcp_tw_pcbs == NULL && tcp_bound_pcbs == NULL;
}

struct wire_counts sim_counts(void) {
    struct wire_counts a = sim.wire[SIM_CLIENT].counts, b = sim.wire[SIM_SERVER].counts;

    return (struct wire_counts){.taken = a.taken + b.taken,
                                .lost = a.lost + b.lost,
                                .duplicated = a.duplicated + b.duplicated,
                                .reordered = a.reordered + b.reordered,
                                .damaged = a.damaged + b.damaged,
                                .delivered = a.delivered + b.delivered};
}

struct sim_met sim_met(void) {
    return sim.met;
}

void sim_check_lists(void) {
    const char *broken = lwip_lists_broken();

    if (broken != NULL) {
        fail_msg("%s", broken);
    }
}
