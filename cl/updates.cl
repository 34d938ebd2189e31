/*
 * What kernels that update parameters have in common, whatever the rule (rule_*.cl): the numbers of an
 * update, and where its state lies.
 *
 * The state of w (m, v, and so on: the rule says which) is as large as w for each. They lie one behind the
 * other, `plane` elements apart, each with rows of `stride` elements. The state of b lies likewise.
 *
 * The numbers are arguments, or, with OCLIN_ON_DEVICE, stand in device memory: numbers.cl has written them
 * there, because they depend on scalars that only the device knows. That is an option of the build, because
 * numbers that may come from either place take registers: on NVIDIA's GPUs half of the groups would run.
 */
struct numbers {
#define FIELD(name, digit) float name;
    OCLIN_NUMBERS(FIELD)
#undef FIELD
};

struct update {
    struct numbers n;
    global element *state;
    long stride, plane;
};

/* What kernels that update take behind the other arguments, for w and for b, and what they pass on. */
#define UPDATE_ARGUMENTS                                                                                  \
    , global element *w_state, long w_state_offset, long w_state_stride, long w_plane, float16 w_numbers, \
        global const float *w_control, global element *b_state, long b_state_offset, long b_plane,        \
        float16 b_numbers, global const float *b_control
#define UPDATE_VALUES                                                                                  \
    , w_state, w_state_offset, w_state_stride, w_plane, w_numbers, w_control, b_state, b_state_offset, \
        b_plane, b_numbers, b_control

/* What the numbers of a step depend on, beside those that hold for all (numbers.cl). */
struct step {
    int first;
    float bias1, bias2; /* 1 - beta^t */
    float share;        /* schedule-free: of this step in the sum of weights */
};

/* The two, from the arguments. Numbers come one by one, so that those that no rule asks for are not
 * loaded. */
#if OCLIN_ON_DEVICE
#define W_NUMBER(name, digit) w_control[0x##digit],
#define B_NUMBER(name, digit) b_control[0x##digit],
#else
#define W_NUMBER(name, digit) w_numbers.s##digit,
#define B_NUMBER(name, digit) b_numbers.s##digit,
#endif
#define UPDATE_OF_W                                                                  \
    {                                                                                \
        {OCLIN_NUMBERS(W_NUMBER)}, w_state + w_state_offset, w_state_stride, w_plane \
    }
#define UPDATE_OF_B                                                     \
    {                                                                   \
        {OCLIN_NUMBERS(B_NUMBER)}, b_state + b_state_offset, 0, b_plane \
    }

/* u with its state moved on. */
#define UPDATE_MOVED(u, by) ((struct update){(u).n, (u).state + (by), (u).stride, (u).plane})

/* Their part of the epilogue (epilogue.cl). */
#define UPDATE_FIELDS struct update w_update, b_update;
#define UPDATE_OF_ARGUMENTS UPDATE_OF_W, UPDATE_OF_B
#define UPDATE_BY(e, w_by, b_by) UPDATE_MOVED((e).w_update, w_by), UPDATE_MOVED((e).b_update, b_by)

/* The gradient that the rule is given: g in the update's units, and no larger than it may be. NaN stays. */
OCLIN_INLINE real prepared(real g, struct numbers n)
{
    g *= n.factor;
    if (n.clip < INFINITY) {
        g = select(g, (real)(n.clip), isgreater(g, (real)(n.clip)));
        g = select(g, (real)(-n.clip), isless(g, (real)(-n.clip)));
    }
    return g;
}
