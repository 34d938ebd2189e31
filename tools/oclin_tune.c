/* oclin_tune: finds the fastest plans for the layers of a program, once, and leaves them where all programs find them. */
#define _XOPEN_SOURCE 700 /* getopt */
#include <oclin.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command_line.h"

const char program_name[] = "oclin_tune";

enum { MAX_LAYERS = 16, PRODUCTS = 4, NAME_BYTES = 48 };

static const int64_t largest_size = 1 << 30;
static const double default_budget = 10.0; /* seconds a layer */

struct options {
    int layers; /* how many, and the size before the first and behind each */
    int64_t size[MAX_LAYERS + 1];
    int64_t batch;
    double budget; /* of all layers; 0: default_budget each */
    const char *device;
};

/* ---------------------------------------------------------------------------------------- command line */

static void print_help(void)
{
    printf(
        "Measures which kernels are the fastest ones for the layers of a program, and keeps the result "
        "for all\n"
        "programs that use oclin on this device.\n"
        "\n"
        "usage: oclin_tune --in N --out N --batch N [options]\n"
        "       oclin_tune --layers A,B,... --batch N [options]\n"
        "\n"
        "  --in N, --out N   features of a layer\n"
        "  --layers A,B,...  several layers: 784,256,10 are one from 784 to 256 and one from 256 to 10\n"
        "  --batch N         samples in a batch; other batches are not tuned\n"
        "  --budget SECONDS  for all layers together (%g each)\n"
        "  --device D        gpu, cpu, accelerator, a number, or part of a name (the best device);\n"
        "                    the environment variable OCLIN_DEVICE, where set, overrides it\n"
        "  --help            this text\n"
        "\n"
        "The result goes to the cache folder: OCLIN_CACHE_DIR, or ~/.cache/oclin or your system's like.\n"
        "\n"
        "exit status: 0 all is tuned; 1 it failed; 2 the options are wrong; 3 the budget was too little for "
        "some\n"
        "product, which stays as it was (compiling counts; kernels that are built are kept, so that another "
        "run\n"
        "comes further)\n",
        default_budget);
}

static int parse_budget(const char *flag, const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end && isfinite(*value) && *value > 0) return 1;
    return complain_option(flag, text, "a number of seconds above 0 is expected");
}

static int parse_layers(const char *flag, const char *text, struct options *o)
{
    int n = 0;
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        const long long size = strtoll(at, &end, 10);
        if (end == at || errno || size < 1 || size > largest_size || (*end && *end != ','))
            return complain_option(flag, text, "sizes with commas between are expected, such as 784,256,10");
        if (n > MAX_LAYERS) return complain_option(flag, text, "at most 16 layers are possible");
        o->size[n++] = size;
        at = end;
        if (!*at) break;
    }
    o->layers = n - 1;
    return n >= 2 || complain_option(flag, text, "at least two sizes are expected");
}

static int parse_one(struct options *o, int letter, const char *flag, const char *value)
{
    switch (letter) {
    case 'l':
        return parse_layers(flag, value, o);
    case 'i':
        o->layers = 1;
        return parse_count(flag, value, largest_size, &o->size[0]);
    case 'o':
        o->layers = 1;
        return parse_count(flag, value, largest_size, &o->size[1]);
    case 'b':
        return parse_count(flag, value, largest_size, &o->batch);
    case 's':
        return parse_budget(flag, value, &o->budget);
    case 'd':
        o->device = value;
        return 1;
    default:
        return 0; /* getopt_long() has complained */
    }
}

/* Returns -1 to go on, or the status to exit with. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option flags[] = {
        {"in", required_argument, NULL, 'i'},     {"out", required_argument, NULL, 'o'},
        {"layers", required_argument, NULL, 'l'}, {"batch", required_argument, NULL, 'b'},
        {"budget", required_argument, NULL, 's'}, {"device", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    for (int letter, i = 0; (letter = getopt_long(argc, argv, "", flags, &i)) != -1;) {
        if (letter == 'h') {
            print_help();
            return 0;
        }
        if (!parse_one(o, letter, flags[i].name, optarg)) return 2;
    }
    if (optind < argc)
        fprintf(stderr, "oclin_tune: %s: every option begins with --; see --help\n", argv[optind]);
    else if (o->layers < 1 || !o->size[0] || !o->size[1] || !o->batch)
        fprintf(stderr,
                "oclin_tune: --in, --out and --batch are needed, or --layers and --batch; see --help\n");
    else
        return -1;
    return 2;
}

/* -------------------------------------------------------------------------------------------- progress */

/* One line of the table at the end. */
struct row {
    struct oclin_tune_progress p;
    char product[NAME_BYTES], plan[NAME_BYTES];
};

