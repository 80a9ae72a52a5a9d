/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "devargs.h"

int eal_start(const char *program, int argc, char *argv[]) {
    char error[256];
    int code = devargs_check(argc, argv, error, sizeof(error));

    if (code != 0) {
        fprintf(stderr, "%s: %s\n", program, error);
        return code == -EINVAL ? 2 : 1;
    }
    if (rte_eal_init(argc, argv) < 0) {
        fprintf(stderr, "%s: EAL did not start: %s\n", program, rte_strerror(rte_errno));
        return 1;
    }
    return 0;
}
