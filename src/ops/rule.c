/* The rules of update. */
#include "ops/rule.h"

const struct oclin_rule_row oclin_sgd = {"sgd"};
