/* A first model: a small network, what a step of it takes, and five epochs on the digits. */
#include <stdio.h>
#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>

int main(void) {
    pp_engine *engine = NULL;
    pp_graph *g = NULL;
    pp_device *dev = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    pp_dataset *digits = NULL;
    pp_loader *loader = NULL;
    if (pp_engine_create(NULL, &engine) || pp_graph_create(engine, &g)) return 1;
    pp_value x = pp_graph_input(g, "image", 8, 8, 1);
    x = pp_graph_conv2d(g, "conv", x, &(pp_conv2d_params){16, 3, 3, .pad_h = 1, .pad_w = 1});
    x = pp_graph_relu(g, "relu", pp_graph_batchnorm(g, "bn", x, NULL));
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 10, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    if (pp_device_open(engine, NULL, NULL, &dev) || pp_profile_for_device(dev, NULL, &profile) ||
        pp_plan_create(g, profile, &(pp_plan_options){.batch = 32, .codec = "norm:4"}, &plan) ||
        pp_session_create(dev, plan, profile, NULL, &session) ||
        pp_dataset_open(engine, "digits", PP_SPLIT_TRAIN, NULL, &digits) ||
        pp_loader_create(digits, &(pp_loader_options){.batch = 32, .drop_last = true}, &loader))
        return fprintf(stderr, "%s\n", pp_engine_error(engine)), 1;
    printf("a session takes %zu bytes, all of it planned\n", pp_session_device_bytes(session));
    pp_metrics metrics = {0};
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        pp_session_reset_metrics(session), pp_loader_start_epoch(loader, epoch);
        for (pp_batch batch; !pp_loader_next(loader, &batch) && batch.count;)
            if (pp_session_step(session, &batch, 0.1f)) return 1;
        pp_session_read_metrics(session, &metrics);
        printf("epoch %d: loss %.4f\n", (int)epoch + 1, metrics.loss_sum / (double)metrics.count);
    }
    pp_loader_destroy(loader), pp_dataset_close(digits), pp_session_destroy(session);
    pp_plan_destroy(plan), pp_profile_destroy(profile), pp_device_close(dev);
    pp_graph_destroy(g), pp_engine_destroy(engine);
    return metrics.loss_sum < 0.2 * (double)metrics.count ? 0 : 1;
}
