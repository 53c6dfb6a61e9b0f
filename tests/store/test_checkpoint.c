/* Checkpoints: a run goes on bit for bit, damaged files are refused by name and older ones taken, and
 * a write that fails loses nothing. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <pocketprop/checkpoint.h>
#include <pocketprop/weights.h>

#include "io/make_files.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, SIDE = 6, COLOURS = 2, CLASSES = 3, STEPS = 6, INPUT = SIDE * SIDE * COLOURS };

static struct {
    float inputs[STEPS][BATCH * INPUT];
    int32_t labels[STEPS][BATCH];
} data;

static pp_graph *make_graph(uint32_t channels) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = channels, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_relu(g, "relu1",
                      pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL));
    x = pp_graph_conv2d(g, "conv2", x, &conv);
    x = pp_graph_dropout(g, "dropout", x, 0.25f);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void create(trainer *t, uint32_t channels, const pp_plan_options *options) {
    pp_graph *g = make_graph(channels);
    trainer_create(t, g, options, 11);
    pp_graph_destroy(g);
}

static void run_steps(const trainer *t, size_t first, size_t end) {
    for (size_t s = first; s < end; s++) {
        const pp_batch batch = {.inputs = data.inputs[s], .labels = data.labels[s], .count = BATCH};
        TEST_OK(pp_session_step(t->session, &batch, 0.05f));
    }
}

static void set_up(void) {
    test_fill_normal(&data.inputs[0][0], sizeof data.inputs / sizeof(float));
    for (size_t i = 0; i < STEPS * BATCH; i++)
        data.labels[i / BATCH][i % BATCH] = (int32_t)(i % CLASSES);
}

static const pp_parameter_rule frozen[] = {{PP_RULE_FREEZE, "conv1.*", 0}};
static const pp_plan_options plans[] = {
    {.batch = BATCH, .codec = "raw"},
    {.batch = BATCH, .codec = "norm:2", .optimizer = {.momentum = 0.9f}},
    {.batch = BATCH, .codec = "norm:4", .optimizer = {.momentum = 0.9f, .state_bits = 8}},
    {.batch = BATCH, .codec = "norm:3", .optimizer = {.kind = PP_OPTIMIZER_ADAM, .state_bits = 8}},
    {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAMW}, .accumulate = 3},
    {.batch = BATCH, .optimizer = {.momentum = 0.9f}, .rules = frozen, .rule_count = 1},
};
enum { PLANS = sizeof plans / sizeof *plans };

static const uint8_t replay_pixels[2 * 3 * 2] = {1, 2, 3, 4, 5, 6, 255, 254, 253, 0, 9, 8};
static const int32_t replay_labels[2] = {2, 0};
static const pp_checkpoint_place place = {
    .epoch = 7,
    .samples = 12,
    .policy = "codec raw\n",
    .schedule = "cosine",
    .note = "a \"note\"",
    .replay = {replay_pixels, NULL, replay_labels, 2, 3, 2, 1},
};

static pp_checkpoint *open_newest(const char *folder) {
    pp_checkpoint *checkpoint = NULL;
    TEST_OK(pp_checkpoint_open(test_engine(), folder, &checkpoint));
    ck_assert(checkpoint != NULL);
    return checkpoint;
}

START_TEST(goes_on_bit_for_bit) {
    char name[32];
    snprintf(name, sizeof name, "run%d", _i);
    const char *folder = make_path(name);
    trainer whole, before, after;
    create(&whole, 24, &plans[_i]);
    create(&before, 24, &plans[_i]);
    run_steps(&whole, 0, STEPS);
    run_steps(&before, 0, STEPS / 2);
    TEST_OK(pp_checkpoint_save(before.session, folder, &place, 1));
    trainer_destroy(&before);
    create(&after, 24, &plans[_i]);
    pp_checkpoint *checkpoint = open_newest(folder);
    TEST_OK(pp_checkpoint_load(checkpoint, after.session));
    pp_checkpoint_close(checkpoint);
    run_steps(&after, STEPS / 2, STEPS);
    ck_assert(trainer_same(&whole, &after));
    pp_metrics a, b;
    TEST_OK(pp_session_read_metrics(whole.session, &a));
    TEST_OK(pp_session_read_metrics(after.session, &b));
    ck_assert(a.loss_sum == b.loss_sum && a.correct == b.correct && a.count == b.count);
    ck_assert_uint_eq(pp_session_update_count(whole.session),
                      pp_session_update_count(after.session));
    trainer_destroy(&whole);
    trainer_destroy(&after);
}
END_TEST

START_TEST(everything_comes_back) {
    const char *folder = make_path("place");
    trainer t, other;
    create(&t, 5, &plans[1]);
    run_steps(&t, 0, 2);
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    pp_checkpoint *checkpoint = open_newest(folder);
    pp_checkpoint_place found;
    pp_checkpoint_describe(checkpoint, &found);
    ck_assert_uint_eq(found.epoch, 7);
    ck_assert_uint_eq(found.samples, 12);
    ck_assert_uint_eq(found.updates, 2);
    ck_assert_uint_eq(found.seed, 11);
    ck_assert_uint_eq(found.batch, BATCH);
    ck_assert_str_eq(found.policy, place.policy);
    ck_assert_str_eq(found.schedule, place.schedule);
    ck_assert_str_eq(found.note, place.note);
    ck_assert_uint_eq(found.replay.count, 2);
    ck_assert_uint_eq(found.replay.height, 3);
    ck_assert_uint_eq(found.replay.width, 2);
    ck_assert_uint_eq(found.replay.channels, 1);
    ck_assert(!memcmp(found.replay.pixels, replay_pixels, sizeof replay_pixels));
    ck_assert(!memcmp(found.replay.labels, replay_labels, sizeof replay_labels));
    ck_assert_ptr_null(found.replay.inputs);
    /* It is a file of weights too. */
    create(&other, 5, &plans[0]);
    TEST_OK(pp_weights_load(other.session, pp_checkpoint_path(checkpoint), NULL, NULL));
    ck_assert(trainer_same(&t, &other));
    pp_checkpoint_close(checkpoint);
    trainer_destroy(&t);
    trainer_destroy(&other);
}
END_TEST

