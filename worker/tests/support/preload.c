/* What one process does to its files, written down and spoilt: a library for LD_PRELOAD, Linux only.
 *
 * It stands below everything that a test of the program could replace. The test sets three variables:
 *
 *   SHELLS_FOLDER   the folder whose files are watched; what lies elsewhere is left alone
 *   SHELLS_RECORD   where to write the record: each process to "<this>.<process id>"
 *   SHELLS_CONTROL  a file that holds a `struct control`, which the test changes while the process runs
 *
 * The record is one line for each call that had an effect, in the order of the effects; `write` and
 * `send` are followed by the bytes and a line feed. Files are named by inode, since names move.
 *
 *   open INODE MADE PATH     MADE is 1 if the call made the file
 *   mkdir PATH
 *   rename FROM TO
 *   unlink PATH
 *   write INODE OFFSET COUNT
 *   size INODE LENGTH
 *   flush NUMBER INODE PATH  begins: it covers what stands above it, in a file or the names in a folder
 *   flushed NUMBER OK        ends: OK is 0 if it failed
 *   send DESCRIPTOR COUNT    to a socket; it stands here before the bytes leave
 *
 * A call and its line are one step, under one lock; only a flush lets others go on. Left out: writes
 * through mmap, which no database of ours makes but for the index of its log, and that is not kept.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int64_t clock_ms; /* is added to the wall clock */
    volatile int64_t failing;  /* the inode whose flushes fail with EIO; -1: all */
    volatile int64_t full;     /* not 0: the disk is full */
    volatile int64_t left;     /* not 0: is counted down by watched calls; the process is killed at 0 */
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct control nothing, *control = &nothing;
static const char *folder, *record_name;
static int record = -1;
static pid_t owner;
static int64_t flushes;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("SHELLS_FOLDER");
    record_name = getenv("SHELLS_RECORD");
    const char *name = getenv("SHELLS_CONTROL");
    int file = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (mapped != MAP_FAILED) control = mapped;
}

/* Every watched call runs between these two. */
static void enter(void) {
    pthread_mutex_lock(&lock);
    if (control->left && !--control->left) kill(getpid(), SIGKILL);
}
static void leave(void) {
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
}

