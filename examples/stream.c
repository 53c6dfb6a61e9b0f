/* A camera-like stream: one image and its label at a time, predictions in between, in one session. The
 * network has learnt the digits 0 to 8; the 9 comes in the stream, twenty times. A few stored images
 * of every class are mixed into each step, so that the old ones are not forgotten. With a folder as its
 * argument the power goes in the midst of it: network and stored images come back from a checkpoint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pocketprop/checkpoint.h>
#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>

enum {
    SIDE = 8,
    PIXELS = SIDE * SIDE,
    CLASSES = 10,
    NEW = 9,
    MOST = 2000,
    BATCH = 16,
    SHOWN = 20,
    KEPT = 20,
    STEPS = 10
};

typedef struct samples {
    float inputs[MOST][PIXELS];
    int32_t labels[MOST];
    uint32_t count;
} samples;

static samples train, test, kept; /* kept: the replay set */
static uint32_t dice = 1;

static uint32_t roll(uint32_t sides) {
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

static void must(pp_engine *engine, pp_status status) {
    if (status == PP_OK) return;
    fprintf(stderr, "%s\n", pp_engine_error(engine));
    exit(EXIT_FAILURE);
}

static void add(samples *to, const float *input, int32_t label) {
    memcpy(to->inputs[to->count], input, sizeof to->inputs[0]);
    to->labels[to->count++] = label;
}

static void read_digits(pp_engine *engine, pp_split split, samples *to) {
    pp_dataset *digits = NULL;
    pp_loader *loader = NULL;
    pp_batch one;
    must(engine, pp_dataset_open(engine, "digits", split, NULL, &digits));
    must(engine, pp_loader_create(digits, &(pp_loader_options){.batch = 1}, &loader));
    must(engine, pp_loader_start_epoch(loader, 0));
    for (must(engine, pp_loader_next(loader, &one)); one.count;
         must(engine, pp_loader_next(loader, &one)))
        add(to, one.inputs, one.labels[0]);
    pp_loader_destroy(loader);
    pp_dataset_close(digits);
}

/* A session's batch must stay as it is until the second next one; three take turns. */
static pp_batch draw(const samples *from, const float *first, bool old_only) {
    static float inputs[3][BATCH][PIXELS];
    static int32_t labels[3][BATCH];
    static uint32_t turn;
    const uint32_t t = turn++ % 3;
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t s = roll(from->count);
        while (old_only && from->labels[s] == NEW) s = roll(from->count);
        const bool newest = first && !i;
        memcpy(inputs[t][i], newest ? first : from->inputs[s], sizeof inputs[t][i]);
        labels[t][i] = newest ? NEW : from->labels[s];
    }
    return (pp_batch){.inputs = inputs[t][0], .labels = labels[t], .count = BATCH};
}

static int32_t predict(pp_engine *engine, pp_session *session, const float *input) {
    float logits[CLASSES];
    int32_t best = 0;
    must(engine, pp_session_predict(session, &(pp_batch){.inputs = input, .count = 1}, logits));
    for (int32_t c = 1; c < CLASSES; c++)
        if (logits[c] > logits[best]) best = c;
    return best;
}

/* In percent, of the old classes or of the new one. */
static double accuracy(pp_engine *engine, pp_session *session, bool of_new) {
    uint32_t count = 0, hits = 0;
    for (uint32_t i = 0; i < test.count; i++) {
        if ((test.labels[i] == NEW) != of_new) continue;
        count++;
        hits += predict(engine, session, test.inputs[i]) == test.labels[i];
    }
    return 100.0 * hits / count;
}

static void save(pp_engine *engine, pp_session *session, const char *folder) {
    const pp_checkpoint_place place = {.replay = {.inputs = kept.inputs[0],
                                                  .labels = kept.labels,
                                                  .count = kept.count,
                                                  .height = SIDE,
                                                  .width = SIDE,
                                                  .channels = 1}};
    must(engine, pp_checkpoint_save(session, folder, &place, 1));
}

