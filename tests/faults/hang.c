/* Firmware that does not answer: opening a file hangs while its path starts with what a test says. NVTOPO_HANG names a
   file of one page that holds that path, or nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, A_HUNDREDTH = 10000 };
static const volatile char *hanging;

__attribute__((constructor)) static void map(void) {
    int (*opened)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    const char *path = getenv("NVTOPO_HANG");
    int file = path ? opened(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    hanging = found == MAP_FAILED ? NULL : found;
    if (file >= 0)
        close(file);
}

static int hangs(const char *path) {
    const char *prefix = (const char *)hanging;
    return prefix && *hanging && !strncmp(path, prefix, strlen(prefix));
}

int open64(const char *path, int flags, ...) {
    int (*opened)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    while (hangs(path))
        usleep(A_HUNDREDTH);
    return opened(path, flags, mode);
}
