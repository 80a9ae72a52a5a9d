/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the loader can preload a library here, with all that it needs: told before a program runs, as the
 * loader goes on without a library that it cannot load, or ends the program with a line of its own. */
#ifndef STACKDUEL_LIBRARY_CHECK_H
#define STACKDUEL_LIBRARY_CHECK_H

#include <stddef.h>

/* Asks the loader, in a child, to list what this very program with the library at `path` (absolute) would
 * load; no code of the library runs. 0; or -EINVAL (the loader cannot be told such a path), -ELIBACC (the
 * library, another one that it needs, or a symbol is missing), or what kept it from asking, with one line in
 * error[size]. */
int library_check(const char *path, char *error, size_t size);

/* Sets what makes the loader preload the library at `path` behind `before` ("" for nothing). LD_PRELOAD ends
 * a path at a space, so there it has the name alone, and LD_LIBRARY_PATH the directory. 0, or -1 with errno.
 */
int library_preload(const char *path, const char *before);

/* Becomes the program at `path`, as argv[], with the library beneath it, behind what LD_PRELOAD names
 * already. Returns only if that fails: an exit code, as program_check.h has them, with one line in
 * error[size]. */
int program_become(const char *path, char *argv[], const char *library, char *error, size_t size);

#endif
