/* Moments in 8 bits on the device against their reference, to the bit; and what is promised of
 * them: rounding without bias, nothing lost, a broken gradient that breaks its own weight alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "exec/update.h"
#include "op/scalars.h"
#include "plan/plan.h"
#include "ref/optimizer_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

enum { ROWS = 8, STEPS = 5, GAP_ELEMS = 16 };

/* Around octets, runs of 64, blocks; many blocks; and rows in float32 between them. */
static const uint32_t lengths[ROWS] = {1000, 1, 9, 256, 63, 257, 5000, 8};
static const bool codes[ROWS] = {true, true, false, true, true, true, true, false};

/* The host's side of a row. */
typedef struct parameter {
    float *w, *dw;
    uint8_t *m[2]; /* as the reference has them: codes, or float32 */
} parameter;

typedef struct run {
    op_harness h;
    pp_optimizer optimizer;
    size_t block, row_count;
    pp__update rows[ROWS];
    pp__updates updates;
    parameter parameters[ROWS];
} run;

static size_t moment_bytes(const run *r, size_t row) {
    return r->rows[row].coded ? ref_coded_bytes(r->block, r->rows[row].elems)
                              : r->rows[row].elems * sizeof(float);
}

/* Lays the rows' tensors one behind the other in one allocation, with NaN between them. */
static void place(run *r, pp__ref (*tensor_of)(run *r, size_t row, size_t bytes, pp__ref at),
                  bool moments) {
    size_t total = 0;
    for (size_t i = 0; i < r->row_count; i++)
        total += (moments ? moment_bytes(r, i) : r->rows[i].elems * sizeof(float)) + 4 * GAP_ELEMS;
    pp__ref at = op_harness_tensor(&r->h, total);
    for (size_t i = 0; i < r->row_count; i++) {
        size_t bytes = moments ? moment_bytes(r, i) : r->rows[i].elems * sizeof(float);
        at = tensor_of(r, i, bytes, at);
        at.offset_bytes += bytes + 4 * GAP_ELEMS;
    }
}

static pp__ref take_value(run *r, size_t row, size_t bytes, pp__ref at) {
    (void)bytes;
    return r->rows[row].value = at;
}
static pp__ref take_gradient(run *r, size_t row, size_t bytes, pp__ref at) {
    (void)bytes;
    return r->rows[row].gradient = at;
}
static pp__ref take_moment(run *r, size_t row, size_t bytes, pp__ref at, size_t m) {
    parameter *p = &r->parameters[row];
    p->m[m] = op_harness_bytes(&r->h, bytes);
    memset(p->m[m], 0, bytes);
    TEST_OK(pp__write_now(test_device(), at, p->m[m], bytes));
    return r->rows[row].moments[m] = at;
}
static pp__ref take_first(run *r, size_t row, size_t bytes, pp__ref at) {
    return take_moment(r, row, bytes, at, 0);
}
static pp__ref take_second(run *r, size_t row, size_t bytes, pp__ref at) {
    return take_moment(r, row, bytes, at, 1);
}

static bool has_second(const run *r) {
    return r->optimizer.kind != PP_OPTIMIZER_SGD;
}

/* Parameters of these lengths with random weights, and blocks of so many octets. */
static void open_run(run *r, const pp_optimizer *optimizer, size_t octets, size_t row_count,
                     const uint32_t *elems, const bool *coded) {
    char path[256];
    snprintf(path, sizeof path, "%s/coded.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file && fprintf(file, "parent = %s\nupdate.moment_octets = %zu\n",
                              pp_device_describe(test_device())->profile, octets) > 0);
    ck_assert(fclose(file) == 0);
    memset(r, 0, sizeof *r);
    op_harness_open(&r->h, path);
    r->optimizer = *optimizer;
    r->block = 8 * octets;
    r->row_count = row_count;
    for (size_t i = 0; i < row_count; i++)
        r->rows[i] = (pp__update){.elems = elems[i],
                                  .coded = coded[i],
                                  .rate = i % 3 ? 1.0f : 0.3f,
                                  .decayed = i % 2 == 0};
    place(r, take_value, false);
    place(r, take_gradient, false);
    place(r, take_first, true);
    if (has_second(r)) place(r, take_second, true);
    for (size_t i = 0; i < row_count; i++) {
        parameter *p = &r->parameters[i];
        p->w = op_harness_bytes(&r->h, elems[i] * sizeof(float));
        p->dw = op_harness_bytes(&r->h, elems[i] * sizeof(float));
        for (size_t j = 0; j < elems[i]; j++) p->w[j] = (float)test_random_normal();
        TEST_OK(pp__write_now(test_device(), r->rows[i].value, p->w, elems[i] * sizeof(float)));
    }
    r->updates = (pp__updates){
        .rows = r->rows,
        .count = row_count,
        .table = op_harness_tensor(&r->h, row_count * PP__UPDATE_ROW_WORDS * sizeof(uint32_t)),
        .scalars = op_harness_tensor(&r->h, sizeof r->h.scalars),
        .optimizer = &r->optimizer,
        .coded = true};
    TEST_OK(pp__update_write_table(test_device(), r->h.profile, &r->updates));
}

