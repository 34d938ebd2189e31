/* Images and labels in the IDX format of MNIST and its relatives, packed with gzip. */
#ifndef IDX_H
#define IDX_H

#include <stdint.h>

struct idx_set {
    int64_t count, rows, cols;
    uint8_t *pixels;  /* (count, rows * cols) */
    uint8_t *labels;  /* (count), each below the number of classes */
    char error[1024]; /* why idx_read() failed: one sentence */
};

/* Reads one file of images and the file of their labels. Returns 1, or 0 with set->error written and nothing
 * held. Anything that does not fit is a failure: a file that is cut short, too long, or fails its checksum,
 * other counts of images and labels, a label that is no class. */
int idx_read(struct idx_set *set, const char *images, const char *labels, int classes);

void idx_free(struct idx_set *set);

#endif
