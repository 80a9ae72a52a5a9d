/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lwip/priv/tcp_priv.h"

#include "lwip/tcp_queue.h"
#include "sim_net.h"

static struct tcp_pcb *detach(struct stream *stream) {
    struct tcp_pcb *pcb = stream->pcb;

    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    stream->pcb = NULL;
    return pcb;
}

static void advance(struct stream *stream) {
    if (!stream->answers || stream->peer_closed) {
        stream->queued += tcp_queue_bytes(stream->pcb, stream->out + stream->queued,
                                          stream->to_send - stream->queued, false, &stream->refused);
    }
    if (stream->queued == stream->to_send && !stream->half_closed &&
        (stream->peer_closed || !(stream->answers || stream->keeps_open))) {
        stream->half_closed = tcp_shutdown(stream->pcb, 0, 1) == ERR_OK;
    }
    if (stream->half_closed && stream->peer_closed) {
        assert_int_equal(tcp_close(detach(stream)), ERR_OK);
    } else {
        tcp_output(stream->pcb);
    }
}

static void check(struct stream *stream, const struct pbuf *data) {
    assert_true(data->tot_len <= stream->expected - stream->received);
    for (; data != NULL; data = data->next) {
        assert_memory_equal(data->payload, stream->in + stream->received, data->len);
        stream->received += data->len;
    }
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct stream *stream = argument;

    assert_int_equal(error, ERR_OK);
    assert_ptr_equal(pcb, stream->pcb);
    assert_false(stream->peer_closed);
    if (data == NULL) {
        stream->peer_closed = true;
    } else {
        check(stream, data);
        if (stream->read_per_tick == 0 && !stream->stalled) {
            tcp_recved(pcb, data->tot_len);
        } else {
            stream->unread += data->tot_len;
        }
        pbuf_free(data);
    }
    advance(stream);
    return ERR_OK;
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    (void)pcb;
    (void)length;
    advance(argument);
    return ERR_OK;
}

static err_t on_tick(void *argument, struct tcp_pcb *pcb) {
    struct stream *stream = argument;
    uint16_t read = (uint16_t)LWIP_MIN(LWIP_MIN(stream->unread, stream->read_per_tick), UINT16_MAX);

    stream->unread -= read;
    tcp_recved(pcb, read);
    advance(stream);
    return ERR_OK;
}

static void on_failed(void *argument, err_t error) {
    struct stream *stream = argument;

    stream->pcb = NULL;
    stream->failed = error != ERR_CLSD;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)pcb;
    assert_int_equal(error, ERR_OK);
    advance(argument);
    return ERR_OK;
}

void stream_attach(struct stream *stream, struct tcp_pcb *pcb) {
    stream->pcb = pcb;
    tcp_arg(pcb, stream);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_poll(pcb, on_tick, 1);
    tcp_err(pcb, on_failed);
    if (pcb->state == ESTABLISHED) {
        advance(stream);
    }
}

void stream_connect(struct stream *stream, uint16_t port) {
    stream_attach(stream, sim_pcb(SIM_CLIENT));
    assert_int_equal(tcp_connect(stream->pcb, sim_address(SIM_SERVER), port, on_connected), ERR_OK);
}

void stream_abort(struct stream *stream) {
    stream->failed = true;
    tcp_abort(detach(stream));
}

bool stream_complete(const struct stream *stream) {
    return stream->pcb == NULL && !stream->failed && stream->peer_closed && stream->half_closed &&
           stream->queued == stream->to_send && stream->received == stream->expected;
}
