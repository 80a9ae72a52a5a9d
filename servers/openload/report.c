/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <math.h>

#include "common/counters.h"

/* Printed are groups of so many buckets, a power of two: no value is off by more than 1/256. */
#define GROUP 8
/* Of its time: from here on the client may be what limits. */
#define BUSY 0.9

static void add(struct histogram *sum, const struct histogram *histogram) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum->counts[i] += histogram->counts[i];
    }
}

static void add_up(struct client *const *clients, uint32_t count) {
    struct client_tally *sum = &clients[0]->tally;

    for (uint32_t i = 1; i < count; i++) {
        const struct client_tally *tally = &clients[i]->tally;

        add(&clients[0]->latencies, &clients[i]->latencies);
        add(&clients[0]->lag, &clients[i]->lag);
        sum->requests += tally->requests;
        sum->total_requests += tally->total_requests;
        sum->total_connects += tally->total_connects;
        sum->reconnects += tally->reconnects;
        sum->waited += tally->waited;
        sum->backlog_middle += tally->backlog_middle;
        sum->backlog_end += tally->backlog_end;
        sum->busy_ns += tally->busy_ns;
        if (tally->oldest_unsent_ns > sum->oldest_unsent_ns) {
            sum->oldest_unsent_ns = tally->oldest_unsent_ns;
        }
        for (int kind = 0; kind < FAILURES; kind++) {
            sum->failures[kind] += tally->failures[kind];
        }
    }
}

static uint64_t count_of(const struct histogram *histogram) {
    uint64_t count = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
    }
    return count;
}

double report_quantile(const struct histogram *histogram, double share) {
    uint64_t rank = (uint64_t)ceil(share * (double)count_of(histogram)), seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] > 0 && seen >= rank) {
            return histogram_value(i);
        }
    }
    return 0;
}

static void print_histogram(FILE *out, const char *name, const struct histogram *histogram) {
    const char *comma = "";

    fprintf(out, ", \"%s\": [", name);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i += GROUP) {
        uint64_t count = 0;

        for (uint32_t j = i; j < i + GROUP; j++) {
            count += histogram->counts[j];
        }
        if (count > 0) {
            double middle = (histogram_value(i) + histogram_value(i + GROUP - 1)) / 2;

            fprintf(out, "%s[%.3f, %" PRIu64 "]", comma, middle / 1e3, count);
            comma = ", ";
        }
    }
    fprintf(out, "]");
}

static void print_text(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            fputs("\\n", out);
        } else {
            fputc(*text, out);
        }
    }
    fputc('"', out);
}

static const struct counter_field error_fields[FAILURES] = {
    {"connect", FAILED_CONNECT * sizeof(uint64_t)}, {"reset", FAILED_RESET * sizeof(uint64_t)},
    {"timeout", FAILED_TIMEOUT * sizeof(uint64_t)}, {"content", FAILED_CONTENT * sizeof(uint64_t)},
    {"status", FAILED_STATUS * sizeof(uint64_t)},
};

static void print_errors(FILE *out, const struct client_tally *tally) {
    char text[256];

    counters_append(text, sizeof(text), error_fields, FAILURES, tally->failures);
    fprintf(out, ", \"errors\": {%s}", text + sizeof(", ") - 1);
}

/* Prints what the schedule had for the interval, and what became of it. Without one, what was sent. */
static void print_schedule(FILE *out, struct client *const *clients, uint32_t count) {
    uint64_t intended = 0, unsent = 0, longest = 0, measured = count_of(&clients[0]->latencies);

    for (uint32_t i = 0; i < count; i++) {
        intended += clients[i]->backlog.due_inside;
        unsent += backlog_unsent(&clients[i]->backlog);
        longest += clients[i]->backlog.longest;
    }
    if (clients[0]->order.rate == 0) {
        intended = measured;
    }
    fprintf(out,
            ", \"intended\": %" PRIu64 ", \"measured\": %" PRIu64 ", \"unsent\": %" PRIu64
            ", \"unsent_oldest_us\": %.3f, \"waited\": %" PRIu64 ", \"backlog_middle\": %" PRIu64
            ", \"backlog_end\": %" PRIu64 ", \"backlog_longest\": %" PRIu64,
            intended, measured, unsent, (double)clients[0]->tally.oldest_unsent_ns / 1e3,
            clients[0]->tally.waited, clients[0]->tally.backlog_middle, clients[0]->tally.backlog_end,
            longest);
}

void report_print(FILE *out, const struct openload_options *options, struct client *const *clients,
                  uint32_t count, const struct report_stat *stat) {
    const struct client_tally *tally = &clients[0]->tally;
    double seconds = (double)options->duration_us / 1e6, lag, busy;
    uint32_t in_flight = 0;

    add_up(clients, count);
    for (uint32_t i = 0; i < count; i++) {
        in_flight += clients[i]->in_flight;
    }
    busy = (double)tally->busy_ns / 1e9 / seconds / count;
    lag = report_quantile(&clients[0]->lag, 0.99) / 1e3;
    fprintf(out,
            "{\"program\": \"openload\", \"mode\": \"%s\", \"arrivals\": \"%s\", \"rate\": %" PRIu64
            ", \"connections\": %" PRIu64 ", \"threads\": %u, \"spin_us\": %" PRIu64,
            options->rate > 0 ? "open" : "closed",
            options->arrivals == ARRIVALS_POISSON ? "poisson" : "constant", options->rate,
            options->connections, count, options->spin_us);
    fprintf(out,
            ", \"duration_seconds\": %.6f, \"requests_per_sec\": %.1f, \"requests\": %" PRIu64
            ", \"bytes\": %" PRIu64 ", \"total_requests\": %" PRIu64 ", \"total_connects\": %" PRIu64
            ", \"reconnects\": %" PRIu64 ", \"in_flight\": %u",
            seconds, (double)tally->requests / seconds, tally->requests,
            tally->requests * clients[0]->answer.size, tally->total_requests, tally->total_connects,
            tally->reconnects, in_flight);
    print_schedule(out, clients, count);
    fprintf(out, ", \"busy_share\": %.4f, \"send_lag_p99_us\": %.3f, \"client_bound\": %s", busy, lag,
            lag > (double)options->lag_limit_us || busy > BUSY ? "true" : "false");
    print_errors(out, tally);
    print_histogram(out, "send_lag_us", &clients[0]->lag);
    print_histogram(out, "latency_us", &clients[0]->latencies);
    fprintf(out, ", \"proc_stat\": {\"before\": ");
    print_text(out, stat->before);
    fprintf(out, ", \"after\": ");
    print_text(out, stat->after);
    fprintf(out, "}}\n");
}
