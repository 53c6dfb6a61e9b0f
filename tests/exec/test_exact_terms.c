/* Which terms of backward a coded x-hat leaves exact, and by how much the others are off (METHODS
 * A.4):
 *
 *     dW      = corr(A3~, G)                                    approximate
 *     dA3     = conv_transpose(G, W)                            exact
 *     dA2     = mask * dA3                                      exact
 *     dbeta   = sum(dA2)                                        exact
 *     dgamma  = sum(dA2 * A1~)                                  approximate
 *     dA1     = gamma * dA2                                     exact
 *     dA0     = (dA1 - mean(dA1) - A1~ * mean(dA1 * A1~)) / sigma
 *
 * with e = A1~ - A1:  sigma * (dA0~ - dA0) = -(e * mean(dA1 * A1) + A1~ * mean(dA1 * e)).
 *
 * Exact means: the same bits as with raw. Gammas are of all sizes and signs, thresholds lie near
 * and far (METHODS A.10). Far ones lie beyond every x-hat of the test, as the mask of a channel
 * that is coded as always on or always off is exact only then. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "op/batchnorm.h"
#include "ref/batchnorm_ref.h"
#include "ref/conv2d_ref.h"
#include "ref/norm_ref.h"
#include "support/op_harness.h"
#include "support/support.h"
#include "support/trainer.h"

enum { CHANNELS = 20 };

/* gamma, and the threshold -beta / gamma on x-hat; beta itself where gamma is 0. */
static const struct {
    float gamma, threshold;
} channels[CHANNELS] = {
    {1, 0},       {1, 0.7f},      {1, -1.3f},    {-1, 0},        {-0.5f, 0.9f},
    {-2, -2.4f},  {3, 2.4f},      {0.01f, 0.3f}, {-0.01f, 0.3f}, {1e-6f, 0.1f},
    {-1e-6f, -1}, {1e-30f, 0.5f}, {0, 0.25f},    {0, -0.25f},    {0, 0},
    {1, 150},     {1, -150},      {-0.2f, 150},  {-1e-6f, -10},  {1e-6f, 10},
};

static float beta_of(size_t c) {
    return channels[c].gamma == 0 ? channels[c].threshold
                                  : -channels[c].threshold * channels[c].gamma;
}

static const struct {
    const char *text;
    unsigned bits;
} codecs[] = {{"norm:1", 1}, {"norm:2", 2}, {"norm:3", 3}, {"norm:4", 4}, {"norm:8", 8}};
enum { CODECS = sizeof codecs / sizeof *codecs };

static const pp_batchnorm_params defaults = {.epsilon = 1e-5f, .momentum = 0.1f};

/* One batch-norm with ReLU and its forward pass done. */
static void start(op_harness *h, const char *coding, pp__shape shape, const float *x,
                  const float *betas) {
    op_case c = {
        .op = &pp__op_batchnorm_relu, .params = &defaults, .inputs = {shape}, .codings = {coding}};
    float gammas[CHANNELS];
    op_harness_create(h, &c);
    for (size_t i = 0; i < CHANNELS; i++) gammas[i] = channels[i].gamma;
    TEST_OK(pp__write_now(test_device(), h->b.parameters[0], gammas, sizeof gammas));
    TEST_OK(pp__write_now(test_device(), h->b.parameters[1], betas, sizeof gammas));
    TEST_OK(pp__write_now(test_device(), h->b.inputs[0], x, pp__shape_bytes(shape)));
    op_harness_forward(h);
}

static void run_backward(op_harness *h, const float *dy, size_t bytes) {
    TEST_OK(pp__write_now(test_device(), h->b.output_gradient, dy, bytes));
    op_harness_backward(h);
}

enum { FEW_PIXELS = 2 * 3 * 3, FEW = FEW_PIXELS * CHANNELS };
static const pp__shape few = {2, 3, 3, CHANNELS};