/* Codecs and batch may change, the network and the optimizer may not. */
START_TEST(what_does_not_fit_is_refused) {
    static const struct {
        uint32_t channels;
        pp_plan_options options;
        const char *says;
    } cases[] = {
        {5, {.batch = 2, .codec = "norm:4", .optimizer = {.momentum = 0.9f}}, NULL},
        {6, {.batch = BATCH, .optimizer = {.momentum = 0.9f}}, "'conv1.weight' has 90 elements"},
        {5, {.batch = BATCH}, "of another optimizer"},
        {5,
         {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAM}},
         "trained by sgd; the session's optimizer is adam"},
        {5,
         {.batch = BATCH, .optimizer = {.momentum = 0.9f}, .rules = frozen, .rule_count = 1},
         "of other frozen parameters"},
    };
    const char *folder = make_path("fits");
    trainer t;
    create(&t, 5, &plans[1]);
    run_steps(&t, 0, 1);
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trainer other;
        create(&other, cases[i].channels, &cases[i].options);
        size_t count;
        float *before = trainer_read_all(&other, &count);
        pp_checkpoint *checkpoint = open_newest(folder);
        const pp_status status = pp_checkpoint_load(checkpoint, other.session);
        pp_checkpoint_close(checkpoint);
        float *after = trainer_read_all(&other, &count);
        if (cases[i].says) {
            ck_assert_msg(status == PP_ERROR_SHAPE, "case %zu: %s", i, pp_status_name(status));
            ck_assert_msg(test_contains(pp_engine_error(test_engine()), cases[i].says),
                          "case %zu: \"%s\"", i, pp_engine_error(test_engine()));
            ck_assert(!memcmp(before, after, count * sizeof *after));
        } else {
            TEST_OK(status);
            ck_assert(trainer_same(&t, &other));
        }
        free(before);
        free(after);
        trainer_destroy(&other);
    }
    trainer_destroy(&t);
}
END_TEST

