/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for many things of one size: taken and given back in constant time, grown on demand. A pool reserves
 * addresses for as many elements as it may ever have, which costs nothing; memory comes with first use.
 * Elements never used before are handed out in order, those given back before them, the last first. Must know
 * neither lwIP nor DPDK. A pool belongs to one thread. */
#ifndef STACKDUEL_POOL_H
#define STACKDUEL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

struct pool {
    uint8_t *base;
    void *free;     /* the last given back; each begins with the address of the one before */
    size_t size;    /* bytes of an element */
    size_t limit;   /* elements */
    size_t touched; /* elements ever handed out, which is also the most that were in use at once */
    size_t used;    /* elements in use */
};

/* What a pool has cost so far. */
struct pool_usage {
    size_t used;  /* elements in use */
    size_t high;  /* the most that were in use at once */
    size_t bytes; /* of memory touched, whole pages */
};

/* Reserves `bytes` of zeroed memory that costs nothing until it is touched, in huge pages where it has room
 * for one and the kernel has them. NULL if there are no addresses for it. To be given back by pool_release()
 * with the same size. */
void *pool_reserve(size_t bytes);
void pool_release(void *memory, size_t bytes);

/* A pool of up to `limit` elements of at least `size` bytes, each at a multiple of `alignment` (a power of
 * two, at least that of a pointer, at most 4096). 0, or -EINVAL or -ENOMEM with *pool unusable. */
int pool_open(struct pool *pool, size_t size, size_t alignment, size_t limit);

/* Gives the memory of all elements back, in use or not. A pool that is all zero or closed is left as it is.
 */
void pool_close(struct pool *pool);

/* Whether `element` is one of the pool's. */
static inline bool pool_owns(const struct pool *pool, const void *element) {
    return (uintptr_t)element - (uintptr_t)pool->base < pool->touched * pool->size;
}

void pool_describe(const struct pool *pool, struct pool_usage *usage);

/* An element whose bytes are of no value, or NULL if the limit is reached. */
static inline void *pool_get(struct pool *pool) {
    void *element = pool->free;

    if (element != NULL) {
        memcpy(&pool->free, element, sizeof(pool->free));
        ASAN_UNPOISON_MEMORY_REGION(element, pool->size);
    } else if (pool->touched < pool->limit) {
        element = pool->base + pool->touched++ * pool->size;
    } else {
        return NULL;
    }
    pool->used++;
    return element;
}

/* Takes back an element that pool_get() gave. */
static inline void pool_put(struct pool *pool, void *element) {
    memcpy(element, &pool->free, sizeof(pool->free));
    ASAN_POISON_MEMORY_REGION((uint8_t *)element + sizeof(pool->free), pool->size - sizeof(pool->free));
    pool->free = element;
    pool->used--;
}

#endif
