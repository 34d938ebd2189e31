/*
 * The calls into which faults are put: each public function that may fail, with what comes before it and what
 * oclin promises after a fault in it.
 */
#ifndef OCLIN_TESTS_FAULT_SCENARIOS_H
#define OCLIN_TESTS_FAULT_SCENARIOS_H

#include "fault_bench.h"

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* Those of thousands of calls, on memory of the library's own. */
extern const struct scenario sampled_scenarios[];
extern const size_t sampled_scenario_count;

/* Calls that scenarios of other programs are made of. */
oclin_status do_fill(struct bench *b);
oclin_status do_forward(struct bench *b);
oclin_status do_cross_entropy(struct bench *b);
oclin_status do_wrap_part(struct bench *b);
oclin_status do_wait_for(struct bench *b);

#endif