/* With a gradient at one pixel alone, dbeta is dA2 of that pixel. */
static void check_masked_gradient(const char *coding, const float *x, const float *betas) {
    float y[FEW], dy[FEW], raw_dbeta[CHANNELS], dbeta[CHANNELS];
    op_harness raw, coded;
    start(&raw, "raw", few, x, betas);
    start(&coded, coding, few, x, betas);
    op_harness_read(&coded, coded.b.output, y, sizeof y);
    size_t on = 0;
    for (size_t p = 0; p < FEW_PIXELS; p++) {
        memset(dy, 0, sizeof dy);
        test_fill_normal(dy + p * CHANNELS, CHANNELS);
        run_backward(&raw, dy, sizeof dy);
        run_backward(&coded, dy, sizeof dy);
        op_harness_read(&raw, raw.b.parameter_gradients[1], raw_dbeta, sizeof raw_dbeta);
        op_harness_read(&coded, coded.b.parameter_gradients[1], dbeta, sizeof dbeta);
        for (size_t c = 0; c < CHANNELS; c++) {
            float expected = y[p * CHANNELS + c] > 0 ? dy[p * CHANNELS + c] : 0;
            on += y[p * CHANNELS + c] > 0;
            ck_assert_msg(dbeta[c] == expected && raw_dbeta[c] == expected,
                          "pixel %zu, channel %zu: %g with %s, %g with raw, expected %g", p, c,
                          (double)dbeta[c], coding, (double)raw_dbeta[c], (double)expected);
        }
    }
    ck_assert_msg(on > FEW / 4 && on < FEW * 3 / 4, "%zu of %d pass", on, FEW);
    op_harness_destroy(&raw);
    op_harness_destroy(&coded);
}

static void fill_betas(float *betas) {
    for (size_t c = 0; c < CHANNELS; c++) betas[c] = beta_of(c);
}

START_TEST(masked_gradient_is_exact) {
    float x[FEW], betas[CHANNELS];
    test_fill_normal(x, FEW);
    fill_betas(betas);
    check_masked_gradient(codecs[_i].text, x, betas);
}
END_TEST

/* Thresholds that lie on an x-hat of the data, as near as rounding allows, and within the grid. */
START_TEST(masked_gradient_is_exact_at_the_threshold) {
    float x[FEW], betas[CHANNELS], statistics[2 * CHANNELS];
    op_harness h;
    test_fill_normal(x, FEW);
    fill_betas(betas);
    start(&h, "raw", few, x, betas);
    op_harness_read(&h, h.b.auxiliary[PP__BATCHNORM_STATISTICS], statistics, sizeof statistics);
    op_harness_destroy(&h);
    for (size_t p = 0; p < FEW_PIXELS; p++) {
        for (size_t c = 0; c < CHANNELS; c++) {
            float xhat = (x[p * CHANNELS + c] - statistics[c]) * statistics[CHANNELS + c];
            if (fabsf(channels[c].threshold) < 3 && fabsf(xhat) < 2.4f)
                betas[c] = -channels[c].gamma * xhat;
        }
        check_masked_gradient(codecs[_i].text, x, betas);
    }
}
END_TEST

/* x-hat as the device computes it, from its own statistics, and what its code decodes to. */
static void find_xhat(const float *statistics, unsigned bits, const float *x, size_t pixels,
                      size_t channel_count, const float *gammas, const float *betas, float *xhat,
                      float *decoded) {
    const ref_norm norm = {.bits = bits, .clip = ref_norm_clip(bits), .relu = true};
    uint8_t *code = malloc(ref_norm_bytes(&norm, pixels, channel_count));
    ck_assert(code != NULL);
    for (size_t i = 0; i < pixels * channel_count; i++) {
        size_t c = i % channel_count;
        xhat[i] = (x[i] - statistics[c]) * statistics[channel_count + c];
    }
    ref_norm_encode(&norm, pixels, channel_count, xhat, gammas, betas, code);
    ref_norm_decode_xhat(&norm, pixels, channel_count, code, gammas, betas, decoded);
    free(code);
}

/* The closed form for one channel: dx~ - dx. */
static void closed_form(size_t pixels, size_t stride, const double *da1, const float *xhat,
                        const float *decoded, double inverse_deviation, double *error) {
    double with_xhat = 0, with_e = 0;
    for (size_t i = 0; i < pixels * stride; i += stride) {
        with_xhat += da1[i] * (double)xhat[i] / (double)pixels;
        with_e += da1[i] * ((double)decoded[i] - (double)xhat[i]) / (double)pixels;
    }
    for (size_t i = 0; i < pixels * stride; i += stride)
        error[i] = -inverse_deviation * (((double)decoded[i] - (double)xhat[i]) * with_xhat +
                                         (double)decoded[i] * with_e);
}