/* Their moments have the same names and bytes. */
START_TEST(adam_is_not_adamw) {
    const pp_plan_options adam = {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAM}},
                          adamw = {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAMW}};
    const char *folder = make_path("adam");
    trainer t, other;
    create(&t, 5, &adam);
    create(&other, 5, &adamw);
    run_steps(&t, 0, 2);
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    pp_checkpoint *checkpoint = open_newest(folder);
    TEST_FAILS(pp_checkpoint_load(checkpoint, other.session), PP_ERROR_SHAPE,
               "trained by adam; the session's optimizer is adamw");
    pp_checkpoint_close(checkpoint);
    trainer_destroy(&t);
    trainer_destroy(&other);
}
END_TEST

START_TEST(half_a_replay_set_is_refused) {
    static const float inputs[12];
    const pp_replay cases[] = {
        {replay_pixels, NULL, NULL, 2, 3, 2, 1},
        {NULL, NULL, replay_labels, 2, 3, 2, 1},
        {replay_pixels, inputs, replay_labels, 2, 3, 2, 1},
        {replay_pixels, NULL, replay_labels, 2, 0, 2, 1},
        {replay_pixels, NULL, replay_labels, UINT32_MAX, UINT32_MAX, UINT32_MAX, 1},
    };
    const char *folder = make_path("half");
    trainer t;
    create(&t, 5, &plans[0]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        TEST_FAILS(
            pp_checkpoint_save(t.session, folder, &(pp_checkpoint_place){.replay = cases[i]}, 1),
            PP_ERROR_INVALID_ARGUMENT, "a replay set of ");
    TEST_OK(pp_checkpoint_save(t.session, folder, NULL, 1));
    pp_checkpoint *checkpoint = open_newest(folder);
    pp_checkpoint_place found;
    pp_checkpoint_describe(checkpoint, &found);
    ck_assert(!found.epoch && !found.replay.count && !found.note);
    pp_checkpoint_close(checkpoint);
    trainer_destroy(&t);
}
END_TEST

static size_t count_files(const char *folder) {
    size_t count = 0;
    DIR *stream = opendir(folder);
    ck_assert(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream));) count += entry->d_name[0] != '.';
    closedir(stream);
    return count;
}

static uint64_t newest_updates(const char *folder) {
    pp_checkpoint *checkpoint = open_newest(folder);
    pp_checkpoint_place found;
    pp_checkpoint_describe(checkpoint, &found);
    pp_checkpoint_close(checkpoint);
    return found.updates;
}

START_TEST(the_newest_are_kept) {
    const char *folder = make_path("kept");
    pp_checkpoint *none;
    TEST_OK(pp_checkpoint_open(test_engine(), folder, &none));
    ck_assert_ptr_null(none);
    trainer t;
    create(&t, 5, &plans[0]);
    make_folder("kept");
    make_file("kept/step-7.safetensors.99.part", "left", 4);
    make_file("kept/notes.txt", "mine", 4);
    make_file("kept/step-2.txt", "mine", 4);
    for (size_t s = 0; s < 5; s++) {
        run_steps(&t, s, s + 1);
        TEST_OK(pp_checkpoint_save(t.session, folder, &place, 3));
        ck_assert_uint_eq(newest_updates(folder), s + 1);
    }
    ck_assert_uint_eq(count_files(folder), 3 + 2);
    ck_assert(access(make_path("kept/step-000000003.safetensors"), F_OK) == 0);
    ck_assert(access(make_path("kept/notes.txt"), F_OK) == 0);
    trainer_destroy(&t);
}
END_TEST

