/* In place of libFuzzer: runs the files that are named, and those in the folders that are named. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 20 };
static int count;

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = file ? malloc(LARGEST) : NULL;
    const size_t size = data ? fread(data, 1, LARGEST, file) : 0;
    const int read = data && !ferror(file);
    if (file) fclose(file);
    uint8_t *exact = read ? malloc(size + 1) : NULL; /* so that a sanitizer sees what is read beyond it */
    if (exact) {
        memcpy(exact, data, size);
        printf("%s\n", path);
        fflush(stdout);
        LLVMFuzzerTestOneInput(exact, size);
        count++;
    } else {
        fprintf(stderr, "%s cannot be read\n", path);
    }
    free(exact);
    free(data);
    return exact != NULL;
}

static int run(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return run_file(path);
    int good = 1;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inside[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        good &= run_file(inside);
    }
    closedir(folder);
    return good;
}

int main(int argc, char **argv)
{
    int good = 1;
    for (int i = 1; i < argc; i++) good &= run(argv[i]);
    printf("%d inputs\n", count);
    return good && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
