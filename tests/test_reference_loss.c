/*
 * The losses of the reference: by their definitions, finite differences, PyTorch's numbers, and rows of odd
 * scores and labels. Needs no device.
 */
#include <math.h>
#include <string.h>

#include "golden/golden.h"
#include "oracle.h"
#include "support.h"

enum { BATCH = 3, OUT = 5 };

struct scores {
    int64_t rows, cols;
    float y[BATCH * OUT], t[BATCH * OUT];
    int32_t labels[BATCH];
    oclin_reduction reduction;
    float scale;
};

static struct scores make_scores(oclin_reduction reduction, float scale)
{
    struct scores p = {
        .rows = BATCH, .cols = OUT, .labels = {4, 0, 2}, .reduction = reduction, .scale = scale};
    struct rng rng = {11};
    fill_integers(&rng, p.y, BATCH * OUT, 12);
    fill_integers(&rng, p.t, BATCH * OUT, 12);
    for (int i = 0; i < BATCH * OUT; i++) p.y[i] /= 4;
    return p;
}

static double mse_of(void *context)
{
    const struct scores *p = context;
    double loss;
    oclin_ref_mse(&RANDOM_CASE(p->rows, 0, p->cols), p->y, p->t, p->reduction, p->scale, &loss, NULL, NULL,
                  NULL);
    return loss;
}

static double cross_entropy_of(void *context)
{
    const struct scores *p = context;
    double loss;
    oclin_ref_cross_entropy(&RANDOM_CASE(p->rows, 0, p->cols), p->y, p->labels, p->reduction, p->scale, &loss,
                            NULL, NULL, NULL, NULL);
    return loss;
}

/* The loss itself by its definition, the gradient by finite differences; both reductions, with a scale. */
static void test_loss_gradients(void **state)
{
    (void)state;
    for (int reduction = OCLIN_MEAN; reduction <= OCLIN_SUM; reduction++) {
        struct scores p = make_scores((oclin_reduction)reduction, 2.5f);
        double dy[BATCH * OUT], want[BATCH * OUT], loss, squares = 0, log_p = 0;
        for (int i = 0; i < BATCH * OUT; i++) squares += (p.y[i] - p.t[i]) * (p.y[i] - p.t[i]);
        for (int r = 0; r < BATCH; r++) {
            double s = 0;
            for (int j = 0; j < OUT; j++) s += exp(p.y[r * OUT + j]);
            log_p += log(exp(p.y[r * OUT + p.labels[r]]) / s);
        }

        oclin_ref_mse(&RANDOM_CASE(BATCH, 0, OUT), p.y, p.t, p.reduction, p.scale, &loss, NULL, dy, NULL);
        const double mse = 2.5 * squares / (reduction == OCLIN_MEAN ? BATCH * OUT : 1);
        check_close("mse", &loss, &mse, 1, 1e-14);
        for (int i = 0; i < BATCH * OUT; i++) want[i] = oracle_slope(mse_of, &p, &p.y[i]);
        check_close("mse dy", dy, want, BATCH * OUT, 1e-9);

        oclin_ref_cross_entropy(&RANDOM_CASE(BATCH, 0, OUT), p.y, p.labels, p.reduction, p.scale, &loss, NULL,
                                dy, NULL, NULL);
        const double cross_entropy = 2.5 * -log_p / (reduction == OCLIN_MEAN ? BATCH : 1);
        check_close("cross-entropy", &loss, &cross_entropy, 1, 1e-13);
        for (int i = 0; i < BATCH * OUT; i++) want[i] = oracle_slope(cross_entropy_of, &p, &p.y[i]);
        check_close("cross-entropy dy", dy, want, BATCH * OUT, 1e-9);
    }
}

#define LN_2 0.69314718055994531
#define LN_3 1.0986122886681098

