/* SPDX-License-Identifier: BSD-3-Clause */
#include "exchange.h"

#include <errno.h>
#include <sys/socket.h>

#include "connections.h"

#define INPUT_SIZE (64 * 1024)

void exchange_send_rest(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];

    while (link->sent < client->request_size) {
        ssize_t sent =
            send(link->fd, client->request + link->sent, client->request_size - link->sent, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return; /* EPOLLOUT comes */
        }
        if (sent < 0) {
            connection_end(client, index);
            return;
        }
        link->sent += (uint32_t)sent;
    }
}

void exchange_ask(struct client *client, uint32_t index, uint64_t intended) {
    struct link *link = &client->links[index];

    link->asked = true;
    link->sent = link->received = 0;
    link->intended = intended;
    client->in_flight++;
    client->worked = true;
    exchange_send_rest(client, index);
}

static void answered(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    uint64_t now = clock_ns();

    link->asked = false;
    link->has_answered = true;
    link->received = 0;
    client->in_flight--;
    client->tally.total_requests++;
    client->tally.requests += client_is_inside(client, now);
    if (client_is_inside(client, link->intended)) {
        histogram_add(&client->latencies, now - link->intended);
    }
    if (link->is_last) {
        connection_reopen(client, index);
    } else {
        connection_set_free(client, index, now);
    }
}

static const struct answer *expected_answer(const struct client *client, const struct link *link) {
    return link->is_last ? &client->last_answer : &client->answer;
}

/* Compares what has come with the ordinary answer, and with the last one as soon as they part. */
static enum answer_verdict check(struct client *client, struct link *link, const uint8_t *input,
                                 uint32_t size) {
    struct answer *last = &client->last_answer;
    enum answer_verdict verdict;

    if (!link->asked) {
        return ANSWER_WRONG_CONTENT;
    }
    verdict = answer_check(link->is_last ? last : &client->answer, link->received, input, size);
    if (verdict == ANSWER_RIGHT || last->size == 0 || link->received > last->common) {
        return verdict;
    }
    link->is_last = answer_check(last, link->received, input, size) == ANSWER_RIGHT;
    return link->is_last ? ANSWER_RIGHT : verdict;
}

/* Takes bytes of an answer. False when no more can be read from this connection. */
static bool judge(struct client *client, uint32_t index, const uint8_t *input, uint32_t size) {
    struct link *link = &client->links[index];
    enum answer_verdict verdict = check(client, link, input, size);
    bool is_last = link->is_last;

    if (verdict == ANSWER_RIGHT && client->answer.size != 0 && !client->answer.keep_alive) {
        client_fail(client, "the server closes after each answer: it needs connections that stay");
    }
    if (verdict != ANSWER_RIGHT) {
        connection_fail(client, index, verdict == ANSWER_WRONG_STATUS ? FAILED_STATUS : FAILED_CONTENT);
        return false;
    }
    link->received += size;
    if (client->answer.size == 0 || link->received != expected_answer(client, link)->size) {
        return true;
    }
    answered(client, index);
    return !is_last;
}

void exchange_receive(struct client *client, uint32_t index, bool ended) {
    struct link *link = &client->links[index];
    uint8_t input[INPUT_SIZE];

    for (;;) {
        ssize_t size = recv(link->fd, input, sizeof(input), 0);

        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (size <= 0) {
            connection_end(client, index);
            return;
        }
        client->worked = true;
        /* less than was asked for: the socket is empty, as epoll(7) has it */
        if (!judge(client, index, input, (uint32_t)size) || (!ended && (size_t)size < sizeof(input))) {
            return;
        }
    }
}
