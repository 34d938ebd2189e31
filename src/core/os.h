/* What the C standard does not have: locks, folders, trust in files. */
#ifndef OCLIN_CORE_OS_H
#define OCLIN_CORE_OS_H

#include "core/base.h"
#include <stdio.h>

long oclin_os_process_id(void);
/* Of a clock that only goes forward. */
double oclin_os_seconds(void);
/* One thread at a time asks the drivers for their devices (device.c says why). This lock, and the one of
 * the numbers, are all that contexts share. */
void oclin_os_lock_scan(void);
void oclin_os_unlock_scan(void);
/* The smallest number that nobody has, until it is given back; OCLIN_NUMBERS, for everybody, where all are
 * taken. Giving back a number that is none does nothing. */
enum { OCLIN_NUMBERS = 64 };
int oclin_os_take_number(void);
void oclin_os_give_number(int number);
/* The user's folder for what can be made again, and /oclin; allocated. NULL: nobody knows. */
char *oclin_os_cache_folder(void);
/* With all above it; whether it is there then and can be written to. */
int oclin_os_make_folder(const char *path);
/* Whether it is a folder. */
int oclin_os_is_folder(const char *path);
/* Why somebody else may have put something into the folder; NULL: nobody did, or it is not there. Static. */
const char *oclin_os_distrust(const char *folder);
/* A regular file, for reading; never waits. NULL: *why says why not (static; errno has the system's
 * number), and is NULL where there is none. only_own: one that somebody else may have written is refused.
 * */
FILE *oclin_os_open(const char *path, int only_own, const char **why);
/* A new file for writing, which only the user can read and write; NULL: errno is EEXIST, or says why not. */
FILE *oclin_os_create(const char *path);
/* Removes the regular files of a folder whose name is meant and which nobody has written to for `age`
 * seconds. */
void oclin_os_remove_old(const char *folder, int (*is_meant)(const char *name), double age);
/* Renames, also over a file that is there, in one step. */
int oclin_os_replace(const char *from, const char *to);

#endif