enum { MANY_PIXELS = 3 * 11 * 19, MANY = MANY_PIXELS * CHANNELS };

static struct {
    float x[MANY], y[MANY], dy[MANY], xhat[MANY], decoded[MANY], raw_dx[MANY], dx[MANY];
    double da1[MANY], error[MANY];
} many;

/* More pixels than a work-item or a split takes. x-hat stays within 4 deviations, far thresholds
 * beyond. */
START_TEST(input_gradient_is_off_by_the_closed_form) {
    const pp__shape shape = {3, 11, 19, CHANNELS};
    float statistics[2 * CHANNELS], gammas[CHANNELS], betas[CHANNELS];
    float raw_dbeta[CHANNELS], dbeta[CHANNELS];
    op_harness raw, coded;
    for (size_t c = 0; c < CHANNELS; c++) gammas[c] = channels[c].gamma;
    fill_betas(betas);
    test_fill_normal(many.x, MANY);
    test_fill_normal(many.dy, MANY);
    /* A gradient that goes with x-hat, so that the variance term is large. */
    for (size_t i = 0; i < MANY; i++) many.dy[i] += many.x[i];
    start(&raw, "raw", shape, many.x, betas);
    start(&coded, codecs[_i].text, shape, many.x, betas);
    op_harness_read(&coded, coded.b.output, many.y, sizeof many.y);
    op_harness_read(&coded, coded.b.auxiliary[PP__BATCHNORM_STATISTICS], statistics,
                    sizeof statistics);
    run_backward(&raw, many.dy, sizeof many.dy);
    run_backward(&coded, many.dy, sizeof many.dy);
    op_harness_read(&raw, raw.b.parameter_gradients[1], raw_dbeta, sizeof raw_dbeta);
    op_harness_read(&coded, coded.b.parameter_gradients[1], dbeta, sizeof dbeta);
    ck_assert_mem_eq(dbeta, raw_dbeta, sizeof dbeta);
    op_harness_read(&raw, raw.b.input_gradients[0], many.raw_dx, sizeof many.raw_dx);
    op_harness_read(&coded, coded.b.input_gradients[0], many.dx, sizeof many.dx);
    find_xhat(statistics, codecs[_i].bits, many.x, MANY_PIXELS, CHANNELS, gammas, betas, many.xhat,
              many.decoded);
    for (size_t i = 0; i < MANY; i++)
        many.da1[i] = many.y[i] > 0 ? (double)gammas[i % CHANNELS] * (double)many.dy[i] : 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        double inverse = (double)statistics[CHANNELS + c], most = 0;
        closed_form(MANY_PIXELS, CHANNELS, many.da1 + c, many.xhat + c, many.decoded + c, inverse,
                    many.error + c);
        /* dy and 1/sigma are about 1, so gamma sets the scale; results below the smallest normal
         * number may be flushed to zero. */
        double tolerance = 1e-5 * fabs((double)gammas[c]) * inverse + (double)FLT_MIN;
        for (size_t i = c; i < MANY; i += CHANNELS) {
            double found = (double)many.dx[i] - (double)many.raw_dx[i];
            most = fmax(most, fabs(many.error[i]));
            ck_assert_msg(fabs(found - many.error[i]) <= tolerance,
                          "%s, channel %zu, pixel %zu: dx is off by %.9g, expected %.9g (+- %g)",
                          codecs[_i].text, c, i / CHANNELS, found, many.error[i], tolerance);
        }
        ck_assert_msg(most > 20 * tolerance || many.da1[c] == 0 || gammas[c] == 0 ||
                          fabsf(channels[c].threshold) > 2 || fabsf(gammas[c]) < 1e-20f,
                      "channel %zu: an error of %g shows nothing", c, most);
    }
    op_harness_destroy(&raw);
    op_harness_destroy(&coded);
}
END_TEST

/* A whole network that shows its inner gradients: the input is the identity, one pixel per channel,
 * so that the weight gradient of a 1x1 convolution that reads it *is* its output's gradient,
 * element by element.
 *
 *     input 4x4x16 -+- conv_a 1x1 - A0 - bn - relu - A3 -+- add - conv_b 3x3 - mean squared error
 *                   +- conv_p 1x1 -----------------------+            without the join: A3 - conv_b
 */
