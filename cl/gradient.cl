/* Puts a finished gradient in its place: g is stored, added, or used for the update, once, after the whole
 * sum. */
OCLIN_INLINE void store_gradient(real g, global element *to, struct update u, int flags, int lanes)
{
    if (flags & OCLIN_FLAG_UPDATE) {
#ifndef LR_ALONE
        if (u.n.skip != 0.0f) return;
        g = prepared(g, u.n);
#endif
        g = updated(load_lanes(to, lanes), g, u, lanes);
    } else if (flags & OCLIN_FLAG_ACCUMULATE)
        g += load_lanes(to, lanes);
    store_lanes(to, g, lanes);
}
