/* examples/fine_tune.c on a folder of made photos: weights of other classes are taken up, and the same
 * call again goes on from an older checkpoint to the same bytes. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pocketprop/weights.h>

#include "io/make_files.h"
#include "support/support.h"
#include "support/trainer.h"

enum { SIDE = 32, CLASSES = 3, PHOTOS = 10, LAST_UPDATE = 21 };

static void make_photos(void) {
    static uint8_t pixels[SIDE * SIDE * 3];
    make_folder("photos");
    for (int label = 0; label < CLASSES; label++) {
        char name[64];
        snprintf(name, sizeof name, "photos/class%d", label);
        make_folder(name);
        for (int i = 0; i < PHOTOS; i++) {
            for (size_t p = 0; p < sizeof pixels; p++)
                pixels[p] = (uint8_t)(test_random_below(64) + (p % 3 == (size_t)label ? 64 : 0));
            snprintf(name, sizeof name, "photos/class%d/%d.png", label, i);
            make_png(name, SIDE, SIDE, PNG_FORMAT_RGB, pixels);
        }
    }
}

/* Of ten classes, as if trained elsewhere. */
static void make_weights(void) {
    pp_graph *graph;
    trainer t;
    TEST_OK(pp_model_build(test_engine(), "resnet20", NULL, &graph));
    trainer_create(&t, graph, &(pp_plan_options){.batch = 1, .inference = true}, 3);
    TEST_OK(pp_weights_save(t.session, make_path("weights"), NULL));
    trainer_destroy(&t);
    pp_graph_destroy(graph);
}

/* Its output; the caller frees it. */
static char *fine_tune(void) {
    char command[4096];
    const char *scratch = test_scratch_folder();
    snprintf(command, sizeof command, "'%s' %s/weights %s/photos 8000000 %s/run >%s/said",
             PP_FINE_TUNE, scratch, scratch, scratch, scratch);
    const int status = system(command);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %d", command, status);
    size_t count;
    char *said = (char *)make_copy(make_path("said"), &count);
    said[count] = 0;
    return said;
}

START_TEST(goes_on_to_the_same_bytes) {
    make_photos();
    make_weights();
    char name[64];
    snprintf(name, sizeof name, "run/step-%09d.safetensors", LAST_UPDATE);
    size_t count, again;
    char *said = fine_tune();
    ck_assert_msg(strstr(said, "epoch 3: loss ") != NULL, "%s", said);
    free(said);
    uint8_t *whole = make_copy(make_path(name), &count);
    ck_assert_int_eq(unlink(make_path(name)), 0);
    said = fine_tune();
    ck_assert_msg(strstr(said, "going on from ") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "epoch 2: ") == NULL, "%s", said);
    free(said);
    uint8_t *pieces = make_copy(make_path(name), &again);
    ck_assert_uint_eq(count, again);
    ck_assert(!memcmp(whole, pieces, count));
    free(whole);
    free(pieces);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("examples/fine_tune");
    TCase *test = tcase_create("program");
    tcase_set_timeout(test, 0);
    tcase_add_test(test, goes_on_to_the_same_bytes);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
