/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "http.h"

#define DATE_SIZE 29 /* of "Mon, 30 Nov 2026 08:14:13 GMT", the one form that servers may send (RFC 9110) */
#define CLOSE "Connection: close\r\n"

static int on_head_complete(llhttp_t *parser) {
    (void)parser;
    return HPE_PAUSED; /* what follows is compared, not parsed */
}

static const llhttp_settings_t settings = {.on_headers_complete = on_head_complete};

void answer_init(struct answer *answer, uint32_t body) {
    memset(answer, 0, sizeof(*answer));
    answer->body = body;
    llhttp_init(&answer->parser, HTTP_RESPONSE, &settings);
}

void answer_free(struct answer *answer) {
    free(answer->bytes);
    answer->bytes = NULL;
    answer->size = 0;
}

static const struct iovec *body_of(const struct http_site *site, uint32_t body) {
    const struct http_response *response = &site->responses[HTTP_200];

    return response->part[1].iov_len == body ? &response->part[1] : &response->part[0];
}

/* Finds the field of that name in a head. Returns its first byte, with the size of its line in
 * *size; NULL without one. */
static const uint8_t *find_field(const uint8_t *head, uint32_t head_size, const char *name, uint32_t *size) {
    const uint8_t *end = head + head_size, *line = head, *next;
    size_t length = strlen(name);

    while ((next = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        uint32_t line_size = (uint32_t)(++next - line);

        if (line_size > length && line[length] == ':' && strncasecmp((const char *)line, name, length) == 0) {
            *size = line_size;
            return line;
        }
        line = next;
    }
    return NULL;
}

/* Finds the time in Date. Returns where in the head it begins, 0 without one. */
static uint32_t find_date(const uint8_t *head, uint32_t head_size) {
    uint32_t size, at = sizeof("Date:") - 1;
    const uint8_t *field = find_field(head, head_size, "Date", &size);

    if (field == NULL) {
        return 0;
    }
    while (at < size && field[at] == ' ') {
        at++;
    }
    if (size - at < DATE_SIZE || memcmp(field + at + DATE_SIZE - 3, "GMT", 3) != 0) {
        return 0;
    }
    return (uint32_t)(field - head) + at;
}

bool answer_init_last(struct answer *last, const struct answer *answer) {
    uint32_t head = answer->size - answer->body, size = 0, at, behind;
    const uint8_t *field = find_field(answer->bytes, head, "Connection", &size);

    answer_init(last, answer->body);
    last->bytes = malloc((size_t)answer->size + sizeof(CLOSE));
    if (last->bytes == NULL) {
        return false;
    }
    at = field != NULL ? (uint32_t)(field - answer->bytes) : head - 2; /* before the empty line */
    behind = at + size;
    memcpy(last->bytes, answer->bytes, at);
    memcpy(last->bytes + at, CLOSE, sizeof(CLOSE) - 1);
    memcpy(last->bytes + at + sizeof(CLOSE) - 1, answer->bytes + behind, answer->size - behind);
    last->size = answer->size - size + (uint32_t)sizeof(CLOSE) - 1;
    last->line = answer->line;
    last->date = find_date(last->bytes, last->size - last->body);
    while (last->common < answer->size && last->bytes[last->common] == answer->bytes[last->common]) {
        last->common++;
    }
    return true;
}

/* Takes head and body, once the head is whole, as what every answer is compared with. */
static bool adopt(struct answer *answer) {
    const uint8_t *line_end = memchr(answer->head, '\n', answer->received);
    const struct iovec *part;
    void *memory = aligned_alloc(64, http_site_size(answer->body));
    struct http_site site;

    if (memory == NULL) {
        return false;
    }
    http_site_init(&site, answer->body, memory);
    answer->bytes = malloc((size_t)answer->received + answer->body);
    if (answer->bytes != NULL) {
        part = body_of(&site, answer->body);
        memcpy(answer->bytes, answer->head, answer->received);
        memcpy(answer->bytes + answer->received,
               (const uint8_t *)part->iov_base + part->iov_len - answer->body, answer->body);
        answer->line = (uint32_t)(line_end + 1 - answer->head);
        answer->date = find_date(answer->head, answer->received);
        answer->size = answer->received + answer->body;
    }
    free(memory);
    return answer->bytes != NULL;
}

static enum answer_verdict judge_head(struct answer *answer) {
    const llhttp_t *parser = &answer->parser;

    if (parser->status_code != 200) {
        snprintf(answer->problem, sizeof(answer->problem), "the first answer has status %u",
                 (unsigned)parser->status_code);
        return ANSWER_WRONG_STATUS;
    }
    if ((parser->flags & F_CHUNKED) || !(parser->flags & F_CONTENT_LENGTH)) {
        snprintf(answer->problem, sizeof(answer->problem), "the first answer has no Content-Length");
        return ANSWER_WRONG_CONTENT;
    }
    if (parser->content_length != answer->body) {
        snprintf(answer->problem, sizeof(answer->problem),
                 "the first answer has a body of %" PRIu64 " bytes, and --body-size is %u",
                 parser->content_length, answer->body);
        return ANSWER_WRONG_CONTENT;
    }
    answer->keep_alive = llhttp_should_keep_alive(parser);
    if (!adopt(answer)) {
        snprintf(answer->problem, sizeof(answer->problem), "no memory for a body of %u bytes", answer->body);
        return ANSWER_WRONG_CONTENT;
    }
    return ANSWER_RIGHT;
}

/* Takes bytes of the first head, at most up to its end; says how many in *taken. */
static enum answer_verdict learn(struct answer *answer, const uint8_t *data, uint32_t length,
                                 uint32_t *taken) {
    llhttp_errno_t state = llhttp_execute(&answer->parser, (const char *)data, length);

    *taken = length;
    if (state == HPE_PAUSED) {
        *taken = (uint32_t)((const uint8_t *)llhttp_get_error_pos(&answer->parser) - data);
    } else if (state != HPE_OK) {
        snprintf(answer->problem, sizeof(answer->problem), "the first answer is no HTTP: %s",
                 llhttp_get_error_reason(&answer->parser));
        return ANSWER_WRONG_STATUS;
    }
    if (*taken > ANSWER_HEAD_MAX - answer->received) {
        snprintf(answer->problem, sizeof(answer->problem),
                 "the first answer has a head of more than %d bytes", ANSWER_HEAD_MAX);
        return ANSWER_WRONG_CONTENT;
    }
    memcpy(answer->head + answer->received, data, *taken);
    answer->received += *taken;
    return state == HPE_PAUSED ? judge_head(answer) : ANSWER_RIGHT;
}

/* Compares bytes with those from `at` on of the answer, but for the time in Date. */
static bool is_same(const struct answer *answer, uint32_t at, const uint8_t *data, uint32_t length) {
    uint32_t date = answer->date, behind = date + DATE_SIZE, before;

    if (date == 0 || at >= behind || at + length <= date) {
        return memcmp(answer->bytes + at, data, length) == 0;
    }
    before = at < date ? date - at : 0;
    if (memcmp(answer->bytes + at, data, before) != 0) {
        return false;
    }
    return at + length <= behind ||
           memcmp(answer->bytes + behind, data + (behind - at), at + length - behind) == 0;
}

static enum answer_verdict difference(const struct answer *answer, uint32_t at, const uint8_t *data,
                                      uint32_t length) {
    uint32_t line = at < answer->line ? answer->line - at : 0;

    return memcmp(answer->bytes + at, data, line < length ? line : length) != 0 ? ANSWER_WRONG_STATUS
                                                                                : ANSWER_WRONG_CONTENT;
}

enum answer_verdict answer_check(struct answer *answer, uint32_t at, const uint8_t *data, uint32_t length) {
    if (answer->size == 0) {
        uint32_t taken;
        enum answer_verdict verdict = learn(answer, data, length, &taken);

        if (verdict != ANSWER_RIGHT || answer->size == 0) {
            return verdict;
        }
        at += taken;
        data += taken;
        length -= taken;
    }
    if (length > answer->size - at) {
        return ANSWER_WRONG_CONTENT;
    }
    return is_same(answer, at, data, length) ? ANSWER_RIGHT : difference(answer, at, data, length);
}
