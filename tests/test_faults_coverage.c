/*
 * Nothing is missing in the tests of faults: every function of the header is in a scenario, or cannot fail;
 * every call that the library makes can fail on purpose, or is harmless.
 */
#define _POSIX_C_SOURCE 200809L /* popen */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

#include "fault_scenarios.h"

/* Functions that neither call OpenCL nor take memory: nothing of theirs can fail but their arguments. */
static const char quiet[] =
    "oclin_status_name oclin_status_text oclin_version oclin_context_error oclin_context_cl_error "
    "oclin_context_build_log oclin_context_device oclin_context_cl oclin_tensor_dtype "
    "oclin_tensor_rows oclin_tensor_cols oclin_tensor_row_stride oclin_tensor_offset oclin_layer_w "
    "oclin_layer_b oclin_layer_in oclin_layer_out oclin_layer_workspace oclin_layer_workspace_infer "
    "oclin_network_layers oclin_network_layer oclin_network_output "
    "oclin_network_norm2 oclin_network_skipped "
    "oclin_loss_workspace oclin_layer_additions oclin_loss_additions oclin_ref_forward "
    "oclin_ref_grad_z oclin_ref_grad_w oclin_ref_grad_b oclin_ref_grad_x oclin_ref_accumulate "
    "oclin_ref_step oclin_ref_mse oclin_ref_cross_entropy "
    "oclin_ref_l1 oclin_ref_huber oclin_ref_bce oclin_ref_weighted_cross_entropy "
    "oclin_ref_soft_cross_entropy "
    "oclin_ref_softmax oclin_ref_argmax oclin_ref_add oclin_ref_gather_rows oclin_ref_rule_update "
    "oclin_ref_norm2 oclin_ref_grad_norm2 oclin_ref_clip_factor oclin_ref_finite "
    "oclin_optimizer_state oclin_optimizer_set_steps ";

