/* The rules of update: one row each. */
#ifndef OCLIN_OPS_RULE_H
#define OCLIN_OPS_RULE_H

/* The name is that of its fragment of kernel text, cl/rule_<name>.cl, which the separate and the fused update
 * share. */
struct oclin_rule_row {
    const char *name;
};

/* w' = w - lr g */
extern const struct oclin_rule_row oclin_sgd;

#endif
