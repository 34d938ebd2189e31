/* What the command lines of fashion_mnist, oclin_tune and oclin_bench share. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <oclin.h>

extern const char program_name[]; /* each program's own */

/* Says on stderr what is wrong with --flag value. Returns 0. */
int complain_option(const char *flag, const char *value, const char *expected);
/* A whole number from 1 to `largest`; 0 after a complaint. */
int parse_count(const char *flag, const char *text, int64_t largest, int64_t *value);
/* --device: a type, a number of the list, or part of a name. NULL: the best one. */
void choose_device(struct oclin_context_options *c, const char *device);

#endif
