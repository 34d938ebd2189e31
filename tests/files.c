#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

#include "files.h"

void make_temporary_folder(char *path)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(path, PATH_BYTES / 2, "%.200s/oclin-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(path)) fail_msg("the folder %s cannot be made", path);
}

int files_in(const char *folder, char names[FILES][256])
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (count == FILES) fail_msg("too many files in %s", folder);
        snprintf(names[count++], sizeof names[0], "%s", e->d_name);
    }
    if (dir) closedir(dir);
    return count;
}

void remove_all(const char *path)
{
    struct stat facts;
    const int is_folder = lstat(path, &facts) == 0 && S_ISDIR(facts.st_mode); /* and no link to one */
    DIR *dir = is_folder ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char inside[2 * PATH_BYTES];
        snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) remove_all(inside);
    }
    if (dir) closedir(dir);
    remove(path);
}

int find_files(const char *folder, const char *begins, char *path)
{
    char names[FILES][256];
    int found = 0;
    for (int i = files_in(folder, names) - 1; i >= 0; i--) {
        if (strncmp(names[i], begins, strlen(begins)) != 0) continue;
        snprintf(path, PATH_BYTES, "%s/%s", folder, names[i]);
        found++;
    }
    return found;
}

struct bytes read_file(const char *path)
{
    const size_t most = 1 << 24;
    struct bytes b = {allocate(1, most + 1), 0};
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    b.size = fread(b.at, 1, most, file);
    fclose(file);
    return b;
}

void write_file(const char *path, const void *at, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("%s cannot be written", path);
    assert_int_equal(fwrite(at, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}
