/* The references put together (tests/support/residual.c): ten steps of SGD on the network of
 * tests/golden/README.md, each loss and the final parameters against what PyTorch computed. Pins
 * what the single cases cannot: that the references fit each other, the accumulation of the
 * residual's two gradients, and which parameters decay. */
#include <stdio.h>

#include "support/golden.h"
#include "support/residual.h"
#include "support/support.h"

/* Rounding grows by less than a factor of ten a step from 1e-16. */
static const double tolerance = 1e-11;

static void check_final(const golden *g, const char *name, const double *values, size_t count) {
    char tensor[GOLDEN_NAME];
    snprintf(tensor, sizeof tensor, "final.%s", name);
    golden_close(tensor, values, golden_values(g, tensor, count), count, tolerance);
}

START_TEST(ten_steps) {
    static residual net;
    golden *g = golden_read("training/residual");
    double losses[RESIDUAL_STEPS];
    residual_start(&net, g, "raw");
    for (size_t i = 0; i < RESIDUAL_STEPS; i++) losses[i] = residual_step(&net, i);
    golden_close("losses", losses, golden_values(g, "losses", RESIDUAL_STEPS), RESIDUAL_STEPS,
                 tolerance);
    for (size_t i = 0; i < RESIDUAL_PARAMETERS; i++)
        check_final(g, net.p[i].name, net.p[i].value, net.p[i].count);
    for (size_t i = 0; i < RESIDUAL_STATISTICS; i++)
        check_final(g, residual_statistics[i], net.running[i], RESIDUAL_WIDTH);
    golden_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reference training");
    TCase *tcase = tcase_create("residual");
    tcase_add_test(tcase, ten_steps);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
