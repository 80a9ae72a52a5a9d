/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for the requests that are partly read. Few are at any time, so that a connection at rest need not
 * carry a parser. Constant time; the pool reserves addresses for all, and the machine gives memory to those
 * that were ever taken. Of one core. Must not know what a parser does.
 */
#ifndef STACKDUEL_HTTP_POOL_H
#define STACKDUEL_HTTP_POOL_H

#include <stddef.h>

struct http_parser;

struct http_pool {
    struct http_parser *parsers; /* [size] */
    struct http_parser *free;    /* given back, the last one first: it is the likeliest to be in the cache */
    size_t size;
    size_t used;  /* those that were ever taken, from the front */
    size_t taken; /* those that are now */
};

/* Makes room for `size` parsers. Returns 0 or −ENOMEM. */
int http_pool_init(struct http_pool *pool, size_t size);
/* Frees the room. All parsers must have been given back. */
void http_pool_free(struct http_pool *pool);

/* The caller's until given back; NULL when `size` are taken. Its content is undefined. */
struct http_parser *http_parser_take(struct http_pool *pool);
void http_parser_give(struct http_pool *pool, struct http_parser *parser);

#endif
