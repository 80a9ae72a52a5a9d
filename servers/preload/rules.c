/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decimal digits up to `max` at *text, which is moved past them. -1: none, or more. */
static long take_number(const char **text, long max) {
    char *end;
    long number;

    if (!isdigit((unsigned char)**text)) {
        return -1;
    }
    errno = 0;
    number = strtol(*text, &end, 10);
    *text = end;
    return errno == 0 && number <= max ? number : -1;
}

static bool take_word(const char **text, const char *word) {
    size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0) {
        return false;
    }
    *text += length;
    return true;
}

/* The dotted address at *text, which is moved past it. */
static bool take_address(const char **text, uint32_t *address) {
    char dotted[INET_ADDRSTRLEN];
    size_t length = strspn(*text, "0123456789.");

    if (length >= sizeof(dotted)) {
        return false;
    }
    memcpy(dotted, *text, length);
    dotted[length] = '\0';
    *text += length;
    return inet_pton(AF_INET, dotted, address) == 1;
}

/* What is wrong with the rule `text`, NULL if nothing. */
static const char *parse_rule(struct rule *rule, const char *text) {
    long prefix = 32;
    long first = 0;
    long last = UINT16_MAX;

    rule->kernel = take_word(&text, "!");
    rule->tcp = take_word(&text, "tcp:");
    rule->udp = !rule->tcp && take_word(&text, "udp:");
    if (!rule->tcp && !rule->udp) {
        rule->tcp = rule->udp = true;
    }
    if (!take_address(&text, &rule->address)) {
        return "no IPv4 address where one is expected";
    }
    if (take_word(&text, "/") && (prefix = take_number(&text, 32)) < 0) {
        return "the prefix is not in 0..32";
    }
    rule->mask = prefix == 0 ? 0 : htonl(UINT32_MAX << (32 - prefix));
    if ((rule->address & ~rule->mask) != 0) {
        return "the address has bits outside the prefix";
    }
    if (take_word(&text, ":")) {
        first = last = take_number(&text, UINT16_MAX);
        if (first >= 0 && take_word(&text, "-")) {
            last = take_number(&text, UINT16_MAX);
        }
        if (first < 0 || last < 0) {
            return "the port is not in 0..65535";
        }
        if (first > last) {
            return "the first port is above the last";
        }
    }
    rule->first_port = (uint16_t)first;
    rule->last_port = (uint16_t)last;
    return *text == '\0' ? NULL : "there is more behind the rule";
}

int rules_parse(struct rules *rules, const char *text, char *error, size_t size) {
    rules->count = 0;
    for (;;) {
        char one[64]; /* longer than any rule that is right */
        size_t length = strcspn(text, ",");
        const char *wrong = "too long";

        if (rules->count == RULES_MAX) {
            snprintf(error, size, "more than %d rules", RULES_MAX);
            return -E2BIG;
        }
        if (length < sizeof(one)) {
            memcpy(one, text, length);
            one[length] = '\0';
            wrong = parse_rule(&rules->rule[rules->count], one);
        }
        if (wrong != NULL) {
            snprintf(error, size, "'%.*s': %s", (int)length, text, wrong);
            return -EINVAL;
        }
        rules->count++;
        if (text[length] == '\0') {
            return 0;
        }
        text += length + 1;
    }
}

bool rules_match(const struct rules *rules, bool udp, uint32_t address_be, uint16_t port_host) {
    for (unsigned i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rule[i];

        if ((udp ? rule->udp : rule->tcp) && (address_be & rule->mask) == rule->address &&
            port_host >= rule->first_port && port_host <= rule->last_port) {
            return !rule->kernel;
        }
    }
    return false;
}
