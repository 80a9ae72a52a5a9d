/* SPDX-License-Identifier: BSD-3-Clause */
#include "http_pool.h"
#include "http_parser.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int http_pool_init(struct http_pool *pool, size_t size) {
    memset(pool, 0, sizeof(*pool));
    void *memory = mmap(NULL, size * sizeof(*pool->parsers), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return -ENOMEM;
    }
    pool->parsers = memory;
    pool->size = size;
    return 0;
}

void http_pool_free(struct http_pool *pool) {
    munmap(pool->parsers, pool->size * sizeof(*pool->parsers));
    memset(pool, 0, sizeof(*pool));
}

struct http_parser *http_parser_take(struct http_pool *pool) {
    struct http_parser *parser = pool->free;
    if (parser != NULL) {
        pool->free = parser->next_free;
    } else if (pool->used < pool->size) {
        parser = &pool->parsers[pool->used++];
    } else {
        return NULL;
    }
    pool->taken++;
    return parser;
}

void http_parser_give(struct http_pool *pool, struct http_parser *parser) {
    parser->next_free = pool->free;
    pool->free = parser;
    pool->taken--;
}