/* Writes a line, and what belongs to it. A process that was forked has a record of its own. */
static void tell(const struct iovec *bytes, int parts, const char *format, ...) {
    int error = errno;
    char line[2 * PATH_MAX + 64];
    if (!record_name) return;
    if (record < 0 || owner != getpid()) {
        owner = getpid();
        snprintf(line, sizeof line, "%s.%d", record_name, (int)owner);
        record = (int)syscall(SYS_openat, AT_FDCWD, line, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct iovec all[1 + 64 + 1] = {{line, (size_t)length}};
    memcpy(all + 1, bytes, sizeof *bytes * (size_t)parts);
    all[1 + parts] = (struct iovec){"\n", 1};
    syscall(SYS_writev, record, all, parts ? parts + 2 : 1);
    errno = error;
}

static int watched(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    return folder && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

/* The path of what a descriptor stands for; of a file that is gone too. */
static int path_of(int file, char *path) {
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return watched(path);
}

/* The path that a name means below the folder of a descriptor. */
static int path_at(int from, const char *name, char *path) {
    char base[PATH_MAX] = "";
    if (name[0] != '/' && from != AT_FDCWD) path_of(from, base);
    if (name[0] != '/' && from == AT_FDCWD && !getcwd(base, sizeof base)) base[0] = 0;
    snprintf(path, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", name);
    return watched(path);
}

enum kind { OTHER, WATCHED, SOCKET };

static enum kind kind_of(int file, struct stat *is, char *path) {
    if (fstat(file, is)) return OTHER;
    if (S_ISSOCK(is->st_mode)) return SOCKET;
    return (S_ISREG(is->st_mode) || S_ISDIR(is->st_mode)) && path_of(file, path) ? WATCHED : OTHER;
}

static int is_full(void) {
    if (control->full) errno = ENOSPC;
    return control->full != 0;
}

/* Names. */

static int open_file(int from, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!path_at(from, name, path)) return (int)syscall(SYS_openat, from, name, flags, mode);
    enter();
    int made = (flags & O_CREAT) && syscall(SYS_faccessat, from, name, F_OK);
    int file = made && is_full() ? -1 : (int)syscall(SYS_openat, from, name, flags, mode);
    struct stat is;
    if (file >= 0 && !fstat(file, &is) && S_ISREG(is.st_mode)) {
        tell(0, 0, "open %llu %d %s\n", (unsigned long long)is.st_ino, made, path);
        if (flags & O_TRUNC) tell(0, 0, "size %llu 0\n", (unsigned long long)is.st_ino);
    }
    leave();
    return file;
}

#define OPEN(flags)                                     \
    va_list rest;                                       \
    va_start(rest, flags);                              \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest)

int open(const char *name, int flags, ...) { OPEN(flags); return open_file(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { OPEN(flags); return open_file(AT_FDCWD, name, flags, mode); }
int openat(int from, const char *name, int flags, ...) { OPEN(flags); return open_file(from, name, flags, mode); }
int openat64(int from, const char *name, int flags, ...) { OPEN(flags); return open_file(from, name, flags, mode); }

int mkdirat(int from, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!path_at(from, name, path)) return (int)syscall(SYS_mkdirat, from, name, mode);
    enter();
    int made = is_full() ? -1 : (int)syscall(SYS_mkdirat, from, name, mode);
    if (!made) tell(0, 0, "mkdir %s\n", path);
    leave();
    return made;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    char left[PATH_MAX], right[PATH_MAX];
    int both = path_at(from, old, left) & path_at(to, new, right);
    if (!both) return (int)syscall(SYS_renameat2, from, old, to, new, flags);
    enter();
    int moved = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    if (!moved) tell(0, 0, "rename %s %s\n", left, right);
    leave();
    return moved;
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int from, const char *name, int flags) {
    char path[PATH_MAX];
    if (!path_at(from, name, path)) return (int)syscall(SYS_unlinkat, from, name, flags);
    enter();
    int gone = (int)syscall(SYS_unlinkat, from, name, flags);
    if (!gone) tell(0, 0, "unlink %s\n", path);
    leave();
    return gone;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

/* Contents. */

static ssize_t write_file(int file, const struct iovec *bytes, int parts, off_t at) {
    struct stat is;
    char path[PATH_MAX];
    enum kind kind = kind_of(file, &is, path);
    if (kind == OTHER || parts > 64)
        return at < 0 ? syscall(SYS_writev, file, bytes, parts) : syscall(SYS_pwritev, file, bytes, parts, at, 0);
    enter();
    size_t count = 0;
    for (int part = 0; part < parts; part++) count += bytes[part].iov_len;
    ssize_t done;
    if (kind == SOCKET) {
        tell(bytes, parts, "send %d %zu\n", file, count);
        done = syscall(SYS_writev, file, bytes, parts);
    } else {
        off_t place = at >= 0 ? at : fcntl(file, F_GETFL) & O_APPEND ? is.st_size : lseek(file, 0, SEEK_CUR);
        done = is_full() ? -1
            : at < 0     ? syscall(SYS_writev, file, bytes, parts)
                         : syscall(SYS_pwritev, file, bytes, parts, at, 0);
        if (done == (ssize_t)count)
            tell(bytes, parts, "write %llu %lld %zu\n", (unsigned long long)is.st_ino, (long long)place, count);
        else if (done >= 0)
            abort(); /* a part of it: no test fills a real disk */
    }
    leave();
    return done;
}

ssize_t write(int file, const void *bytes, size_t count) {
    return write_file(file, &(struct iovec){(void *)bytes, count}, 1, -1);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    return write_file(file, &(struct iovec){(void *)bytes, count}, 1, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return write_file(file, &(struct iovec){(void *)bytes, count}, 1, at);
}
ssize_t writev(int file, const struct iovec *bytes, int parts) { return write_file(file, bytes, parts, -1); }
ssize_t pwritev(int file, const struct iovec *bytes, int parts, off_t at) { return write_file(file, bytes, parts, at); }
ssize_t pwritev64(int file, const struct iovec *bytes, int parts, off64_t at) { return write_file(file, bytes, parts, at); }

static int resize(int file, off_t length) {
    struct stat is;
    char path[PATH_MAX];
    if (kind_of(file, &is, path) != WATCHED) return (int)syscall(SYS_ftruncate, file, length);
    enter();
    int done = length > is.st_size && is_full() ? -1 : (int)syscall(SYS_ftruncate, file, length);
    if (!done) tell(0, 0, "size %llu %lld\n", (unsigned long long)is.st_ino, (long long)length);
    leave();
    return done;
}
int ftruncate(int file, off_t length) { return resize(file, length); }
int ftruncate64(int file, off64_t length) { return resize(file, length); }

/* Copies inside the kernel would pass unseen: who is refused them reads and writes. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t count, unsigned flags) {
    (void)from, (void)at, (void)to, (void)there, (void)count, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t count) {
    (void)to, (void)from, (void)at, (void)count;
    errno = EINVAL;
    return -1;
}

/* Answers. */

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    enter();
    if (message->msg_iovlen <= 64) {
        size_t count = 0;
        for (size_t part = 0; part < message->msg_iovlen; part++) count += message->msg_iov[part].iov_len;
        tell(message->msg_iov, (int)message->msg_iovlen, "send %d %zu\n", socket, count);
    }
    ssize_t sent = syscall(SYS_sendmsg, socket, message, flags);
    leave();
    return sent;
}
ssize_t sendto(int socket, const void *bytes, size_t count, int flags, const struct sockaddr *to, socklen_t length) {
    enter();
    tell(&(struct iovec){(void *)bytes, count}, 1, "send %d %zu\n", socket, count);
    ssize_t sent = syscall(SYS_sendto, socket, bytes, count, flags, to, length);
    leave();
    return sent;
}
ssize_t send(int socket, const void *bytes, size_t count, int flags) {
    return sendto(socket, bytes, count, flags, 0, 0);
}

/* Durability. */

static int flush_file(int file, long call) {
    struct stat is;
    char path[PATH_MAX];
    if (kind_of(file, &is, path) != WATCHED) return (int)syscall(call, file);
    enter();
    int64_t number = ++flushes;
    int fails = control->failing == -1 || control->failing == (int64_t)is.st_ino;
    tell(0, 0, "flush %lld %llu %s\n", (long long)number, (unsigned long long)is.st_ino, path);
    leave();
    /* The pages stay as they are, clean: what a failed flush forgets, it forgets at the next cut. */
    int failed = fails ? -1 : (int)syscall(call, file);
    if (fails) errno = EIO;
    enter();
    tell(0, 0, "flushed %lld %d\n", (long long)number, !failed);
    leave();
    return failed;
}
int fsync(int file) { return flush_file(file, SYS_fsync); }
int fdatasync(int file) { return flush_file(file, SYS_fdatasync); }

/* The wall clock. */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && control->clock_ms) {
        int64_t shifted = (int64_t)now->tv_sec * 1000 + now->tv_nsec / 1000000 + control->clock_ms;
        now->tv_sec = shifted / 1000;
        now->tv_nsec = shifted % 1000 * 1000000 + now->tv_nsec % 1000000;
    }
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec at;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &at)) return -1;
    *now = (struct timeval){at.tv_sec, at.tv_nsec / 1000};
    return 0;
}
