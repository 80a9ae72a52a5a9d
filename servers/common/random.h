/* SPDX-License-Identifier: BSD-3-Clause */
/* Draws what nobody else may guess: keys, and numbers that a stack begins with. */
#ifndef STACKDUEL_RANDOM_H
#define STACKDUEL_RANDOM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Fills bytes[size]. Ends the program with exit code 3 and one line where the system gives none: with less,
 * all who rely on it would be open to everybody. */
static inline void random_draw(void *bytes, size_t size) {
    size_t got = 0;

    while (got < size) {
        ssize_t now = getrandom((uint8_t *)bytes + got, size - got, 0);

        if (now < 0 && errno != EINTR) {
            fprintf(stderr, "the system gives no random numbers: %s\n", strerror(errno));
            exit(3);
        }
        got += now > 0 ? (size_t)now : 0;
    }
}

#endif
