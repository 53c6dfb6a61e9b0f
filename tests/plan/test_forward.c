/* Which values share a buffer, and which nodes become one. A buffer has the name of the first value
 * in it, so a value that overwrites another has no row of its own. */
#include "plan/flow.h"
#include "plan/plans.h"

static const pp_plan_options raw = {.batch = 2};
static const pp_plan_options norm4 = {.batch = 2, .codec = "norm:4"};
static const pp_plan_options inference = {.batch = 2, .inference = true};

static pp_plan *checked(pp_graph *g, const pp_plan_options *options) {
    pp_plan *plan = plan_and_drop(g, options);
    flow_check(plan);
    return plan;
}

START_TEST(relu_overwrites_a_convolution) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, pp_graph_relu(g, "relu", x));
    pp_plan *plan = checked(g, &raw);
    ck_assert(!has_row(plan, "relu"));
    pp_plan_row conv = row_of(plan, "conv");
    ck_assert_uint_eq(conv.first_step, step_of(plan, "conv forward"));
    ck_assert_uint_eq(conv.last_step, step_of(plan, "gap forward"));
    ck_assert_int_eq(conv.memory_class, PP_MEMORY_TRANSIENT);
    pp_plan_destroy(plan);
}
END_TEST

/* The second convolution's weight gradient reads what is left in the shared buffer: the ReLU's
 * output. */
START_TEST(an_overwritten_buffer_can_be_kept) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, add_conv(g, "conv2", pp_graph_relu(g, "relu", x), 8));
    pp_plan *plan = checked(g, &raw);
    ck_assert(!has_row(plan, "relu"));
    pp_plan_row row = row_of(plan, "conv1");
    ck_assert_int_eq(row.memory_class, PP_MEMORY_SAVED);
    ck_assert_str_eq(row.kind, "activation");
    ck_assert_str_eq(row.views, "mask value");
    ck_assert_uint_eq(row.last_step, step_of(plan, "relu backward"));
    ck_assert_uint_eq(count_steps(plan, " encode"), 0);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(a_kept_input_is_not_overwritten) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    x = pp_graph_relu(g, "relu", x);
    pp_graph_dropout(g, "kept", x, 0.5f); /* nobody reads it, and conv2 reads relu */
    add_head(g, add_conv(g, "conv2", x, 8));
    pp_plan *plan = checked(g, &raw);
    ck_assert(has_row(plan, "kept"));
    pp_plan_destroy(plan);

    /* Batch-norm keeps its input under raw; under norm:4 its code is made first, and it overwrites.
     */
    for (int i = 0; i < 2; i++) {
        g = graph_new();
        x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
        add_head(g, add_bn(g, "bn", x));
        plan = checked(g, i ? &norm4 : &raw);
        ck_assert(has_row(plan, "bn") == !i);
        pp_plan_row conv = row_of(plan, "conv");
        ck_assert_int_eq(conv.memory_class, i ? PP_MEMORY_TRANSIENT : PP_MEMORY_SAVED);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Only the last reader may overwrite; in the order of the nodes, not of the calls' arguments. */
START_TEST(a_value_that_is_read_later_is_not_overwritten) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value first = pp_graph_relu(g, "first", x);
    pp_value last = pp_graph_relu(g, "last", x);
    pp_value sum = pp_graph_add(g, "sum", last, first);
    pp_graph_global_avgpool(g, "gap", sum);
    pp_plan *plan = checked(g, &inference);
    ck_assert(has_row(plan, "first"));
    ck_assert(!has_row(plan, "last"));
    ck_assert(!has_row(plan, "sum"));
    ck_assert_uint_eq(row_of(plan, "conv1").last_step, step_of(plan, "gap forward"));
    ck_assert_uint_eq(row_of(plan, "first").last_step, step_of(plan, "sum forward"));
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(a_sum_overwrites_its_second_input_where_the_first_is_still_read) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value y = add_conv(g, "conv2", x, 8);
    pp_value sum = pp_graph_add(g, "sum", x, y);
    pp_graph_add(g, "again", sum, x);
    pp_plan *plan = checked(g, &inference);
    ck_assert(!has_row(plan, "sum"));
    ck_assert(!has_row(plan, "again"));
    ck_assert_uint_eq(row_of(plan, "conv2").last_step, step_of(plan, "again forward"));
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(a_sum_with_itself_reads_both_before_writing) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    add_head(g, pp_graph_add(g, "twice", x, x));
    pp_plan *plan = checked(g, &raw);
    ck_assert(has_row(plan, "twice"));
    ck_assert_uint_eq(row_of(plan, "conv").last_step, step_of(plan, "twice forward"));
    pp_plan_destroy(plan);
}
END_TEST

/* The input's place belongs to whoever fills it: nothing overwrites it, however often it is read.
 */
