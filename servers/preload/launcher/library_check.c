/* SPDX-License-Identifier: BSD-3-Clause */
#include "library_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program_check.h"

/* Sets `name` to `first`, ':' and `second`, of which one may be empty. 0, or -1 with errno. */
static int set_list(const char *name, const char *first, const char *second) {
    char *value;
    int code;

    if (asprintf(&value, "%s%s%s", first, *first != '\0' && *second != '\0' ? ":" : "", second) < 0) {
        return -1;
    }
    code = setenv(name, value, 1);
    free(value);
    return code;
}

int library_preload(const char *path, const char *before) {
    const char *name = strrchr(path, '/') + 1;
    const char *directories = getenv("LD_LIBRARY_PATH");

    if (strchr(path, ' ') == NULL) {
        return set_list("LD_PRELOAD", before, path);
    }
    if (set_list("LD_LIBRARY_PATH", strndupa(path, (size_t)(name - path - 1)),
                 directories ? directories : "") != 0) {
        return -1;
    }
    return set_list("LD_PRELOAD", before, name);
}

int program_become(const char *path, char *argv[], const char *library, char *error, size_t size) {
    const char *before = getenv("LD_PRELOAD");

    if (library_preload(library, before != NULL ? before : "") != 0) {
        snprintf(error, size, "LD_PRELOAD: %s", strerror(errno));
        return PROGRAM_REFUSED;
    }
    execvp(path, argv);
    snprintf(error, size, "%s: %s", argv[0], strerror(errno));
    return errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
}

/* Instead of running, the loader prints a line for each library it would load, and each symbol it misses. */
static void become_list(const char *path, int output) {
    struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core); /* glibc's may crash on a symbol of a library that it did not find */
    unsetenv("LD_DEBUG");
    unsetenv("LD_VERBOSE");
    if (dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0 &&
        setenv("LD_TRACE_LOADED_OBJECTS", "1", 1) == 0 && setenv("LD_WARN", "1", 1) == 0 &&
        setenv("LD_BIND_NOW", "1", 1) == 0 && library_preload(path, "") == 0) {
        execl("/proc/self/exe", "ld.so", (char *)NULL);
    }
    perror("/proc/self/exe");
    _exit(1);
}

/* What is found is "<tab>name => file (address)" or "<tab>file (address)". */
static bool is_complaint(const char *line) {
    return line[0] != '\t' || strstr(line, "not found") != NULL;
}

/* Reads all of `list`. 0, or -ELIBACC with the first complaint, or that the library is not in it. */
static int read_list(FILE *list, const char *path, char *error, size_t size) {
    const char *name = strrchr(path, '/') + 1;
    char *line = NULL;
    size_t room = 0;
    bool listed = false;
    bool complained = false;

    while (getline(&line, &room, list) > 0) {
        for (char *blank = line + 1; (blank = strpbrk(blank, "\t\n")) != NULL; blank++) {
            *blank = blank[1] == '\0' ? '\0' : ' ';
        }
        if (!complained && is_complaint(line)) {
            snprintf(error, size, "%s does not load: %s; is it built for the DPDK that is installed?", name,
                     line + (line[0] == '\t'));
            complained = true;
        }
        listed = listed || strstr(line, path) != NULL;
    }
    free(line);
    if (!listed && !complained) {
        snprintf(error, size, "%s is not loaded by this machine's loader", name);
    }
    return listed && !complained ? 0 : -ELIBACC;
}

int library_check(const char *path, char *error, size_t size) {
    int ends[2] = {-1, -1};
    pid_t child = -1;
    FILE *list = NULL;
    int code;

    if (access(path, R_OK) != 0) {
        snprintf(error, size, "%s: %s", path, strerror(errno));
        return -ELIBACC;
    }
    if (strchr(path, ':') != NULL || (strchr(path, ' ') != NULL && strchr(path, ';') != NULL)) {
        snprintf(error, size,
                 "%s: the loader preloads from no path with a colon, or with a space and a semicolon", path);
        return -EINVAL;
    }
    if (pipe2(ends, O_CLOEXEC) == 0 && (list = fdopen(ends[0], "r")) != NULL) {
        child = fork();
    }
    if (child == 0) {
        become_list(path, ends[1]);
    }
    code = -errno;
    if (ends[1] >= 0) {
        close(ends[1]);
    }
    if (child > 0) {
        code = read_list(list, path, error, size);
        waitpid(child, NULL, 0);
    } else {
        snprintf(error, size, "the loader cannot be asked about %s: %s", path, strerror(-code));
    }
    if (list != NULL) {
        fclose(list);
    } else if (ends[0] >= 0) {
        close(ends[0]);
    }
    return code;
}
