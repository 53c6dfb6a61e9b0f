/* Where gradients lie, in which order they are added, when they are copied, and when parameters are
 * updated. */
#include <stdio.h>

#include "plan/flow.h"
#include "plan/plans.h"

static const pp_plan_options raw = {.batch = 2};

static pp_plan *checked(pp_graph *g, const pp_plan_options *options) {
    pp_plan *plan = plan_and_drop(g, options);
    flow_check(plan);
    return plan;
}

/* The first step of that name. */
static const pp__plan_step *find_step(const pp_plan *plan, const char *name) {
    for (size_t s = 0; s < plan->step_count; s++)
        if (!strcmp(plan->steps[s].name, name)) return &plan->steps[s];
    ck_abort_msg("the plan has no step '%s'", name);
    return NULL;
}

/* The last reader in the graph comes first in backward and overwrites; the others add. */
START_TEST(three_readers_overwrite_then_add) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value a = add_conv(g, "a", x, 8), b = add_conv(g, "b", x, 8), c = add_conv(g, "c", x, 8);
    add_head(g, pp_graph_add(g, "abc", pp_graph_add(g, "ab", a, b), c));
    pp_plan *plan = checked(g, &raw);
    ck_assert(step_of(plan, "c backward") < step_of(plan, "b backward"));
    ck_assert(step_of(plan, "b backward") < step_of(plan, "a backward"));
    const pp__plan_step *steps[] = {find_step(plan, "c backward"), find_step(plan, "b backward"),
                                    find_step(plan, "a backward")};
    for (size_t i = 0; i < 3; i++) {
        ck_assert(steps[i]->adds[0] == (i > 0));
        ck_assert_uint_eq(steps[i]->input_gradients[0], steps[0]->input_gradients[0]);
        ck_assert_uint_eq(steps[i]->output_gradient, steps[0]->output_gradient);
    }
    ck_assert_uint_eq(count_steps(plan, " add gradient") + count_steps(plan, " copy gradient"), 0);
    pp_plan_destroy(plan);
}
END_TEST

/* Both summands' gradients are the sum's. The first that needs one of its own copies it, once,
 * while the other still needs the old one. */
START_TEST(a_shared_gradient_is_copied_before_it_is_added_to) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value y = add_conv(g, "conv2", x, 8);
    pp_value sum = pp_graph_add(g, "sum", x, y);
    pp_value z = add_conv(g, "conv3", x, 8);
    add_head(g, pp_graph_add(g, "total", sum, z));
    pp_plan *plan = checked(g, &raw);
    /* conv3 has written conv1's gradient, so the sum's is added, and conv2 reads it as it was. */
    ck_assert_uint_eq(count_steps(plan, " copy gradient"), 0);
    ck_assert_uint_eq(count_steps(plan, " add gradient"), 1);
    ck_assert(step_of(plan, "conv3 backward") < step_of(plan, "conv1 add gradient"));
    ck_assert(step_of(plan, "conv1 add gradient") < step_of(plan, "conv2 backward"));
    pp_plan_destroy(plan);

    /* Now conv1's gradient is the sum's own buffer, and conv2's too, when conv3 adds to the former.
     */
    g = graph_new();
    x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    y = add_conv(g, "conv2", x, 8);
    z = add_conv(g, "conv3", x, 8);
    sum = pp_graph_add(g, "sum", y, pp_graph_add(g, "inner", x, z));
    add_head(g, sum);
    plan = checked(g, &raw);
    ck_assert_uint_eq(count_steps(plan, " copy gradient"), 1);
    ck_assert(step_of(plan, "conv1 copy gradient") < step_of(plan, "conv3 backward"));
    ck_assert(find_step(plan, "conv3 backward")->adds[0]);
    const pp__plan_step *copy = find_step(plan, "conv1 copy gradient");
    ck_assert_uint_eq(copy->output_gradient, find_step(plan, "conv2 backward")->output_gradient);
    pp_plan_destroy(plan);

    /* conv3 makes conv2's gradient its own; then the old buffer is conv1's alone, and is added to
     * as it is. */
    g = graph_new();
    x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    y = add_conv(g, "conv2", x, 8);
    z = add_conv(g, "conv3", y, 8);
    sum = pp_graph_add(g, "sum", x, y);
    add_head(g, pp_graph_add(g, "total", sum, z));
    plan = checked(g, &raw);
    ck_assert_uint_eq(count_steps(plan, " copy gradient"), 1);
    ck_assert(step_of(plan, "conv2 copy gradient") < step_of(plan, "conv3 backward"));
    ck_assert_uint_eq(find_step(plan, "conv2 backward")->input_gradients[0],
                      find_step(plan, "conv3 backward")->output_gradient);
    pp_plan_destroy(plan);
}
END_TEST

