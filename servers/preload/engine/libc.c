/* SPDX-License-Identifier: BSD-3-Clause */
#include "libc.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct libc_calls libc_calls;
int libc_resolved;

static void *resolve(const char *name) {
    static const char words[] = "stackduel: the C library has no ";
    void *call = dlsym(RTLD_NEXT, name);

    if (call == NULL) {
        struct iovec line[] = {
            {(void *)words, sizeof(words) - 1}, {(void *)name, strlen(name)}, {(void *)"\n", 1}};

        if (libc_calls.writev != NULL) {
            (void)libc_calls.writev(STDERR_FILENO, line, 3);
        }
        abort();
    }
    return call;
}

void libc_resolve(void) {
#define CALL(result, name, parameters) *(void **)&libc_calls.name = resolve(#name);
    LIBC_CALLS(CALL)
#undef CALL
    libc_resolved = 1;
}
