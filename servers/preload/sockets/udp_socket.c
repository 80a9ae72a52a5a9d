/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of type SOCK_DGRAM on lwIP's raw UDP. */
#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip_errno.h"
#include "preload/engine/counters_file.h"
#include "preload/engine/engine.h"

#include "lwip/udp.h"

/* Bytes that may wait to be read, each datagram counted with its overhead: the kernel's default SO_RCVBUF
 * (net.core.rmem_default). */
#define QUEUE_LIMIT 212992
#define OVERHEAD 512

#define EVENTS_IN (EPOLLIN | EPOLLRDNORM)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

struct datagram {
    STAILQ_ENTRY(datagram) link;
    struct pbuf *data;
    struct sockaddr_in from;
};

static void received(void *argument, struct udp_pcb *pcb, struct pbuf *data, const ip_addr_t *ip,
                     u16_t port) {
    struct socket *socket = argument;
    struct udp_part *udp = &socket->udp;
    struct datagram *datagram;

    (void)pcb;
    if (data == NULL) { /* nobody has that port, says the peer */
        socket->error = ECONNREFUSED;
        socket_signal(socket, EVENTS_IN | EVENTS_OUT | EPOLLERR);
        return;
    }
    if (udp->queued + data->tot_len + OVERHEAD > QUEUE_LIMIT ||
        (datagram = malloc(sizeof(*datagram))) == NULL) {
        pbuf_free(data);
        return;
    }
    datagram->data = data;
    datagram->from = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = lwip_htons(port)};
    datagram->from.sin_addr.s_addr = ip_2_ip4(ip)->addr;
    udp->queued += data->tot_len + OVERHEAD;
    STAILQ_INSERT_TAIL(&udp->queue, datagram, link);
    socket_signal(socket, EVENTS_IN);
}

static void drop_first(struct udp_part *udp) {
    struct datagram *datagram = STAILQ_FIRST(&udp->queue);

    STAILQ_REMOVE_HEAD(&udp->queue, link);
    udp->queued -= datagram->data->tot_len + OVERHEAD;
    pbuf_free(datagram->data);
    free(datagram);
}

static int udp_create(struct socket *socket) {
    memset(&socket->udp, 0, sizeof(socket->udp));
    STAILQ_INIT(&socket->udp.queue);
    socket->udp.pcb = udp_new();
    if (socket->udp.pcb == NULL) {
        return -ENOBUFS;
    }
    udp_recv(socket->udp.pcb, received, socket);
    return 0;
}

static int udp_bind_address(struct socket *socket, const struct sockaddr_in *address) {
    struct udp_pcb *pcb = socket->udp.pcb;
    ip_addr_t ip = IPADDR4_INIT(address->sin_addr.s_addr);
    err_t error;

    if (pcb->local_port != 0) {
        return -EINVAL;
    }
    if (!engine_is_local(address->sin_addr.s_addr)) {
        return -EADDRNOTAVAIL;
    }
    error = udp_bind(pcb, &ip, lwip_ntohs(address->sin_port));
    socket->udp.bound = error == ERR_OK && address->sin_port != 0;
    return lwip_errno(error);
}

static int udp_connect_address(struct socket *socket, const struct sockaddr_in *address) {
    struct udp_part *udp = &socket->udp;
    ip_addr_t ip;
    err_t error;
    int code = engine_start_linked();

    if (code != 0) {
        return code;
    }
    ip_addr_set_ip4_u32_val(ip, address->sin_addr.s_addr == INADDR_ANY ? engine_address()
                                                                       : address->sin_addr.s_addr);
    error = udp_connect(udp->pcb, &ip, lwip_ntohs(address->sin_port));
    if (error == ERR_OK) {
        udp->connected = true;
        udp->peer = *address;
        udp->peer.sin_addr.s_addr = ip_2_ip4(&ip)->addr;
    }
    return lwip_errno(error);
}

static int udp_disconnect_peer(struct socket *socket) {
    udp_disconnect(socket->udp.pcb);
    if (!socket->udp.bound) {
        struct udp_pcb *pcb = udp_new();

        if (pcb == NULL) {
            return -ENOBUFS;
        }
        /* The kernel gives back a port that it had chosen itself. */
        udp_remove(socket->udp.pcb);
        socket->udp.pcb = pcb;
        udp_recv(pcb, received, socket);
    }
    socket->udp.connected = socket->udp.receive_shut = socket->udp.send_shut = false;
    return 0;
}

static int udp_listen(struct socket *socket, int backlog) {
    (void)socket;
    (void)backlog;
    return -EOPNOTSUPP;
}

static int udp_accept(struct socket *socket, struct socket **accepted) {
    (void)socket;
    (void)accepted;
    return -EOPNOTSUPP;
}

static ssize_t udp_receive(struct socket *socket, struct message *message, int flags) {
    struct udp_part *udp = &socket->udp;
    struct datagram *datagram = STAILQ_FIRST(&udp->queue);
    size_t done = 0, size;

    if (socket->error != 0) {
        return -socket_take_error(socket);
    }
    if (datagram == NULL) {
        return udp->receive_shut ? 0 : -EAGAIN;
    }
    size = datagram->data->tot_len;
    for (size_t i = 0; i < message->count && done < size; i++) {
        done +=
            pbuf_copy_partial(datagram->data, message->pieces[i].iov_base,
                              (uint16_t)LWIP_MIN(message->pieces[i].iov_len, size - done), (uint16_t)done);
    }
    message->name = datagram->from;
    message->has_name = true;
    message->truncated = done < size;
    if (!(flags & MSG_PEEK)) {
        socket_counters.bytes_received += size;
        drop_first(udp);
    }
    return (ssize_t)(flags & MSG_TRUNC ? size : done);
}

