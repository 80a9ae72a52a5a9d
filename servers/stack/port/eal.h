/* SPDX-License-Identifier: BSD-3-Clause */
/* The start of DPDK's environment for a program with one port. Must not know lwIP.
 *
 * It ends with the process, not by rte_eal_cleanup(): net_virtio_user with server=1, closed after its peer
 * has left, leaves a closed descriptor with EAL's interrupt thread, which ends the process when the clean-up
 * disturbs it. What lives longer than a process is files, which the clean-up does not remove either. */
#ifndef STACKDUEL_EAL_H
#define STACKDUEL_EAL_H

/* argv[0..argc-1]: EAL's words, of which those for devices with a Unix socket are looked at first. 0; or with
 * one line on stderr the exit code: 2 for words that are wrong, 3 if EAL did not start. */
int eal_start(const char *program, int argc, char *argv[]);

#endif
