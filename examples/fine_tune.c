/* Fine-tunes a pretrained resnet20 on a folder of photos, one folder per class, within a budget of device
 * memory, and keeps the run safe on disk:
 *
 *     fine_tune WEIGHTS.safetensors PHOTOS BUDGET_BYTES RUN
 *
 * Called again with the same RUN it goes on where it was cut off. The head is new where the photos
 * have other classes than the weights. */
#include <stdio.h>
#include <stdlib.h>

#include <pocketprop/checkpoint.h>
#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>
#include <pocketprop/weights.h>

enum { SIDE = 32, EPOCHS = 3 };

static void must(pp_engine *engine, pp_status status) {
    if (status == PP_OK) return;
    fprintf(stderr, "%s\n", pp_engine_error(engine));
    exit(EXIT_FAILURE);
}

/* The largest batch that fits and leaves ten updates an epoch; in bytes until the first layer reads
 * them. */
static void make_plan(pp_engine *engine, const pp_dataset_info *info, const pp_profile *profile,
                      size_t budget_bytes, pp_plan **plan) {
    pp_pixels pixels = {.maximum = info->pixel_max};
    for (uint32_t c = 0; c < info->channels; c++) {
        pixels.mean[c] = info->mean[c];
        pixels.deviation[c] = info->deviation[c];
    }
    pp_graph *graph = NULL;
    must(engine,
         pp_model_build(engine, "resnet20",
                        &(pp_model_options){.classes = info->classes, .pixels = &pixels}, &graph));
    const uint32_t most = (uint32_t)(info->count / 10) + 1;
    pp_plan_options options = {.budget_bytes = budget_bytes,
                               .optimizer = {.momentum = 0.9f, .state_bits = 8}};
    pp_plan_summary summary;
    must(engine, pp_plan_create(graph, profile, &options, plan));
    pp_plan_summarize(*plan, &summary);
    if (summary.batch > most) {
        pp_plan_destroy(*plan);
        options.batch = most;
        must(engine, pp_plan_create(graph, profile, &options, plan));
    }
    pp_graph_destroy(graph);
}

/* One epoch from where the run stands. */
static void train(pp_engine *engine, pp_session *session, pp_loader *loader, uint64_t epoch,
                  uint32_t batch_size, const char *run) {
    pp_checkpoint_place place = {.epoch = epoch};
    const uint64_t total = EPOCHS * pp_loader_batch_count(loader);
    const pp_schedule schedule = {.kind = PP_SCHEDULE_COSINE, .base = 0.02f, .total_steps = total};
    pp_batch batch;
    for (must(engine, pp_loader_next(loader, &batch)); batch.count;
         must(engine, pp_loader_next(loader, &batch))) {
        const uint64_t update = pp_session_update_count(session);
        must(engine, pp_session_step(session, &batch, pp_schedule_rate(&schedule, update)));
        place.samples = (update + 1 - epoch * pp_loader_batch_count(loader)) * batch_size;
        if ((update + 1) % 100 == 0) must(engine, pp_checkpoint_save(session, run, &place, 2));
    }
    pp_metrics metrics;
    must(engine, pp_session_read_metrics(session, &metrics));
    printf("epoch %d: loss %.4f\n", (int)epoch + 1, metrics.loss_sum / (double)metrics.count);
    place = (pp_checkpoint_place){.epoch = epoch + 1};
    must(engine, pp_session_reset_metrics(session));
    must(engine, pp_checkpoint_save(session, run, &place, 2));
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: fine_tune WEIGHTS.safetensors PHOTOS BUDGET_BYTES RUN\n");
        return EXIT_FAILURE;
    }
    pp_engine *engine = NULL;
    if (pp_engine_create(NULL, &engine) != PP_OK) return EXIT_FAILURE;
    char specification[4096];
    snprintf(specification, sizeof specification, "images:%s", argv[2]);
    pp_dataset *photos = NULL;
    pp_dataset_info info;
    const pp_dataset_options size = {.height = SIDE, .width = SIDE};
    must(engine, pp_dataset_open(engine, specification, PP_SPLIT_TRAIN, &size, &photos));
    pp_dataset_describe(photos, &info);

    pp_device *device = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    must(engine, pp_device_open(engine, NULL, NULL, &device));
    must(engine, pp_profile_for_device(device, NULL, &profile));
    make_plan(engine, &info, profile, (size_t)strtoull(argv[3], NULL, 10), &plan);
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    printf("%zu photos of %u classes; batches of %u take %zu bytes\n", info.count,
           (unsigned)info.classes, (unsigned)summary.batch, summary.peak_bytes);

    pp_session *session = NULL;
    pp_loader *loader = NULL;
    pp_checkpoint *checkpoint = NULL;
    pp_checkpoint_place place = {0};
    must(engine, pp_session_create(device, plan, profile, NULL, &session));
    must(engine, pp_checkpoint_open(engine, argv[4], &checkpoint));
    if (checkpoint) {
        must(engine, pp_checkpoint_load(checkpoint, session));
        pp_checkpoint_describe(checkpoint, &place);
        printf("going on from %s\n", pp_checkpoint_path(checkpoint));
    } else {
        must(engine,
             pp_weights_load(session, argv[1], &(pp_weights_options){.partial = true}, NULL));
    }
    const pp_loader_options batches = {.batch = summary.batch,
                                       .shuffle = true,
                                       .drop_last = true,
                                       .seed = 1,
                                       .pad = 4,
                                       .flip = true,
                                       .threads = 1,
                                       .bytes = true};
    must(engine, pp_loader_create(photos, &batches, &loader));
    for (uint64_t epoch = place.epoch; epoch < EPOCHS; epoch++) {
        const uint64_t done = epoch == place.epoch ? place.samples : 0;
        must(engine, pp_loader_start_epoch_at(loader, epoch, (size_t)(done / summary.batch)));
        train(engine, session, loader, epoch, summary.batch, argv[4]);
    }
    pp_checkpoint_close(checkpoint);
    pp_loader_destroy(loader);
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_device_close(device);
    pp_dataset_close(photos);
    pp_engine_destroy(engine);
    return EXIT_SUCCESS;
}
