#define _XOPEN_SOURCE 700

#include "command_line.h"
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char program_name[] = "fashion_mnist";

static const struct optimizer optimizers[] = {
    {"sgd", "SGD", 0.2, OCLIN_SGD_OPTIONS_INIT},
    {"momentum", "momentum", 0.05, {.size = sizeof optimizers->options, .momentum = 0.9, .decay_bias = 1}},
    {"adamw", "AdamW", 0.002, OCLIN_ADAMW_OPTIONS_INIT},
    {"lion", "Lion", 0.0003, OCLIN_LION_OPTIONS_INIT},
};
enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static const struct options defaults = {
    .layers = 2,
    .size = {PIXELS, 256, CLASSES},
    .epochs = 15,
    .batch = 128,
    .optimizer = &optimizers[0],
    .accumulate = 1,
    .decay = 0.8,
    .seed = 1,
    .data = "/usr/share/datasets/fashion-mnist",
    .out = ".",
};

static void print_help(void)
{
    printf("Trains a classifier for the ten kinds of clothes of Fashion-MNIST on an OpenCL device.\n"
           "\n"
           "usage: fashion_mnist [options]\n"
           "\n"
           "  --layers A,B,...  sizes from the pixels to the classes, ReLU between (784,256,10)\n"
           "  --epochs N        how often all training images are seen (%lld)\n"
           "  --batch N         images in a step (%lld)\n"
           "  --optimizer O     sgd, momentum (0.9), adamw or lion (sgd)\n"
           "  --accumulate N    batches whose mean gradient makes a step (1)\n"
           "  --lr X            learning rate of the first epoch (%g; momentum %g, adamw %g, lion %g)\n"
           "  --decay X         the learning rate is multiplied by X after each epoch (%g)\n"
           "  --schedule S      decay, or cosine: down to 0 through all epochs, without --decay (decay)\n"
           "  --warmup N        the learning rate grows through the first N steps (0)\n"
           "  --seed N          of the first weights and the order of the images (%llu)\n"
           "  --samples N       train on the first N images only\n"
           "  --device D        gpu, cpu, accelerator, a number, or part of a name (the best device);\n"
           "                    without it the environment variable OCLIN_DEVICE chooses\n"
           "  --verify          compare every operation with the reference; slow, see --samples\n"
           "  --data DIR        the four .gz files (%s)\n"
           "  --out DIR         where the PNG images go (the current folder)\n"
           "  --help            this text\n",
           (long long)defaults.epochs, (long long)defaults.batch, optimizers[0].lr, optimizers[1].lr,
           optimizers[2].lr, optimizers[3].lr, defaults.decay, (unsigned long long)defaults.seed,
           defaults.data);
}

static int parse_seed(const char *flag, const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 0);
    if (end == text || *end || errno || strchr(text, '-'))
        return complain_option(flag, text, "a whole number from 0 to 18446744073709551615 is expected");
    *value = n;
    return 1;
}

static int parse_rate(const char *flag, const char *text, double largest, double *value)
{
    char *end, expected[64];
    double x = strtod(text, &end);
    if (end != text && !*end && isfinite(x) && x > 0 && x <= largest) {
        *value = x;
        return 1;
    }
    snprintf(expected, sizeof expected, "a number above 0, at most %g, is expected", largest);
    return complain_option(flag, text, expected);
}

static int parse_layers(const char *flag, const char *text, struct options *o)
{
    const char *expected = "sizes from 784 to 10 with commas between are expected, such as 784,256,10";
    int n = 0;
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        long long size = strtoll(at, &end, 10);
        if (end == at || errno || size < 1 || size > 1000000) return complain_option(flag, text, expected);
        if (n > MAX_LAYERS) return complain_option(flag, text, "at most 16 layers are possible");
        o->size[n++] = size;
        at = end;
        if (!*at) break;
        if (*at != ',') return complain_option(flag, text, expected);
    }
    if (n < 2 || o->size[0] != PIXELS || o->size[n - 1] != CLASSES)
        return complain_option(flag, text, expected);
    o->layers = n - 1;
    return 1;
}

