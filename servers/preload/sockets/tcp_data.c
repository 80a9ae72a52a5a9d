/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_data.h"

#include <errno.h>
#include <string.h>

#include "preload/engine/counters_file.h"
#include "preload/engine/engine.h"
#include "tcp_events.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

void tcp_part_drop_input(struct tcp_part *tcp) {
    (void)input_queue_clear(&tcp->input);
    tcp->received = 0;
}

/* Copies up to `size` bytes (to == NULL: drops them), from `*at` bytes into `*part` on; both move. */
static size_t copy_out(const struct input_queue *input, uint8_t *to, size_t size, struct pbuf **part,
                       size_t *at) {
    size_t done = 0;

    while (done < size && *part != NULL) {
        size_t chunk = LWIP_MIN(size - done, (*part)->len - *at);

        if (to != NULL) {
            memcpy(to + done, (const uint8_t *)(*part)->payload + *at, chunk);
        }
        done += chunk;
        *at += chunk;
        if (*at == (*part)->len) {
            *part = *part == input->last ? NULL : (*part)->next;
            *at = 0;
        }
    }
    return done;
}

/* The first bytes have been read: gives back their buffers and the window. */
static void consume(struct tcp_part *tcp, size_t size) {
    tcp->received -= size;
    socket_counters.bytes_received += size;
    for (size_t left = size; left > 0;) {
        uint16_t chunk = (uint16_t)LWIP_MIN(left, input_queue_first(&tcp->input)->len);

        input_queue_read(&tcp->input, chunk);
        left -= chunk;
    }
    while (size > 0 && tcp->pcb != NULL) {
        uint16_t chunk = (uint16_t)LWIP_MIN(size, UINT16_MAX);

        tcp_recved(tcp->pcb, chunk);
        size -= chunk;
    }
}

ssize_t tcp_part_receive(struct socket *socket, struct message *message, int flags) {
    struct tcp_part *tcp = &socket->tcp;
    struct pbuf *part = input_queue_first(&tcp->input);
    size_t at = 0, size = 0;

    if (flags & MSG_OOB) {
        return -EINVAL; /* lwIP has no urgent data */
    }
    if ((tcp->phase == TCP_FRESH && socket->error == 0 && !tcp->receive_shut) ||
        tcp->phase == TCP_LISTENING) {
        return -ENOTCONN;
    }
    if (tcp->received == 0) {
        if (socket->error != 0) {
            return -socket_take_error(socket);
        }
        return tcp->peer_closed || tcp->receive_shut || tcp->phase == TCP_ENDED || tcp->phase == TCP_FAILED
                   ? 0
                   : -EAGAIN;
    }
    for (size_t i = 0; i < message->count && part != NULL; i++) {
        uint8_t *to = flags & MSG_TRUNC ? NULL : message->pieces[i].iov_base;

        size += copy_out(&tcp->input, to, message->pieces[i].iov_len, &part, &at);
    }
    if (!(flags & MSG_PEEK)) {
        consume(tcp, size);
    }
    return (ssize_t)size;
}

/* Queues what lwIP takes of `size` bytes; fewer when its queue is full. */
static size_t queue(struct tcp_pcb *pcb, const uint8_t *bytes, size_t size, bool more) {
    /* tcp_write() takes 16 bits; whole segments, so that none is cut short. */
    size_t most = UINT16_MAX / tcp_mss(pcb) * tcp_mss(pcb);
    size_t done = 0;

    while (done < size && pcb->snd_buf > 0) {
        size_t chunk = LWIP_MIN(LWIP_MIN(size - done, most), (size_t)pcb->snd_buf);
        uint8_t flags = TCP_WRITE_FLAG_COPY | (more || done + chunk < size ? TCP_WRITE_FLAG_MORE : 0);

        while (tcp_write(pcb, bytes + done, (uint16_t)chunk, flags) != ERR_OK) {
            /* Of small segments the queue is full before it is full of bytes. */
            if (chunk <= tcp_mss(pcb)) {
                return done;
            }
            chunk = LWIP_MAX(chunk / 2, tcp_mss(pcb));
        }
        done += chunk;
    }
    return done;
}

ssize_t tcp_part_send(struct socket *socket, const struct message *message, size_t skip, int flags) {
    struct tcp_part *tcp = &socket->tcp;
    size_t offered = 0, done = 0;

    if (flags & MSG_OOB) {
        return -EOPNOTSUPP;
    }
    if (socket->error != 0) {
        return -socket_take_error(socket);
    }
    if (tcp->phase == TCP_CONNECTING) {
        return -EAGAIN;
    }
    if (tcp->phase != TCP_CONNECTED || tcp->send_shut) {
        return -EPIPE;
    }
    for (size_t i = 0; i < message->count && done == offered; i++) {
        const struct iovec *piece = &message->pieces[i];
        size_t skipped = LWIP_MIN(skip, piece->iov_len);
        bool more = i + 1 < message->count;

        skip -= skipped;
        offered += piece->iov_len - skipped;
        done += queue(tcp->pcb, (const uint8_t *)piece->iov_base + skipped, piece->iov_len - skipped, more);
    }
    socket_counters.bytes_sent += done;
    if (done < offered) {
        tcp->wants_room = true;
    }
    if (done > 0 && ((!tcp->corked && !(flags & MSG_MORE)) || done < offered)) {
        (void)tcp_output(tcp->pcb);
        engine_sent();
    }
    return done == 0 && offered > 0 ? -EAGAIN : (ssize_t)done;
}

int tcp_part_readable_bytes(const struct socket *socket) {
    return socket->tcp.phase == TCP_LISTENING ? -EINVAL : (int)LWIP_MIN(socket->tcp.received, INT32_MAX);
}

uint32_t tcp_part_ready(struct socket *socket) {
    struct tcp_part *tcp = &socket->tcp;
    bool receive_shut = tcp->peer_closed || tcp->receive_shut;
    uint32_t events = socket->error != 0 ? EPOLLERR : 0;

    if (tcp->phase == TCP_LISTENING) {
        return STAILQ_EMPTY(&tcp->accept_queue) ? events : events | EVENTS_IN;
    }
    if (tcp->phase == TCP_CONNECTING) {
        return events;
    }
    receive_shut |= tcp->phase == TCP_FAILED;
    if (tcp->phase != TCP_CONNECTED || (receive_shut && tcp->send_shut)) {
        events |= EPOLLHUP;
    }
    if (receive_shut) {
        events |= EVENTS_IN | EPOLLRDHUP;
    }
    if (tcp->received > 0) {
        events |= EVENTS_IN;
    }
    if (tcp->send_shut || tcp->pcb == NULL || tcp_part_has_room(tcp->pcb)) {
        events |= EVENTS_OUT;
    } else {
        tcp->wants_room = true;
    }
    return events;
}

bool tcp_part_unsent(const struct socket *socket) {
    return socket->tcp.phase == TCP_CONNECTED && socket->tcp.pcb->snd_buf < TCP_SND_BUF;
}
