/* The command line of fashion_mnist. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <oclin.h>

#include <stdint.h>

enum { MAX_LAYERS = 16, PIXELS = 28 * 28, CLASSES = 10 };

struct optimizer {
    const char *name, *title;
    double lr; /* where the user names none */
    struct oclin_optimizer_options options;
};

struct options {
    int layers; /* how many, and the size before the first and behind each */
    int64_t size[MAX_LAYERS + 1];
    int64_t epochs, batch;
    int64_t samples; /* how many of the training images; 0: all */
    const struct optimizer *optimizer;
    int64_t accumulate; /* batches in a step */
    double lr, decay;
    int cosine;     /* the rate goes down to 0 along a cosine; 0: by `decay` */
    int64_t warmup; /* steps in which it grows to lr first */
    uint64_t seed;
    const char *device, *data, *out; /* device NULL: the best one */
    int verify;
};

/* Returns -1 to go on, or the status to exit with: 0 after --help, 2 after a complaint. */
int options_parse(struct options *o, int argc, char **argv);

/* The learning rate of a step, counted from 0 through all epochs of so many steps. */
double options_rate(const struct options *o, int64_t step, int64_t steps_of_epoch);

#endif
