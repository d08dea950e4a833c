/* A clock that a test sets, preloaded into the programs under test. NVTOPO_CLOCK names a file of two numbers of 64 bits,
   in nanoseconds: what is added to the wall clock, and what is added to the clocks that deadlines are made of.
   libfaketime would do, but that its clock_nanosleep gives EINVAL where only the wall clock is faked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WALL, PASSED, BILLION = 1000000000 };
static volatile const long long *added;
static const long long none[2];

__attribute__((constructor)) static void map(void) {
    const char *path = getenv("NVTOPO_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
    added = found == MAP_FAILED ? none : found;
    if (file >= 0)
        close(file);
}

static long long of(clockid_t clock) {
    switch (added ? clock : CLOCK_PROCESS_CPUTIME_ID) {
    case CLOCK_REALTIME: case CLOCK_REALTIME_COARSE: return added[WALL] + added[PASSED];
    case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_RAW: case CLOCK_MONOTONIC_COARSE: case CLOCK_BOOTTIME: return added[PASSED];
    default: return 0;
    }
}

static struct timespec plus(struct timespec time, long long nanoseconds) {
    nanoseconds += time.tv_nsec;
    time.tv_sec += nanoseconds / BILLION;
    time.tv_nsec = nanoseconds % BILLION;
    if (time.tv_nsec < 0) {
        time.tv_nsec += BILLION;
        time.tv_sec--;
    }
    return time;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = REAL(clock_gettime)(clock, now);
    if (!code)
        *now = plus(*now, of(clock));
    return code;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return into ? *into = now.tv_sec : now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return 0;
}

/* Those wait until a time of the clock: the kernel's clock, which is not set. */

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    struct timespec real = flags & TIMER_ABSTIME ? plus(*until, -of(clock)) : *until;
    return REAL(clock_nanosleep)(clock, flags, &real, left);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    struct timespec real = plus(*until, -of(clock));
    if (real.tv_sec < 0)
        real = (struct timespec){0};
    return REAL(sem_clockwait)(semaphore, clock, &real);
}
