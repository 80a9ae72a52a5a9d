/* SPDX-License-Identifier: BSD-3-Clause */
/* What DPDK says while EAL starts: of a device that it cannot have it writes several lines, and goes on
 * without. */
#ifndef STACKDUEL_EAL_LOG_H
#define STACKDUEL_EAL_LOG_H

#include <stdbool.h>

/* From now on errors are held back; all else goes to stderr. argv[0..argc-1]: EAL's words. */
void eal_log_hold(int argc, char *const argv[]);

/* EAL has started, or not. Passes on what was held if there is a port; where there is none, eal_log_reason()
 * has it in one line. */
void eal_log_release(bool started);

/* Why there is no port, or no EAL: the first error, which says the most, as the others follow from it;
 * `otherwise` if DPDK said nothing. */
const char *eal_log_reason(const char *otherwise);

#endif
