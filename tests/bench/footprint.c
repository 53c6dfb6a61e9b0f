/* The least that trains: conv, batch-norm, ReLU, dense and a loss, with 4-bit codes. footprint.sh
 * links it against a full and against a small library and reads what each takes. The argument
 * "maxpool" adds such a node, "tune" asks for a tuner and trains no further, another is a codec in
 * place of norm:4: what a library leaves out is refused with a sentence. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pocketprop/pocketprop.h>

static int train(pp_engine *engine, pp_graph *g, const char *codec) {
    pp_device *device = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    float inputs[4 * 8 * 8];
    static const int32_t labels[4] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) inputs[i] = (float)(i % 7) - 3.0f;
    const pp_batch batch = {.inputs = inputs, .labels = labels, .count = 4};
    const pp_plan_options options = {.batch = 4,
                                     .codec = strcmp(codec, "tune") ? codec : "norm:4",
                                     .optimizer = {.momentum = 0.9f}};
    pp_metrics metrics = {0};
    pp_status status = pp_device_open(engine, NULL, NULL, &device);
    if (status == PP_OK) status = pp_profile_for_device(device, NULL, &profile);
    if (status == PP_OK) status = pp_plan_create(g, profile, &options, &plan);
    if (status == PP_OK) status = pp_session_create(device, plan, profile, NULL, &session);
    if (status == PP_OK && !strcmp(codec, "tune")) {
        pp_tuner *tuner = NULL;
        status = pp_tuner_create(engine, profile, &tuner);
        pp_tuner_destroy(tuner);
    }
    for (int step = 0; step < 20 && status == PP_OK; step++) {
        status = pp_session_reset_metrics(session);
        if (status == PP_OK) status = pp_session_step(session, &batch, 0.05f);
    }
    if (status == PP_OK) status = pp_session_read_metrics(session, &metrics);
    if (status == PP_OK)
        printf("trained, loss %.4f\n", metrics.loss_sum / 4);
    else
        printf("%s: %s\n", pp_status_name(status), pp_engine_error(engine));
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_device_close(device);
    return status != PP_OK || !(metrics.loss_sum / 4 < 1);
}

static pp_value front(pp_graph *g) {
    const pp_conv2d_params conv = {
        .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", 8, 8, 1);
    x = pp_graph_conv2d(g, "conv", x, &conv);
    x = pp_graph_batchnorm(g, "bn", x, NULL);
    return pp_graph_relu(g, "relu", x);
}

int main(int argc, char **argv) {
    pp_engine *engine = NULL;
    pp_graph *g = NULL;
    if (pp_engine_create(NULL, &engine) != PP_OK || pp_graph_create(engine, &g) != PP_OK) return 1;
    pp_value x = front(g);
    const bool pools = argc > 1 && !strcmp(argv[1], "maxpool");
    if (pools) x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 4, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0.0f);
    int failed = pp_graph_status(g) != PP_OK;
    if (failed)
        printf("%s: %s\n", pp_status_name(pp_graph_status(g)), pp_engine_error(engine));
    else
        failed = train(engine, g, argc > 1 && !pools ? argv[1] : "norm:4");
    pp_graph_destroy(g);
    pp_engine_destroy(engine);
    return failed;
}
