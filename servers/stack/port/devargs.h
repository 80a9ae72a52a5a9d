/* SPDX-License-Identifier: BSD-3-Clause */
/* The Unix sockets of --vdev=net_vhost… and --vdev=net_virtio_user… in EAL's words, looked at before EAL
 * starts: DPDK cuts a long path short in silence, and says of a stale socket that it could not probe a
 * device. Needs neither DPDK nor lwIP. */
#ifndef STACKDUEL_DEVARGS_H
#define STACKDUEL_DEVARGS_H

#include <stddef.h>

/* argv[0..argc-1]: EAL's words. The side that listens (net_vhost without client=1, net_virtio_user with
 * server=1) gets its socket file removed if nobody has it open. Of the side that connects, net_virtio_user
 * needs a listener now; net_vhost with client=1 waits for one by itself. 0; or with one line in error[]:
 * -EINVAL if a path is too long or no socket, -EADDRINUSE if another process listens there, -ENOENT or
 * -ECONNREFUSED if nobody does, or what the kernel said. */
int devargs_check(int argc, char *const argv[], char *error, size_t size);

/* Removes the socket files on which this process listens, where EAL's own end cannot. Async-signal-safe. */
void devargs_remove_sockets(int argc, char *const argv[]);

#endif
