#include "fuzz/fuzz_session.h"

#include <stdlib.h>

static pp_session *session;

static pp_graph *build(void) {
    pp_graph *g = NULL;
    fuzz_expect(fuzz_check(pp_graph_create(fuzz_engine(), &g)), "there is a graph");
    const pp_conv2d_params conv = {.out_channels = 2, .kernel_h = 1, .kernel_w = 3, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", 2, 2, 3);
    x = pp_graph_batchnorm(g, "bn", pp_graph_conv2d(g, "conv", x, &conv), NULL);
    x = pp_graph_dense(g, "fc", pp_graph_relu(g, "relu", x),
                       &(pp_dense_params){.out_features = 2, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    fuzz_expect(fuzz_check(pp_graph_status(g)), "the network is right");
    return g;
}

pp_session *fuzz_session(void) {
    if (session) return session;
    static pp_device *device;
    static pp_plan *plan;
    pp_profile *profile = NULL;
    pp_graph *graph = build();
    const pp_plan_options options = {.batch = 1, .optimizer.momentum = 0.9f};
    fuzz_expect(
        fuzz_check(pp_device_open(fuzz_engine(), getenv("POCKETPROP_TEST_DEVICE"), NULL, &device)),
        "there is a device");
    fuzz_expect(fuzz_check(pp_profile_for_device(device, NULL, &profile)), "it has a profile");
    fuzz_expect(fuzz_check(pp_plan_create(graph, profile, &options, &plan)), "there is a plan");
    fuzz_expect(fuzz_check(pp_session_create(device, plan, profile, NULL, &session)),
                "there is a session");
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    fuzz_begin();
    return session;
}
