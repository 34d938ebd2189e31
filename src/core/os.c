/* The few lines that differ by operating system. No other file includes these system headers. */
#ifndef _WIN32
#if defined(__SIZEOF_POINTER__) && __SIZEOF_POINTER__ == 4
/* without it stat() fails if a file's number or size takes more than 32 bits */
#define _FILE_OFFSET_BITS 64
#endif
#define _POSIX_C_SOURCE 200809L /* access, clock_gettime, fdopen, lstat, mkdir, open, opendir */
#endif
#include "core/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32

#include <direct.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <windows.h>

double oclin_os_seconds(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

long oclin_os_process_id(void)
{
    return (long)_getpid();
}

int oclin_os_replace(const char *from, const char *to)
{
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0;
}

static SRWLOCK scan_lock = SRWLOCK_INIT, numbers_lock = SRWLOCK_INIT;

void oclin_os_lock_scan(void)
{
    AcquireSRWLockExclusive(&scan_lock);
}

void oclin_os_unlock_scan(void)
{
    ReleaseSRWLockExclusive(&scan_lock);
}

static void lock_numbers(void)
{
    AcquireSRWLockExclusive(&numbers_lock);
}

static void unlock_numbers(void)
{
    ReleaseSRWLockExclusive(&numbers_lock);
}

static void make_one_folder(const char *path)
{
    _mkdir(path);
}

static int can_write(const char *path)
{
    return _access(path, 2) == 0;
}

static int is_separator(char c)
{
    return c == '/' || c == '\\';
}

static const char *cache_root(const char **below)
{
    const char *root = getenv("LOCALAPPDATA");
    *below = "/oclin";
    return root && (is_separator(root[0]) || (root[0] && root[1] == ':')) ? root : NULL;
}

int oclin_os_is_folder(const char *path)
{
    const DWORD attributes = GetFileAttributesA(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

/* Access control lists guard %LOCALAPPDATA%. A user who names another folder is responsible for its list. */
const char *oclin_os_distrust(const char *folder)
{
    (void)folder;
    return NULL;
}

typedef struct _stat64 file_facts;

static int open_to_read(const char *path)
{
    return _open(path, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
}

static int open_new(const char *path)
{
    return _open(path, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}

static int read_facts(int file, file_facts *facts)
{
    return _fstat64(file, facts) == 0;
}

static int is_regular(const file_facts *facts)
{
    return (facts->st_mode & _S_IFMT) == _S_IFREG;
}

static const char *distrust(const file_facts *facts)
{
    (void)facts;
    return NULL;
}

static FILE *stream_of(int file, const char *mode)
{
    return _fdopen(file, mode);
}

static void close_file(int file)
{
    _close(file);
}

void oclin_os_remove_old(const char *folder, int (*is_meant)(const char *name), double age)
{
    const time_t now = time(NULL);
    char path[MAX_PATH];
    struct _finddata_t found;
    if (snprintf(path, sizeof path, "%s/*", folder) >= (int)sizeof path) return;
    const intptr_t search = _findfirst(path, &found);
    for (int more = search != -1; more; more = _findnext(search, &found) == 0)
        if (!(found.attrib & _A_SUBDIR) && is_meant(found.name) && difftime(now, found.time_write) > age &&
            snprintf(path, sizeof path, "%s/%s", folder, found.name) < (int)sizeof path)
            remove(path);
    if (search != -1) _findclose(search);
}

#else

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

double oclin_os_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

long oclin_os_process_id(void)
{
    return (long)getpid();
}

int oclin_os_replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

static pthread_mutex_t scan_lock = PTHREAD_MUTEX_INITIALIZER, numbers_lock = PTHREAD_MUTEX_INITIALIZER;

void oclin_os_lock_scan(void)
{
    pthread_mutex_lock(&scan_lock);
}

void oclin_os_unlock_scan(void)
{
    pthread_mutex_unlock(&scan_lock);
}

static void lock_numbers(void)
{
    pthread_mutex_lock(&numbers_lock);
}

static void unlock_numbers(void)
{
    pthread_mutex_unlock(&numbers_lock);
}

/* Makes a folder for the user alone, as the XDG base directory specification asks, because what is loaded
 * from it is run. */
static void make_one_folder(const char *path)
{
    mkdir(path, 0700);
}

static int can_write(const char *path)
{
    return access(path, W_OK | X_OK) == 0;
}

static int is_separator(char c)
{
    return c == '/';
}

static const char *cache_root(const char **below)
{
    const char *home = getenv("HOME");
#ifdef __APPLE__
    *below = "/Library/Caches/oclin";
#else
    const char *xdg = getenv("XDG_CACHE_HOME");
    *below = "/oclin";
    if (xdg && *xdg == '/') return xdg; /* the XDG specification says that a relative path is to be ignored */
    *below = "/.cache/oclin";
#endif
    /* A relative path would be another folder wherever the program starts, and another user might have
     * filled it. */
    return home && *home == '/' ? home : NULL;
}

typedef struct stat file_facts;

int oclin_os_is_folder(const char *path)
{
    file_facts facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* Returns why another user may have written the file or folder, or NULL if it is the user's own. Root can
 * do anything anyway, so its files are trusted. The bits of the group also show what an access control
 * list allows. */
static const char *distrust(const file_facts *facts)
{
    if (facts->st_uid != geteuid() && facts->st_uid != 0) return "belongs to another user";
    return facts->st_mode & (S_IWGRP | S_IWOTH) ? "may be written to by others" : NULL;
}

/* The parents of the folder need not be checked. Whoever can write to a parent can put another folder in
 * place of this one, but such a folder belongs to them, which is noticed; or a link to a folder that is
 * not theirs, which is judged by its own owner and permissions. */
const char *oclin_os_distrust(const char *folder)
{
    file_facts facts;
    if (stat(folder, &facts) == 0) return distrust(&facts);
    return errno == ENOENT || errno == ENOTDIR ? NULL : "cannot be looked at";
}

/* Without O_NONBLOCK, opening a pipe waits until somebody writes to it. The flag means nothing for a
 * regular file. */
static int open_to_read(const char *path)
{
    return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int open_new(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int read_facts(int file, file_facts *facts)
{
    return fstat(file, facts) == 0;
}

static int is_regular(const file_facts *facts)
{
    return S_ISREG(facts->st_mode);
}

static FILE *stream_of(int file, const char *mode)
{
    return fdopen(file, mode);
}

static void close_file(int file)
{
    close(file);
}

static int is_old(const char *path, time_t now, double age)
{
    file_facts facts;
    return lstat(path, &facts) == 0 && S_ISREG(facts.st_mode) && difftime(now, facts.st_mtime) > age;
}

void oclin_os_remove_old(const char *folder, int (*is_meant)(const char *name), double age)
{
    const time_t now = time(NULL);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        const size_t size = strlen(folder) + strlen(e->d_name) + 2;
        char *path = is_meant(e->d_name) ? malloc(size) : NULL;
        if (!path) continue;
        snprintf(path, size, "%s/%s", folder, e->d_name);
        if (is_old(path, now, age)) remove(path);
        free(path);
    }
    if (dir) closedir(dir);
}

#endif

/* Bit i is set while number i is taken. */
static uint64_t numbers;

int oclin_os_take_number(void)
{
    int i = 0;
    lock_numbers();
    while (i < OCLIN_NUMBERS && (numbers >> i & 1)) i++;
    if (i < OCLIN_NUMBERS) numbers |= (uint64_t)1 << i;
    unlock_numbers();
    return i;
}

void oclin_os_give_number(int number)
{
    if (number < 0 || number >= OCLIN_NUMBERS) return;
    lock_numbers();
    numbers &= ~((uint64_t)1 << number);
    unlock_numbers();
}

FILE *oclin_os_open(const char *path, int only_own, const char **why)
{
    file_facts facts;
    *why = NULL;
    errno = 0;
    const int file = open_to_read(path);
    if (file < 0) {
        if (errno != ENOENT) *why = "cannot be opened";
        return NULL;
    }
    if (!read_facts(file, &facts))
        *why = "cannot be looked at";
    else if (!is_regular(&facts))
        *why = "is no regular file";
    else if (only_own)
        *why = distrust(&facts);
    FILE *stream = *why ? NULL : stream_of(file, "rb");
    if (stream) return stream;
    if (!*why) *why = "cannot be opened";
    close_file(file);
    errno = EINVAL;
    return NULL;
}

FILE *oclin_os_create(const char *path)
{
    const int file = open_new(path);
    if (file < 0) return NULL;
    FILE *stream = stream_of(file, "wb");
    if (!stream) {
        close_file(file);
        remove(path);
    }
    return stream;
}

char *oclin_os_cache_folder(void)
{
    const char *below, *root = cache_root(&below);
    if (!root || !*root) return NULL;
    const size_t size = strlen(root) + strlen(below) + 1;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s", root, below);
    return path;
}

int oclin_os_make_folder(const char *path)
{
    const size_t size = strlen(path) + 1;
    char *part = malloc(size);
    if (!part) return 0;
    memcpy(part, path, size);
    /* making a folder that is there already fails, which is just as good */
    for (char *c = part + 1; *part && *c; c++)
        if (is_separator(*c)) {
            const char separator = *c;
            *c = 0;
            make_one_folder(part);
            *c = separator;
        }
    make_one_folder(part);
    free(part);
    return can_write(path);
}
