// Preloaded into a server: syncs of files under a directory fail, or hang, while a file says so.
//
// $DISK_FAULTS names that file. Its content is `fail DIRECTORY` or `hang DIRECTORY`; without it, or for files elsewhere,
// everything is as it is without this library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAUSE_MICROSECONDS = 10000, LONGEST_HANG_PAUSES = 12000 };

// Whether the file says `what` of a directory that the descriptor's file is in, or is.
static int is_said(const char *what, int descriptor) {
    char order[4096], link[64], path[4096];
    const char *name = getenv("DISK_FAULTS");
    if (!name) return 0;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, order, sizeof order - 1);
    close(file);
    if (count <= 0) return 0;
    order[count] = 0;
    size_t length = strlen(what);
    if (strncmp(order, what, length) != 0 || order[length] != ' ') return 0;
    const char *directory = order + length + 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    size_t depth = strlen(directory);
    return strncmp(path, directory, depth) == 0 && (path[depth] == '/' || path[depth] == 0);
}

static int sync_with(const char *function, int descriptor) {
    int saved = errno;
    for (int pause = 0; pause < LONGEST_HANG_PAUSES && is_said("hang", descriptor); pause++) usleep(PAUSE_MICROSECONDS);
    if (is_said("fail", descriptor)) {
        errno = EIO;
        return -1;
    }
    errno = saved;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
    if (!real) {
        errno = ENOSYS;
        return -1;
    }
    return real(descriptor);
}

int fdatasync(int descriptor) { return sync_with("fdatasync", descriptor); }

int fsync(int descriptor) { return sync_with("fsync", descriptor); }
