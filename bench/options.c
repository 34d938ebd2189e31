/* The command line. */
#define _XOPEN_SOURCE 700

#include "bench.h"
#include "command_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "oclin_bench";

const char *const op_name[OP_COUNT] = {"forward", "infer", "dw", "dx", "step", "fused_step"};

static void print_help(void)
{
    printf("Times oclin's operations beside those of other libraries, in turn, each checked first.\n"
           "\n"
           "usage: oclin_bench [options]\n"
           "\n"
           "  --shapes FILE   lines batch,in,out or regime,batch,in,out\n"
           "  --shape B,I,O   one shape\n"
           "  --ops LIST      of forward,infer,dw,dx,step,fused_step (all)\n"
           "  --peers LIST    of openblas,clblast,onednn,cublas,cublas_tf32, or none (all)\n"
           "  --runs N        timings of which the median is taken (7)\n"
           "  --csv FILE      the rows as CSV; see bench/README.md for the columns\n"
           "  --plan NAME     oclin's kernel family or tile; OCLIN_PLAN, where set, overrides it\n"
           "  --rotate-mb N   activations go round over so many MB, eight sets at most (128)\n"
           "  --cold          so does W, as in a network that is larger than the cache\n"
           "  --help          this text\n"
           "\n"
           "The environment variable OCLIN_DEVICE names the device, as for every program that uses oclin.\n");
}

/* The place of the word at *at, up to a comma or the end, in a list; moves *at past it. -1: not there. */
static int parse_word(const char **at, const char *const *list, int count)
{
    const size_t length = strcspn(*at, ",");
    for (int i = 0; i < count && list[i]; i++) {
        if (strlen(list[i]) != length || strncmp(*at, list[i], length) != 0) continue;
        *at += length;
        if (**at == ',') ++*at;
        return i;
    }
    return -1;
}

static int parse_ops(struct options *o, const char *flag, const char *text)
{
    memset(o->op, 0, sizeof o->op);
    for (const char *at = text; *at;) {
        const int op = parse_word(&at, op_name, OP_COUNT);
        if (op < 0)
            return complain_option(flag, text,
                                   "forward,infer,dw,dx,step,fused_step or some of them are expected");
        o->op[op] = 1;
    }
    return 1;
}

static int parse_peers(struct options *o, const char *flag, const char *text)
{
    o->peers = 0;
    if (strcmp(text, "none") == 0) return 1;
    for (const char *at = text; *at;) {
        const int peer = parse_word(&at, peer_names, MAX_PEERS);
        if (peer < 0 || o->peers == MAX_PEERS)
            return complain_option(
                flag, text, "openblas,clblast,onednn,cublas,cublas_tf32, some of them, or none is expected");
        o->peer[o->peers++] = peer_names[peer];
    }
    return 1;
}

static int parse_one(struct options *o, char letter, const char *flag, const char *value)
{
    int64_t n;
    switch (letter) {
    case 's':
        o->shapes = value;
        return 1;
    case 'b':
        return shape_parse(value, &o->shape) ||
               complain_option(flag, value, "three sizes such as 128,784,256 are expected");
    case 'o':
        return parse_ops(o, flag, value);
    case 'p':
        return parse_peers(o, flag, value);
    case 'r':
        if (!parse_count(flag, value, MAX_RUNS, &n)) return 0;
        o->runs = (int)n;
        return 1;
    case 'c':
        o->csv = value;
        return 1;
    case 'l':
        o->plan = value;
        return 1;
    case 'm':
        if (!parse_count(flag, value, 65536, &n)) return 0;
        o->rotate_bytes = n << 20;
        return 1;
    case 'w':
        o->cold = 1;
        return 1;
    default:
        return 0; /* getopt_long() has complained */
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    static const struct option flags[] = {
        {"shapes", required_argument, NULL, 's'},
        {"shape", required_argument, NULL, 'b'},
        {"ops", required_argument, NULL, 'o'},
        {"peers", required_argument, NULL, 'p'},
        {"runs", required_argument, NULL, 'r'},
        {"csv", required_argument, NULL, 'c'},
        {"plan", required_argument, NULL, 'l'},
        {"rotate-mb", required_argument, NULL, 'm'},
        {"cold", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct options){.runs = 7, .rotate_bytes = INT64_C(128) << 20, .peers = MAX_PEERS};
    for (int i = 0; i < MAX_PEERS; i++) o->peer[i] = peer_names[i];
    for (int i = 0; i < OP_COUNT; i++) o->op[i] = 1;
    for (int letter, i = 0; (letter = getopt_long(argc, argv, "", flags, &i)) != -1;) {
        if (letter == 'h') {
            print_help();
            return 0;
        }
        if (!parse_one(o, (char)letter, flags[i].name, optarg)) return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "oclin_bench: %s: every option begins with --; see --help\n", argv[optind]);
        return 2;
    }
    if (!o->shapes == !o->shape.batch) {
        fprintf(stderr, "oclin_bench: --shapes or --shape is needed; see --help\n");
        return 2;
    }
    return -1;
}
