#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/rng.h"

static struct {
    pp_engine *engine;
    pp_device *device;
    uint64_t draws;
    char scratch[64];
    char data[1024];
} state;

static void log_line(void *user, pp_log_level level, const char *line) {
    (void)user;
    fprintf(stderr, "%s: %s\n", level == PP_LOG_WARNING ? "warning" : "info", line);
}

pp_engine *test_engine(void) {
    if (!state.engine) {
        pp_engine_options options = {.log = getenv("POCKETPROP_TEST_LOG") ? log_line : NULL};
        ck_assert(pp_engine_create(&options, &state.engine) == PP_OK);
    }
    return state.engine;
}

pp_device *test_device(void) {
    if (!state.device)
        TEST_OK(
            pp_device_open(test_engine(), getenv("POCKETPROP_TEST_DEVICE"), NULL, &state.device));
    return state.device;
}

const char *test_profile(void) {
    const char *name = getenv("POCKETPROP_TEST_PROFILE");
    return name && name[0] ? name : NULL;
}

static uint64_t seed(void) {
    const char *text = getenv("POCKETPROP_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 20190701;
}

int test_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    if (failed) fprintf(stderr, "POCKETPROP_TEST_SEED=%llu\n", (unsigned long long)seed());
    srunner_free(runner);
    pp_device_close(state.device);
    pp_engine_destroy(state.engine);
    if (state.scratch[0]) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", state.scratch);
        if (system(command) != 0) fprintf(stderr, "could not remove %s\n", state.scratch);
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

bool test_contains(const char *text, const char *part) {
    return strstr(text, part) != NULL;
}

uint32_t test_random_below(uint32_t bound) {
    return (uint32_t)(pp__rng(seed(), 1, state.draws++).word[0] % bound);
}

float test_random_uniform(float low, float high) {
    return low + (high - low) * pp__rng_uniform(pp__rng(seed(), 1, state.draws++).word[0]);
}

float test_random_normal(void) {
    pp__rng_block block = pp__rng(seed(), 1, state.draws++);
    float normal[2];
    pp__rng_normal(block.word[0], block.word[1], normal);
    return normal[0];
}

void test_fill_normal(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = test_random_normal();
}

void test_close(const char *what, const float *found, const float *expected, size_t count,
                float absolute, float relative) {
    double worst = -1;
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        double excess =
            fabs((double)found[i] - expected[i]) - absolute - relative * fabs((double)expected[i]);
        if (isnan(excess) || (isinf(found[i]) && found[i] != expected[i])) excess = INFINITY;
        if (excess > worst) worst = excess, place = i;
    }
    ck_assert_msg(worst <= 0, "%s: element %zu of %zu is %.9g, expected %.9g (+- %g + %g relative)",
                  what, place, count, (double)found[place], (double)expected[place],
                  (double)absolute, (double)relative);
}

const char *test_data_folder(const char *part) {
    const char *root = getenv("POCKETPROP_DATA");
    if (root)
        snprintf(state.data, sizeof state.data, "%s/%s", root, part);
    else
        snprintf(state.data, sizeof state.data, PP_TEST_DIR "/../../shared/data/%s", part);
    struct stat info;
    if (stat(state.data, &info) == 0) return state.data;
    fprintf(stderr, "SKIPPED: no %s (set POCKETPROP_DATA to the folder that holds %s)\n",
            state.data, part);
    return NULL;
}

const char *test_scratch_folder(void) {
    if (!state.scratch[0]) {
        strcpy(state.scratch, "/tmp/pocketprop-test-XXXXXX");
        ck_assert(mkdtemp(state.scratch) != NULL);
    }
    return state.scratch;
}
