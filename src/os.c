/* The few lines that differ by operating system. Nothing else includes these headers. */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L /* access, clock_gettime, mkdir */
#endif
#include "oclin_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#include <direct.h>
#include <io.h>
#include <process.h>
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

static SRWLOCK scan_lock = SRWLOCK_INIT;

void oclin_os_lock_scan(void)
{
    AcquireSRWLockExclusive(&scan_lock);
}

void oclin_os_unlock_scan(void)
{
    ReleaseSRWLockExclusive(&scan_lock);
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
    *below = "/oclin";
    return getenv("LOCALAPPDATA");
}

#else

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
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

static pthread_mutex_t scan_lock = PTHREAD_MUTEX_INITIALIZER;

void oclin_os_lock_scan(void)
{
    pthread_mutex_lock(&scan_lock);
}

void oclin_os_unlock_scan(void)
{
    pthread_mutex_unlock(&scan_lock);
}

/* For the user alone, as the XDG base directory specification asks: what is loaded from there is run. */
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
#ifdef __APPLE__
    *below = "/Library/Caches/oclin";
#else
    const char *xdg = getenv("XDG_CACHE_HOME");
    *below = "/oclin";
    if (xdg && *xdg == '/') return xdg; /* its specification: a relative path is to be ignored */
    *below = "/.cache/oclin";
#endif
    return getenv("HOME");
}

#endif

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
    /* those that are there already fail, which is as good */
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
