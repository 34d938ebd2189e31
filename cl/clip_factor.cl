/* factor = scale min(1, max_norm / (scale sqrt(norm2) + 1e-6)), as torch.nn.utils.clip_grad_norm_. One group
 * runs. */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
clip_factor(global const float *norm2, long norm2_offset, global float *factor, long factor_offset,
            float max_norm, float scale)
{
    if (get_local_id(0) != 0) return;
    const float share = max_norm / (scale * sqrt(norm2[norm2_offset]) + 1e-6f);
    factor[factor_offset] = scale * (share > 1.0f ? 1.0f : share); /* fmin() would lose NaN */
}
