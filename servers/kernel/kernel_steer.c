/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_steer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool has(const struct kernel_cpus *cpus, int cpu) {
    for (unsigned i = 0; i < cpus->count; i++) {
        if (cpus->cpu[i] == cpu) {
            return true;
        }
    }
    return false;
}

/* Reads one number, and the comma after it unless it is the last. NULL: it is none. */
static const char *parse_cpu(const char *text, int *cpu) {
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return NULL;
    }
    unsigned long value = strtoul(text, &end, 10);
    *cpu = value < CPU_SETSIZE ? (int)value : CPU_SETSIZE;
    if (*end == ',' && end[1] != '\0') {
        return end + 1;
    }
    return *end == '\0' ? end : NULL;
}

bool kernel_cpus_parse(struct kernel_cpus *cpus, const char *list, unsigned threads, const cpu_set_t *allowed,
                       char *error, size_t size) {
    int cpu;
    cpus->count = 0;
    for (const char *text = list; *text != '\0';) {
        const char *number = text;
        if ((text = parse_cpu(text, &cpu)) == NULL) {
            snprintf(error, size, "--cpus: '%s' is no list of CPUs, as 2,3", list);
            return false;
        }
        if (cpu == CPU_SETSIZE || !CPU_ISSET(cpu, allowed)) {
            snprintf(error, size, "--cpus: there is no CPU %d here, or this process may not run on it",
                     atoi(number));
            return false;
        }
        if (has(cpus, cpu)) {
            snprintf(error, size, "--cpus: CPU %d comes twice", cpu);
            return false;
        }
        if (cpus->count == threads) {
            snprintf(error, size, "--cpus: '%s' has more CPUs than the %u of --threads", list, threads);
            return false;
        }
        cpus->cpu[cpus->count++] = cpu;
    }
    if (cpus->count > 0 && cpus->count < threads) {
        snprintf(error, size, "--cpus: '%s' has fewer CPUs than the %u of --threads", list, threads);
        return false;
    }
    return true;
}

size_t kernel_steer_program(struct sock_filter program[KERNEL_STEER_MAX], const struct kernel_cpus *cpus) {
    size_t n = 0;
    program[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(SKF_AD_OFF + SKF_AD_CPU));
    for (unsigned i = 0; i < cpus->count; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)cpus->cpu[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, i);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, KERNEL_STEER_NOBODY);
    return n;
}