/* d(x + x) is the gradient twice: a copy, to which the original is added. */
START_TEST(a_sum_with_itself_doubles_the_gradient) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, pp_graph_add(g, "twice", x, x));
    pp_plan *plan = checked(g, &raw);
    ck_assert_uint_eq(step_of(plan, "conv copy gradient") + 1, step_of(plan, "conv add gradient"));
    pp_plan_destroy(plan);

    g = graph_new();
    x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, pp_graph_relu(g, "relu", pp_graph_add(g, "twice", x, x)));
    plan = checked(g, &raw);
    ck_assert(step_of(plan, "twice backward") < step_of(plan, "conv copy gradient"));
    ck_assert_uint_eq(step_of(plan, "conv copy gradient") + 1, step_of(plan, "conv add gradient"));
    pp_plan_destroy(plan);
}
END_TEST

/* In a chain of residual blocks the skip's gradient is one buffer from the last block to the first:
 * nothing is copied, nothing is added by a step of its own. */
START_TEST(residual_chains_share_without_copies) {
    static const char *const models[] = {"resnet20", "preresnet164", "resnet18"};
    for (size_t i = 0; i < 3; i++) {
        pp_plan *plan = checked(graph_of_model(models[i]), &raw);
        ck_assert_uint_eq(count_steps(plan, " copy gradient"), 0);
        ck_assert_uint_eq(count_steps(plan, " add gradient"), 0);
        pp_plan_destroy(plan);
    }

    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "stem", pp_graph_input(g, "image", 4, 4, 3), 8);
    x = pp_graph_add(g, "add1", x, add_conv(g, "conv1", add_bn(g, "bn1", x), 8));
    x = pp_graph_add(g, "add2", x, add_conv(g, "conv2", add_bn(g, "bn2", x), 8));
    add_head(g, x);
    pp_plan *plan = checked(g, &raw);
    uint32_t chain = find_step(plan, "gap backward")->input_gradients[0];
    ck_assert_uint_eq(find_step(plan, "conv2 backward")->output_gradient, chain);
    ck_assert_uint_eq(find_step(plan, "bn2 backward")->input_gradients[0], chain);
    ck_assert_uint_eq(find_step(plan, "conv1 backward")->output_gradient, chain);
    ck_assert_uint_eq(find_step(plan, "bn1 backward")->input_gradients[0], chain);
    ck_assert_uint_eq(find_step(plan, "stem backward weight")->output_gradient, chain);
    ck_assert(find_step(plan, "bn2 backward")->adds[0] && find_step(plan, "bn1 backward")->adds[0]);
    pp_plan_destroy(plan);
}
END_TEST

/* ReLU and batch-norm turn their output's gradient into their input's where it lies, unless
 * somebody else still reads it. */