static void damage(const char *path, long at) {
    FILE *file = fopen(path, "r+b");
    ck_assert(file != NULL);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    const int byte = getc(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    putc(byte ^ 4, file);
    fclose(file);
}

/* A flipped bit in the header or in the data, a file cut short, and one of somebody else's. */
START_TEST(damaged_ones_are_passed_over) {
    const char *folder = make_path("damaged");
    trainer t;
    create(&t, 5, &plans[1]);
    for (size_t s = 0; s < 5; s++) {
        run_steps(&t, s, s + 1);
        TEST_OK(pp_checkpoint_save(t.session, folder, &place, 5));
    }
    ck_assert_uint_eq(newest_updates(folder), 5);
    damage(make_path("damaged/step-000000005.safetensors"), -3);
    ck_assert_uint_eq(newest_updates(folder), 4);
    damage(make_path("damaged/step-000000004.safetensors"), 100);
    ck_assert_uint_eq(newest_updates(folder), 3);
    ck_assert_int_eq(truncate(make_path("damaged/step-000000003.safetensors"), 1000), 0);
    ck_assert_uint_eq(newest_updates(folder), 2);
    TEST_OK(pp_weights_save(t.session, make_path("damaged/step-000000009.safetensors"), NULL));
    ck_assert_uint_eq(newest_updates(folder), 2);
    damage(make_path("damaged/step-000000002.safetensors"), 9);
    damage(make_path("damaged/step-000000001.safetensors"), 0);
    pp_checkpoint *none;
    TEST_FAILS(pp_checkpoint_open(test_engine(), folder, &none), PP_ERROR_CORRUPT_DATA,
               "none of its 6 checkpoints can be used; the newest: ");
    ck_assert(test_contains(pp_engine_error(test_engine()), "step-000000009.safetensors: "));
    trainer_destroy(&t);
}
END_TEST

/* One bit of any byte, the checksum's own digits included. */
START_TEST(every_byte_counts) {
    char folder[MAKE_PATH]; /* make_path's own is used again */
    snprintf(folder, sizeof folder, "%s", make_path("bytes"));
    trainer t;
    create(&t, 1, &plans[0]);
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    trainer_destroy(&t);
    const char *path = make_path("bytes/step-000000000.safetensors");
    size_t count;
    uint8_t *bytes = make_copy(path, &count);
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= (uint8_t)(1 << i % 8);
        make_file("bytes/step-000000000.safetensors", bytes, count);
        bytes[i] ^= (uint8_t)(1 << i % 8);
        pp_checkpoint *none;
        const pp_status status = pp_checkpoint_open(test_engine(), folder, &none);
        ck_assert_msg(status == PP_ERROR_CORRUPT_DATA && !none, "byte %zu of %zu: %s", i, count,
                      pp_engine_error(test_engine()));
    }
    for (size_t i = 0; i < count; i += 7) {
        make_file("bytes/step-000000000.safetensors", bytes, i);
        pp_checkpoint *none;
        TEST_FAILS(pp_checkpoint_open(test_engine(), folder, &none), PP_ERROR_CORRUPT_DATA,
                   "none of its 1 checkpoints");
    }
    make_file("bytes/step-000000000.safetensors", bytes, count);
    ck_assert_uint_eq(newest_updates(folder), 0);
    free(bytes);
}
END_TEST

/* An allocator that counts, and refuses the allocation number `refused` (from 0). */
typedef struct counting {
    size_t calls, live, refused;
} counting;

static void *count_allocate(void *user, size_t bytes) {
    counting *c = user;
    if (c->calls++ == c->refused) return NULL;
    void *memory = malloc(bytes);
    c->live += memory != NULL;
    return memory;
}

static void count_release(void *user, void *memory) {
    counting *c = user;
    c->live--;
    free(memory);
}

static pp_status save(pp_session *session, const char *folder) {
    return pp_checkpoint_save(session, folder, &place, 1);
}

static pp_status load(pp_session *session, const char *folder) {
    pp_checkpoint *checkpoint = NULL;
    pp_status status = pp_checkpoint_open(pp_session_engine(session), folder, &checkpoint);
    if (status == PP_OK) status = pp_checkpoint_load(checkpoint, session);
    pp_checkpoint_close(checkpoint);
    return status;
}