enum { SIDE = 4, PIXELS = SIDE * SIDE, WIDTH = 15, OUT = 5, INNER = PIXELS * WIDTH };

static const float network_gammas[WIDTH] = {1, -1,    0.5f,   2, -0.3f, 1e-6f, -1e-6f, 0,
                                            0, 0.01f, -0.01f, 1, -1,    0.7f,  -2};
static const float network_thresholds[WIDTH] = {0,     0.5f,  -0.5f, 1.2f, -1.2f, 0.2f, -0.2f, 0.3f,
                                                -0.3f, 0.25f, 0.25f, -20,  -150,  -10,  10};

static pp_graph *make_network(bool joined) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params pointwise = {.out_channels = WIDTH, .kernel_h = 1, .kernel_w = 1};
    const pp_conv2d_params window = {
        .out_channels = OUT, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1, .bias = true};
    pp_value input = pp_graph_input(g, "identity", SIDE, SIDE, PIXELS);
    pp_value x = pp_graph_conv2d(g, "conv_a", input, &pointwise);
    x = pp_graph_relu(g, "relu", pp_graph_batchnorm(g, "bn", x, NULL));
    if (joined) x = pp_graph_add(g, "join", x, pp_graph_conv2d(g, "conv_p", input, &pointwise));
    pp_graph_mse(g, "loss", pp_graph_conv2d(g, "conv_b", x, &window));
    TEST_OK(pp_graph_status(g));
    return g;
}

/* What a step of the network shows; the caller frees it. */
typedef struct gradients {
    double loss;
    float *da0, *dbeta, *dgamma, *dw, *dbias, *da3;
} gradients;

static float network_betas[WIDTH], weights_a[INNER], targets[PIXELS * OUT];

static gradients run_network(const pp_graph *g, const char *codec, bool joined, float **weights_b) {
    static float identity[PIXELS * PIXELS];
    for (size_t i = 0; i < PIXELS; i++) identity[i * PIXELS + i] = 1;
    trainer t;
    trainer_create(&t, g,
                   &(pp_plan_options){.batch = 1, .codec = codec, .optimizer.clip_norm = 1e30f}, 1);
    TEST_OK(pp_session_write_parameter(t.session, trainer_index(&t, "conv_a.weight"), weights_a,
                                       INNER));
    TEST_OK(pp_session_write_parameter(t.session, trainer_index(&t, "bn.weight"), network_gammas,
                                       WIDTH));
    TEST_OK(
        pp_session_write_parameter(t.session, trainer_index(&t, "bn.bias"), network_betas, WIDTH));
    if (weights_b) *weights_b = trainer_read(&t, "conv_b.weight");
    pp_batch batch = {.inputs = identity, .targets = targets, .count = 1};
    gradients found = {.loss = trainer_step(&t, &batch, 0)};
    found.da0 = trainer_read_gradient(&t, "conv_a.weight");
    found.dbeta = trainer_read_gradient(&t, "bn.bias");
    found.dgamma = trainer_read_gradient(&t, "bn.weight");
    found.dw = trainer_read_gradient(&t, "conv_b.weight");
    found.dbias = trainer_read_gradient(&t, "conv_b.bias");
    found.da3 = joined ? trainer_read_gradient(&t, "conv_p.weight") : NULL;
    trainer_destroy(&t);
    return found;
}

static void free_gradients(gradients *g) {
    free(g->da0);
    free(g->dbeta);
    free(g->dgamma);
    free(g->dw);
    free(g->dbias);
    free(g->da3);
}

/* The reference's forward pass, with what the code decodes to. */
typedef struct inner {
    double xhat_exact[INNER], inverse_deviation[WIDTH];
    float xhat[INNER], decoded[INNER], value[INNER];
    uint8_t mask[INNER];
} inner;

