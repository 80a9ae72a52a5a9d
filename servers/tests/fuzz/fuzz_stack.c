/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames into lwIP's input path under sanitizers, as libFuzzer wants its target. An input is a program: each
 * command sends a frame, lets time pass, or has an application do something; all bytes mean something, so
 * that mutations go deep. After every command lwIP's lists must be sane, after every input nothing may be
 * left allocated.
 *
 * A raw frame that claims more bytes than follow takes all that follow: "\x00\xff\xff" before one of lwIP's
 * own fuzz inputs makes it a program. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"

#include "fuzz_app.h"
#include "fuzz_peer.h"
#include "fuzz_stack.h"
#include "tests/sim/lwip_checks.h"
#include "tests/sim/sim_http.h"
#include "tests/sim/sim_memory.h"
#include "tests/sim/wire_faults.h"

#define BODY_SIZE 20000
#define COMMANDS_MAX 400

struct input {
    const uint8_t *data;
    size_t size;
};

static struct {
    struct sim_http http;
    struct lwip_memory idle;
    uint32_t now_ms;
    uint64_t random;
    unsigned allowed; /* allocations, before as many as `starved` fail */
    unsigned starved;
    unsigned times; /* that the next segment is sent */
    uint8_t requests[PEER_FRAME_MAX];
    bool started;
} fuzz;

u32_t sys_now(void) {
    return fuzz.now_ms;
}

uint32_t stack_random(void) {
    return (uint32_t)wire_random(&fuzz.random);
}

static bool allocation_fails(void) {
    if (fuzz.starved == 0) {
        return false;
    }
    if (fuzz.allowed > 0) {
        fuzz.allowed--;
        return false;
    }
    fuzz.starved--;
    return true;
}

static void must(const char *broken) {
    if (broken != NULL) {
        fprintf(stderr, "fuzz_stack: %s\n", broken);
        abort();
    }
}

/* Every PCB that is allocated is in a list: of those that are not connected, the targets here make none. */
static const char *pcbs_lost(void) {
    return lwip_memory_used().pool[MEMP_TCP_PCB] == lwip_connections()
               ? NULL
               : "there are more or fewer connections than the lists hold";
}

