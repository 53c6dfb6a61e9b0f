/* A first model: build a small network, plan it, say what a step takes, train it on the digits. */
#include <stdio.h>
#include <stdlib.h>

#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>

static void must(pp_engine *engine, pp_status status) {
    if (status == PP_OK) return;
    fprintf(stderr, "%s\n", pp_engine_error(engine));
    exit(EXIT_FAILURE);
}

static void build(pp_graph *g) {
    const pp_conv2d_params conv = {
        .out_channels = 16, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", 8, 8, 1);
    x = pp_graph_conv2d(g, "conv", x, &conv);
    x = pp_graph_batchnorm(g, "bn", x, &(pp_batchnorm_params){0});
    x = pp_graph_relu(g, "relu", x);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 10, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0.0f);
}

int main(void) {
    pp_engine *engine = NULL;
    if (pp_engine_create(NULL, &engine) != PP_OK) return EXIT_FAILURE;
    pp_graph *graph = NULL;
    must(engine, pp_graph_create(engine, &graph));
    build(graph);

    pp_device *device = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    const pp_plan_options options = {
        .batch = 32, .codec = "norm:4", .optimizer = {.momentum = 0.9f}};
    must(engine, pp_device_open(engine, NULL, NULL, &device));
    must(engine, pp_profile_for_device(device, NULL, &profile));
    must(engine, pp_plan_create(graph, profile, &options, &plan));
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    printf("a step takes %zu bytes, all of it planned\n", summary.peak_bytes);

    pp_session *session = NULL;
    pp_dataset *digits = NULL;
    pp_loader *loader = NULL;
    const pp_loader_options batches = {.batch = 32, .shuffle = true, .drop_last = true, .seed = 1};
    must(engine, pp_session_create(device, plan, profile, NULL, &session));
    must(engine, pp_dataset_open(engine, "digits", PP_SPLIT_TRAIN, NULL, &digits));
    must(engine, pp_loader_create(digits, &batches, &loader));
    for (int epoch = 0; epoch < 5; epoch++) {
        pp_batch batch;
        pp_metrics metrics;
        must(engine, pp_session_reset_metrics(session));
        must(engine, pp_loader_start_epoch(loader, (uint64_t)epoch));
        for (must(engine, pp_loader_next(loader, &batch)); batch.count;
             must(engine, pp_loader_next(loader, &batch)))
            must(engine, pp_session_step(session, &batch, 0.05f));
        must(engine, pp_session_read_metrics(session, &metrics));
        printf("epoch %d: loss %.4f\n", epoch + 1, metrics.loss_sum / (double)metrics.count);
    }

    pp_loader_destroy(loader);
    pp_dataset_close(digits);
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_device_close(device);
    pp_graph_destroy(graph);
    pp_engine_destroy(engine);
    return EXIT_SUCCESS;
}
