/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "devargs.h"
#include "eal_log.h"

int eal_start(const char *program, int argc, char *argv[]) {
    char error[256];
    int code = devargs_check(argc, argv, error, sizeof(error));

    if (code != 0) {
        fprintf(stderr, "%s: %s\n", program, error);
        return code == -EINVAL ? 2 : 3;
    }
    eal_log_hold(argc, argv);
    code = rte_eal_init(argc, argv);
    eal_log_release(code >= 0);
    if (code < 0) {
        fprintf(stderr, "%s: EAL did not start: %s\n", program, eal_log_reason(rte_strerror(rte_errno)));
        return 3;
    }
    return 0;
}
