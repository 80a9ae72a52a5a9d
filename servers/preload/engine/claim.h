/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process has the stack: one at a time, of all with the same settings in a network namespace. The mark
 * is a name of Unix sockets, which goes with the process however it ends. */
#ifndef STACKDUEL_CLAIM_H
#define STACKDUEL_CLAIM_H

#include <sys/types.h>

#include "preload/settings.h"

/* Makes this process the one, until it ends. 0; -EADDRINUSE while another one is; or another negative errno.
 */
int claim_take(const struct settings *settings);

/* The process that is, 0 if there is none. */
pid_t claim_holder(const struct settings *settings);

#endif
