/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz_app.h"

#include <stdbool.h>
#include <stdlib.h>

#define BACKLOG 1

struct slot {
    struct tcp_pcb *pcb;
    size_t unread;
    bool shut_rx, shut_tx; /* once both are, lwIP may free the PCB without a word */
};

static struct {
    struct slot slots[APP_SLOTS];
    const uint8_t *choices;
    size_t size;
    size_t at;
} app;

static const uint8_t bytes[UINT16_MAX];

static uint8_t choose(void) {
    return app.size == 0 ? 0 : app.choices[app.at++ % app.size];
}

static struct slot *slot_of(const struct tcp_pcb *pcb) {
    for (unsigned i = 0; i < APP_SLOTS; i++) {
        if (app.slots[i].pcb == pcb) {
            return &app.slots[i];
        }
    }
    return NULL;
}

static struct tcp_pcb *detach(struct slot *slot) {
    struct tcp_pcb *pcb = slot->pcb;

    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    *slot = (struct slot){0};
    return pcb;
}

static err_t abort_it(struct slot *slot) {
    tcp_abort(detach(slot));
    return ERR_ABRT;
}

static err_t close_it(struct slot *slot) {
    struct tcp_pcb *pcb = detach(slot);

    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    return ERR_OK;
}

static err_t shut(struct slot *slot, int rx, int tx) {
    slot->shut_rx |= rx;
    slot->shut_tx |= tx;
    if (slot->shut_rx && slot->shut_tx) {
        return close_it(slot);
    }
    (void)tcp_shutdown(slot->pcb, rx, tx); /* refused while it connects */
    return ERR_OK;
}

static void read_some(struct slot *slot, size_t most) {
    uint16_t size = (uint16_t)LWIP_MIN(slot->unread, most);

    slot->unread -= size;
    tcp_recved(slot->pcb, size);
}

/* In a callback or outside; the result is the callback's. */
static err_t do_something(struct slot *slot, uint8_t choice) {
    uint16_t size = (uint16_t)(choice >> 4) * 1000 + choice;

    if (choice % 16 >= 8 && choice % 16 <= 11 && choice < 160) {
        return ERR_OK; /* else no connection lives long */
    }
    switch (choice % 16) {
    case 0:
    case 1:
    case 2:
        (void)tcp_write(slot->pcb, bytes, size, 0);
        break;
    case 3:
        (void)tcp_write(slot->pcb, bytes, size, TCP_WRITE_FLAG_COPY | TCP_WRITE_FLAG_MORE);
        break;
    case 4:
    case 5:
    case 6:
        read_some(slot, size);
        break;
    case 7:
        read_some(slot, UINT16_MAX);
        break;
    case 8:
        return shut(slot, 0, 1);
    case 9:
        return shut(slot, 1, 0);
    case 10:
        return close_it(slot);
    case 11:
        return abort_it(slot);
    case 12:
        (void)tcp_output(slot->pcb);
        break;
    case 13:
        tcp_nagle_disable(slot->pcb);
        break;
    default:
        break;
    }
    return ERR_OK;
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct slot *slot = argument;
    uint8_t choice = choose();

    (void)pcb;
    (void)error;
    if (data == NULL) {
        return choice % 2 == 0 || slot->shut_tx ? close_it(slot) : do_something(slot, choice);
    }
    slot->unread += data->tot_len;
    pbuf_free(data);
    return do_something(slot, choice);
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    (void)pcb;
    (void)length;
    return do_something(argument, choose());
}

static err_t on_poll(void *argument, struct tcp_pcb *pcb) {
    (void)pcb;
    return do_something(argument, choose());
}

static void on_error(void *argument, err_t error) {
    (void)error;
    *(struct slot *)argument = (struct slot){0};
}

static void attach(struct slot *slot, struct tcp_pcb *pcb) {
    *slot = (struct slot){.pcb = pcb};
    tcp_arg(pcb, slot);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_poll(pcb, on_poll, 1 + choose() % 8);
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct slot *slot = slot_of(NULL);

    (void)argument;
    if (error != ERR_OK || pcb == NULL || slot == NULL || choose() % 32 == 31) {
        return ERR_MEM;
    }
    attach(slot, pcb);
    return do_something(slot, choose());
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)pcb;
    (void)error;
    return do_something(argument, choose());
}

void app_start(uint16_t port) {
    struct tcp_pcb *pcb = tcp_new();

    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK ||
        (pcb = tcp_listen_with_backlog(pcb, BACKLOG)) == NULL) {
        abort();
    }
    tcp_accept(pcb, on_accept);
}

void app_reset(const uint8_t *choices, size_t size) {
    app.choices = choices;
    app.size = size;
    app.at = 0;
}

void app_act(unsigned slot, uint8_t choice) {
    struct slot *chosen = &app.slots[slot % APP_SLOTS];

    if (chosen->pcb != NULL) {
        (void)do_something(chosen, choice);
    }
}

uint16_t app_connect(const ip_addr_t *to, uint16_t port) {
    struct slot *slot = slot_of(NULL);
    struct tcp_pcb *pcb = slot == NULL ? NULL : tcp_new();

    if (pcb == NULL) {
        return 0;
    }
    attach(slot, pcb);
    if (tcp_connect(pcb, to, port, on_connected) != ERR_OK) {
        (void)abort_it(slot);
        return 0;
    }
    return pcb->local_port;
}

size_t app_open(void) {
    size_t open = 0;

    for (unsigned i = 0; i < APP_SLOTS; i++) {
        open += app.slots[i].pcb != NULL;
    }
    return open;
}
