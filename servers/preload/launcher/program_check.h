/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a library named in LD_PRELOAD would come between a program and the C library: told before the
 * program runs, as the loader ignores what it cannot do in silence. */
#ifndef STACKDUEL_PROGRAM_CHECK_H
#define STACKDUEL_PROGRAM_CHECK_H

#include <limits.h>
#include <stddef.h>

/* As exit codes; 126 and 127 as a shell has them. */
enum { PROGRAM_OK = 0, PROGRAM_REFUSED = 3, PROGRAM_NOT_EXECUTABLE = 126, PROGRAM_NOT_FOUND = 127 };

/* Finds `name` as execvp() does: as it is if it has a slash, else along PATH, where an empty element is the
 * working directory. PROGRAM_OK with what execvp() is to be given in path[], which always has a slash;
 * PROGRAM_NOT_EXECUTABLE or PROGRAM_NOT_FOUND with one line without newline in error[size]. */
int program_find(const char *name, char path[PATH_MAX], char *error, size_t size);

/* Follows `path`, of which every error speaks as `name`, through the interpreters of scripts to the file that
 * the kernel will load. PROGRAM_OK if the loader will honour LD_PRELOAD for it and what it calls is the C
 * library; otherwise why not, with one line without newline in error[size]. */
int program_check(const char *name, const char *path, char *error, size_t size);

#endif
