/* SPDX-License-Identifier: BSD-3-Clause */
/* Which response a request gets, and the limits beyond which it gets a refusal. */
#ifndef STACKDUEL_HTTP_ANSWER_H
#define STACKDUEL_HTTP_ANSWER_H

enum {
    HTTP_TARGET_LIMIT = 8 * 1024,  /* bytes of a request up to the end of its target */
    HTTP_HEAD_LIMIT = 16 * 1024,   /* bytes of a request up to the end of its header section */
    HTTP_BODY_LIMIT = 1024 * 1024, /* bytes of a request body; of a chunked one with framing and trailer */
};

/* Every response that exists; an index into http_site.responses. Those below HTTP_CLOSING keep the connection
 * open, and two bits hold them. */
enum http_answer {
    HTTP_200,
    HTTP_200_KEEP_ALIVE_1_0, /* the same, said aloud for an HTTP/1.0 client */
    HTTP_200_HEAD,
    HTTP_200_HEAD_KEEP_ALIVE_1_0,
    HTTP_CLOSING,
    HTTP_200_CLOSE = HTTP_CLOSING,
    HTTP_200_HEAD_CLOSE,
    HTTP_400,
    HTTP_405,
    HTTP_413,
    HTTP_414,
    HTTP_417,
    HTTP_431,
    HTTP_501,
    HTTP_503,
    HTTP_505,
    HTTP_ANSWERS,
};

#endif