static uint32_t word_of(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static ref_coded rule_of(const run *r, uint64_t seed, uint32_t step) {
    const pp_optimizer *o = &r->optimizer;
    return (ref_coded){.block = r->block,
                       .seed = seed,
                       .step = step,
                       .rate = 0.05f / (float)(step + 1),
                       .clip = step % 2 ? 1.0f : 0.37f,
                       .momentum = o->momentum,
                       .nesterov = o->nesterov,
                       .beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .epsilon = o->epsilon,
                       .correction1 = 1.0f / (1.0f - powf(o->beta1, (float)step + 1)),
                       .correction2 = 1.0f / sqrtf(1.0f - powf(o->beta2, (float)step + 1)),
                       .decoupled = o->kind == PP_OPTIMIZER_ADAMW};
}

static void run_update(run *r, const ref_coded *rule) {
    uint32_t *s = r->h.scalars;
    s[PP__SCALAR_SEED_LOW] = (uint32_t)rule->seed;
    s[PP__SCALAR_SEED_HIGH] = (uint32_t)(rule->seed >> 32);
    s[PP__SCALAR_STEP] = rule->step;
    s[PP__SCALAR_RATE] = word_of(rule->rate);
    s[PP__SCALAR_CLIP] = word_of(rule->clip);
    s[PP__SCALAR_CORRECTION1] = word_of(rule->correction1);
    s[PP__SCALAR_CORRECTION2] = word_of(rule->correction2);
    TEST_OK(pp__write_now(test_device(), r->updates.scalars, s, sizeof r->h.scalars));
    for (size_t i = 0; i < r->row_count; i++)
        TEST_OK(pp__write_now(test_device(), r->rows[i].gradient, r->parameters[i].dw,
                              r->rows[i].elems * sizeof(float)));
    op_harness_begin(&r->h);
    TEST_OK(pp__update_record(r->h.b.stream, &r->updates, 0, r->row_count));
    op_harness_run(&r->h);
}

/* A row in float32, by the same formulas. */
static void update_floats(const ref_coded *o, bool second, size_t count, parameter *p) {
    float *m = (float *)(void *)p->m[0], *v = (float *)(void *)p->m[1];
    for (size_t i = 0; i < count; i++) {
        float g = o->clip * p->dw[i];
        if (second && o->decoupled)
            p->w[i] -= o->rate * o->decay * p->w[i];
        else
            g += o->decay * p->w[i];
        if (second) {
            m[i] += (1 - o->beta1) * (g - m[i]);
            v[i] = o->beta2 * v[i] + (1 - o->beta2) * g * g;
            p->w[i] -=
                o->rate * (m[i] * o->correction1) / (sqrtf(v[i]) * o->correction2 + o->epsilon);
        } else {
            m[i] = o->momentum * m[i] + g;
            p->w[i] -= o->rate * (o->nesterov ? g + o->momentum * m[i] : m[i]);
        }
    }
}

static void update_reference(run *r, ref_coded rule) {
    const float rate = rule.rate;
    for (size_t i = 0; i < r->row_count; i++) {
        parameter *p = &r->parameters[i];
        const size_t count = r->rows[i].elems;
        rule.rate = rate * r->rows[i].rate;
        rule.decay = r->rows[i].decayed ? r->optimizer.weight_decay : 0;
        rule.key = 0x40000000u | (uint32_t)i;
        if (!r->rows[i].coded)
            update_floats(&rule, has_second(r), count, p);
        else if (has_second(r))
            ref_coded_adam(&rule, count, p->w, p->dw, p->m[0], p->m[1]);
        else
            ref_coded_sgd(&rule, count, p->w, p->dw, p->m[0]);
    }
}

static void check_bytes(run *r, const char *what, size_t row, uint32_t step, pp__ref found,
                        const void *expected, size_t bytes) {
    /* The gap behind the tensor belongs to nobody. */
    const size_t all = bytes + 4 * GAP_ELEMS;
    uint8_t *read = malloc(all);
    ck_assert(read != NULL);
    op_harness_read(&r->h, found, read, all);
    const uint8_t *wanted = expected;
    for (size_t i = 0; i < all; i++)
        ck_assert_msg(read[i] == (i < bytes ? wanted[i] : 0xFF),
                      "%s of row %zu, step %u, blocks of %zu: byte %zu of %zu is %02x, not %02x",
                      what, row, step, r->block, i, bytes, read[i], i < bytes ? wanted[i] : 0xFF);
    free(read);
}

static void check_rows(run *r, uint32_t step) {
    for (size_t i = 0; i < r->row_count; i++) {
        const parameter *p = &r->parameters[i];
        const size_t bytes = moment_bytes(r, i);
        check_bytes(r, "weight", i, step, r->rows[i].value, p->w, r->rows[i].elems * sizeof(float));
        check_bytes(r, "first moment", i, step, r->rows[i].moments[0], p->m[0], bytes);
        if (has_second(r))
            check_bytes(r, "second moment", i, step, r->rows[i].moments[1], p->m[1], bytes);
    }
}

/* Gradients of seven decades, and zeros. */
static void draw_gradients(run *r) {
    for (size_t i = 0; i < r->row_count; i++)
        for (size_t j = 0; j < r->rows[i].elems; j++) {
            const double power = -(double)test_random_below(8);
            r->parameters[i].dw[j] =
                test_random_below(10) == 0 ? 0 : (float)(test_random_normal() * pow(10, power));
        }
}

static const pp_optimizer rules[] = {
    {.momentum = 0.9f, .weight_decay = 0.01f},
    {.momentum = 0.7f, .nesterov = true},
    {.kind = PP_OPTIMIZER_ADAM,
     .beta1 = 0.9f,
     .beta2 = 0.999f,
     .epsilon = 1e-8f,
     .weight_decay = 0.01f},
    {.kind = PP_OPTIMIZER_ADAMW,
     .beta1 = 0.8f,
     .beta2 = 0.95f,
     .epsilon = 1e-3f,
     .weight_decay = 0.1f},
};
enum { RULES = sizeof rules / sizeof *rules };

START_TEST(agrees_with_reference_to_the_bit) {
    static const size_t octets[] = {32, 1, 100};
    static run r;
    for (size_t k = 0; k < sizeof octets / sizeof *octets; k++) {
        open_run(&r, &rules[_i], octets[k], ROWS, lengths, codes);
        for (uint32_t step = 0; step < STEPS; step++) {
            const ref_coded rule = rule_of(&r, 0x123456789ABCDEFu + k, step);
            draw_gradients(&r);
            run_update(&r, &rule);
            update_reference(&r, rule);
            check_rows(&r, step);
        }
        op_harness_destroy(&r.h);
    }
}
END_TEST

/* One row of blocks, each of a 1 and of copies of x: one update's moment, decoded. */
static void store_copies(run *r, const pp_optimizer *optimizer, uint32_t elems, float x,
                         float *first, float *second) {
    open_run(r, optimizer, 32, 1, &elems, &(const bool){true});
    for (size_t i = 0; i < elems; i++) r->parameters[0].dw[i] = i % r->block ? x : 1;
    ref_coded rule = rule_of(r, 77, 1);
    run_update(r, &rule);
    for (size_t m = 0; m < (has_second(r) ? 2u : 1u); m++) {
        const size_t bytes = moment_bytes(r, 0);
        op_harness_read(&r->h, r->rows[0].moments[m], r->parameters[0].m[m], bytes);
        ref_coded_decode(r->block, elems, m == 1, r->parameters[0].m[m], m ? second : first);
    }
    op_harness_destroy(&r->h);
}

/* The mean of `count` stored copies of a value against the value: within five standard deviations
 * of a mean of draws from two neighbours `gap` apart. */
static void check_mean(const char *what, double value, const float *stored, size_t count,
                       double least_gap) {
    double sum = 0, low = INFINITY, high = -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i % 256 == 0) continue;
        const double s = (double)stored[i];
        sum += s;
        low = fmin(low, s);
        high = fmax(high, s);
        n++;
    }
    const double gap = fmax(high - low, least_gap);
    ck_assert_msg(low <= value * (1 + 1e-5) && high >= value * (1 - 1e-5), "%s: %g in %g..%g", what,
                  value, low, high);
    ck_assert_msg(fabs(sum / (double)n - value) <= 5 * 0.5 * gap / sqrt((double)n),
                  "%s: a mean of %.9g, not %.9g", what, sum / (double)n, value);
}