/* One row of three scores, and what must come of it. */
static const struct one_row {
    const char *name;
    float y[3];
    int32_t label;
    double loss, dy[3];
    int correct;
} one_rows[] = {
    {.name = "huge scores, right",
     .y = {1e4f, -1e4f, 0},
     .label = 0,
     .loss = 0,
     .dy = {0, 0, 0},
     .correct = 1},
    {.name = "huge scores, wrong", .y = {1e4f, -1e4f, 0}, .label = 1, .loss = 2e4, .dy = {1, -1, 0}},
    {.name = "all very negative", .y = {-1e4f, -1e4f, -2e4f}, .label = 1, .loss = LN_2, .dy = {0.5, -0.5, 0}},
    {.name = "the largest floats",
     .y = {3e38f, -3e38f, 3e38f},
     .label = 0,
     .loss = LN_2,
     .dy = {-0.5, 0, 0.5},
     .correct = 1},
    {.name = "-Inf elsewhere",
     .y = {0, -INFINITY, 0},
     .label = 0,
     .loss = LN_2,
     .dy = {-0.5, 0, 0.5},
     .correct = 1},
    {.name = "-Inf at the label", .y = {0, -INFINITY, 0}, .label = 1, .loss = INFINITY, .dy = {0.5, -1, 0.5}},
    {.name = "Inf", .y = {0, INFINITY, 0}, .label = 1, .loss = NAN, .dy = {NAN, NAN, NAN}, .correct = 1},
    {.name = "only -Inf",
     .y = {-INFINITY, -INFINITY, -INFINITY},
     .label = 0,
     .loss = NAN,
     .dy = {NAN, NAN, NAN},
     .correct = 1},
    {.name = "NaN at the label", .y = {0, NAN, 0}, .label = 1, .loss = NAN, .dy = {NAN, NAN, NAN}},
    {.name = "NaN elsewhere", .y = {5, NAN, 0}, .label = 0, .loss = NAN, .dy = {NAN, NAN, NAN}},
    {.name = "tie, the lowest index",
     .y = {2, 2, 2},
     .label = 0,
     .loss = LN_3,
     .dy = {-2. / 3, 1. / 3, 1. / 3},
     .correct = 1},
    {.name = "tie, a later index", .y = {2, 2, 2}, .label = 1, .loss = LN_3, .dy = {1. / 3, -2. / 3, 1. / 3}},
    {.name = "the last is the largest",
     .y = {1, 2, 3},
     .label = 2,
     .loss = 0.40760596444438030,
     .dy = {0.090030573170380458, 0.24472847105479765, -0.33475904422517811},
     .correct = 1},
    {.name = "label -1", .y = {1, 2, 3}, .label = -1, .loss = NAN, .dy = {NAN, NAN, NAN}},
    {.name = "label 3", .y = {1, 2, 3}, .label = 3, .loss = NAN, .dy = {NAN, NAN, NAN}},
    {.name = "label INT32_MIN", .y = {1, 2, 3}, .label = INT32_MIN, .loss = NAN, .dy = {NAN, NAN, NAN}},
    {.name = "label INT32_MAX", .y = {1, 2, 3}, .label = INT32_MAX, .loss = NAN, .dy = {NAN, NAN, NAN}},
};

static void assert_number(const char *what, double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(got == want || fabs(got - want) <= 1e-14 * (1 + fabs(want))))
        fail_msg("%s is %.17g, must be %.17g", what, got, want);
}

/* As the second of three rows, the others being ordinary: a bad row spoils the loss and its own gradient, no
 * other. */
