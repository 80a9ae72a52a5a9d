/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's errors as the kernel's. */
#ifndef STACKDUEL_LWIP_ERRNO_H
#define STACKDUEL_LWIP_ERRNO_H

#include <errno.h>

#include "lwip/err.h"

/* 0 or a negative errno. */
static inline int lwip_errno(err_t error) {
    switch (error) {
    case ERR_OK:
        return 0;
    case ERR_RTE:
        return -ENETUNREACH;
    case ERR_USE:
        return -EADDRINUSE;
    case ERR_MEM:
    case ERR_BUF:
        return -ENOBUFS;
    default:
        return -EINVAL;
    }
}

#endif