START_TEST(rounding_has_no_bias) {
    enum { ELEMS = 64 * 256 };
    static run r;
    static float first[ELEMS], second[ELEMS];
    static const float xs[] = {0.9f, 0.5f, 0.123f, 0.01f, 1e-3f, 2e-5f};
    const pp_optimizer sgd = {.momentum = 0.9f};
    const pp_optimizer adam = {
        .kind = PP_OPTIMIZER_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    for (size_t i = 0; i < sizeof xs / sizeof *xs; i++) {
        const double x = (double)xs[i];
        store_copies(&r, &sgd, ELEMS, xs[i], first, second);
        check_mean("momentum", x, first, ELEMS, 1e-7);
        store_copies(&r, &sgd, ELEMS, -xs[i], first, second);
        check_mean("negative momentum", -x, first, ELEMS, 1e-7);
        store_copies(&r, &adam, ELEMS, xs[i], first, second);
        check_mean("first moment", 0.1 * x, first, ELEMS, 1e-8);
        /* Below its smallest code, the second moment is that code. */
        if (x > 1e-3) check_mean("second moment", 0.001 * x * x, second, ELEMS, 1e-9);
    }
}
END_TEST

/* Zeros stay zeros, a second moment of any gradient is above 0, and neither is the other. */
START_TEST(second_moments_are_zero_for_zeros_alone) {
    enum { ELEMS = 256 };
    static run r;
    static float first[ELEMS], second[ELEMS];
    const pp_optimizer adam = {
        .kind = PP_OPTIMIZER_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    store_copies(&r, &adam, ELEMS, 1e-12f, first, second);
    for (size_t i = 1; i < ELEMS; i++) ck_assert(second[i] > 0 && (double)second[i] < 1e-12);
    store_copies(&r, &adam, ELEMS, 0, first, second);
    for (size_t i = 1; i < ELEMS; i++) ck_assert(second[i] == 0 && first[i] == 0);
    ck_assert(first[0] != 0 && second[0] != 0);
}
END_TEST

/* One element without a gradient waits for the next update; the others, some in its block of a
 * moment, do not. */
START_TEST(a_broken_gradient_leaves_its_weight_alone) {
    enum { ELEMS = 512, BROKEN = 300 };
    static run r;
    float before[ELEMS], found[ELEMS];
    for (size_t k = 0; k < RULES; k++) {
        open_run(&r, &rules[k], 32, 1, &(const uint32_t){ELEMS}, &(const bool){true});
        for (uint32_t step = 0; step < 2; step++) {
            const ref_coded rule = rule_of(&r, 5, step);
            op_harness_read(&r.h, r.rows[0].value, before, sizeof before);
            draw_gradients(&r);
            r.parameters[0].dw[BROKEN] = step ? 1 : NAN;
            run_update(&r, &rule);
            op_harness_read(&r.h, r.rows[0].value, found, sizeof found);
            ck_assert((found[BROKEN] == before[BROKEN]) == (step == 0));
            ck_assert(memcmp(found, before, BROKEN * sizeof *found) != 0);
            for (size_t i = 0; i < ELEMS; i++)
                ck_assert_msg(isfinite(found[i]), "rule %zu: weight %zu is %g", k, i,
                              (double)found[i]);
        }
        op_harness_destroy(&r.h);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/update");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, agrees_with_reference_to_the_bit, 0, RULES);
    tcase_add_test(test, rounding_has_no_bias);
    tcase_add_test(test, second_moments_are_zero_for_zeros_alone);
    tcase_add_test(test, a_broken_gradient_leaves_its_weight_alone);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