static void test_cross_entropy_row(void **state)
{
    const struct one_row *row = *state;
    float y[9] = {0};
    const int32_t labels[3] = {1, row->label, 0};
    double loss, loss_bound, dy[9], bound[3];
    int64_t correct;
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 3), row->y, &row->label, OCLIN_MEAN, 1, &loss, &loss_bound, dy,
                            bound, &correct);
    assert_number("loss", loss, row->loss);
    assert_true(!isfinite(loss) || loss_bound < 1e-5 * (1 + loss));
    for (int j = 0; j < 3; j++) assert_number("dy", dy[j], row->dy[j]);
    for (int j = 0; j < 3; j++) assert_true(!isfinite(dy[j]) || bound[j] < 1e-5);
    assert_int_equal(correct, row->correct);

    memcpy(y + 3, row->y, sizeof row->y);
    oclin_ref_cross_entropy(&RANDOM_CASE(3, 0, 3), y, labels, OCLIN_MEAN, 3, &loss, NULL, dy, NULL, &correct);
    assert_number("loss of three", loss, row->loss + 2 * LN_3);
    for (int j = 0; j < 3; j++) {
        assert_number("dy before", dy[j], (j == 1) ? -2. / 3 : 1. / 3);
        assert_number("dy", dy[3 + j], row->dy[j]);
        assert_number("dy behind", dy[6 + j], (j == 0) ? -2. / 3 : 1. / 3);
    }
    assert_int_equal(correct, row->correct + 1);
}

/* The loss of no row is zero, not 0 / 0. */
static void test_empty_batch(void **state)
{
    (void)state;
    double loss = 7, bound = 7;
    int64_t correct = 7;
    oclin_ref_mse(&RANDOM_CASE(0, 0, 3), NULL, NULL, OCLIN_MEAN, 1, &loss, &bound, NULL, NULL);
    assert_true(loss == 0 && bound < 1e-30);
    loss = 7;
    oclin_ref_cross_entropy(&RANDOM_CASE(0, 0, 3), NULL, NULL, OCLIN_MEAN, 1, &loss, &bound, NULL, NULL,
                            &correct);
    assert_true(loss == 0 && bound < 1e-30 && correct == 0);
}

static void test_golden_loss(void **state)
{
    const struct golden_loss *g = *state;
    const int64_t size = (int64_t)g->rows * g->cols;
    double loss, dy[64];
    int64_t correct;
    oclin_ref_mse(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->t, OCLIN_MEAN, 1, &loss, NULL, dy, NULL);
    check_close("mse mean", &loss, &g->mse_mean, 1, 1e-14);
    check_close("mse mean dy", dy, g->mse_mean_dy, size, 1e-14);
    oclin_ref_mse(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->t, OCLIN_SUM, 1, &loss, NULL, dy, NULL);
    check_close("mse sum", &loss, &g->mse_sum, 1, 1e-14);
    check_close("mse sum dy", dy, g->mse_sum_dy, size, 1e-14);
    oclin_ref_cross_entropy(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->labels, OCLIN_MEAN, 1, &loss, NULL,
                            dy, NULL, &correct);
    check_close("cross-entropy mean", &loss, &g->cross_entropy_mean, 1, 1e-14);
    check_close("cross-entropy mean dy", dy, g->cross_entropy_mean_dy, size, 1e-14);
    assert_int_equal(correct, g->correct);
    oclin_ref_cross_entropy(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->labels, OCLIN_SUM, 1, &loss, NULL, dy,
                            NULL, NULL);
    check_close("cross-entropy sum", &loss, &g->cross_entropy_sum, 1, 1e-14);
    check_close("cross-entropy sum dy", dy, g->cross_entropy_sum_dy, size, 1e-14);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_loss_gradients, NULL, "losses are their definitions, dy finite differences");
    for (size_t i = 0; i < COUNT_OF(one_rows); i++)
        add_test(&list, test_cross_entropy_row, (void *)(uintptr_t)&one_rows[i],
                 "a row of cross-entropy spoils no other/%s", one_rows[i].name);
    add_test(&list, test_empty_batch, NULL, "the loss of no row is zero");
    for (size_t i = 0; i < COUNT_OF(golden_losses); i++)
        add_test(&list, test_golden_loss, (void *)&golden_losses[i], "as PyTorch, %s", golden_losses[i].name);
    return run_list("reference_loss", &list, argc, argv);
}
