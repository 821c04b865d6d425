/* Put before libc in the daemon's process, it makes an fsync slow, a name unknown and the wall clock wrong, while the
   numbers of a file that both processes map say so. Nothing of the pump knows of it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    int32_t fsync_ms;  /* that each fsync takes more */
    int32_t no_names;  /* not 0: no name is found */
    int64_t ahead_s;   /* how far the wall clock is ahead */
};

static volatile struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("PUMP_CHAOS_CONTROL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) control = found;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void slowly(void) {
    if (control && control->fsync_ms > 0) {
        struct timespec wait = {control->fsync_ms / 1000, control->fsync_ms % 1000 * 1000000L};
        nanosleep(&wait, NULL);
    }
}

int fsync(int file) {
    REAL(fsync);
    slowly();
    return real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    slowly();
    return real(file);
}

int clock_gettime(clockid_t which, struct timespec *found) {
    REAL(clock_gettime);
    int failed = real(which, found);
    if (!failed && control && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) found->tv_sec += control->ahead_s;
    return failed;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    REAL(gettimeofday);
    int failed = real(found, zone);
    if (!failed && control) found->tv_sec += control->ahead_s;
    return failed;
}

time_t time(time_t *where) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    REAL(getaddrinfo);
    unsigned char address[sizeof(struct in6_addr)];
    if (control && control->no_names && node && inet_pton(AF_INET, node, address) != 1 &&
        inet_pton(AF_INET6, node, address) != 1)
        return EAI_AGAIN;
    return real(node, service, hints, found);
}
