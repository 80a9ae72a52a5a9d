/* SPDX-License-Identifier: BSD-3-Clause */
/* What every answer must be, byte for byte: the head that the first one had, which was read by llhttp, and
 * the body of http.h. The time in a Date field is not compared, as it is another one each second.
 * Must not know connections: the caller says where in the answer bytes belong. */
#ifndef STACKDUEL_ANSWER_H
#define STACKDUEL_ANSWER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ANSWER_HEAD_MAX 8192

enum answer_verdict {
    ANSWER_RIGHT,
    ANSWER_WRONG_STATUS,  /* it differs in its first line, or the first answer was none to compare with */
    ANSWER_WRONG_CONTENT, /* behind */
};

struct answer {
    llhttp_t parser;   /* first: callbacks find the answer by it */
    uint8_t *bytes;    /* of a whole answer, once it is known */
    uint32_t size;     /* 0: not known yet */
    uint32_t line;     /* bytes of the status line */
    uint32_t date;     /* where the time in Date begins; 0: there is none */
    uint32_t common;   /* of a last answer: bytes that the ordinary one begins with, too */
    uint32_t body;     /* bytes */
    uint32_t received; /* of the head that is being learned */
    bool keep_alive;   /* what the head says */
    char problem[128]; /* why the first answer is none */
    uint8_t head[ANSWER_HEAD_MAX];
};

/* Begins an answer of which only the size of the `body` is known, in bytes. */
void answer_init(struct answer *answer, uint32_t body);
void answer_free(struct answer *answer);

/* Makes `last` what a server sends that closes the connection behind it: `answer`, which must be known, with
 * "Connection: close" in place of its Connection field, or as its last field. False: no memory. answer_free()
 * in any case. */
bool answer_init_last(struct answer *last, const struct answer *answer);

/* Judges `length` bytes, which are those from `at` on of an answer. While the answer is not known they are
 * taken as those of the first one, in order. */
enum answer_verdict answer_check(struct answer *answer, uint32_t at, const uint8_t *data, uint32_t length);

#endif
