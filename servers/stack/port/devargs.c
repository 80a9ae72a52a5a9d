/* SPDX-License-Identifier: BSD-3-Clause */
#include "devargs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct kind {
    const char *names[2]; /* beginning of a device's name; the second is EAL's alias */
    const char *path_key;
    const char *switch_key; /* with the value 1: the other of listening and connecting */
    bool listens;
};

static const struct kind kinds[] = {
    {{"net_vhost", "eth_vhost"}, "iface", "client", true},
    {{"net_virtio_user", "virtio_user"}, "path", "server", false},
};

static const struct kind *kind_of(const char *device) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (int name = 0; name < 2; name++) {
            if (strncmp(device, kinds[i].names[name], strlen(kinds[i].names[name])) == 0) {
                return &kinds[i];
            }
        }
    }
    return NULL;
}

/* The value of `key` in "name,key=value,…" and its length, or NULL. */
static const char *value_of(const char *device, const char *key, size_t *length) {
    size_t key_length = strlen(key);

    for (const char *pair = strchr(device, ','); pair != NULL; pair = strchr(pair, ',')) {
        pair++;
        if (strncmp(pair, key, key_length) == 0 && pair[key_length] == '=') {
            const char *value = pair + key_length + 1;

            *length = strcspn(value, ",");
            return value;
        }
    }
    return NULL;
}

/* Whether a process has the socket of this path open: 0, -ECONNREFUSED if none, or another negative errno. A
 * datagram socket cannot connect to a listening one, but is told so: asking does not disturb the listener. */
static int ask_for_owner(const struct sockaddr_un *address) {
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int code;

    if (probe < 0) {
        return -errno;
    }
    code = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
    close(probe);
    return code == -EPROTOTYPE ? 0 : code;
}

static int fail(char *error, size_t size, const char *path, const char *what, int code) {
    snprintf(error, size, "%s: %s", path, what);
    return code;
}

static int check_listening(const struct sockaddr_un *address, char *error, size_t size) {
    const char *path = address->sun_path;
    struct stat status;
    int code;

    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? 0 : fail(error, size, path, strerror(errno), -errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(error, size, path, "is no socket, and stays", -EINVAL);
    }
    code = ask_for_owner(address);
    if (code == 0) {
        return fail(error, size, path, "in use: another process listens there", -EADDRINUSE);
    }
    if (code != -ECONNREFUSED) {
        return fail(error, size, path, strerror(-code), code);
    }
    return unlink(path) == 0 || errno == ENOENT ? 0 : fail(error, size, path, strerror(errno), -errno);
}

static int check_connecting(const struct sockaddr_un *address, char *error, size_t size) {
    const char *path = address->sun_path;
    struct stat status;
    int code;

    if (stat(path, &status) != 0) {
        const char *what = errno == ENOENT ? "nobody listens there: no such file" : strerror(errno);

        return fail(error, size, path, what, -errno);
    }
    if (S_ISCHR(status.st_mode)) {
        return 0; /* the kernel's vhost or vDPA */
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(error, size, path, "is no socket", -EINVAL);
    }
    code = ask_for_owner(address);
    if (code == -ECONNREFUSED) {
        return fail(error, size, path, "nobody listens there: the process that did is gone", code);
    }
    return code == 0 ? 0 : fail(error, size, path, strerror(-code), code);
}

struct endpoint {
    bool waits; /* net_vhost with client=1, which looks for a listener again and again */
    bool listens;
    const char *path; /* not terminated */
    size_t length;
};

/* False: the device has no Unix socket. */
static bool read_endpoint(const char *device, struct endpoint *endpoint) {
    const struct kind *kind = kind_of(device);
    const char *switched;
    size_t length;

    if (kind == NULL || (endpoint->path = value_of(device, kind->path_key, &endpoint->length)) == NULL) {
        return false;
    }
    endpoint->listens = kind->listens;
    switched = value_of(device, kind->switch_key, &length);
    if (switched != NULL && length == 1 && *switched == '1') {
        endpoint->listens = !kind->listens;
    }
    endpoint->waits = kind->listens && !endpoint->listens;
    return true;
}

static int check_device(const char *device, char *error, size_t size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct endpoint endpoint;

    if (!read_endpoint(device, &endpoint)) {
        return 0;
    }
    if (endpoint.length >= sizeof(address.sun_path)) {
        snprintf(error, size, "%.*s: a socket's path has at most %zu bytes, this one has %zu",
                 (int)endpoint.length, endpoint.path, sizeof(address.sun_path) - 1, endpoint.length);
        return -EINVAL;
    }
    memcpy(address.sun_path, endpoint.path, endpoint.length);
    if (endpoint.listens) {
        return check_listening(&address, error, size);
    }
    return endpoint.waits ? 0 : check_connecting(&address, error, size);
}

/* The device of the next --vdev from argv[*at] on, which moves; NULL: there is none. */
static const char *next_device(int argc, char *const argv[], int *at) {
    static const char option[] = "--vdev";

    while (*at < argc) {
        const char *word = argv[(*at)++];

        if (strcmp(word, option) == 0 && *at < argc) {
            return argv[(*at)++];
        }
        if (strncmp(word, option, sizeof(option) - 1) == 0 && word[sizeof(option) - 1] == '=') {
            return word + sizeof(option);
        }
    }
    return NULL;
}

int devargs_check(int argc, char *const argv[], char *error, size_t size) {
    const char *device;
    int at = 0, code = 0;

    while (code == 0 && (device = next_device(argc, argv, &at)) != NULL) {
        code = check_device(device, error, size);
    }
    return code;
}

void devargs_remove_sockets(int argc, char *const argv[]) {
    const char *device;
    int at = 0;

    while ((device = next_device(argc, argv, &at)) != NULL) {
        struct endpoint endpoint;
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

        if (read_endpoint(device, &endpoint) && endpoint.listens && endpoint.length < sizeof(path)) {
            memcpy(path, endpoint.path, endpoint.length);
            path[endpoint.length] = '\0';
            (void)unlink(path);
        }
    }
}
