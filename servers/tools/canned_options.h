/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of canned_server. */
#ifndef STACKDUEL_CANNED_OPTIONS_H
#define STACKDUEL_CANNED_OPTIONS_H

#include "common/options.h"

/* Every field is set, from its row's default when the option was not given. */
struct canned_options {
    uint32_t address; /* to listen on; 0.0.0.0 = any */
    uint64_t port;
    uint64_t body_size;       /* bytes */
    uint64_t max_connections; /* those beyond are refused and counted */
    uint64_t backlog;         /* connections half open or waiting for accept */
};

extern const struct option_table canned_options;

#endif