/* Calls it again and again, without memory at one allocation after the other. */
static void starve(counting *c, pp_session *session, const char *folder,
                   pp_status (*call)(pp_session *, const char *)) {
    pp_status status = PP_ERROR_OUT_OF_MEMORY;
    const size_t live = c->live;
    for (size_t n = 0; status != PP_OK; n++) {
        c->refused = c->calls + n;
        status = call(session, folder);
        c->refused = SIZE_MAX;
        ck_assert_msg(status == PP_OK || status == PP_ERROR_OUT_OF_MEMORY, "allocation %zu: %s", n,
                      pp_engine_error(pp_session_engine(session)));
        ck_assert_msg(c->live == live, "allocation %zu: %zu of %zu blocks", n, c->live, live);
        ck_assert_uint_lt(n, 1000);
        if (status != PP_OK) ck_assert_uint_eq(newest_updates(folder), 0);
    }
}

START_TEST(memory_may_run_out_anywhere) {
    const char *folder = make_path("starved");
    counting c = {.refused = SIZE_MAX};
    const pp_engine_options options = {.allocator = {count_allocate, count_release, &c}};
    pp_engine *engine;
    pp_device *device;
    pp_profile *profile;
    pp_graph *g;
    pp_plan *plan;
    pp_session *session;
    ck_assert_int_eq(pp_engine_create(&options, &engine), PP_OK);
    ck_assert_int_eq(pp_device_open(engine, NULL, NULL, &device), PP_OK);
    ck_assert_int_eq(pp_profile_for_device(device, test_profile(), &profile), PP_OK);
    ck_assert_int_eq(pp_graph_create(engine, &g), PP_OK);
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    ck_assert_int_eq(pp_plan_create(g, profile, &plans[1], &plan), PP_OK);
    ck_assert_int_eq(pp_session_create(device, plan, profile, NULL, &session), PP_OK);
    ck_assert_int_eq(save(session, folder), PP_OK);
    const pp_batch batch = {.inputs = data.inputs[0], .labels = data.labels[0], .count = BATCH};
    ck_assert_int_eq(pp_session_step(session, &batch, 0.05f), PP_OK);
    starve(&c, session, folder, load);
    ck_assert_uint_eq(pp_session_update_count(session), 0);
    ck_assert_int_eq(pp_session_step(session, &batch, 0.05f), PP_OK);
    starve(&c, session, folder, save);
    ck_assert_uint_eq(newest_updates(folder), 1);
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_graph_destroy(g);
    pp_profile_destroy(profile);
    pp_device_close(device);
    pp_engine_destroy(engine);
    ck_assert_uint_eq(c.live, 0);
}
END_TEST

/* A disk that is full after any number of bytes. */
START_TEST(a_failed_write_loses_nothing) {
    const char *folder = make_path("full");
    trainer t;
    create(&t, 5, &plans[1]);
    run_steps(&t, 0, 1);
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    struct stat info;
    ck_assert_int_eq(stat(make_path("full/step-000000001.safetensors"), &info), 0);
    run_steps(&t, 1, 2);
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t bytes = 0; bytes < (rlim_t)info.st_size; bytes += (rlim_t)info.st_size / 23) {
        const struct rlimit limit = {bytes, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        const pp_status status = pp_checkpoint_save(t.session, folder, &place, 1);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(status, PP_ERROR_IO);
        ck_assert_uint_eq(count_files(folder), 1);
        ck_assert_uint_eq(newest_updates(folder), 1);
    }
    TEST_OK(pp_checkpoint_save(t.session, folder, &place, 1));
    ck_assert_uint_eq(newest_updates(folder), 2);
    make_file("no_folder", "x", 1);
    TEST_FAILS(pp_checkpoint_save(t.session, make_path("no_folder"), &place, 1), PP_ERROR_IO,
               "no_folder");
    trainer_destroy(&t);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store/checkpoint");
    TCase *test = tcase_create("device");
    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_loop_test(test, goes_on_bit_for_bit, 0, PLANS);
    tcase_add_test(test, everything_comes_back);
    tcase_add_test(test, what_does_not_fit_is_refused);
    tcase_add_test(test, adam_is_not_adamw);
    tcase_add_test(test, half_a_replay_set_is_refused);
    tcase_add_test(test, the_newest_are_kept);
    tcase_add_test(test, damaged_ones_are_passed_over);
    tcase_add_test(test, every_byte_counts);
    tcase_add_test(test, memory_may_run_out_anywhere);
    tcase_add_test(test, a_failed_write_loses_nothing);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
