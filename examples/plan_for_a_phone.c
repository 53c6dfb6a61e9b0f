/* Plan for a phone on a laptop: what one training step of ResNet-50 would take on a Mali GPU with
 * each way of keeping activations. No OpenCL device is needed. */
#include <stdio.h>

#include <pocketprop/pocketprop.h>

static pp_status print_peak(const pp_graph *graph, const pp_profile *profile, const char *codec) {
    const pp_plan_options options = {.batch = 16, .codec = codec, .optimizer = {.momentum = 0.9f}};
    pp_plan *plan = NULL;
    pp_status status = pp_plan_create(graph, profile, &options, &plan);
    if (status == PP_OK) {
        pp_plan_summary summary;
        pp_plan_summarize(plan, &summary);
        printf("%-10s peak %6.1f MiB, of it saved activations %6.1f MiB\n", codec,
               (double)summary.peak_bytes / 1048576, (double)summary.saved_stored_bytes / 1048576);
    }
    pp_plan_destroy(plan);
    return status;
}

int main(void) {
    static const char *const codecs[] = {"raw", "half", "norm:8", "norm:4", "avgpool:2"};
    pp_engine *engine = NULL;
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_status status = pp_engine_create(NULL, &engine);
    if (status == PP_OK) status = pp_model_build(engine, "resnet50", NULL, &graph);
    if (status == PP_OK) status = pp_profile_load(engine, "mali", &profile);
    for (size_t i = 0; status == PP_OK && i < sizeof codecs / sizeof codecs[0]; i++)
        status = print_peak(graph, profile, codecs[i]);
    if (status != PP_OK)
        fprintf(stderr, "%s: %s\n", pp_status_name(status), pp_engine_error(engine));

    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    pp_engine_destroy(engine);
    return status != PP_OK;
}