static void call_references(void)
{
    const struct oclin_ref_case c = RANDOM_CASE(1, 1, 1);
    const float one[1] = {1};
    const int32_t label[1] = {0};
    double got[1], bound[1], loss, loss_bound;
    int64_t correct;
    int32_t row;
    oclin_ref_forward(&c, one, one, one, got, bound, got, bound);
    oclin_ref_grad_z(&c, one, one, got, bound);
    oclin_ref_grad_w(&c, one, one, one, got, bound);
    oclin_ref_grad_b(&c, one, one, got, bound);
    oclin_ref_grad_x(&c, one, one, one, got, bound);
    oclin_ref_accumulate(NULL, 1, one, got, bound, got, bound);
    oclin_ref_step(NULL, 1, one, got, bound, 0.5f, got, bound);
    oclin_ref_add(NULL, 1, one, one, 0.5f, got, bound);
    oclin_ref_gather_rows(OCLIN_I32, 1, 1, 1, label, label, &row);
    oclin_ref_norm2(NULL, 1, one, got, bound);
    oclin_ref_grad_norm2(&c, 1, 1, one, got, bound, &loss, &loss_bound);
    oclin_ref_clip_factor(NULL, 1, 0, 1, 1, got, bound);
    oclin_ref_finite(1, one);
    oclin_ref_mse(&RANDOM_CASE(1, 0, 1), one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 1), one, label, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got,
                            bound, &correct);
    int32_t index;
    oclin_ref_softmax(&RANDOM_CASE(1, 0, 1), one, got, bound);
    oclin_ref_argmax(&RANDOM_CASE(1, 0, 1), one, &index);
    oclin_ref_weighted_cross_entropy(&RANDOM_CASE(1, 0, 1), one, label, one, 0.5f, -1, OCLIN_MEAN, 1.0f,
                                     &loss, &loss_bound, got, bound, &correct);
    oclin_ref_soft_cross_entropy(&RANDOM_CASE(1, 0, 1), one, one, one, 0.5f, OCLIN_MEAN, 1.0f, &loss,
                                 &loss_bound, got, bound);
    oclin_ref_l1(&RANDOM_CASE(1, 0, 1), one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_huber(&RANDOM_CASE(1, 0, 1), one, one, 1.0f, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_bce(&RANDOM_CASE(1, 0, 1), one, one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    const struct oclin_ref_update update = {
        .size = sizeof update, .rule = OCLIN_SGD_OPTIONS_INIT, .factor = 1};
    oclin_ref_rule_update(&c, &update, 1, one, got, bound, NULL, got, bound, NULL, NULL);
}

/* They make no call that could fail. */
static void test_quiet(void **state)
{
    const struct scenario s = {.name = "quiet", .how = OPTIMIZES};
    const struct oclin_steps steps = OCLIN_STEPS_INIT;
    struct oclin_device_info info;
    int64_t bytes;
    (void)state;
    struct bench *b = make_bench(&s);
    faults_count(FAULT_ANY);
    oclin_status_name(OCLIN_OK);
    oclin_status_text(OCLIN_OK);
    oclin_version();
    oclin_context_error(b->ctx);
    oclin_context_cl_error(b->ctx);
    oclin_context_build_log(b->ctx);
    oclin_context_device(b->ctx, &info);
    oclin_context_cl(b->ctx, NULL, NULL, NULL);
    oclin_tensor_dtype(b->view);
    oclin_tensor_rows(b->view);
    oclin_tensor_cols(b->view);
    oclin_tensor_row_stride(b->view);
    oclin_tensor_offset(b->view);
    oclin_layer_w(b->layer);
    oclin_layer_b(b->layer);
    oclin_layer_in(b->layer);
    oclin_layer_out(b->layer);
    oclin_network_layers(NULL);
    oclin_network_layer(NULL, 0);
    oclin_network_output(NULL);
    oclin_network_norm2(NULL);
    oclin_network_skipped(NULL);
    oclin_layer_workspace(b->layer, 5, &bytes);
    oclin_layer_workspace_infer(b->layer, 5, &bytes);
    oclin_loss_workspace(b->ctx, 5, &bytes);
    oclin_layer_additions(b->layer, OCLIN_RESULT_DW, 5, &bytes);
    oclin_loss_additions(b->ctx, 5, &bytes);
    oclin_optimizer_state(b->optimizer, oclin_layer_w(b->layer), "momentum_buffer");
    oclin_optimizer_set_steps(b->optimizer, oclin_layer_w(b->layer), &steps);
    call_references();
    assert_int_equal(faults_end(), 0);
    free_bench(b);
}

static int names(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if (at[length] == ' ' && (at == list || at[-1] == ' ')) return 1;
    return 0;
}

static int is_tried(const char *function)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (scenarios[i].covers && names(scenarios[i].covers, function)) return 1;
    for (size_t i = 0; i < sampled_scenario_count; i++)
        if (names(sampled_scenarios[i].covers, function)) return 1;
    return names(quiet, function);
}

/* Every function that the header declares is tried, or quiet. */
static void test_all_functions(void **state)
{
    const struct bytes header = read_file(OCLIN_HEADER);
    char function[100];
    int found = 0;
    (void)state;
    assert_in_range(header.size, 10000, 1 << 22);
    for (const char *at = header.at; (at = strstr(at, "\nOCLIN_API ")) != NULL; at++) {
        const char *end = strchr(at, '('), *start = end;
        assert_non_null(end);
        while (start[-1] == '_' || isalnum((unsigned char)start[-1])) start--;
        snprintf(function, sizeof function, "%.*s", (int)(end - start), start);
        if (!is_tried(function)) fail_msg("%s is in the header and in no scenario", function);
        found++;
    }
    assert_in_range(found, 60, 200);
    free(header.at);
}

/* What the library calls of others, and cannot fail, or says so by its result alone: no memory, no file. */
static const char harmless[] =
    "memcpy memmove memset memcmp strlen strcmp strncmp strchr strstr strcspn "
    "strtoll strspn snprintf vsnprintf getenv getpid geteuid time difftime "
    "qsort ceil erfc exp expm1 log1p fmax fmin frexp ldexp log sqrt sincos sin cos tanh floor isnan "
    "__ctype_tolower_loc tolower __errno_location "
    "__isoc99_sscanf __isoc99_strtoll __stack_chk_fail pthread_mutex_lock pthread_mutex_unlock ";

/* All that the archive needs from elsewhere can fail here, or is harmless. */
static void test_all_calls(void **state)
{
    char line[300], symbol[200];
    int calls = 0;
    (void)state;
    FILE *nm = popen("\"" OCLIN_NM "\" -u \"" OCLIN_ARCHIVE "\" 2>&1", "r");
    assert_non_null(nm);
    while (fgets(line, sizeof line, nm)) {
        if (sscanf(line, " U %199s", symbol) != 1) continue;
        const int own = begins(symbol, "oclin_") || begins(symbol, "_GLOBAL_OFFSET_TABLE_");
        const int sanitizer = begins(symbol, "__asan_") || begins(symbol, "__ubsan_") ||
                              begins(symbol, "__tsan_") || begins(symbol, "__gcov_") ||
                              begins(symbol, "__llvm_") || begins(symbol, "__sanitizer_");
        calls++;
        if (!own && !sanitizer && !names(harmless, symbol) && !names(OCLIN_CALLS " ", symbol))
            fail_msg("the library calls %s, which cannot fail here", symbol);
    }
    assert_int_equal(pclose(nm), 0);
    assert_true(calls > 50);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    begin_benches();
    add_test(&list, test_quiet, NULL, "quiet functions call nothing that can fail");
    add_test(&list, test_all_functions, NULL, "all functions of the header are tried, or quiet");
    add_test(&list, test_all_calls, NULL, "all calls of the library can fail, or are harmless");
    return run_benches("faults_coverage", &list, argc, argv);
}
