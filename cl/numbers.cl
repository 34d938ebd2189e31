/*
 * The numbers of an update whose step the host does not know, because a scalar on the device may skip it, or
 * which a scalar on the device multiplies: they are worked out here, by one work-item, before the kernels of
 * the update read them (updates.cl).
 *
 * control holds the 16 numbers, and behind them (oclin_tile.h) what is counted. It is counted from what the
 * host says where `steps` is not below 0.
 *
 *   1 - beta^t = -expm1(t log beta);   logs holds log beta1 and log beta2, each as the sum of two floats
 */

/* Returns 1 - beta^t. t log beta is a float p and what is left of it, so that a large t keeps all digits. */
OCLIN_INLINE float bias_of(float t, float log_high, float log_low)
{
    const float p = t * log_high, left = fma(t, log_high, -p) + t * log_low;
    return log_high > -INFINITY ? -expm1(p) - exp(p) * left : 1.0f;
}

/* Adds `more` to the sum of two floats, the second of which holds what the first cannot. */
OCLIN_INLINE void add_to(float *sum, float *left, float more)
{
#pragma OPENCL FP_CONTRACT OFF
    const float added = more + *left, next = *sum + added;
    *left = added - (next - *sum);
    *sum = next;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
numbers(global float *w_control, float16 w_numbers, global const float *factor, long factor_offset,
        global const int *skip, long skip_offset, float4 logs, int steps, float largest, float sum,
        float left, int flags)
{
    global int *counted = (global int *)w_control + OCLIN_CONTROL_STEPS;
    global float *kept = w_control + OCLIN_CONTROL_LARGEST;
    if (steps < 0) steps = *counted, largest = kept[0], sum = kept[1], left = kept[2];
    const int skipped = flags & OCLIN_FLAG_SKIP && skip[skip_offset] != 0;
    struct numbers n = {OCLIN_NUMBERS(W_NUMBER)};
    if (flags & OCLIN_FLAG_FACTOR) n.factor *= factor[factor_offset];
    n.skip = skipped;
    if (!skipped) {
        steps += steps < INT_MAX; /* from there on no power changes */
        largest = fmax(largest, n.lr);
        const float weight = largest * largest, t = (float)steps;
        add_to(&sum, &left, weight);
        const struct step s = {steps == 1, bias_of(t, logs.x, logs.y), bias_of(t, logs.z, logs.w),
                               weight > 0.0f ? weight / sum : 0.0f};
        at_step(&n, s);
    }
#define STORE(name, digit) w_control[0x##digit] = n.name;
    OCLIN_NUMBERS(STORE)
    *counted = steps;
    kept[0] = largest, kept[1] = sum, kept[2] = left;
}
