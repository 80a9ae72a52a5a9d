/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_sleep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "port_shared.h"

#define EVENTS 4

/* ethdev says in lines of its own what one of ours says. */
static int watch_queue(const struct port *port) {
    int log = rte_log_register("lib.ethdev"); /* known by now */
    int level = rte_log_get_level((uint32_t)log);
    int code;

    rte_log_set_level((uint32_t)log, RTE_LOG_EMERG);
    code = rte_eth_dev_rx_intr_ctl_q(port->id, port->core, port->epoll, RTE_INTR_EVENT_ADD, NULL);
    rte_log_set_level((uint32_t)log, (uint32_t)level);
    return code;
}

static int watch(struct port *port, char *error, size_t size) {
    port->wake_event = (struct rte_epoll_event){.epdata.event = EPOLLIN};
    if (rte_epoll_ctl(port->epoll, EPOLL_CTL_ADD, port_waker(port)->fd, &port->wake_event) != 0) {
        snprintf(error, size, "--idle=intr: the waker cannot be watched");
        return -EIO;
    }
    if (port->receives && watch_queue(port) != 0) {
        snprintf(error, size, "--idle=intr: %s has no receive interrupts; leave it at poll", port->driver);
        return -ENOTSUP;
    }
    return 0;
}

int port_sleep_prepare(struct port *port, char *error, size_t size) {
    int code;

    if ((port->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        code = -errno;
        snprintf(error, size, "--idle=intr: %s", strerror(errno));
        return code;
    }
    if ((code = watch(port, error, size)) != 0) {
        close(port->epoll);
        port->epoll = -1;
    }
    return code;
}

void port_sleep_finish(struct port *port) {
    if (port->epoll < 0) {
        return;
    }
    if (port->receives) {
        /* Else the driver would do it, on a descriptor that is closed. */
        (void)rte_eth_dev_rx_intr_ctl_q(port->id, port->core, port->epoll, RTE_INTR_EVENT_DEL, NULL);
    }
    close(port->epoll);
    port->epoll = -1;
}

void port_sleep_arm(struct port *port) {
    atomic_store(&port->shared->wakers[port->core].asleep, true);
    if (port->receives) {
        /* Not supported by those whose interrupt is always on (net_tap, whose descriptor is watched). */
        (void)rte_eth_dev_rx_intr_enable(port->id, port->core);
    }
}

bool port_sleep(struct port *port, int timeout_ms) {
    const struct waker *waker = port_waker(port);
    struct rte_epoll_event events[EVENTS];
    int count = rte_epoll_wait(port->epoll, events, EVENTS, timeout_ms);
    uint64_t times;

    for (int i = 0; i < count; i++) {
        if (events[i].fd == waker->fd) {
            (void)!read(waker->fd, &times, sizeof(times));
        }
    }
    return count > 0;
}

void port_sleep_disarm(struct port *port) {
    atomic_store_explicit(&port->shared->wakers[port->core].asleep, false, memory_order_relaxed);
    if (port->receives) {
        (void)rte_eth_dev_rx_intr_disable(port->id, port->core);
    }
}

const struct waker *port_waker(const struct port *port) {
    return port->shared->wakers == NULL ? NULL : &port->shared->wakers[port->core];
}
