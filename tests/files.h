/*
 * Files of a test's own: a temporary folder, and whole files read and written at once.
 */
#ifndef OCLIN_TESTS_FILES_H
#define OCLIN_TESTS_FILES_H

#include <stddef.h>

enum { PATH_BYTES = 600, FILES = 64 };

/* A new, empty folder in TMPDIR, else in /tmp; fails the test if there can be none. `path` has room for
 * PATH_BYTES / 2. */
void make_temporary_folder(char *path);

/* Removes the file or the folder, with all that is in it. None there is no failure. */
void remove_all(const char *path);

/* The names of all files in the folder; 0 also when there is no such folder. */
int files_in(const char *folder, char names[FILES][256]);

/* How many files of the folder have a name that begins so; the path of the last one of them goes to `path`
 * (PATH_BYTES). */
int find_files(const char *folder, const char *begins, char *path);

/* A whole file, freed with free(at); at[size] is 0, so that a text ends there. */
struct bytes {
    char *at;
    size_t size;
};
struct bytes read_file(const char *path);
void write_file(const char *path, const void *at, size_t size);

#endif
