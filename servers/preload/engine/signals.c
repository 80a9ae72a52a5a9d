/* SPDX-License-Identifier: BSD-3-Clause */
#include "signals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "libc.h"

/* Signals whose default is to end the process. */
static const int fatal[] = {SIGHUP,  SIGINT,  SIGQUIT,   SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                            SIGFPE,  SIGUSR1, SIGSEGV,   SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
                            SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,   SIGSYS};

#define KERNEL_SIGSET (_NSIG / 8) /* bytes of a set that the kernel reads and writes */

/* Signals by which the kernel reports a fault of the very instruction: these cannot be kept. */
static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};

static struct sigaction program[NSIG]; /* what the program asked for, where `known` */
static bool known[NSIG];
static void (*guard)(void);
static __thread volatile unsigned seen, seen_without_restart;
static __thread unsigned marked_seen;
static __thread bool marked;
static __thread volatile bool held;
static __thread struct {
    volatile int number; /* 0: none */
    siginfo_t info;
    sigset_t mask; /* the program's */
} kept;

unsigned signals_seen(bool restart) {
    return restart ? seen_without_restart : seen;
}

unsigned signals_at_start(bool restart) {
    return marked && !restart ? marked_seen : signals_seen(restart);
}

void signals_begin_mask(const sigset_t *mask, sigset_t *old) {
    if (mask != NULL) {
        marked_seen = seen;
        marked = true;
        pthread_sigmask(SIG_SETMASK, mask, old);
    }
}

void signals_end_mask(const sigset_t *mask, const sigset_t *old) {
    if (mask != NULL) {
        marked = false;
        pthread_sigmask(SIG_SETMASK, old, NULL);
    }
}

static bool is_one_of(const int *numbers, size_t count, int number) {
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(list, number) is_one_of(list, sizeof(list) / sizeof((list)[0]), number)

static void run(int number, siginfo_t *info, void *context) {
    struct sigaction action = program[number];

    seen++;
    if (!(action.sa_flags & SA_RESTART)) {
        seen_without_restart++;
    }
    if (action.sa_flags & (int)SA_RESETHAND) {
        struct sigaction none = {.sa_handler = SIG_DFL};

        (void)signals_action(number, &none, NULL); /* with the guard, if there is one */
    }
    if (action.sa_flags & SA_SIGINFO) {
        action.sa_sigaction(number, info, context);
    } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
        action.sa_handler(number);
    }
}

/* The handler would find the stack, and the descriptors of the call under way, in the midst of a change. */
static void keep(int number, const siginfo_t *info, ucontext_t *context) {
    sigset_t others;

    sigfillset(&others);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigdelset(&others, faults[i]);
    }
    kept.info = *info;
    sigemptyset(&kept.mask);
    memcpy(&kept.mask, &context->uc_sigmask, KERNEL_SIGSET);
    memcpy(&context->uc_sigmask, &others, KERNEL_SIGSET);
    kept.number = number;
}

static void arrive(int number, siginfo_t *info, void *context) {
    if (held && !IS_ONE_OF(faults, number)) {
        keep(number, info, context);
    } else {
        run(number, info, context);
    }
}

bool signals_kept(void) {
    return kept.number != 0;
}

static void run_kept(void) {
    int number = kept.number, saved = errno;
    siginfo_t info;
    ucontext_t context = {.uc_sigmask = kept.mask}; /* and no registers */
    sigset_t mask;

    if (number == 0) {
        return;
    }
    info = kept.info;
    kept.number = 0;
    sigorset(&mask, &context.uc_sigmask, &program[number].sa_mask);
    if (!(program[number].sa_flags & SA_NODEFER)) {
        sigaddset(&mask, number);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    run(number, &info, &context);
    pthread_sigmask(SIG_SETMASK, &context.uc_sigmask, NULL);
    errno = saved;
}

void signals_hold(void) {
    held = true;
}

void signals_release(void) {
    held = false;
    run_kept();
}

bool signals_held(void) {
    return held;
}

static void end(int number) {
    guard();
    raise(number); /* installed with SA_RESETHAND: now it ends the process, with the right status */
}

static struct sigaction installed_for(int number, const struct sigaction *wanted) {
    struct sigaction action = *wanted;

    if ((wanted->sa_flags & SA_SIGINFO) || (wanted->sa_handler != SIG_DFL && wanted->sa_handler != SIG_IGN)) {
        action.sa_sigaction = arrive;
        action.sa_flags |= SA_SIGINFO;
    } else if (wanted->sa_handler == SIG_DFL && guard != NULL && IS_ONE_OF(fatal, number)) {
        action.sa_handler = end;
        action.sa_flags = (int)SA_RESETHAND | SA_NODEFER;
    }
    return action;
}

int signals_action(int number, const struct sigaction *wanted, struct sigaction *old) {
    struct sigaction before, previous, action;
    bool was_known;

    if (number <= 0 || number >= NSIG) {
        return libc()->sigaction(number, wanted, old);
    }
    was_known = known[number];
    before = program[number];
    if (wanted == NULL) {
        if (!was_known || old == NULL) {
            return libc()->sigaction(number, NULL, old);
        }
        *old = before;
        return 0;
    }
    action = installed_for(number, wanted);
    program[number] = *wanted; /* first, as it may run at once */
    known[number] = true;
    if (libc()->sigaction(number, &action, &previous) != 0) {
        program[number] = before;
        known[number] = was_known;
        return -1;
    }
    if (old != NULL) {
        *old = was_known ? before : previous;
    }
    return 0;
}

void signals_guard(void (*cleanup)(void)) {
    guard = cleanup;
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        struct sigaction now;

        if (libc()->sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
            (void)signals_action(fatal[i], &now, NULL);
        }
    }
}
