/* SPDX-License-Identifier: BSD-3-Clause */
#include "program_check.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SHELL "/bin/sh"     /* what execvp() gives a file to that the kernel does not know */
#define HEAD_SIZE 256       /* of a file, which the kernel looks at for "#!" */
#define INTERPRETERS_MAX 5  /* scripts in a row that the kernel follows */
#define GO_BUILD_ID_NOTE 4U /* type of the note that Go's linker writes */

struct complaint {
    char *error;
    size_t size;
};

/* Writes the line; returns `code`. */
__attribute__((format(printf, 3, 4))) static int complain(struct complaint *to, int code, const char *format,
                                                          ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(to->error, to->size, format, arguments);
    va_end(arguments);
    return code;
}

/* 0 if execve() would take it, else the errno. */
static int executable(const char *path) {
    struct stat file;

    if (stat(path, &file) != 0) {
        return errno;
    }
    if (!S_ISREG(file.st_mode)) {
        return EACCES;
    }
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The value of PATH, or what execvp() takes for it; allocated, NULL if out of memory. */
static char *search_path(void) {
    const char *given = getenv("PATH");
    size_t size;
    char *path;

    if (given != NULL) {
        return strdup(given);
    }
    size = confstr(_CS_PATH, NULL, 0);
    path = malloc(size);
    if (path != NULL) {
        confstr(_CS_PATH, path, size);
    }
    return path;
}

/* Tries the elements of `list` in their order, and as execvp() goes on to the next one after a file that may
 * not be executed. 0, or the errno. */
static int search(const char *name, const char *list, char path[PATH_MAX]) {
    int code = ENOENT;

    for (const char *element = list;; element++) {
        size_t length = strcspn(element, ":");
        int needed = length == 0 ? snprintf(path, PATH_MAX, "./%s", name)
                                 : snprintf(path, PATH_MAX, "%.*s/%s", (int)length, element, name);

        if (needed < PATH_MAX) {
            int found = executable(path);

            if (found == 0) {
                return 0;
            }
            code = found == EACCES ? EACCES : code;
        }
        element += length;
        if (*element == '\0') {
            return code;
        }
    }
}

int program_find(const char *name, char path[PATH_MAX], char *error, size_t size) {
    struct complaint complaint = {error, size};
    int code = ENOENT;

    if (strchr(name, '/') != NULL) {
        code = snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? executable(path) : ENAMETOOLONG;
    } else if (name[0] != '\0') {
        char *list = search_path();

        code = list != NULL ? search(name, list, path) : ENOMEM;
        free(list);
        if (code == ENOENT) {
            return complain(&complaint, PROGRAM_NOT_FOUND, "%s: not found on PATH", name);
        }
    }
    switch (code) {
    case 0:
        return PROGRAM_OK;
    case ENOENT:
    case ENOTDIR:
        return complain(&complaint, PROGRAM_NOT_FOUND, "%s: %s", name, strerror(code));
    case EACCES:
        return complain(&complaint, PROGRAM_NOT_EXECUTABLE, "%s: is not an executable file", name);
    default:
        return complain(&complaint, PROGRAM_NOT_EXECUTABLE, "%s: %s", name, strerror(code));
    }
}

/* Whether the kernel will run the file as somebody else than our real user and group, or with capabilities:
 * the loader then ignores LD_PRELOAD. */
static bool changes_identity(int file, const struct stat *status) {
    uid_t user = geteuid();
    gid_t group = getegid();
    struct statvfs mount;
    bool heeded = fstatvfs(file, &mount) != 0 || (mount.f_flag & ST_NOSUID) == 0;

    if (heeded && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) {
        user = (status->st_mode & S_ISUID) != 0 ? status->st_uid : user;
        /* Without the x of the group it is not setgid but a mark for locking. */
        group = (status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) ? status->st_gid : group;
    }
    /* Those of a file say nothing to root. Without new privileges they are not given, but noticed. */
    if (heeded && getuid() != 0 && fgetxattr(file, "security.capability", NULL, 0) > 0) {
        return true;
    }
    return user != getuid() || group != getgid();
}

/* What a file of machine code says of itself. */
struct image {
    GElf_Ehdr header;
    bool go;
    char loader[PATH_MAX]; /* "": none */
};

/* Go's linker leaves a note, and sections whose names stay unless they are taken away on purpose. */
static bool has_go_section(Elf *elf) {
    static const char *const names[] = {".note.go.buildid", ".gopclntab", ".go.buildinfo"};
    size_t strings;

    if (elf_getshdrstrndx(elf, &strings) != 0) {
        return false;
    }
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        const char *name;

        if (gelf_getshdr(section, &header) == NULL ||
            (name = elf_strptr(elf, strings, header.sh_name)) == NULL) {
            continue;
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strcmp(name, names[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool has_go_note(Elf *elf, const GElf_Phdr *segment) {
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz,
                                          segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name;
    size_t description;

    for (size_t at = 0; data != NULL && (at = gelf_getnote(data, at, &note, &name, &description)) > 0;) {
        if (note.n_type == GO_BUILD_ID_NOTE && note.n_namesz >= sizeof("Go") &&
            memcmp((const char *)data->d_buf + name, "Go", sizeof("Go")) == 0) {
            return true;
        }
    }
    return false;
}

static void read_loader(Elf *elf, const GElf_Phdr *segment, char loader[PATH_MAX]) {
    Elf_Data *data = NULL;

    if (segment->p_filesz < PATH_MAX) {
        data = elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz, ELF_T_BYTE);
    }
    if (data != NULL) {
        memcpy(loader, data->d_buf, data->d_size);
    }
}

/* False if the file is no program. */
static bool read_image(int file, struct image *image) {
    Elf *elf = elf_begin(file, ELF_C_READ_MMAP, NULL);
    bool good = gelf_getehdr(elf, &image->header) != NULL &&
                (image->header.e_type == ET_EXEC || image->header.e_type == ET_DYN);
    size_t segments = 0;

    memset(image->loader, 0, sizeof(image->loader));
    if (good) {
        image->go = has_go_section(elf);
        elf_getphdrnum(elf, &segments);
    }
    for (size_t i = 0; i < segments; i++) {
        GElf_Phdr segment;

        if (gelf_getphdr(elf, (int)i, &segment) == NULL) {
            continue;
        }
        if (segment.p_type == PT_NOTE) {
            image->go = image->go || has_go_note(elf, &segment);
        } else if (segment.p_type == PT_INTERP) {
            read_loader(elf, &segment, image->loader);
        }
    }
    elf_end(elf);
    return good;
}

/* The image of this process: the library is built for the same machine and the same C library. */
static bool read_own_image(struct image *image) {
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool good = file >= 0 && read_image(file, image);

    if (file >= 0) {
        close(file);
    }
    return good;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Another C library has another loader: under another name, also when what stands there is a link. */
static bool same_loader(const char *theirs, const char *ours) {
    char *their_file;
    char *our_file;
    bool same;

    if (strcmp(base_name(theirs), base_name(ours)) == 0) {
        return true;
    }
    their_file = realpath(theirs, NULL);
    our_file = realpath(ours, NULL);
    same = their_file != NULL && our_file != NULL && strcmp(their_file, our_file) == 0;
    free(their_file);
    free(our_file);
    return same;
}

static bool same_machine(const GElf_Ehdr *theirs, const GElf_Ehdr *ours) {
    return theirs->e_machine == ours->e_machine && theirs->e_ident[EI_CLASS] == ours->e_ident[EI_CLASS] &&
           theirs->e_ident[EI_DATA] == ours->e_ident[EI_DATA];
}

static int check_image(int file, const char *who, struct complaint *to) {
    struct image own;
    struct image image;

    if (!read_own_image(&own)) {
        return complain(to, PROGRAM_REFUSED, "/proc/self/exe cannot be read");
    }
    if (!read_image(file, &image)) {
        return complain(to, PROGRAM_NOT_EXECUTABLE, "%s: is no program", who);
    }
    if (!same_machine(&image.header, &own.header)) {
        return complain(to, PROGRAM_REFUSED, "%s: is built for another kind of machine than the library",
                        who);
    }
    if (image.go) {
        return complain(
            to, PROGRAM_REFUSED,
            "%s: is a Go program, which calls the kernel past the C library: its sockets cannot be "
            "lwIP's",
            who);
    }
    if (image.loader[0] == '\0') {
        return complain(to, PROGRAM_REFUSED, "%s: is statically linked: no library can be preloaded", who);
    }
    if (access(image.loader, F_OK) != 0) {
        return complain(to, PROGRAM_NOT_FOUND, "%s: its loader %s: %s", who, image.loader, strerror(errno));
    }
    if (!same_loader(image.loader, own.loader)) {
        return complain(to, PROGRAM_REFUSED, "%s: its loader %s is of another C library than the library's",
                        who, image.loader);
    }
    return PROGRAM_OK;
}

/* Whether the kernel would take the head of a file, with a 0 behind it, for a script; then its interpreter.
 */
static bool is_script(const char head[HEAD_SIZE + 1], char interpreter[PATH_MAX]) {
    const char *start = head + 2;
    size_t length;

    if (memcmp(head, "#!", 2) != 0) {
        return false;
    }
    start += strspn(start, " \t");
    length = strcspn(start, " \t\n");
    if (length == 0 || start + length == head + HEAD_SIZE) {
        return false; /* none, or cut off */
    }
    snprintf(interpreter, PATH_MAX, "%.*s", (int)length, start);
    return true;
}

static int check_identity(int file, const char *who, struct complaint *to) {
    struct stat status;

    if (fstat(file, &status) != 0 || changes_identity(file, &status)) {
        return complain(
            to, PROGRAM_REFUSED,
            "%s: would run as another user or group or with capabilities: its loader then ignores "
            "LD_PRELOAD",
            who);
    }
    return PROGRAM_OK;
}

/* PROGRAM_OK with the interpreter of a script in next[], "" when the file is the program itself; or why not.
 */
static int check_file(const char *path, const char *who, char next[PATH_MAX], struct complaint *to) {
    char head[HEAD_SIZE + 1] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    int code = PROGRAM_OK;

    next[0] = '\0';
    if (file < 0 || pread(file, head, HEAD_SIZE, 0) < 0) {
        code =
            complain(to, PROGRAM_REFUSED, "%s: cannot be looked at before it runs: %s", who, strerror(errno));
    } else if (memcmp(head, ELFMAG, SELFMAG) == 0) {
        code = check_image(file, who, to);
        code = code == PROGRAM_OK ? check_identity(file, who, to) : code;
    } else if (!is_script(head, next)) {
        strcpy(next, SHELL);
    }
    if (file >= 0) {
        close(file);
    }
    return code;
}

int program_check(const char *name, const char *path, char *error, size_t size) {
    struct complaint complaint = {error, size};
    char current[PATH_MAX];
    char next[PATH_MAX];
    char who[2 * PATH_MAX];

    elf_version(EV_CURRENT);
    snprintf(current, sizeof(current), "%s", path);
    snprintf(who, sizeof(who), "%s", name);
    for (int scripts = 0;; scripts++) {
        int code = check_file(current, who, next, &complaint);

        if (code != PROGRAM_OK || next[0] == '\0') {
            return code;
        }
        if (scripts == INTERPRETERS_MAX) {
            return complain(&complaint, PROGRAM_NOT_EXECUTABLE, "%s: %s", name, strerror(ELOOP));
        }
        snprintf(who, sizeof(who), "%s: its interpreter %s", name, next);
        code = executable(next);
        if (code != 0) {
            return complain(&complaint, code == EACCES ? PROGRAM_NOT_EXECUTABLE : PROGRAM_NOT_FOUND, "%s: %s",
                            who, strerror(code));
        }
        memcpy(current, next, sizeof(current));
    }
}
