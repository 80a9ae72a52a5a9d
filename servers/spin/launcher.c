/* SPDX-License-Identifier: BSD-3-Clause */
/* Becomes a program with libspin.so beneath it, or says in one line why that cannot be. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/launcher/library_check.h"
#include "preload/launcher/program_check.h"

#define LIBRARY "libspin.so" /* lies next to the launcher */

enum { EXIT_BAD_OPTION = 2, EXIT_CANNOT = 3 };

static int run(char *argv[], char *error, size_t size) {
    char path[PATH_MAX], library[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", library, sizeof(library) - sizeof(LIBRARY));
    int code = program_find(argv[0], path, error, size);

    if (code != PROGRAM_OK || (code = program_check(argv[0], path, error, size)) != PROGRAM_OK) {
        return code;
    }
    if (length < 0) {
        snprintf(error, size, "/proc/self/exe does not say where %s is", LIBRARY);
        return EXIT_CANNOT;
    }
    library[length] = '\0';
    strcpy(strrchr(library, '/') + 1, LIBRARY);
    if (library_check(library, error, size) != 0) {
        return EXIT_CANNOT;
    }
    return program_become(path, argv, library, error, size);
}

int main(int argc, char *argv[]) {
    char error[2 * PATH_MAX] = "usage: spinning PROGRAM [ARGUMENT…]: its waits poll and never sleep";
    int code = argc > 1 && argv[1][0] != '-' ? run(argv + 1, error, sizeof(error)) : EXIT_BAD_OPTION;

    fprintf(stderr, "spinning: %s\n", error);
    return code;
}
