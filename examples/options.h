/* The command line of fashion_mnist. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

enum { MAX_LAYERS = 16, PIXELS = 28 * 28, CLASSES = 10 };

struct options {
    int layers; /* how many, and the size before the first and behind each */
    int64_t size[MAX_LAYERS + 1];
    int64_t epochs, batch;
    int64_t samples; /* how many of the training images; 0: all */
    double lr, decay;
    uint64_t seed;
    const char *device, *data, *out; /* device NULL: the best one */
    int verify;
};

/* Returns -1 to go on, or the status to exit with: 0 after --help, 2 after a complaint. */
int options_parse(struct options *o, int argc, char **argv);

#endif
