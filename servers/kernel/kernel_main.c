/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_main.h"
#include "common/privileges.h"
#include "kernel_listen.h"

#include <stdlib.h>

enum { CACHE_LINE = 64 };

int kernel_main(struct kernel_process *process, const struct option_table *table,
                const struct kernel_service *service, int argc, char *argv[]) {
    const struct kernel_options *options = &process->options;
    struct kernel_cpus cpus;
    void *memory;

    options_parse_or_exit(&process->options, table, argc, argv);
    privileges_limit();
    kernel_cpus_or_exit(&cpus, options);
    fd_slots_init(options);
    memory = aligned_alloc(CACHE_LINE, http_site_size(options->body_size));
    if (memory == NULL) {
        kernel_die("not enough memory for", options);
    }
    http_site_init(&process->site, options->body_size, memory);
    kernel_listen(options, &cpus, process->listeners);
    kernel_threads_run(options, &cpus, service);
    free(memory);
    return 0;
}
