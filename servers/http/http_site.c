/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds every response of http.h once, so that answering costs no formatting. Knows no requests. */
#include "http.h"

#include <stdio.h>
#include <string.h>

enum {
    HEAD_MAX = 128, /* bytes of a head */
    WITH_BODY = 3,  /* rows with a body */
    CACHE_LINE = 64,
};

struct row {
    const char *status;
    const char *fields;
    bool sized; /* Content-Length tells body_size */
    bool body;  /* and the body follows */
};

#define CLOSE "Connection: close\r\n"
#define KEEP_ALIVE "Connection: keep-alive\r\n"

static const struct row rows[HTTP_ANSWERS] = {
    [HTTP_200] = {"200 OK", "", true, true},
    [HTTP_200_KEEP_ALIVE_1_0] = {"200 OK", KEEP_ALIVE, true, true},
    [HTTP_200_HEAD] = {"200 OK", "", true, false},
    [HTTP_200_HEAD_KEEP_ALIVE_1_0] = {"200 OK", KEEP_ALIVE, true, false},
    [HTTP_200_CLOSE] = {"200 OK", CLOSE, true, true},
    [HTTP_200_HEAD_CLOSE] = {"200 OK", CLOSE, true, false},
    [HTTP_400] = {"400 Bad Request", CLOSE, false, false},
    [HTTP_405] = {"405 Method Not Allowed", "Allow: GET, HEAD\r\n" CLOSE, false, false},
    [HTTP_413] = {"413 Content Too Large", CLOSE, false, false},
    [HTTP_414] = {"414 URI Too Long", CLOSE, false, false},
    [HTTP_417] = {"417 Expectation Failed", CLOSE, false, false},
    [HTTP_431] = {"431 Request Header Fields Too Large", CLOSE, false, false},
    [HTTP_501] = {"501 Not Implemented", CLOSE, false, false},
    [HTTP_503] = {"503 Service Unavailable", CLOSE, false, false},
    [HTTP_505] = {"505 HTTP Version Not Supported", CLOSE, false, false},
};

/* Writes numbers, counted by hand: formatting eight million for 64 MiB would delay READY by a second. */
static void fill_body(char *body, size_t size) {
    char block[8] = "0000000\n";
    for (size_t at = 0; at < size; at += sizeof(block)) {
        memcpy(body + at, block, size - at < sizeof(block) ? size - at : sizeof(block));
        int digit = 6;
        while (digit > 0 && block[digit] == '9') {
            block[digit--] = '0';
        }
        block[digit]++;
    }
}

static size_t whole_lines(size_t size) {
    return (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

size_t http_site_size(size_t body_size) {
    bool contiguous = body_size <= HTTP_CONTIGUOUS_LIMIT;
    return HTTP_ANSWERS * HEAD_MAX + whole_lines(body_size) * (contiguous ? 1 + WITH_BODY : 1);
}

/* Lays each response at the beginning of a cache line: a small one is then no more lines than it must be. */
void http_site_init(struct http_site *site, size_t body_size, void *memory) {
    bool contiguous = body_size <= HTTP_CONTIGUOUS_LIMIT;
    char *body = memory;
    char *free_space = body + whole_lines(body_size);
    memset(site, 0, sizeof(*site));
    fill_body(body, body_size);
    for (int i = 0; i < HTTP_ANSWERS; i++) {
        struct http_response *response = &site->responses[i];
        int head = snprintf(free_space, HEAD_MAX, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
                            rows[i].status, rows[i].sized ? body_size : 0, rows[i].fields);
        response->size = (size_t)head + (rows[i].body ? body_size : 0);
        response->part[0] = (struct iovec){free_space, (size_t)head};
        if (rows[i].body && contiguous) {
            memcpy(free_space + head, body, body_size);
            response->part[0].iov_len = response->size;
        } else if (rows[i].body) {
            response->part[1] = (struct iovec){body, body_size};
        }
        free_space += whole_lines(response->part[0].iov_len);
    }
}