START_TEST(gradients_change_in_place_where_nobody_else_reads_them) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    x = pp_graph_relu(g, "relu", x);
    x = add_bn(g, "bn", add_conv(g, "conv2", x, 8));
    add_head(g, x);
    pp_plan *plan = checked(g, &raw);
    static const char *const in_place[] = {"bn backward", "relu backward"};
    for (size_t i = 0; i < 2; i++) {
        const pp__plan_step *step = find_step(plan, in_place[i]);
        ck_assert_uint_eq(step->input_gradients[0], step->output_gradient);
    }
    pp_plan_destroy(plan);

    g = graph_new();
    x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value y = add_bn(g, "bn", add_conv(g, "conv2", x, 8));
    add_head(g, pp_graph_add(g, "sum", x, y));
    plan = checked(g, &raw);
    const pp__plan_step *step = find_step(plan, "bn backward");
    ck_assert_uint_ne(step->input_gradients[0], step->output_gradient);
    ck_assert_uint_eq(find_step(plan, "conv2 backward")->input_gradients[0], step->output_gradient);
    pp_plan_destroy(plan);
}
END_TEST

static pp_graph *two_layers(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, add_conv(g, "conv2", add_bn(g, "bn", x), 8));
    return g;
}

/* So little is kept here that no gradient may wait. */
START_TEST(parameters_are_updated_behind_their_nodes_backward) {
    pp_plan *plan = checked(two_layers(), &raw);
    size_t last = summary_of(plan).step_count - 1;
    ck_assert_uint_eq(step_of(plan, "fc update"), step_of(plan, "fc backward") + 1);
    ck_assert_uint_eq(step_of(plan, "conv2 update"), step_of(plan, "conv2 backward") + 1);
    ck_assert_uint_eq(step_of(plan, "bn update"), step_of(plan, "bn backward") + 1);
    ck_assert_uint_eq(step_of(plan, "conv1 update"), last);
    pp_plan_row row = row_of(plan, "conv2.weight gradient");
    ck_assert_uint_eq(row.first_step, step_of(plan, "conv2 backward weight"));
    ck_assert_uint_eq(row.last_step, step_of(plan, "conv2 update"));
    pp_plan_destroy(plan);
}
END_TEST

/* Bytes of the gradients that live at a step. */
static size_t gradient_bytes_at(const pp_plan *plan, size_t step) {
    size_t bytes = 0;
    for (size_t r = 0; r < pp_plan_row_count(plan); r++) {
        pp_plan_row row;
        pp_plan_read_row(plan, r, &row);
        if (row.memory_class == PP_MEMORY_GRADIENTS && row.first_step <= step &&
            step <= row.last_step)
            bytes += row.stored_bytes;
    }
    return bytes;
}