static void code_inner(inner *r, unsigned bits) {
    const ref_norm norm = {.bits = bits, .clip = ref_norm_clip(bits), .relu = true};
    uint8_t code[INNER * 2];
    ref_norm_encode(&norm, PIXELS, WIDTH, r->xhat, network_gammas, network_betas, code);
    ref_norm_decode_xhat(&norm, PIXELS, WIDTH, code, network_gammas, network_betas, r->decoded);
    ref_norm_decode_mask(&norm, PIXELS, WIDTH, code, network_gammas, network_betas, r->mask);
    ref_norm_decode_value(&norm, PIXELS, WIDTH, code, network_gammas, network_betas, r->value);
}

static bool near_a_boundary(const inner *r, unsigned bits) {
    const ref_norm norm = {.bits = bits, .clip = ref_norm_clip(bits), .relu = true};
    for (size_t i = 0; i < INNER; i++) {
        ref_norm_channel k =
            ref_norm_channel_of(&norm, network_gammas[i % WIDTH], network_betas[i % WIDTH]);
        if (ref_norm_quantise(&norm, &k, r->xhat[i] - 4e-6f) !=
            ref_norm_quantise(&norm, &k, r->xhat[i] + 4e-6f))
            return true;
    }
    return false;
}

/* Draws conv_a's weights, which are A0, so that no x-hat is so close to a level's boundary that
 * rounding could decide. */
static void draw_network(inner *r) {
    do {
        double a0[INNER], mean[WIDTH];
        test_fill_normal(weights_a, INNER);
        for (size_t i = 0; i < INNER; i++) a0[i] = (double)weights_a[i];
        ref_batchnorm_statistics(PIXELS, WIDTH, a0, 1e-5, mean, r->inverse_deviation, 0, NULL,
                                 NULL);
        ref_batchnorm_normalise(PIXELS, WIDTH, a0, mean, r->inverse_deviation, r->xhat_exact);
        for (size_t i = 0; i < INNER; i++) r->xhat[i] = (float)r->xhat_exact[i];
    } while (near_a_boundary(r, 4) || near_a_boundary(r, 8));
    test_fill_normal(targets, PIXELS * OUT);
    for (size_t c = 0; c < WIDTH; c++)
        network_betas[c] = network_gammas[c] == 0 ? network_thresholds[c]
                                                  : -network_thresholds[c] * network_gammas[c];
}

/* dA0 and dgamma against their closed forms, with dA3 as the device shows it. */
static void check_approximate(const inner *r, const gradients *raw, const gradients *coded,
                              const char *codec) {
    double da1[INNER], error[INNER];
    for (size_t i = 0; i < INNER; i++)
        da1[i] = r->mask[i] ? (double)network_gammas[i % WIDTH] * (double)raw->da3[i] : 0;
    for (size_t c = 0; c < WIDTH; c++) {
        double dgamma = 0;
        for (size_t i = c; i < INNER; i += WIDTH)
            if (r->mask[i])
                dgamma += (double)raw->da3[i] * ((double)r->decoded[i] - (double)r->xhat[i]);
        ck_assert_msg(fabs((double)coded->dgamma[c] - (double)raw->dgamma[c] - dgamma) < 1e-5,
                      "%s, channel %zu: dgamma is off by %g, expected %g", codec, c,
                      (double)coded->dgamma[c] - (double)raw->dgamma[c], dgamma);
        closed_form(PIXELS, WIDTH, da1 + c, r->xhat + c, r->decoded + c, r->inverse_deviation[c],
                    error + c);
    }
    for (size_t i = 0; i < INNER; i++) {
        double found = (double)coded->da0[i] - (double)raw->da0[i];
        double tolerance = 1e-5 * fabs((double)network_gammas[i % WIDTH]) + (double)FLT_MIN;
        ck_assert_msg(fabs(found - error[i]) <= tolerance,
                      "%s, element %zu: dA0 is off by %.9g, expected %.9g (+- %g)", codec, i, found,
                      error[i], tolerance);
    }
}

static bool same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

