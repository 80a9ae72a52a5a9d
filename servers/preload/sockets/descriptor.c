/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptor.h"

struct description *descriptor_table[DESCRIPTOR_LIMIT];

static void set(int fd, struct description *description) {
    __atomic_store_n(&descriptor_table[fd], description, __ATOMIC_RELAXED);
}

/* As long as a description has numbers, it has an open one. */
static int other_number(const struct description *description) {
    int fd = 0;

    while (descriptor_table[fd] != description) {
        fd++;
    }
    return fd;
}

bool descriptor_put(int fd, struct description *description) {
    if ((unsigned)fd >= DESCRIPTOR_LIMIT) {
        return false;
    }
    description->descriptors++;
    descriptor_drop(fd);
    set(fd, description);
    description->number = fd;
    return true;
}

void descriptor_drop(int fd) {
    struct description *description = descriptor_get(fd);

    if (description == NULL) {
        return;
    }
    set(fd, NULL);
    if (--description->descriptors > 0) {
        if (description->number == fd) {
            description->number = other_number(description);
        }
    } else {
        description->number = -1;
        description_hold(description);
        description->closed(description);
        description_unhold(description);
    }
}

void description_hold(struct description *description) {
    description->users++;
}

void description_unhold(struct description *description) {
    if (--description->users == 0 && description->descriptors == 0) {
        description->release(description);
    }
}
