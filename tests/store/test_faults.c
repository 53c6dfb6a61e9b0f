/* What allocates or writes beside a session's steps, failing at every allocation and at every call
 * that writes: the right status, nothing lost, the old file whole and no other beside it.
 * tests/exec/test_faults.c has sessions, tests/plan plans, tests/data data sets. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <pocketprop/checkpoint.h>
#include <pocketprop/measure.h>
#include <pocketprop/model.h>
#include <pocketprop/state.h>
#include <pocketprop/tune.h>
#include <pocketprop/weights.h>

#include "device/cache.h"
#include "device/device.h"
#include "io/make_files.h"
#include "support/faulty_files.h"
#include "support/support.h"

enum { SIDE = 4, CLASSES = 3, BATCH = 2 };

/* An allocator that counts, and refuses the allocation number `refused` (from 0). */
static struct { size_t calls, live, refused; } host = {.refused = SIZE_MAX};

static void *allocate(void *user, size_t bytes) {
    (void)user;
    if (host.calls++ == host.refused) return NULL;
    void *memory = malloc(bytes);
    host.live += memory != NULL;
    return memory;
}

static void release(void *user, void *memory) {
    (void)user;
    host.live--;
    free(memory);
}

/* What every operation below starts from. */
static struct {
    pp_engine *engine;
    pp_device *device;
    pp_graph *graph;
    pp_profile *profile;
    pp_plan *plan;
    pp_session *session;
    pp_state *state;
} f;

static const float inputs[BATCH * SIDE * SIDE] = {1, -1, 2, 0.5f, -3, 1};
static const int32_t labels[BATCH] = {0, 2};
static const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};
static const pp_plan_options options = {.batch = BATCH, .optimizer.momentum = 0.9f};
static const uint8_t replay_pixels[SIDE * SIDE];
static const int32_t replay_labels[1] = {1};

