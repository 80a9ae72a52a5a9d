/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lwip/def.h"
#include "lwip/mem.h"
#include "lwip/memp.h"

bool (*sim_memory_fails)(void);

static bool fails(void) {
    return sim_memory_fails != NULL && sim_memory_fails();
}

void *__real_memp_malloc(memp_t type);
void *__wrap_memp_malloc(memp_t type);
void *__wrap_memp_malloc(memp_t type) {
    return type != MEMP_SYS_TIMEOUT && fails() ? NULL : __real_memp_malloc(type);
}

void *__real_mem_malloc(mem_size_t size);
void *__wrap_mem_malloc(mem_size_t size);
void *__wrap_mem_malloc(mem_size_t size) {
    return fails() ? NULL : __real_mem_malloc(size);
}

#ifdef SIM_HEAP
struct element {
    struct pool *pool;
    _Alignas(max_align_t) uint8_t bytes[];
};

static struct element *element_of(const void *bytes) {
    return (struct element *)((uintptr_t)bytes - offsetof(struct element, bytes));
}

void *sim_pool_get(struct pool *pool) {
    struct element *element = pool->used < pool->limit ? malloc(sizeof(struct element) + pool->size) : NULL;

    if (element == NULL) {
        return NULL;
    }
    element->pool = pool;
    pool->used++;
    pool->touched = LWIP_MAX(pool->touched, pool->used);
    return element->bytes;
}

void sim_pool_put(struct pool *pool, void *bytes) {
    struct element *element = element_of(bytes);

    if (element->pool != pool) {
        abort(); /* given back to where it did not come from */
    }
    pool->used--;
    free(element);
}

bool sim_pool_owns(const struct pool *pool, const void *bytes) {
    return element_of(bytes)->pool == pool;
}
#endif