struct report {
    struct row rows[MAX_LAYERS * PRODUCTS];
    int count;
    int unfinished; /* layers with a product that there was too little time for */
    char kept[700]; /* what the library last said about the file */
    char line[700]; /* and its last line at all: the reason where no context is made */
};

static void on_log(void *user, const char *line)
{
    struct report *r = user;
    snprintf(r->line, sizeof r->line, "%s", line);
    const int unfinished = strncmp(line, "tuning: too little time", 23) == 0;
    r->unfinished += unfinished;
    if (unfinished || strncmp(line, "tuning: only ", 13) == 0) printf("  %s\n", line + 8);
    if (strncmp(line, "tuning: stored ", 15) == 0 || strncmp(line, "tuning: not stored", 18) == 0 ||
        strncmp(line, "cache: ", 7) == 0)
        snprintf(r->kept, sizeof r->kept, "%s", line);
}

static int on_progress(void *user, const struct oclin_tune_progress *p)
{
    struct report *r = user;
    switch (p->event) {
    case OCLIN_TUNE_CHECKED:
        printf("  %-9s %-13s built, and right; %.1f s left\n", p->product, p->plan, p->seconds_left);
        break;
    case OCLIN_TUNE_SKIPPED:
        printf("  %-9s %-13s skipped: %s\n", p->product, p->plan, p->why);
        break;
    case OCLIN_TUNE_MEASURED:
        printf("  %-9s %-13s %9.4f ms  %5.2f x\n", p->product, p->plan, 1e3 * p->seconds, p->gain);
        break;
    case OCLIN_TUNE_CHOSEN:
        if (r->count == MAX_LAYERS * PRODUCTS) break;
        struct row *row = &r->rows[r->count++];
        row->p = *p;
        snprintf(row->product, NAME_BYTES, "%s", p->product);
        snprintf(row->plan, NAME_BYTES, "%s", p->plan);
        break;
    default:
        break;
    }
    fflush(stdout);
    return 0;
}

static void print_table(const struct report *r)
{
    if (r->count == 0) return;
    printf("\n%-9s %6s %6s %6s  %11s  %-13s %11s  %6s\n", "product", "batch", "in", "out", "default",
           "winner", "time", "gain");
    for (int i = 0; i < r->count; i++) {
        const struct row *row = &r->rows[i];
        const struct oclin_tune_progress *p = &row->p;
        printf("%-9s %6lld %6lld %6lld  %8.4f ms  %-13s %8.4f ms  %5.2f x\n", row->product,
               (long long)p->batch, (long long)p->in, (long long)p->out, 1e3 * p->default_seconds, row->plan,
               1e3 * p->seconds, p->gain);
    }
    if (r->kept[0]) printf("\n%s\n", r->kept);
}

/* ------------------------------------------------------------------------------------------------- main */

static int fail(const char *sentence, oclin_status status)
{
    fprintf(stderr, "oclin_tune: %s\n", *sentence ? sentence : oclin_status_text(status));
    return 1;
}

static int tune(oclin_context *ctx, const struct options *o, struct report *r)
{
    struct oclin_device_info device;
    oclin_context_device(ctx, &device);
    printf("device    %s, %s\n", device.name, device.platform_name);
    printf("driver    %s\n", device.driver);
    const double budget = o->budget > 0 ? o->budget / o->layers : default_budget;
    for (int i = 0; i < o->layers; i++) {
        printf("layer     %lld to %lld features, batch %lld, %g s; building the plans\n",
               (long long)o->size[i], (long long)o->size[i + 1], (long long)o->batch, budget);
        fflush(stdout);
        const oclin_status status =
            oclin_tune(ctx, o->size[i], o->size[i + 1], o->batch, budget, on_progress, r);
        if (status != OCLIN_OK) return fail(oclin_context_error(ctx), status);
    }
    print_table(r);
    if (r->unfinished == 0) return 0;
    fflush(stdout);
    fprintf(stderr, "oclin_tune: too little time, see above\n");
    return 3;
}

int main(int argc, char **argv)
{
    static struct report report;
    struct options o = {0, {0}, 0, 0.0, NULL};
    struct oclin_context_options c = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx;
    const int stop = parse(&o, argc, argv);
    if (stop >= 0) return stop;
    choose_device(&c, o.device);
    c.log = on_log;
    c.log_user = &report;
    const oclin_status status = oclin_context_create(&ctx, &c);
    if (status != OCLIN_OK) return fail(report.line, status);
    const int result = tune(ctx, &o, &report);
    oclin_context_destroy(ctx);
    return result;
}