static uint8_t byte(struct input *input) {
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

static uint16_t two_bytes(struct input *input) {
    uint16_t high = byte(input);

    return (uint16_t)(high << 8 | byte(input));
}

static uint32_t four_bytes(struct input *input) {
    uint32_t high = two_bytes(input);

    return high << 16 | two_bytes(input);
}

/* The next `size` bytes, or as many as there are. */
static const uint8_t *piece(struct input *input, size_t *size) {
    const uint8_t *data = input->data;

    *size = LWIP_MIN(*size, input->size);
    input->data += *size;
    input->size -= *size;
    return data;
}

/* Where a frame is cut in two: in the headers or in the options of TCP. */
static uint16_t cut(uint8_t how) {
    return how & 2 ? (uint16_t)(34 + how * 4) : 0;
}

static void send_raw(struct input *input, uint8_t how) {
    size_t size = two_bytes(input);
    const uint8_t *frame = piece(input, &size);

    peer_send_frame(frame, size, how & 1, cut(how));
}

/* Near the edges where comparisons of sequence numbers turn. */
static uint32_t offset(struct input *input) {
    uint8_t kind = byte(input);

    switch (kind % 8) {
    case 0:
        return (uint32_t)(int8_t)byte(input);
    case 1:
        return (uint32_t)((int8_t)byte(input) * TCP_MSS);
    case 2:
        return (uint32_t)((int8_t)byte(input) + TCP_WND);
    case 3:
        return four_bytes(input);
    default:
        return 0;
    }
}

static uint8_t options(struct input *input, uint8_t kind, uint8_t to[PEER_OPTIONS_MAX]) {
    static const uint8_t usual[] = {2, 4, 2, 24, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0};
    size_t size = kind % 4 == 3 ? PEER_OPTIONS_MAX / 4 : (kind >> 4) % 11 * 4;
    const uint8_t *bytes;

    if (kind % 4 == 0) {
        return 0;
    }
    if (kind % 4 == 1) {
        memcpy(to, usual, sizeof(usual));
        return sizeof(usual);
    }
    bytes = piece(input, &size);
    memset(to, 1, PEER_OPTIONS_MAX); /* no-operation */
    memcpy(to, bytes, size);
    return (uint8_t)((size + 3) / 4 * 4);
}

/* Those of a living connection more often, else none lives long. */
static uint8_t segment_flags(uint8_t kind) {
    if (kind < 192) {
        return TCP_ACK | (kind & TCP_PSH);
    }
    return kind < 208 ? TCP_ACK | TCP_FIN : kind & TCP_FLAGS;
}

static void send_segment(struct input *input, uint8_t how) {
    uint8_t options_bytes[PEER_OPTIONS_MAX] = {0};
    struct peer_segment segment = {.options = options_bytes, .payload = fuzz.requests};
    unsigned number = byte(input) % PEERS;

    segment.flags = segment_flags(byte(input));
    segment.sequence_offset = offset(input);
    segment.acknowledgement_offset = offset(input);
    segment.window = how & 8 ? two_bytes(input) : UINT16_MAX;
    segment.options_size = options(input, byte(input), options_bytes);
    segment.payload_size = how & 1 ? two_bytes(input) % (TCP_MSS + 1) : byte(input);
    segment.bad_checksum = how % 16 == 15;
    segment.cut = cut(how);
    segment.urgent = how & 4 ? two_bytes(input) : 0;
    for (unsigned times = fuzz.times; times > 0; times--) {
        peer_send(number, &segment);
    }
    fuzz.times = 1;
}

/* What a connection most likely gets next. */
static void send_next(struct input *input) {
    struct peer_segment segment = {.options = fuzz.requests, .payload = fuzz.requests};
    unsigned number = byte(input) % PEERS;
    uint8_t kind = byte(input);

    segment.flags = TCP_ACK | (kind & TCP_PSH);
    segment.acknowledgement_offset = kind % 4 == 3 ? (uint32_t) - (int32_t)kind : 0;
    segment.window = UINT16_MAX;
    segment.payload_size = (uint16_t)(kind % 2 == 0 ? 1 + kind : TCP_MSS);
    peer_send(number, &segment);
}

/* What a stranger sends who knows addresses and ports, or a peer that disagrees: sequence and acknowledgement
 * numbers at the edges, flags and options that do not belong there. */
static void send_odd(struct input *input) {
    static const uint32_t edges[] = {
        0,
        0,
        1,
        0u - 1,
        1000,
        0u - 1000,
        TCP_WND - 1,
        TCP_WND,
        TCP_WND + 1,
        0u - TCP_WND,
        1u << 16,
        1u << 30,
        1u << 31,
        3u << 30,
        0u - (1u << 20),
        (1u << 31) - 1,
    };
    static const uint8_t flags[] = {
        TCP_ACK,           TCP_ACK | TCP_PSH, 0,       TCP_PSH | TCP_URG,
        TCP_SYN,           TCP_SYN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK,
        TCP_ACK | TCP_FIN, TCP_FIN,           0x3f,    TCP_ACK | TCP_PSH | TCP_URG,
    };
    static const uint8_t odd_options[][4] = {
        {2, 4, 0, 1}, {2, 4, 0, 0}, {3, 3, 14, 0}, {3, 3, 255, 0}, {2, 3, 0, 1}, {2, 40, 0, 1}, {4, 2, 8, 10},
    };
    unsigned number = byte(input) % PEERS;
    uint8_t numbers = byte(input), kind = byte(input), with = byte(input);
    struct peer_segment segment = {.options = odd_options[with % 8 % 7], .payload = fuzz.requests};

    segment.flags = flags[kind % (sizeof(flags) / sizeof(flags[0]))];
    segment.sequence_offset = edges[numbers >> 4];
    segment.acknowledgement_offset = edges[numbers & 15];
    segment.window = with & 16 ? 1 : UINT16_MAX;
    segment.urgent = with;
    segment.options_size = with & 8 ? sizeof(odd_options[0]) : 0;
    segment.payload_size = with & 32 ? kind : 0;
    peer_send(number, &segment);
}

static void shake_hands(struct input *input) {
    unsigned number = byte(input) % PEERS;
    uint8_t bytes[PEER_OPTIONS_MAX];
    uint8_t kind = byte(input);
    struct peer_segment segment = {
        .flags = TCP_SYN, .window = 65535, .options = bytes, .payload = fuzz.requests};

    segment.options_size = options(input, kind & 0xfd, bytes); /* none or the usual */
    peer_send(number, &segment);
    segment.options_size = 0;
    segment.flags = TCP_ACK | (kind & 8 ? TCP_FIN : 0);
    segment.payload_size = kind & 4 ? sizeof("GET / HTTP/1.1\r\nHost: a\r\n\r\n") - 1 : 0;
    peer_send(number, &segment);
}

static void pass_time(uint8_t how, uint8_t amount) {
    uint32_t left = how == 0 ? amount : (uint32_t)amount * amount;

    while (left > 0) {
        uint32_t step = LWIP_MIN(left, 250);

        fuzz.now_ms += step;
        left -= step;
        sys_check_timeouts();
    }
}

static void connect_out(unsigned number) {
    uint16_t port = app_connect(peer_address(), peer_port(number));

    if (port != 0) {
        peer_expect_from(number, port);
    }
}

static void obey(struct input *input) {
    uint8_t command = byte(input), how = command >> 4;

    switch (command % 16) {
    case 0:
        send_raw(input, how);
        break;
    case 1:
    case 2:
        shake_hands(input);
        break;
    case 3:
        app_act(byte(input), byte(input));
        break;
    case 4:
        pass_time(how % 2, byte(input));
        break;
    case 5:
        connect_out(byte(input) % PEERS);
        break;
    case 6:
        peer_refuse(how);
        break;
    case 7:
        fuzz.allowed = byte(input);
        fuzz.starved = how;
        break;
    case 8:
        if (how % 2 == 0) {
            tcp_txnow();
        } else {
            fuzz.times = how; /* the next segment comes as often */
        }
        break;
    case 9:
        peer_cut_up((uint16_t)(how * 4000)); /* 0: no more */
        break;
    case 10:
    case 11:
        send_next(input);
        break;
    case 12:
        send_odd(input);
        break;
    default:
        send_segment(input, how);
        break;
    }
    peer_answer_arp();
}

static void start(void) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct tcp_pcb *pcb;

    for (size_t i = 0; i < sizeof(fuzz.requests); i++) {
        fuzz.requests[i] = (uint8_t)request[i % (sizeof(request) - 1)];
    }
    sim_memory_fails = allocation_fails;
    lwip_init();
    peer_start();
    pcb = tcp_new();
    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, PEER_HTTP_PORT) != ERR_OK) {
        abort();
    }
    sim_http_start(&fuzz.http, pcb, BODY_SIZE, 30);
    app_start(PEER_FREE_PORT);
    fuzz.started = true;
}

static void reset(const uint8_t *data, size_t size) {
    fuzz.starved = 0;
    fuzz.times = 1;
    lwip_abort_all();
    pass_time(1, 25); /* TCP's timer ends */
    peer_reset();
    app_reset(data, size);
}

void fuzz_stack_predict(bool predict) {
    peer_predict(predict);
}

uint64_t fuzz_stack_digest(void) {
    return peer_digest();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};

    if (!fuzz.started) {
        start();
    }
    fuzz.random = size;
    reset(data, size);
    fuzz.idle = lwip_memory_used();
    for (unsigned i = 0; i < COMMANDS_MAX && input.size > 0; i++) {
        obey(&input);
        must(lwip_lists_broken());
        must(pcbs_lost());
    }
    reset(data, size);
    must(lwip_memory_differs(&fuzz.idle));
    must(peer_lent() != 0 ? "a received frame was not given back" : NULL);
    must(sim_http_sessions(&fuzz.http) != 0 || app_open() != 0 ? "a connection that was aborted was not told"
                                                               : NULL);
    return 0;
}