static int parse_optimizer(const char *flag, const char *text, struct options *o)
{
    for (int i = 0; i < OPTIMIZERS; i++)
        if (!strcmp(text, optimizers[i].name)) {
            o->optimizer = &optimizers[i];
            return 1;
        }
    return complain_option(flag, text, "sgd, momentum, adamw or lion is expected");
}

static int parse_schedule(const char *flag, const char *text, struct options *o)
{
    o->cosine = !strcmp(text, "cosine");
    return o->cosine || !strcmp(text, "decay") || complain_option(flag, text, "decay or cosine is expected");
}

double options_rate(const struct options *o, int64_t step, int64_t steps_of_epoch)
{
    const int64_t all = steps_of_epoch * o->epochs - o->warmup, done = step - o->warmup;
    double rate = o->lr;
    if (done < 0) return rate * (double)(step + 1) / (double)o->warmup;
    if (o->cosine) return rate * 0.5 * (1 + cos(3.14159265358979323846 * (double)done / (double)all));
    for (int64_t e = step / steps_of_epoch; e > 0; e--) rate *= o->decay;
    return rate;
}

/* The images are written at the end: what would fail then is better said now. */
static int check_folder(const char *flag, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) return complain_option(flag, path, strerror(errno));
    if (!S_ISDIR(about.st_mode)) return complain_option(flag, path, "a folder is expected");
    return access(path, W_OK | X_OK) == 0 || complain_option(flag, path, strerror(errno));
}

static int parse_one(struct options *o, char letter, const char *flag, const char *value)
{
    switch (letter) {
    case 'l':
        return parse_layers(flag, value, o);
    case 'e':
        return parse_count(flag, value, 100000, &o->epochs);
    case 'b':
        return parse_count(flag, value, 60000, &o->batch);
    case 'n':
        return parse_count(flag, value, 60000, &o->samples);
    case 'r':
        return parse_rate(flag, value, 1000, &o->lr);
    case 'y':
        return parse_rate(flag, value, 1, &o->decay);
    case 'p':
        return parse_optimizer(flag, value, o);
    case 'k':
        return parse_count(flag, value, 60000, &o->accumulate);
    case 'c':
        return parse_schedule(flag, value, o);
    case 'w':
        return parse_count(flag, value, 1000000000, &o->warmup);
    case 's':
        return parse_seed(flag, value, &o->seed);
    case 'o':
        o->out = value;
        return 1;
    case 'd':
        o->device = value;
        return 1;
    case 'a':
        o->data = value;
        return 1;
    case 'v':
        o->verify = 1;
        return 1;
    default:
        return 0; /* getopt_long() has complained */
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    static const struct option flags[] = {
        {"layers", required_argument, NULL, 'l'},
        {"epochs", required_argument, NULL, 'e'},
        {"batch", required_argument, NULL, 'b'},
        {"lr", required_argument, NULL, 'r'},
        {"decay", required_argument, NULL, 'y'},
        {"optimizer", required_argument, NULL, 'p'},
        {"accumulate", required_argument, NULL, 'k'},
        {"schedule", required_argument, NULL, 'c'},
        {"warmup", required_argument, NULL, 'w'},
        {"seed", required_argument, NULL, 's'},
        {"samples", required_argument, NULL, 'n'},
        {"device", required_argument, NULL, 'd'},
        {"verify", no_argument, NULL, 'v'},
        {"data", required_argument, NULL, 'a'},
        {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *o = defaults;
    for (int letter, i = 0; (letter = getopt_long(argc, argv, "", flags, &i)) != -1;) {
        if (letter == 'h') {
            print_help();
            return 0;
        }
        if (!parse_one(o, (char)letter, flags[i].name, optarg)) return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "fashion_mnist: %s: every option begins with --; see --help\n", argv[optind]);
        return 2;
    }
    if (o->lr == 0) o->lr = o->optimizer->lr;
    return check_folder("out", o->out) ? -1 : 2;
}
