/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server's rights, once it has opened what it needs them for: another user, no group beside that one's, and
 * no program it might run that would have more. Must not know what was opened.
 */
#ifndef STACKDUEL_PRIVILEGES_H
#define STACKDUEL_PRIVILEGES_H

#include <stdbool.h>

/* The option's row in a server's table; `at`: the offset of its const char *. */
/* clang-format off */
#define PRIVILEGES_ROW(at) \
    {"user", "NAME", OPTION_TEXT, NULL, 0, 0, at, "whom to run as once all is open; [nobody] where root starts it"}
/* clang-format on */

/* From now on no program that this process runs gains rights, and files that it makes are for its user alone.
 * To be called at the beginning, before there are threads. */
void privileges_limit(void);

/* Becomes `user`, on all threads; NULL: nobody if it is root that has the right to, else whoever it is. With
 * `device` the calling thread keeps, unused, what closing a network device takes. Ends the program with one
 * line and exit code 1 where it cannot. */
void privileges_drop(const char *user, bool device);

/* Uses what was kept; by the thread that kept it. */
void privileges_for_device(void);

/* Returns the name of the user that the process is; "?" if that has none. */
const char *privileges_user(void);

#endif