START_TEST(one_layer_of_a_network) {
    static inner r;
    draw_network(&r);
    pp_graph *g = make_network(true);
    gradients raw = run_network(g, "raw", true, NULL);
    for (size_t i = 0; i < CODECS; i++) {
        gradients coded = run_network(g, codecs[i].text, true, NULL);
        code_inner(&r, codecs[i].bits);
        ck_assert(coded.loss == raw.loss && raw.loss > 0);
        ck_assert_msg(same(coded.dbias, raw.dbias, OUT), "%s: G", codecs[i].text);
        ck_assert_msg(same(coded.da3, raw.da3, INNER), "%s: dA3", codecs[i].text);
        ck_assert_msg(same(coded.dbeta, raw.dbeta, WIDTH), "%s: dbeta", codecs[i].text);
        ck_assert_msg(!same(coded.dgamma, raw.dgamma, WIDTH), "%s: dgamma", codecs[i].text);
        check_approximate(&r, &raw, &coded, codecs[i].text);
        free_gradients(&coded);
    }
    free_gradients(&raw);
    pp_graph_destroy(g);
}
END_TEST

/* G of the mean squared error behind conv_b, from the exact forward pass. */
static void find_output_gradient(const inner *r, const ref_conv2d *conv, const float *weights_b,
                                 double *dy) {
    double w[9 * WIDTH * OUT], a3[INNER];
    for (size_t i = 0; i < 9 * WIDTH * OUT; i++) w[i] = (double)weights_b[i];
    for (size_t i = 0; i < INNER; i++)
        a3[i] = fmax(0, (double)network_gammas[i % WIDTH] * r->xhat_exact[i] +
                            (double)network_betas[i % WIDTH]);
    ref_conv2d_forward(conv, a3, w, NULL, dy);
    for (size_t i = 0; i < PIXELS * OUT; i++)
        dy[i] = 2 * (dy[i] - (double)targets[i]) / (PIXELS * OUT);
}

/* Rounding in G is relative to the largest value of all channels, about 22, which its sums contain;
 * a channel's weight gradients multiply it by the channel's own values. */
static void check_weight_gradient(const inner *r, const char *what, const float *found,
                                  const float *expected) {
    float most[WIDTH] = {0}, largest = 0;
    for (size_t i = 0; i < INNER; i++) most[i % WIDTH] = fmaxf(most[i % WIDTH], r->value[i]);
    for (size_t c = 0; c < WIDTH; c++) largest = fmaxf(largest, most[c]);
    for (size_t i = 0; i < 9 * WIDTH; i++)
        test_close(what, found + i * OUT, expected + i * OUT, OUT,
                   0x1p-20f * largest * most[i % WIDTH], 0);
}

/* conv_b reads A3 through the code's view: its weight gradient is the correlation with A3~, and no
 * more. */
START_TEST(weight_gradient_reads_the_decoded_value) {
    static inner r;
    const ref_conv2d conv = {{1, SIDE, SIDE, WIDTH}, OUT, 1, {3, 3, 1, 1, 1, 1, 1, 1}};
    pp_graph *g = make_network(false);
    draw_network(&r);
    float *weights_b;
    gradients raw = run_network(g, "raw", false, &weights_b);
    double dy[PIXELS * OUT], value[INNER], dw[9 * WIDTH * OUT];
    find_output_gradient(&r, &conv, weights_b, dy);
    for (size_t i = 0; i < CODECS; i++) {
        gradients coded = run_network(g, codecs[i].text, false, NULL);
        float expected[9 * WIDTH * OUT];
        code_inner(&r, codecs[i].bits);
        for (size_t j = 0; j < INNER; j++) value[j] = (double)r.value[j];
        ref_conv2d_backward_weight(&conv, value, dy, dw);
        for (size_t j = 0; j < 9 * WIDTH * OUT; j++) expected[j] = (float)dw[j];
        ck_assert(coded.loss == raw.loss);
        ck_assert_msg(same(coded.dbias, raw.dbias, OUT), "%s: G", codecs[i].text);
        ck_assert_msg(same(coded.dbeta, raw.dbeta, WIDTH), "%s: dbeta", codecs[i].text);
        check_weight_gradient(&r, codecs[i].text, coded.dw, expected);
        free_gradients(&coded);
    }
    free_gradients(&raw);
    free(weights_b);
    pp_graph_destroy(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/exact_terms");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, masked_gradient_is_exact, 0, CODECS);
    tcase_add_loop_test(test, masked_gradient_is_exact_at_the_threshold, 0, CODECS);
    tcase_add_loop_test(test, input_gradient_is_off_by_the_closed_form, 0, CODECS);
    tcase_add_test(test, one_layer_of_a_network);
    tcase_add_test(test, weight_gradient_reads_the_decoded_value);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
