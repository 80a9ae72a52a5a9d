/* SPDX-License-Identifier: BSD-3-Clause */
#include "openload_options.h"

#define AT(field) offsetof(struct openload_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, 64 << 20, AT(body_size), "of the response body; 16K, 1M"},
    {"duration", "S", OPTION_SECONDS, "3", 0, 86400, AT(duration_us), "measured seconds, as in 2.5"},
    {"warmup", "S", OPTION_SECONDS, "1", 0, 86400, AT(warmup_us), "seconds of load before"},
    {"path", "TARGET", OPTION_TEXT, "/", 0, 0, AT(path), "what is asked for"},
    {"address", "IPV4", OPTION_IPV4, OPTION_REQUIRED, 0, 0, AT(address), "address of the server"},
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port of the server"},
    {"connections", "N", OPTION_NUMBER, "1", 1, 1000000, AT(connections), "over all threads, one request in flight on each"},
    {"rate", "N", OPTION_NUMBER, "0", 0, 1000000000, AT(rate), "requests a second over all connections; 0: closed loop, the next when the answer is there"},
    {"arrivals", "constant|poisson", OPTION_CHOICE, "constant", 0, 0, AT(arrivals), "requests at equal distances, or as of clients that know nothing of each other"},
    {"seed", "N", OPTION_NUMBER, "1", 0, UINT32_MAX, AT(seed), "of Poisson arrivals: equal ones come at equal times"},
    {"threads", "N", OPTION_NUMBER, "1", 1, 64, AT(threads), "each on a CPU of its own of those that it may use"},
    {"spin", "US", OPTION_NUMBER, "50", 0, 1000000, AT(spin_us), "before a request is due it asks without sleeping"},
    {"lag-limit", "US", OPTION_NUMBER, "100", 1, 1000000, AT(lag_limit_us), "p99 of its own delay in sending from which on it says client_bound"},
    {"output", "FILE", OPTION_TEXT, NULL, 0, 0, AT(output), "for the account, else stdout"},
};
/* clang-format on */

const struct option_table openload_options = OPTION_TABLE(struct openload_options, rows);