START_TEST(the_networks_input_is_never_overwritten) {
    pp_graph *g = graph_new();
    pp_value image = pp_graph_input(g, "image", 4, 4, 8);
    pp_value a = pp_graph_relu(g, "relu", image);
    pp_value b = add_conv(g, "conv", image, 8);
    add_head(g, pp_graph_add(g, "sum", a, b));
    pp_plan *plan = checked(g, &raw);
    ck_assert(has_row(plan, "relu"));
    pp_plan_row row = row_of(plan, "image");
    ck_assert_int_eq(row.memory_class, PP_MEMORY_STAGING);
    ck_assert_str_eq(row.kind, "input");
    ck_assert_str_eq(row.codec, "raw");
    ck_assert_uint_eq(row.first_step, 0);
    ck_assert_uint_eq(row.last_step, step_of(plan, "conv backward weight"));
    ck_assert(!has_step(plan, "conv backward")); /* nobody wants the image's gradient */
    ck_assert(!has_step(plan, "relu backward"));
    pp_plan_destroy(plan);

    /* Not even by its only reader, when nothing is kept. */
    g = graph_new();
    pp_graph_relu(g, "relu", pp_graph_input(g, "image", 4, 4, 8));
    plan = checked(g, &inference);
    ck_assert(has_row(plan, "relu"));
    pp_plan_destroy(plan);

    /* A batch-norm on the image keeps the image itself; the transient class never has it. */
    g = graph_new();
    add_head(g, add_bn(g, "bn", pp_graph_input(g, "image", 4, 4, 8)));
    plan = checked(g, &raw);
    row = row_of(plan, "image");
    ck_assert_int_eq(row.memory_class, PP_MEMORY_STAGING);
    ck_assert_str_eq(row.kind, "normalised");
    ck_assert_uint_eq(row.last_step, step_of(plan, "bn backward"));
    pp_plan_destroy(plan);
}
END_TEST

/* conv - bn - relu, and where asked a second reader of the batch-norm. */
static pp_graph *normalised(bool second_reader) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value bn = add_bn(g, "bn", x);
    pp_value y = add_conv(g, "conv2", pp_graph_relu(g, "relu", bn), 8);
    add_head(g, second_reader ? pp_graph_add(g, "sum", y, bn) : y);
    return g;
}

START_TEST(batchnorm_and_relu_become_one) {
    pp_plan *plan = checked(normalised(false), &norm4);
    ck_assert(has_step(plan, "bn forward") && !has_step(plan, "relu forward"));
    ck_assert(has_step(plan, "bn backward") && !has_step(plan, "relu backward"));
    pp_plan_row row = row_of(plan, "bn x-hat");
    ck_assert_str_eq(row.views, "x-hat mask value");
    ck_assert_uint_eq(row.stored_bytes * 8, row.raw_bytes);
    pp_plan_destroy(plan);

    /* With a second reader the ReLU stays, and neither its mask nor its output is a view of x-hat's
     * code. */
    plan = checked(normalised(true), &norm4);
    ck_assert(has_step(plan, "bn forward") && has_step(plan, "relu forward"));
    ck_assert_str_eq(row_of(plan, "bn x-hat").views, "x-hat");
    row = row_of(plan, "relu code");
    ck_assert_str_eq(row.codec, "group:4");
    ck_assert_str_eq(row.views, "mask value");
    pp_plan_destroy(plan);
}
END_TEST

static pp_graph *sum_and_relu(bool second_reader) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value sum = pp_graph_add(g, "sum", x, add_conv(g, "conv2", x, 8));
    pp_value y = pp_graph_relu(g, "relu", sum);
    add_head(g, second_reader ? pp_graph_add(g, "again", y, sum) : y);
    return g;
}

START_TEST(add_and_relu_become_one) {
    pp_plan *plan = checked(sum_and_relu(false), &raw);
    ck_assert(has_step(plan, "sum forward") && !has_step(plan, "relu forward"));
    ck_assert(has_step(plan, "sum backward"));
    pp_plan_destroy(plan);
    plan = checked(sum_and_relu(true), &raw);
    ck_assert(has_step(plan, "sum forward") && has_step(plan, "relu forward"));
    ck_assert(!has_step(plan, "sum backward")); /* the gradient passes an addition as it is */
    pp_plan_destroy(plan);
}
END_TEST

/* Numbers shift when nodes go; everything behind still reads what it read. Parameters keep their
 * names. */
START_TEST(fusing_keeps_order_and_names) {
    pp_plan *plan = checked(graph_of_model("resnet20"), &raw);
    static const char *const steps[] = {"conv1 forward",          "bn1 forward",
                                        "layer1.0.conv1 forward", "layer1.0.bn1 forward",
                                        "layer1.0.conv2 forward", "layer1.0.bn2 forward",
                                        "layer1.0.add forward",   "layer1.1.conv1 forward"};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
        ck_assert_str_eq(pp_plan_step_name(plan, s), steps[s]);
    pp_parameter_info info;
    pp_plan_read_parameter(plan, 1, &info);
    ck_assert_str_eq(info.name, "bn1.weight");
    ck_assert(info.trainable && !info.decayed && info.axis_count == 1 && info.extents[0] == 16);
    pp_plan_read_parameter(plan, 0, &info);
    ck_assert_str_eq(info.name, "conv1.weight");
    ck_assert(info.trainable && info.decayed && info.axis_count == 4);
    ck_assert(info.extents[0] == 3 && info.extents[1] == 3 && info.extents[2] == 3 &&
              info.extents[3] == 16);
    pp_plan_read_parameter(plan, 3, &info);
    ck_assert_str_eq(info.name, "bn1.running_mean");
    ck_assert(!info.trainable && !info.decayed);
    pp_plan_destroy(plan);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/forward");
    TCase *all = tcase_create("all");
    tcase_add_test(all, relu_overwrites_a_convolution);
    tcase_add_test(all, an_overwritten_buffer_can_be_kept);
    tcase_add_test(all, a_kept_input_is_not_overwritten);
    tcase_add_test(all, a_value_that_is_read_later_is_not_overwritten);
    tcase_add_test(all, a_sum_overwrites_its_second_input_where_the_first_is_still_read);
    tcase_add_test(all, a_sum_with_itself_reads_both_before_writing);
    tcase_add_test(all, the_networks_input_is_never_overwritten);
    tcase_add_test(all, batchnorm_and_relu_become_one);
    tcase_add_test(all, add_and_relu_become_one);
    tcase_add_test(all, fusing_keeps_order_and_names);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