static struct pbuf *gather(const struct message *message, size_t size) {
    struct pbuf *data = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)size, PBUF_RAM);
    size_t at = 0;

    if (data == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < message->count; i++) {
        memcpy((uint8_t *)data->payload + at, message->pieces[i].iov_base, message->pieces[i].iov_len);
        at += message->pieces[i].iov_len;
    }
    return data;
}

static bool is_broadcast(in_addr_t target) {
    ip4_addr_t address = {target};

    return ip4_addr_isbroadcast(&address, netif_default);
}

static ssize_t udp_send_datagram(struct socket *socket, const struct message *message, size_t skip,
                                 int flags) {
    struct udp_part *udp = &socket->udp;
    const struct sockaddr_in *target = message->has_name ? &message->name : &udp->peer;
    size_t size = message_size(message);
    struct pbuf *data;
    ip_addr_t ip;
    err_t error;
    int code;

    (void)skip;
    if (flags & MSG_OOB) {
        return -EOPNOTSUPP;
    }
    if (udp->send_shut) {
        return -EPIPE;
    }
    if (socket->error != 0) {
        return -socket_take_error(socket);
    }
    if (!message->has_name && !udp->connected) {
        return -EDESTADDRREQ;
    }
    if (target->sin_port == 0) {
        return -EINVAL;
    }
    if ((code = engine_start_linked()) != 0) {
        return code;
    }
    if (size > engine_largest_datagram()) {
        return -EMSGSIZE;
    }
    ip_addr_set_ip4_u32_val(ip, target->sin_addr.s_addr == INADDR_ANY ? engine_address()
                                                                      : target->sin_addr.s_addr);
    if (!udp->broadcast && is_broadcast(ip_2_ip4(&ip)->addr)) {
        return -EACCES;
    }
    if ((data = gather(message, size)) == NULL) {
        return -ENOBUFS;
    }
    error = udp_sendto(udp->pcb, data, &ip, lwip_ntohs(target->sin_port));
    pbuf_free(data);
    if (error != ERR_OK) {
        return lwip_errno(error);
    }
    socket_counters.bytes_sent += size;
    engine_sent();
    return (ssize_t)size;
}

static int udp_shut(struct socket *socket, int how) {
    struct udp_part *udp = &socket->udp;

    udp->receive_shut |= how != SHUT_WR;
    udp->send_shut |= how != SHUT_RD;
    socket_signal(socket, EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP);
    return udp->connected ? 0 : -ENOTCONN;
}

static int udp_name(const struct socket *socket, bool peer, struct sockaddr_in *address) {
    const struct udp_part *udp = &socket->udp;

    if (peer && !udp->connected) {
        return -ENOTCONN;
    }
    *address = udp->peer;
    if (!peer) {
        address->sin_port = lwip_htons(udp->pcb->local_port);
        address->sin_addr.s_addr = ip_2_ip4(&udp->pcb->local_ip)->addr;
        if (udp->connected && address->sin_addr.s_addr == INADDR_ANY) {
            address->sin_addr.s_addr = engine_address();
        }
    }
    address->sin_family = AF_INET;
    return 0;
}

static int udp_readable_bytes(const struct socket *socket) {
    const struct datagram *first = STAILQ_FIRST(&socket->udp.queue);

    return first == NULL ? 0 : first->data->tot_len;
}

static void udp_option(struct socket *socket, int level, int name, int value) {
    if (level == SOL_SOCKET && name == SO_BROADCAST) {
        socket->udp.broadcast = value != 0;
    } else if (level == SOL_SOCKET && name == SO_REUSEADDR && value != 0) {
        ip_set_option(socket->udp.pcb, SOF_REUSEADDR);
    } else if (level == SOL_SOCKET && name == SO_REUSEADDR) {
        ip_reset_option(socket->udp.pcb, SOF_REUSEADDR);
    }
}

static uint32_t udp_ready(struct socket *socket) {
    const struct udp_part *udp = &socket->udp;

    return EVENTS_OUT | (STAILQ_EMPTY(&udp->queue) ? 0 : EVENTS_IN) | (socket->error != 0 ? EPOLLERR : 0) |
           (udp->receive_shut ? EVENTS_IN | EPOLLRDHUP : 0) |
           (udp->receive_shut && udp->send_shut ? EPOLLHUP : 0);
}

static bool udp_unsent(const struct socket *socket) {
    (void)socket;
    return false;
}

static void udp_close(struct socket *socket) {
    struct udp_part *udp = &socket->udp;

    while (!STAILQ_EMPTY(&udp->queue)) {
        drop_first(udp);
    }
    udp_remove(udp->pcb);
    udp->pcb = NULL;
}

const struct protocol udp_protocol = {
    .create = udp_create,
    .bind = udp_bind_address,
    .connect = udp_connect_address,
    .disconnect = udp_disconnect_peer,
    .listen = udp_listen,
    .accept = udp_accept,
    .receive = udp_receive,
    .send = udp_send_datagram,
    .shutdown = udp_shut,
    .name = udp_name,
    .readable_bytes = udp_readable_bytes,
    .option = udp_option,
    .ready = udp_ready,
    .unsent = udp_unsent,
    .close = udp_close,
};
