/* Shifts the wall clock of a process by the seconds that the file named by SHIFT_FILE holds, whenever it is read. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    const char *file = getenv("SHIFT_FILE");
    char text[32];
    long length, opened;
    if (!file || (opened = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY)) < 0) return 0;
    length = syscall(SYS_read, opened, text, sizeof text - 1);
    syscall(SYS_close, opened);
    if (length <= 0) return 0;
    text[length] = 0;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += shift();
    return failed;
}
