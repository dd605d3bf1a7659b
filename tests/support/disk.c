// A disk that misbehaves, for one process: preloaded, it stands before read and write.
//
// XRDCT_TEST_SLOW=name:milliseconds   reading a file with this in its path takes so long each time
// XRDCT_TEST_HANG=name                reading it never ends, as from a file server that is gone
// XRDCT_TEST_FULL=name:bytes          writing beyond so many bytes of it fails as on a full disk
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

// Whether a variable names the file behind a descriptor; the number after its colon.
static int names(const char *variable, int fd, long long *number) {
    const char *wanted = getenv(variable);
    if (!wanted) return 0;
    char link[64], path[PATH_MAX + 1], part[PATH_MAX + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    const char *colon = strrchr(wanted, ':');
    size_t size = colon ? (size_t)(colon - wanted) : strlen(wanted);
    memcpy(part, wanted, size);
    part[size] = 0;
    *number = colon ? atoll(colon + 1) : 0;
    return strstr(path, part) != NULL;
}

ssize_t read(int fd, void *buffer, size_t count) {
    long long number;
    if (names("XRDCT_TEST_HANG", fd, &number)) for (;;) pause();
    if (names("XRDCT_TEST_SLOW", fd, &number)) usleep(number * 1000);
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return next(fd, buffer, count);
}

static int full(int fd, off64_t end) {
    long long room;
    if (!names("XRDCT_TEST_FULL", fd, &room) || end <= room) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *buffer, size_t count) {
    if (full(fd, lseek64(fd, 0, SEEK_CUR) + (off64_t)count)) return -1;
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return next(fd, buffer, count);
}

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset) {
    if (full(fd, offset + (off64_t)count)) return -1;
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return next(fd, buffer, count, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset) {
    return pwrite64(fd, buffer, count, offset);
}