static pp_plan *waiting_plan(const char *key) {
    char path[256];
    snprintf(path, sizeof path, "%s/waiting.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file && fprintf(file, "%s\n", key) > 0 && fclose(file) == 0);
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_graph *graph = graph_of_model("resnet20");
    const pp_plan_options options = {.batch = 64, .optimizer = {.momentum = 0.9f}};
    TEST_OK(pp_profile_load(test_engine(), path, &profile));
    TEST_OK(pp_plan_create(graph, profile, &options, &plan));
    flow_check(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return plan;
}

/* Gradients of small layers wait for one launch of the update, up to the profile's bytes, which the
 * last layer of a group may exceed. Here five of layer3's convolutions are beyond them on their own,
 * and what is in front of those fills four groups. */
START_TEST(small_gradients_wait_for_one_another) {
    enum { NODES = 39, LARGEST = 64 * 64 * 9 * sizeof(float) };
    pp_plan *at_once = waiting_plan("update.wait_bytes = 1"),
            *waiting = waiting_plan("update.wait_bytes = 100K");
    ck_assert_uint_eq(count_steps(at_once, " update"), NODES);
    ck_assert_uint_eq(count_steps(at_once, " updates"), 0);
    ck_assert_uint_eq(count_steps(waiting, " update") + count_steps(waiting, " updates"), 5 + 4);
    for (size_t s = 0; s < summary_of(waiting).step_count; s++)
        ck_assert_uint_lt(gradient_bytes_at(waiting, s), 100 * 1024 + LARGEST);
    ck_assert_uint_le(summary_of(waiting).peak_bytes, summary_of(at_once).peak_bytes / 100 * 101);
    pp_plan_destroy(at_once);
    pp_plan_destroy(waiting);
}
END_TEST

static const char *const gradients[] = {"fc.weight gradient",    "fc.bias gradient",
                                        "conv2.weight gradient", "bn.weight gradient",
                                        "bn.bias gradient",      "conv1.weight gradient"};
enum { GRADIENT_COUNT = sizeof gradients / sizeof *gradients };

/* Clipping needs every gradient's norm before the first update. */
START_TEST(clipping_keeps_gradients_to_the_end) {
    const pp_plan_options options = {.batch = 2, .optimizer = {.clip_norm = 1}};
    pp_plan *plan = checked(two_layers(), &options);
    size_t last = summary_of(plan).step_count - 1, clip = step_of(plan, "loss gradient norm");
    ck_assert_uint_gt(clip, step_of(plan, "conv1 backward weight"));
    ck_assert_uint_eq(step_of(plan, "conv1 updates"), clip + 1);
    ck_assert_uint_eq(clip + 1, last);
    for (size_t i = 0; i < GRADIENT_COUNT; i++) {
        pp_plan_row row = row_of(plan, gradients[i]);
        ck_assert_uint_gt(row.first_step, 0);
        ck_assert_uint_eq(row.last_step, last);
    }
    pp_plan_destroy(plan);
}
END_TEST

/* Accumulation keeps them from one micro-step to the next: through the whole step. */
START_TEST(accumulation_keeps_gradients_all_the_time) {
    const pp_plan_options options = {.batch = 2, .accumulate = 2};
    pp_plan *plan = checked(two_layers(), &options);
    size_t last = summary_of(plan).step_count - 1;
    ck_assert(!has_step(plan, "loss gradient norm"));
    ck_assert_uint_eq(step_of(plan, "conv1 updates"), last);
    for (size_t i = 0; i < GRADIENT_COUNT; i++) {
        pp_plan_row row = row_of(plan, gradients[i]);
        ck_assert_int_eq(row.memory_class, PP_MEMORY_GRADIENTS);
        ck_assert_uint_eq(row.first_step, 0);
        ck_assert_uint_eq(row.last_step, last);
    }
    pp_plan_destroy(plan);
}
END_TEST

/* What the moments of a layer of 60 x 80 weights, one of 10 x 60 and of both biases take. */
static size_t moments_of_two_layers(pp_optimizer optimizer) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "features", 1, 1, 80);
    x = pp_graph_dense(g, "fc1", x, &(pp_dense_params){.out_features = 60, .bias = true});
    x = pp_graph_dense(g, "fc2", x, &(pp_dense_params){.out_features = 10, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    pp_plan *plan = checked(g, &(pp_plan_options){.batch = 2, .optimizer = optimizer});
    size_t bytes = 0;
    for (size_t r = 0; r < pp_plan_row_count(plan); r++) {
        pp_plan_row row;
        pp_plan_read_row(plan, r, &row);
        if (row.memory_class != PP_MEMORY_OPTIMIZER) continue;
        bytes += row.stored_bytes;
        ck_assert_str_eq(row.codec, row.stored_bytes < row.raw_bytes ? "8 bits" : "");
    }
    pp_plan_destroy(plan);
    return bytes;
}

/* In 8 bits the 4800 weights are 600 octets of codes behind 19 scales; what is smaller than 4096
 * elements stays in float32. */
START_TEST(moments_take_the_bits_they_are_given) {
    const size_t small = (60 + 600 + 10) * 4, whole = 4800 * 4, coded = 19 * 4 + 4800;
    pp_optimizer o = {.momentum = 0.9f, .state_bits = 32};
    ck_assert_uint_eq(moments_of_two_layers(o), small + whole);
    o.state_bits = 8;
    ck_assert_uint_eq(moments_of_two_layers(o), small + coded);
    ck_assert_uint_eq(
        moments_of_two_layers((pp_optimizer){.kind = PP_OPTIMIZER_ADAM, .state_bits = 8}),
        2 * (small + coded));
    ck_assert_uint_eq(moments_of_two_layers((pp_optimizer){.state_bits = 8}), 0);
    pp_graph *g = two_layers();
    pp_plan *plan;
    const pp_plan_options wrong = {.batch = 2, .optimizer = {.state_bits = 4}};
    TEST_FAILS(plan_try(g, &wrong, &plan), PP_ERROR_INVALID_ARGUMENT, "moments of 4 bits; 8 or 32");
    pp_graph_destroy(g);
}
END_TEST

START_TEST(moments_follow_the_optimizer) {
    static const struct {
        pp_optimizer optimizer;
        size_t moments;
    } cases[] = {{{.kind = PP_OPTIMIZER_SGD}, 0},
                 {{.kind = PP_OPTIMIZER_SGD, .momentum = 0.9f}, 1},
                 {{.kind = PP_OPTIMIZER_ADAM}, 2},
                 {{.kind = PP_OPTIMIZER_ADAMW, .weight_decay = 0.01f}, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan =
            checked(two_layers(), &(pp_plan_options){.batch = 2, .optimizer = cases[i].optimizer});
        size_t bytes = 0;
        for (size_t r = 0; r < pp_plan_row_count(plan); r++) {
            pp_plan_row row;
            pp_plan_read_row(plan, r, &row);
            if (row.memory_class == PP_MEMORY_OPTIMIZER) bytes += row.stored_bytes;
        }
        pp_plan_summary summary = summary_of(plan);
        ck_assert_uint_eq(bytes, cases[i].moments * summary.parameter_elems * sizeof(float));
        ck_assert_uint_eq(summary.class_bytes[PP_MEMORY_OPTIMIZER], bytes);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Neither a branch that the loss does not depend on nor what lies in front of the first parameter
 * has backward steps, whatever the update's time. */
START_TEST(nothing_is_computed_in_vain) {
    for (int at_end = 0; at_end < 2; at_end++) {
        pp_graph *g = graph_new();
        pp_value image = pp_graph_input(g, "image", 4, 4, 8);
        pp_value x = add_conv(g, "conv", pp_graph_relu(g, "front", image), 8);
        add_bn(g, "idle_bn", add_conv(g, "idle", x, 8));
        add_head(g, x);
        const pp_plan_options options = {.batch = 2, .optimizer = {.clip_norm = (float)at_end}};
        pp_plan *plan = checked(g, &options);
        static const char *const absent[] = {
            "front backward", "conv backward",    "idle backward weight", "idle backward",
            "idle update",    "idle_bn backward", "idle_bn update"};
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
            ck_assert_msg(!has_step(plan, absent[i]), "there is a step '%s'", absent[i]);
        ck_assert(has_step(plan, "idle forward"));
        ck_assert(has_step(plan, at_end ? "conv updates" : "conv update"));
        ck_assert(!has_row(plan, "idle.weight gradient"));
        pp_plan_destroy(plan);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/backward");
    TCase *all = tcase_create("all");
    tcase_add_test(all, three_readers_overwrite_then_add);
    tcase_add_test(all, a_shared_gradient_is_copied_before_it_is_added_to);
    tcase_add_test(all, a_sum_with_itself_doubles_the_gradient);
    tcase_add_test(all, residual_chains_share_without_copies);
    tcase_add_test(all, gradients_change_in_place_where_nobody_else_reads_them);
    tcase_add_test(all, parameters_are_updated_behind_their_nodes_backward);
    tcase_add_test(all, small_gradients_wait_for_one_another);
    tcase_add_test(all, clipping_keeps_gradients_to_the_end);
    tcase_add_test(all, accumulation_keeps_gradients_all_the_time);
    tcase_add_test(all, moments_follow_the_optimizer);
    tcase_add_test(all, moments_take_the_bits_they_are_given);
    tcase_add_test(all, nothing_is_computed_in_vain);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