static void load(pp_engine *engine, pp_session *session, const char *folder) {
    pp_checkpoint *newest = NULL;
    pp_checkpoint_place place;
    must(engine, pp_checkpoint_open(engine, folder, &newest));
    must(engine, pp_checkpoint_load(newest, session));
    pp_checkpoint_describe(newest, &place);
    for (uint32_t i = 0; i < place.replay.count && i < MOST; i++)
        add(&kept, place.replay.inputs + i * PIXELS, place.replay.labels[i]);
    pp_checkpoint_close(newest);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : NULL;
    pp_engine *engine = NULL;
    if (pp_engine_create(NULL, &engine) != PP_OK) return EXIT_FAILURE;
    pp_graph *graph = NULL;
    pp_device *device = NULL;
    pp_profile *profile = NULL;
    must(engine, pp_model_build(engine, "resnet8-digits", NULL, &graph));
    must(engine, pp_device_open(engine, NULL, NULL, &device));
    must(engine, pp_profile_for_device(device, NULL, &profile));
    read_digits(engine, PP_SPLIT_TRAIN, &train);
    read_digits(engine, PP_SPLIT_TEST, &test);

    /* At the desk: nine classes. On the device this comes from a file (weights.h). */
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    pp_state *learnt = NULL;
    must(engine, pp_plan_create(graph, profile, &(pp_plan_options){.batch = BATCH}, &plan));
    must(engine, pp_session_create(device, plan, profile, NULL, &session));
    for (int step = 0; step < 1500; step++) {
        const pp_batch batch = draw(&train, NULL, true);
        must(engine, pp_session_step(session, &batch, step < 1000 ? 0.1f : 0.02f));
    }
    must(engine, pp_state_save(session, &learnt));
    pp_session_destroy(session);
    pp_plan_destroy(plan);

    /* On the device: batch-norms keep their statistics, and a session fits 900 kB. */
    const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "*.running_*", 0}};
    const pp_plan_options options = {
        .batch = BATCH, .budget_bytes = 900000, .rules = rules, .rule_count = 1};
    must(engine, pp_plan_create(graph, profile, &options, &plan));
    must(engine, pp_session_create(device, plan, profile, NULL, &session));
    must(engine, pp_state_load(learnt, session));
    pp_state_destroy(learnt);
    for (uint32_t i = 0, held[CLASSES] = {0}; i < train.count; i++)
        if (train.labels[i] != NEW && held[train.labels[i]]++ < KEPT)
            add(&kept, train.inputs[i], train.labels[i]);
    const double old_before = accuracy(engine, session, false),
                 new_before = accuracy(engine, session, true);

    uint32_t shown = 0, known = 0;
    for (uint32_t i = 0; i < train.count && shown < SHOWN; i++) {
        if (train.labels[i] != NEW) continue;
        known += predict(engine, session, train.inputs[i]) == NEW;
        for (int step = 0; step < STEPS; step++) {
            const pp_batch batch = draw(&kept, train.inputs[i], false);
            must(engine, pp_session_step(session, &batch, 0.02f));
        }
        if (shown % 2 == 0) add(&kept, train.inputs[i], NEW);
        if (++shown != SHOWN / 2 || !folder) continue;
        save(engine, session, folder);
        pp_session_destroy(session);
        kept.count = 0;
        must(engine, pp_session_create(device, plan, profile, NULL, &session));
        load(engine, session, folder);
    }
    const double old_after = accuracy(engine, session, false),
                 new_after = accuracy(engine, session, true);
    printf(
        "a session of %zu bytes and %zu bytes of stored images; %u images of a new class, %u of "
        "them known when they came\n",
        pp_session_device_bytes(session), kept.count * sizeof kept.inputs[0], (unsigned)shown,
        (unsigned)known);
    printf("old classes %.1f %% before, %.1f %% after; the new one %.1f %%, %.1f %%\n", old_before,
           old_after, new_before, new_after);

    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_device_close(device);
    pp_graph_destroy(graph);
    pp_engine_destroy(engine);
    return new_after > 70 && old_after > old_before - 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