static pp_status build(pp_graph **graph_out) {
    pp_status status = pp_graph_create(f.engine, graph_out);
    if (status != PP_OK) return status;
    pp_graph *g = *graph_out;
    const pp_conv2d_params conv = {
        .out_channels = 4, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, 1);
    x = pp_graph_batchnorm(g, "bn", pp_graph_conv2d(g, "conv", x, &conv), NULL);
    x = pp_graph_dense(g, "fc", pp_graph_relu(g, "relu", x),
                       &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    return pp_graph_status(g);
}

#define OK(call)                                                  \
    do {                                                          \
        pp_status status_ = (call);                               \
        ck_assert_msg(status_ == PP_OK, "%s: %s", #call,          \
                      f.engine ? pp_engine_error(f.engine) : ""); \
    } while (0)

static void set_up(void) {
    OK(pp_engine_create(&(pp_engine_options){.allocator = {allocate, release, NULL}}, &f.engine));
    OK(pp_device_open(f.engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &f.device));
    OK(build(&f.graph));
    OK(pp_profile_for_device(f.device, test_profile(), &f.profile));
    OK(pp_plan_create(f.graph, f.profile, &options, &f.plan));
    OK(pp_session_create(f.device, f.plan, f.profile, NULL, &f.session));
    OK(pp_session_step(f.session, &batch, 0.1f));
    OK(pp_state_save(f.session, &f.state));
}

static void tear_down(void) {
    pp_state_destroy(f.state);
    pp_session_destroy(f.session);
    pp_plan_destroy(f.plan);
    pp_profile_destroy(f.profile);
    pp_graph_destroy(f.graph);
    pp_device_close(f.device);
    pp_engine_destroy(f.engine);
    ck_assert_uint_eq(host.live, 0);
}

static pp_status build_graph(void) {
    pp_graph *graph = NULL;
    const pp_status status = build(&graph);
    pp_graph_destroy(graph);
    return status;
}

static pp_status build_model(void) {
    pp_graph *graph = NULL;
    const pp_status status = pp_model_build(f.engine, "resnet20", NULL, &graph);
    pp_graph_destroy(graph);
    return status;
}

static pp_status plan_a_budget(void) {
    pp_plan_summary summary;
    pp_plan_summarize(f.plan, &summary);
    pp_plan *plan = NULL, *again = NULL;
    char *policy = NULL;
    pp_plan_options budgeted = options, printed = options;
    budgeted.budget_bytes = summary.peak_bytes - summary.peak_bytes / 50;
    pp_status status = pp_plan_create(f.graph, f.profile, &budgeted, &plan);
    if (status == PP_OK) status = pp_plan_print_policy(plan, &policy);
    printed.policy = policy;
    if (status == PP_OK) status = pp_plan_create(f.graph, f.profile, &printed, &again);
    pp_text_free(f.engine, policy);
    pp_plan_destroy(again);
    pp_plan_destroy(plan);
    return status;
}

static pp_status list_devices(void) {
    pp_device_info infos[4];
    size_t count;
    return pp_device_list(f.engine, infos, 4, &count);
}

static pp_status keep_a_state(void) {
    pp_state *state = NULL;
    pp_status status = pp_state_save(f.session, &state);
    if (status == PP_OK) status = pp_state_load(state, f.session);
    pp_state_destroy(state);
    return status;
}

static pp_status tune(void) {
    pp_tuner *tuner = NULL, *other = NULL;
    char *text = NULL;
    pp_trial trial;
    pp_status status = pp_tuner_create(f.engine, f.profile, &tuner);
    for (size_t i = 0; status == PP_OK && i < 20 && pp_tuner_propose(tuner, &trial); i++)
        status = pp_tuner_report(tuner, 0.5, NULL);
    if (status == PP_OK) status = pp_tuner_print(tuner, &text);
    pp_tuner_destroy(tuner);
    if (status == PP_OK) status = pp_tuner_create(f.engine, f.profile, &other);
    pp_tuner_destroy(other);
    pp_text_free(f.engine, text);
    return status;
}

static pp_status find_a_profile(void) {
    char *folder = NULL, *path = NULL;
    pp_profile *profile = NULL;
    pp_status status = pp_profile_folder(f.engine, &folder);
    if (status == PP_OK)
        status =
            pp_profile_find(f.engine, pp_device_describe(f.device), make_path("profiles"), &path);
    ck_assert(status != PP_OK || path);
    if (status == PP_OK) status = pp_profile_for_device(f.device, path, &profile);
    pp_profile_destroy(profile);
    pp_text_free(f.engine, path);
    pp_text_free(f.engine, folder);
    return status;
}

static pp_status save_profile(void) {
    return pp_profile_save(f.profile, pp_device_describe(f.device), "a comment",
                           make_path("profiles/own.profile"));
}

static pp_status save_weights(void) {
    return pp_weights_save(f.session, make_path("weights/w"), NULL);
}

static pp_status load_weights(void) {
    pp_weights_report *report = NULL;
    static const pp_rename renames[] = {{"conv.*", "conv.*"}};
    const pp_status status = pp_weights_load(
        f.session, make_path("weights/w"),
        &(pp_weights_options){.renames = renames, .rename_count = 1, .partial = true}, &report);
    pp_weights_report_destroy(report);
    return status;
}

static pp_status save_checkpoint(void) {
    const pp_checkpoint_place place = {
        .policy = "codec raw\n", .replay = {replay_pixels, NULL, replay_labels, 1, SIDE, SIDE, 1}};
    return pp_checkpoint_save(f.session, make_path("run"), &place, 1);
}

static pp_status load_checkpoint(void) {
    pp_checkpoint *checkpoint = NULL;
    pp_status status = pp_checkpoint_open(f.engine, make_path("run"), &checkpoint);
    ck_assert(status != PP_OK || checkpoint);
    if (status == PP_OK) status = pp_checkpoint_load(checkpoint, f.session);
    pp_checkpoint_close(checkpoint);
    return status;
}

static pp_status measure(void) {
    pp_signals *signals = NULL;
    const pp_status status =
        pp_measure(f.device, f.graph, f.profile, f.state, &batch, NULL, &signals);
    pp_signals_destroy(signals);
    return status;
}

/* Those that write come before those that read what they wrote. */
static const struct {
    const char *name;
    pp_status (*run)(void);
    size_t stride; /* of the allocations that are refused */
    size_t spared; /* refusals that may be passed over */
} operations[] = {
    {"graph", build_graph, 1, 0},
    {"model", build_model, 7, 0},
    {"plan with a budget", plan_a_budget, 17, 0},
    {"list of devices", list_devices, 1, 0},
    {"state", keep_a_state, 1, 0},
    {"tuner", tune, 1, 0},
    {"saving a profile", save_profile, 1, 0},
    {"finding a profile", find_a_profile, 1, 0},
    {"saving weights", save_weights, 1, 0},
    {"loading weights", load_weights, 1, 0},
    /* The new one is safe when the older ones are listed. */
    {"saving a checkpoint", save_checkpoint, 1, 1},
    {"loading a checkpoint", load_checkpoint, 1, 0},
    {"measuring", measure, 101, 0},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

START_TEST(every_allocation_fails_once) {
    make_folder("weights");
    for (size_t i = 0; i < OPERATIONS; i++) {
        OK(operations[i].run());
        const size_t live = host.live, before = host.calls;
        OK(operations[i].run());
        const size_t needed = host.calls - before;
        ck_assert_msg(needed && host.live == live, "%s: %zu allocations, %zu are left",
                      operations[i].name, needed, host.live - live);
        size_t passed_over = 0;
        for (size_t n = 0; n < needed; n += operations[i].stride) {
            host.refused = host.calls + n;
            const pp_status status = operations[i].run();
            host.refused = SIZE_MAX;
            passed_over += status == PP_OK;
            ck_assert_msg(status == PP_ERROR_OUT_OF_MEMORY ||
                              (status == PP_OK && passed_over <= operations[i].spared),
                          "%s, allocation %zu: %s: %s", operations[i].name, n,
                          pp_status_name(status), pp_engine_error(f.engine));
            ck_assert_msg(test_contains(pp_engine_error(f.engine), "host memory"),
                          "%s, allocation %zu: %s", operations[i].name, n,
                          pp_engine_error(f.engine));
            ck_assert_msg(host.live == live, "%s, allocation %zu: %zd are left", operations[i].name,
                          n, (ptrdiff_t)(host.live - live));
        }
        OK(operations[i].run());
    }
}
END_TEST

static size_t count_files(const char *folder) {
    size_t count = 0;
    DIR *listing = opendir(folder);
    ck_assert(listing != NULL);
    for (struct dirent *entry; (entry = readdir(listing));) count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

/* The cache has no status; a device's folder is all that it needs. */
static pp_status save_entry(void) {
    pp_device device = {.engine = f.engine, .cache_dir = (char *)make_path("entries")};
    static const unsigned char binary[1000] = {1, 2, 3};
    pp__cache_save(&device, "key", binary, sizeof binary);
    return PP_ERROR_IO;
}

static void check_entry(void) {
    pp_device device = {.engine = f.engine, .cache_dir = (char *)make_path("entries")};
    unsigned char *binary;
    size_t bytes;
    OK(pp__cache_load(&device, "key", &binary, &bytes));
    ck_assert(binary && bytes == 1000);
    pp__release(f.engine, binary);
}

static void check_profile(void) {
    pp_profile *profile;
    OK(pp_profile_load(f.engine, make_path("profiles/own.profile"), &profile));
    pp_profile_destroy(profile);
}

static void check_weights(void) {
    OK(load_weights());
}

static void check_checkpoint(void) {
    OK(load_checkpoint());
}

static const struct {
    const char *folder;
    pp_status (*write)(void);
    void (*check)(void);
    size_t least_calls;
} writers[] = {
    {"profiles", save_profile, check_profile, 4},
    {"weights", save_weights, check_weights, 6},
    {"run", save_checkpoint, check_checkpoint, 6},
    {"entries", save_entry, check_entry, 6},
};

/* Once the file has its name, what fails is no failure any more: the sync of its folder. */
static bool is_behind_rename(const char *call) {
    return !strcmp(call, "fsync") || !strcmp(call, "open") || !strcmp(call, "close");
}

START_TEST(every_write_fails_once) {
    const char *folder = make_path(writers[_i].folder);
    (void)mkdir(folder, 0700);
    (void)writers[_i].write();
    writers[_i].check();
    const size_t live = host.live;
    size_t n = 1;
    for (;; n++) {
        faulty_files_start(n);
        const pp_status status = writers[_i].write();
        const char *call = faulty_files_stop();
        ck_assert_msg(count_files(folder) == 1, "%s, call %zu, %s: %zu files", writers[_i].folder,
                      n, call, count_files(folder));
        writers[_i].check();
        ck_assert_uint_eq(host.live, live);
        if (!call) break;
        ck_assert_msg(status == PP_ERROR_IO || is_behind_rename(call), "%s, call %zu, %s: %s",
                      writers[_i].folder, n, call, pp_status_name(status));
    }
    ck_assert_msg(n > writers[_i].least_calls, "%s: %zu calls", writers[_i].folder, n - 1);
}
END_TEST

/* What is on disk behind a power cut: the file, its name in the folder, and the folder's own name,
 * whoever made it and however it is written. */
START_TEST(names_are_synced_too) {
    static const pp_checkpoint_place place;
    char parent[256], folder[300];
    snprintf(parent, sizeof parent, "%s", make_path("parent"));
    ck_assert_int_eq(mkdir(parent, 0700), 0);
    snprintf(folder, sizeof folder, "%s/run/", parent);
    if (_i) ck_assert_int_eq(mkdir(folder, 0700), 0);
    faulty_files_start(0);
    OK(pp_checkpoint_save(f.session, folder, &place, 1));
    (void)faulty_files_stop();
    ck_assert(faulty_files_synced(folder));
    ck_assert(faulty_files_synced(parent));
    snprintf(folder, sizeof folder, "rm -r '%s'", parent);
    ck_assert_int_eq(system(folder), 0);
}
END_TEST

/* /proc takes no file from anybody, root included. */
START_TEST(a_folder_that_takes_no_file_is_named) {
    static const char path[] = "/proc/pocketprop.file";
    ck_assert_int_eq(pp_weights_save(f.session, path, NULL), PP_ERROR_IO);
    ck_assert(test_contains(pp_engine_error(f.engine), path));
    ck_assert_int_eq(pp_profile_save(f.profile, NULL, NULL, path), PP_ERROR_IO);
    ck_assert(test_contains(pp_engine_error(f.engine), path));
    ck_assert_int_eq(pp_checkpoint_save(f.session, "/proc", &(pp_checkpoint_place){0}, 1),
                     PP_ERROR_IO);
    ck_assert(test_contains(pp_engine_error(f.engine), "/proc/step-"));
    ck_assert_int_eq(pp_checkpoint_save(f.session, "/proc/run", &(pp_checkpoint_place){0}, 1),
                     PP_ERROR_IO);
    ck_assert(test_contains(pp_engine_error(f.engine), "/proc/run"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store/faults");
    TCase *test = tcase_create("device");
    tcase_add_unchecked_fixture(test, set_up, tear_down);
    tcase_add_test(test, every_allocation_fails_once);
    tcase_add_loop_test(test, every_write_fails_once, 0, sizeof writers / sizeof *writers);
    tcase_add_loop_test(test, names_are_synced_too, 0, 2);
    tcase_add_test(test, a_folder_that_takes_no_file_is_named);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
