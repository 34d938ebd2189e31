/* Provides what the C standard does not have: locks, folders, trust in files. */
#ifndef OCLIN_CORE_OS_H
#define OCLIN_CORE_OS_H

#include "core/base.h"
#include <stdio.h>

long oclin_os_process_id(void);
/* Reads a clock that only goes forward. */
double oclin_os_seconds(void);
/* Lets one thread at a time ask the drivers for their devices (device.c says why). Contexts share only
 * this lock and the one of the numbers. */
void oclin_os_lock_scan(void);
void oclin_os_unlock_scan(void);
/* Takes the smallest number that nobody has, until it is given back. If all are taken, every caller gets
 * OCLIN_NUMBERS. Giving back a number outside 0 to OCLIN_NUMBERS - 1 does nothing. */
enum { OCLIN_NUMBERS = 64 };
int oclin_os_take_number(void);
void oclin_os_give_number(int number);
/* Returns the user's folder for data that can be made again, with /oclin appended; the caller frees it.
 * Returns NULL if the system names no such folder. */
char *oclin_os_cache_folder(void);
/* Makes the folder and all its parents. Returns 1 if it exists then and can be written to. */
int oclin_os_make_folder(const char *path);
/* Tells whether the path is a folder. */
int oclin_os_is_folder(const char *path);
/* Returns why another user may have put something into the folder, or NULL if nobody can have, or if there
 * is no such folder. The text is static. */
const char *oclin_os_distrust(const char *folder);
/* Opens a regular file for reading, and never waits. If the result is NULL, *why is the reason (a static
 * text; errno has the system's number), or NULL if there is no such file. With only_own, a file that
 * another user may have written is refused. */
FILE *oclin_os_open(const char *path, int only_own, const char **why);
/* Creates a new file for writing, which only the user can read and write. If the result is NULL, errno is
 * EEXIST or gives another reason. */
FILE *oclin_os_create(const char *path);
/* Removes the regular files of a folder for whose names is_meant() returns 1 and which nobody has written
 * to for `age` seconds. */
void oclin_os_remove_old(const char *folder, int (*is_meant)(const char *name), double age);
/* Renames a file in one step, and replaces the target if it exists. */
int oclin_os_replace(const char *from, const char *to);

#endif
