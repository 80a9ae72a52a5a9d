/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request, read by llhttp: bytes in, an answer out as soon as it is certain. Pure over bytes; lives in a
 * pool while its request is partly read. Must not know connections nor what becomes of the answer.
 */
#ifndef STACKDUEL_HTTP_PARSER_H
#define STACKDUEL_HTTP_PARSER_H

#include "http_answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

/* Plain memory without a destructor; the fields are private to http_parser.c. */
struct http_parser {
    union {
        llhttp_t llhttp; /* first: callbacks find the parser by it */
        struct http_parser *next_free;
    };
    const char *input;     /* start of what llhttp reads now; valid only during http_parser_read */
    uint32_t section_size; /* bytes so far of the head, or of the body, that is being read */
    char before[4];        /* the bytes of the head just before `input` */
    char name[20];         /* of the header field being read, as far as it fits */
    uint16_t flags_before; /* llhttp's, before a field that must not change them */
    uint8_t name_size;     /* saturates at sizeof(name) + 1 */
    uint8_t field;         /* which header field is being read */
    uint8_t value_state;   /* of the check of its value */
    uint8_t line_state;    /* of the check of a request line with a method llhttp does not know */
    uint8_t phase;
    uint8_t answer;      /* decided so far, or HTTP_ANSWERS */
    uint8_t hosts;       /* Host fields, saturating */
    uint8_t codings;     /* Transfer-Encoding fields, saturating */
    bool foreign_coding; /* one other than chunked */
    bool expect;
    bool done; /* `answer` is certain */
};

/* Begins a request; to be called before its first byte. */
void http_parser_start(struct http_parser *parser);

/* Reads on in data[len] (len > 0), which is not referenced afterwards, and returns how many bytes it took:
 * none beyond the request's last one. *answer is HTTP_ANSWERS until the answer is certain; then the parser is
 * done, and *answer below HTTP_400 means that the request was read to its end. */
size_t http_parser_read(struct http_parser *parser, const char *data, size_t len, enum http_answer *answer);

#endif
