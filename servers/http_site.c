/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds every response of http.h once, so that answering costs no formatting. Knows no requests. */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 128, WITH_BODY = 3 }; /* bytes of a head; rows with a body */

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
    [HTTP_200_CLOSE] = {"200 OK", CLOSE, true, true},
    [HTTP_200_HEAD] = {"200 OK", "", true, false},
    [HTTP_200_HEAD_KEEP_ALIVE_1_0] = {"200 OK", KEEP_ALIVE, true, false},
    [HTTP_200_HEAD_CLOSE] = {"200 OK", CLOSE, true, false},
    [HTTP_400] = {"400 Bad Request", CLOSE, false, false},
    [HTTP_405] = {"405 Method Not Allowed", "Allow: GET, HEAD\r\n" CLOSE, false, false},
    [HTTP_413] = {"413 Content Too Large", CLOSE, false, false},
    [HTTP_414] = {"414 URI Too Long", CLOSE, false, false},
    [HTTP_417] = {"417 Expectation Failed", CLOSE, false, false},
    [HTTP_431] = {"431 Request Header Fields Too Large", CLOSE, false, false},
    [HTTP_501] = {"501 Not Implemented", CLOSE, false, false},
    [HTTP_505] = {"505 HTTP Version Not Supported", CLOSE, false, false},
};

/* Counts by hand: formatting eight million numbers for 64 MiB would delay READY by a second. */
static void fill_body(char *body, size_t size) {
    char block[8] = "0000000\n";
    for (size_t at = 0; at < size; at += sizeof(block)) {
        memcpy(body + at, block, size - at < sizeof(block) ? size - at : sizeof(block));
        int digit = 6;
        while (digit > 0 && block[digit] == '9')
            block[digit--] = '0';
        block[digit]++;
    }
}

int http_site_init(struct http_site *site, size_t body_size) {
    memset(site, 0, sizeof(*site));
    if (body_size > HTTP_BODY_SIZE_MAX)
        return -EINVAL;
    bool contiguous = body_size <= HTTP_CONTIGUOUS_LIMIT;
    site->memory = malloc(HTTP_ANSWERS * HEAD_MAX + body_size * (contiguous ? 1 + WITH_BODY : 1));
    if (site->memory == NULL)
        return -ENOMEM;
    char *body = site->memory;
    char *free_space = body + body_size;
    fill_body(body, body_size);
    for (int i = 0; i < HTTP_ANSWERS; i++) {
        struct http_response *response = &site->responses[i];
        int head = snprintf(free_space, HEAD_MAX, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
                            rows[i].status, rows[i].sized ? body_size : 0, rows[i].fields);
        response->size = (size_t)head + (rows[i].body ? body_size : 0);
        response->part[0] = (struct iovec){free_space, (size_t)head};
        free_space += head;
        if (!rows[i].body)
            continue;
        if (contiguous) {
            memcpy(free_space, body, body_size);
            free_space += body_size;
            response->part[0].iov_len = response->size;
        } else {
            response->part[1] = (struct iovec){body, body_size};
        }
    }
    return 0;
}

void http_site_free(struct http_site *site) {
    free(site->memory);
    memset(site, 0, sizeof(*site));
}
