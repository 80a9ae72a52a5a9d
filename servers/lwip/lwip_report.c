/* SPDX-License-Identifier: BSD-3-Clause */
#include "lwip_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/features.h"
#include "common/privileges.h"

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct lwip_report, name) }

static const struct counter_field own_fields[] = {FIELD(writes_refused), FIELD(syn_dropped)};

static void add(struct lwip_report *sum, const struct lwip_report *report) {
    counters_add(&sum->counters, &report->counters);
    stack_counters_add(&sum->stack, &report->stack);
    memory_add(&sum->memory, &report->memory);
    sum->writes_refused += report->writes_refused;
    sum->syn_dropped += report->syn_dropped;
}

static void print_core(FILE *out, unsigned core, const struct lwip_report *report) {
    char text[4096];
    size_t length = counters_append_common(text, sizeof(text), &report->counters);

    length += counters_append(text + length, sizeof(text) - length, stack_counter_fields,
                              stack_counter_field_count, &report->stack);
    counters_append(text + length, sizeof(text) - length, own_fields,
                    sizeof(own_fields) / sizeof(own_fields[0]), report);
    fprintf(out, "%s{\"core\": %u, \"lcore\": %" PRIu64 "%s}", core > 0 ? ", " : "", core, report->lcore,
            text);
}

/* What is the server's as a whole, as further members of its line. */
static void print_whole(FILE *out, const struct lwip_report *sum, size_t session_bytes) {
    struct memory_per_connection one = memory_per_connection();
    char port[PORT_DESCRIPTION_SIZE], names[512], kept[512], memory[2048];

    stack_describe_port(port, sizeof(port));
    features_describe(&optimisations, names, sizeof(names));
    features_describe(&obligations, kept, sizeof(kept));
    memory_describe(&sum->memory, memory, sizeof(memory));
    fprintf(out,
            "\"user\": \"%s\", \"writes_refused\": %" PRIu64 ", \"syn_dropped\": %" PRIu64
            ", \"bytes_per_connection\": {\"pcb\": %zu, "
            "\"table\": %zu, \"session\": %zu, \"total\": %zu}, \"memory\": %s, \"optimisations\": %s, "
            "\"obligations\": %s, \"port\": %s",
            privileges_user(), sum->writes_refused, sum->syn_dropped, one.pcb, one.table, session_bytes,
            one.pcb + one.table + session_bytes, memory, names, kept, port);
    fprintf(out, ", \"xstats\": ");
    stack_print_port_xstats(out);
}

void lwip_report_print(const struct lwip_report *reports, unsigned count, size_t session_bytes) {
    struct lwip_report sum = {0};
    char *tail = NULL;
    size_t size;
    FILE *out = open_memstream(&tail, &size);

    if (out == NULL) {
        fprintf(stderr, "lwip_server: no memory to print the counters\n");
        return;
    }
    for (unsigned core = 0; core < count; core++) {
        add(&sum, &reports[core]);
    }
    print_whole(out, &sum, session_bytes);
    fprintf(out, ", \"cores\": [");
    for (unsigned core = 0; core < count; core++) {
        print_core(out, core, &reports[core]);
    }
    fprintf(out, "]");
    fclose(out);
    counters_print("lwip", &sum.counters, stack_counter_fields, stack_counter_field_count, &sum.stack, tail);
    free(tail);
}
