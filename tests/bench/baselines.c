/* Every convolution of a network in its three passes, by our kernels, by plain loops and by CLBlast,
 * through the same OpenCL driver, in turn, in one process; medians.
 *
 *     bench_baselines [--json] MODEL BATCH [LAYER]
 *
 * LAYER is the number of one convolution, from 0. CLBlast runs twice, and its faster time counts: as Caffe's OpenCL branch uses it (NCHW; for every
 * image CLBlastSim2col or CLBlastScol2im and one CLBlastSgemm), and with the whole batch in one
 * CLBlastSgemm over a column matrix that a kernel of this program makes or adds up (NHWC). A 1x1
 * window of stride 1 needs no column matrix, and gets none. All times are of a pass as a training
 * step needs it: ours contains the packing of weights, theirs the column matrix. Every result is
 * compared with the plain loops'. */
#include <clblast_c.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pocketprop/pocketprop.h>

#include "device/buffer.h"
#include "device/device.h"
#include "device/gemm.h"
#include "op/conv2d.h"
#include "op/params.h"
#include "plan/plan.h"
#include "util/rng.h"

enum { RUNS = 5, MAX_LAYERS = 128 };
/* An engine that has run for so long is not run again. */
static const double most_seconds = 0.6;

typedef enum pass { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT, PASSES } pass;
typedef enum engine_kind { OURS, PLAIN, BATCHED, BY_IMAGE, ENGINES } engine_kind;
static const char *const pass_names[PASSES] = {"forward", "data", "weight"};

static const char columns_text[] =
    "/* Rows of pixels, each [r][s][c], and their sums back. A work-item owns a pixel. */\n"
    "#define EXTENTS int in_h, int in_w, int in_c, int out_h, int out_w, int window_r, \\\n"
    "    int window_s, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, \\\n"
    "    int dilation_w, int batch\n"
    "__kernel void bench_im2col(__global const float *restrict x, uint x_offset,\n"
    "                           __global float *restrict col, uint col_offset, EXTENTS) {\n"
    "    const int ow = get_global_id(0), oh = get_global_id(1), n = get_global_id(2);\n"
    "    if (ow >= out_w || oh >= out_h || n >= batch) return;\n"
    "    __global float *to = col + col_offset +\n"
    "        (((long)n * out_h + oh) * out_w + ow) * window_r * window_s * in_c;\n"
    "    for (int r = 0; r < window_r; r++)\n"
    "        for (int s = 0; s < window_s; s++, to += in_c) {\n"
    "            const int ih = oh * stride_h + r * dilation_h - pad_h;\n"
    "            const int iw = ow * stride_w + s * dilation_w - pad_w;\n"
    "            const bool inside = ih >= 0 && ih < in_h && iw >= 0 && iw < in_w;\n"
    "            __global const float *from = x + x_offset +\n"
    "                (((long)n * in_h + (inside ? ih : 0)) * in_w + (inside ? iw : 0)) * in_c;\n"
    "            for (int c = 0; c < in_c; c++) to[c] = inside ? from[c] : 0.0f;\n"
    "        }\n"
    "}\n"
    "__kernel void bench_col2im(__global const float *restrict col, uint col_offset,\n"
    "                           __global float *restrict x, uint x_offset, EXTENTS) {\n"
    "    const int iw = get_global_id(0), ih = get_global_id(1), n = get_global_id(2);\n"
    "    if (iw >= in_w || ih >= in_h || n >= batch) return;\n"
    "    __global float *to = x + x_offset + (((long)n * in_h + ih) * in_w + iw) * in_c;\n"
    "    for (int c = 0; c < in_c; c++) to[c] = 0.0f;\n"
    "    for (int r = 0; r < window_r; r++)\n"
    "        for (int s = 0; s < window_s; s++) {\n"
    "            const int top = ih + pad_h - r * dilation_h, oh = top / stride_h;\n"
    "            const int left = iw + pad_w - s * dilation_w, ow = left / stride_w;\n"
    "            if (top < 0 || top % stride_h || oh >= out_h) continue;\n"
    "            if (left < 0 || left % stride_w || ow >= out_w) continue;\n"
    "            __global const float *from = col + col_offset +\n"
    "                ((((long)n * out_h + oh) * out_w + ow) * window_r * window_s +\n"
    "                 r * window_s + s) * in_c;\n"
    "            for (int c = 0; c < in_c; c++) to[c] += from[c];\n"
    "        }\n"
    "}\n";

typedef struct layer {
    char name[64]; /* the first node of that shape */
    unsigned count;
    pp__conv2d_geometry g;
} layer;

/* Operands of one layer, each as NHWC (weights [r, s, c, k]) and as NCHW ([k, c, r, s]). */
typedef enum operand { X, W, Y, OPERANDS } operand;

typedef struct contest {
    pp_engine *engine;
    pp_device *device;
    pp_profile *profile;
    pp__conv2d_geometry g;
    bool pointwise;
    size_t elems[OPERANDS];
    float *host[OPERANDS]; /* NHWC */
    pp__memory *nhwc[OPERANDS], *nchw[OPERANDS];
    pp__memory *columns, *workspace;
    pp__stored stored; /* x as it is */
} contest;

static void check(const contest *c, pp_status status) {
    if (status == PP_OK) return;
    fprintf(stderr, "%s\n", pp_engine_error(c->engine));
    exit(EXIT_FAILURE);
}

static void check_clblast(CLBlastStatusCode code) {
    if (code == CLBlastSuccess) return;
    fprintf(stderr, "CLBlast: status %d\n", (int)code);
    exit(EXIT_FAILURE);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static pp__ref whole(pp__memory *memory) {
    return (pp__ref){memory, 0};
}

/* The operand that a pass writes. */
static operand output_of(pass p) {
    return p == FORWARD ? Y : p == BACKWARD_INPUT ? X : W;
}

/* [outer][rows][inner] to [outer][inner][rows], or, with rows and inner exchanged, back. */
static void turn(const float *from, float *to, size_t outer, size_t rows, size_t inner) {
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < inner; j++)
                to[(o * inner + j) * rows + i] = from[(o * rows + i) * inner + j];
}

/* To NCHW, or, with `back`, from it. Weights go from [rs][c][k] to [k][c][rs] in two turns. */
static void convert(const contest *c, operand which, const float *from, float *to, bool back) {
    const pp__conv2d_geometry *g = &c->g;
    const size_t taps = (size_t)g->r * g->s;
    if (which != W) {
        size_t pixels = which == X ? (size_t)g->h * g->w : (size_t)g->oh * g->ow;
        size_t channels = which == X ? g->c : g->k;
        turn(from, to, g->n, back ? channels : pixels, back ? pixels : channels);
        return;
    }
    float *between = malloc(c->elems[W] * sizeof *between);
    if (back) { /* [k][c][rs] -> [k][rs][c] -> [rs][c][k] */
        turn(from, between, g->k, g->c, taps);
        turn(between, to, 1, g->k, taps * g->c);
    } else {
        turn(from, between, 1, taps * g->c, g->k);
        turn(between, to, g->k, taps, g->c);
    }
    free(between);
}

static void make_operand(contest *c, operand which, size_t elems) {
    const size_t bytes = elems * sizeof(float);
    c->elems[which] = elems;
    c->host[which] = malloc(bytes);
    float *turned = malloc(bytes);
    for (size_t i = 0; i < elems; i++)
        c->host[which][i] = pp__rng_uniform(pp__rng(1, (uint64_t)which, i).word[0]) - 0.5f;
    convert(c, which, c->host[which], turned, false);
    check(c, pp__memory_create(c->device, bytes, &c->nhwc[which]));
    check(c, pp__memory_create(c->device, bytes, &c->nchw[which]));
    check(c, pp__write_now(c->device, whole(c->nhwc[which]), c->host[which], bytes));
    check(c, pp__write_now(c->device, whole(c->nchw[which]), turned, bytes));
    free(turned);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* As the engine would record it. */
static pp__conv2d_job job_of(const contest *c, pass p) {
    static const pp__pass passes[PASSES] = {PP__PASS_FORWARD, PP__PASS_BACKWARD,
                                            PP__PASS_BACKWARD_PARAMETERS};
    const pp__ref x = whole(c->nhwc[X]), w = whole(c->nhwc[W]), y = whole(c->nhwc[Y]);
    return (pp__conv2d_job){.pass = passes[p],
                            .g = c->g,
                            .x = x,
                            .y = y,
                            .w = w,
                            .stored = c->stored,
                            .dy = y,
                            .dx = x,
                            .dw = w,
                            .workspace = whole(c->workspace)};
}

static void open_layer(contest *c, const pp__conv2d_geometry *g) {
    const size_t outputs = (size_t)g->n * g->oh * g->ow;
    c->g = *g;
    c->pointwise = g->r * g->s == 1 && g->stride_h * g->stride_w == 1 && g->pad_h + g->pad_w == 0;
    make_operand(c, X, (size_t)g->n * g->h * g->w * g->c);
    make_operand(c, W, pp__conv2d_weight_elems(g));
    make_operand(c, Y, outputs * g->k);
    c->stored = (pp__stored){.shape = {g->n, g->h, g->w, g->c}, .code = whole(c->nhwc[X])};
    check(c, pp__coding_read(c->engine, "raw", &c->stored.coding));
    size_t scratch = 0;
    for (int p = 0; p < PASSES; p++) {
        const pp__conv2d_job job = job_of(c, (pass)p);
        scratch = larger(scratch, pp__conv2d_pass_bytes(&job, c->profile));
    }
    check(c, pp__memory_create(c->device, scratch, &c->workspace));
    check(c,
          pp__memory_create(c->device, outputs * g->r * g->s * g->c * sizeof(float), &c->columns));
}

static void close_layer(contest *c) {
    for (size_t i = 0; i < OPERANDS; i++) {
        pp__memory_destroy(c->nhwc[i]);
        pp__memory_destroy(c->nchw[i]);
        free(c->host[i]);
    }
    pp__memory_destroy(c->workspace);
    pp__memory_destroy(c->columns);
}

static void record_ours(const contest *c, pass p, pp__stream *s) {
    const pp__conv2d_job job = job_of(c, p);
    check(c, pp__conv2d_pass(s, &job));
}

static void record_plain(const contest *c, pass p, pp__stream *s) {
    const pp__ref x = whole(c->nhwc[X]), w = whole(c->nhwc[W]), y = whole(c->nhwc[Y]);
    if (p == FORWARD)
        check(c, pp__conv2d_plain_forward(s, &c->g, x, w, (pp__ref){0}, y));
    else if (p == BACKWARD_INPUT)
        check(c, pp__conv2d_plain_backward_input(s, &c->g, w, y, x, false));
    else
        check(c, pp__conv2d_plain_backward_weight(s, &c->g, &c->stored, y, w, false));
}

static void record_columns(const contest *c, bool back, pp__stream *s) {
    const pp__conv2d_geometry *g = &c->g;
    pp__launch l;
    pp__launch_begin(&l, s, "bench_columns", back ? "bench_col2im" : "bench_im2col");
    pp__launch_tensor(&l, whole(back ? c->columns : c->nhwc[X]), sizeof(float));
    pp__launch_tensor(&l, whole(back ? c->nhwc[X] : c->columns), sizeof(float));
    const uint32_t extents[] = {g->h,     g->w,          g->c,          g->oh,       g->ow,
                                g->r,     g->s,          g->stride_h,   g->stride_w, g->pad_h,
                                g->pad_w, g->dilation_h, g->dilation_w, g->n};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    check(c,
          back ? pp__launch_cover(&l, g->w, g->h, g->n) : pp__launch_cover(&l, g->ow, g->oh, g->n));
}

static void record_batched(const contest *c, pass p, pp__stream *s) {
    const pp__conv2d_geometry *g = &c->g;
    const size_t rows = (size_t)g->n * g->oh * g->ow, depth = (size_t)g->r * g->s * g->c;
    const pp__ref columns = whole(c->pointwise ? c->nhwc[X] : c->columns);
    const pp__ref w = whole(c->nhwc[W]), y = whole(c->nhwc[Y]);
    if (p != BACKWARD_INPUT && !c->pointwise) record_columns(c, false, s);
    pp__gemm product = {.m = rows, .n = g->k, .k = depth, .a = columns, .b = w, .c = y};
    if (p == BACKWARD_INPUT)
        product = (pp__gemm){
            .m = rows, .n = depth, .k = g->k, .b_transposed = true, .a = y, .b = w, .c = columns};
    if (p == BACKWARD_WEIGHT)
        product = (pp__gemm){
            .m = depth, .n = g->k, .k = rows, .a_transposed = true, .a = columns, .b = y, .c = w};
    check(c, pp__stream_gemm(s, &product));
    if (p == BACKWARD_INPUT && !c->pointwise) record_columns(c, true, s);
}

static void image_columns(const contest *c, bool back, size_t offset) {
    const pp__conv2d_geometry *g = &c->g;
    cl_command_queue queue = c->device->queue;
    if (back)
        check_clblast(CLBlastScol2im(CLBlastKernelModeCrossCorrelation, g->c, g->h, g->w, g->r,
                                     g->s, g->pad_h, g->pad_w, g->stride_h, g->stride_w,
                                     g->dilation_h, g->dilation_w, c->columns->handle, 0,
                                     c->nchw[X]->handle, offset, &queue, NULL));
    else
        check_clblast(CLBlastSim2col(CLBlastKernelModeCrossCorrelation, g->c, g->h, g->w, g->r,
                                     g->s, g->pad_h, g->pad_w, g->stride_h, g->stride_w,
                                     g->dilation_h, g->dilation_w, c->nchw[X]->handle, offset,
                                     c->columns->handle, 0, &queue, NULL));
}

/* CLBlastScol2im adds to what is there. */
static void zero_image(const contest *c) {
    static const float zero = 0;
    if (clEnqueueFillBuffer(c->device->queue, c->nchw[X]->handle, &zero, sizeof zero, 0,
                            c->elems[X] * sizeof zero, 0, NULL, NULL) == CL_SUCCESS)
        return;
    fprintf(stderr, "clEnqueueFillBuffer failed\n");
    exit(EXIT_FAILURE);
}

/* Row-major: c [m, n] = a b, where `ta`, `tb` say that a factor lies transposed. */
static void image_product(const contest *c, bool ta, bool tb, size_t m, size_t n, size_t k,
                          const pp__memory *a, size_t a_offset, const pp__memory *b,
                          size_t b_offset, float beta, const pp__memory *out, size_t offset) {
    cl_command_queue queue = c->device->queue;
    check_clblast(CLBlastSgemm(CLBlastLayoutRowMajor, ta ? CLBlastTransposeYes : CLBlastTransposeNo,
                               tb ? CLBlastTransposeYes : CLBlastTransposeNo, m, n, k, 1.0f,
                               a->handle, a_offset, ta ? m : k, b->handle, b_offset, tb ? k : n,
                               beta, out->handle, offset, n, &queue, NULL));
}

static void run_by_image(const contest *c, pass p) {
    const pp__conv2d_geometry *g = &c->g;
    const size_t pixels = (size_t)g->oh * g->ow, depth = (size_t)g->r * g->s * g->c;
    if (p == BACKWARD_INPUT && !c->pointwise) zero_image(c);
    for (size_t n = 0; n < g->n; n++) {
        const size_t x = n * g->c * g->h * g->w, y = n * g->k * pixels;
        const pp__memory *columns = c->pointwise ? c->nchw[X] : c->columns;
        const size_t at = c->pointwise ? x : 0;
        if (p != BACKWARD_INPUT && !c->pointwise) image_columns(c, false, x);
        if (p == FORWARD)
            image_product(c, false, false, g->k, pixels, depth, c->nchw[W], 0, columns, at, 0,
                          c->nchw[Y], y);
        else if (p == BACKWARD_INPUT)
            image_product(c, true, false, depth, pixels, g->k, c->nchw[W], 0, c->nchw[Y], y, 0,
                          columns, at);
        else
            image_product(c, false, true, g->k, depth, pixels, c->nchw[Y], y, columns, at,
                          n > 0 ? 1.0f : 0.0f, c->nchw[W], 0);
        if (p == BACKWARD_INPUT && !c->pointwise) image_columns(c, true, x);
    }
}

static void run(const contest *c, engine_kind kind, pass p, pp__stream *stream) {
    if (kind == BY_IMAGE)
        run_by_image(c, p);
    else
        check(c, pp__stream_run(stream));
    check(c, pp__device_finish(c->device));
}

/* What the engine wrote, as NHWC; then the operand is restored. */
static float *take_output(const contest *c, engine_kind kind, pass p) {
    const operand which = output_of(p);
    const size_t bytes = c->elems[which] * sizeof(float);
    pp__ref place = whole(kind == BY_IMAGE ? c->nchw[which] : c->nhwc[which]);
    float *found = malloc(bytes);
    check(c, pp__read_now(c->device, place, found, bytes));
    float *turned = malloc(bytes);
    if (kind == BY_IMAGE) {
        convert(c, which, found, turned, true);
        memcpy(found, turned, bytes);
    }
    convert(c, which, c->host[which], turned, false);
    check(c, pp__write_now(c->device, place, kind == BY_IMAGE ? turned : c->host[which], bytes));
    free(turned);
    return found;
}

static void compare(const contest *c, engine_kind kind, pass p, const float *plain) {
    float *found = take_output(c, kind, p);
    double worst = 0, largest = 0;
    const size_t count = c->elems[output_of(p)];
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)found[i] - (double)plain[i]));
        largest = fmax(largest, fabs((double)plain[i]));
    }
    free(found);
    if (worst <= 1e-3 * largest) return;
    fprintf(stderr, "engine %d, %s: differs from the plain loops by %g of %g\n", (int)kind,
            pass_names[p], worst, largest);
    exit(EXIT_FAILURE);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of the engines' runs, which take turns. */
static void time_pass(const contest *c, pass p, double median[ENGINES]) {
    pp__stream *streams[ENGINES] = {NULL};
    double times[ENGINES][RUNS], spent[ENGINES] = {0};
    size_t counts[ENGINES] = {0};
    for (int e = 0; e < BY_IMAGE; e++) {
        check(c, pp__stream_create(c->device, c->profile, &streams[e]));
        check(c, pp__stream_label(streams[e], pass_names[p]));
    }
    record_ours(c, p, streams[OURS]);
    record_plain(c, p, streams[PLAIN]);
    record_batched(c, p, streams[BATCHED]);
    run(c, PLAIN, p, streams[PLAIN]);
    float *plain = take_output(c, PLAIN, p);
    for (int e = 0; e < ENGINES; e++) {
        if (e == PLAIN) continue;
        run(c, (engine_kind)e, p, streams[e]);
        compare(c, (engine_kind)e, p, plain);
    }
    free(plain);
    for (size_t i = 0; i < RUNS; i++)
        for (int e = 0; e < ENGINES; e++) {
            if (spent[e] > most_seconds) continue;
            const double started = seconds();
            run(c, (engine_kind)e, p, streams[e]);
            spent[e] += times[e][counts[e]++] = seconds() - started;
        }
    for (int e = 0; e < ENGINES; e++) {
        qsort(times[e], counts[e], sizeof **times, by_value);
        median[e] = times[e][counts[e] / 2];
        pp__stream_destroy(streams[e]);
    }
}

static void print_row(const layer *l, pass p, const double time[ENGINES], bool json, bool first) {
    const pp__conv2d_geometry *g = &l->g;
    const double work = 2e-9 * g->n * g->oh * g->ow * g->k * g->r * g->s * g->c;
    const bool batched = time[BATCHED] < time[BY_IMAGE];
    const double library = batched ? time[BATCHED] : time[BY_IMAGE];
    if (json) {
        printf("%s  {\"layer\": \"%s\", \"count\": %u, \"input\": [%" PRIu32 ", %" PRIu32
               ", %" PRIu32 ", %" PRIu32 "], \"channels\": %" PRIu32 ", \"window\": %" PRIu32
               ", \"stride\": %" PRIu32
               ", \"pass\": \"%s\", \"gflop\": %.4f, \"ours_ms\": %.4f, "
               "\"plain_ms\": %.4f, \"clblast_batched_ms\": %.4f, \"clblast_by_image_ms\": %.4f}",
               first ? "" : ",\n", l->name, l->count, g->n, g->h, g->w, g->c, g->k, g->r,
               g->stride_h, pass_names[p], work, 1e3 * time[OURS], 1e3 * time[PLAIN],
               1e3 * time[BATCHED], 1e3 * time[BY_IMAGE]);
    } else {
        char shape[64];
        snprintf(shape, sizeof shape,
                 "%" PRIu32 "x%" PRIu32 "x%" PRIu32 " %" PRIu32 "x%" PRIu32 "/%" PRIu32 " %" PRIu32,
                 g->h, g->w, g->c, g->r, g->s, g->stride_h, g->k);
        printf("| %s | %u | %s | %.2f | %.1f | %.1f | %.1f %s | %.1f | %.0f |\n", shape, l->count,
               pass_names[p], 1e3 * time[OURS], work / time[OURS], work / time[PLAIN],
               work / library, batched ? "b" : "i", library / time[OURS], time[PLAIN] / time[OURS]);
    }
    fflush(stdout);
}

/* The distinct ungrouped convolutions of a network. */
static size_t collect(const contest *c, const char *model, uint32_t batch, layer *layers) {
    pp_graph *graph;
    pp_plan *plan;
    check(c, pp_model_build(c->engine, model, NULL, &graph));
    check(c, pp_plan_create(graph, c->profile, &(pp_plan_options){.batch = batch}, &plan));
    size_t count = 0;
    for (size_t i = 0; i < plan->node_count && count < MAX_LAYERS; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        if (node->op != &pp__op_conv2d) continue;
        const pp_conv2d_params *p = node->params;
        const pp__shape in = plan->nodes[node->inputs[0]].shape, out = node->shape;
        if (p->groups > 1) continue;
        layer *l = &layers[count];
        memset(l, 0, sizeof *l);
        l->g = (pp__conv2d_geometry){in.n,        in.h,          in.w,          in.c,
                                     out.h,       out.w,         out.c,         p->kernel_h,
                                     p->kernel_w, p->stride_h,   p->stride_w,   p->pad_h,
                                     p->pad_w,    p->dilation_h, p->dilation_w, p->groups};
        size_t same = 0;
        while (memcmp(&layers[same].g, &l->g, sizeof l->g) != 0) same++;
        if (same == count) snprintf(layers[count++].name, sizeof l->name, "%s", node->name);
        layers[same].count++;
    }
    pp_plan_destroy(plan);
    pp_graph_destroy(graph);
    return count;
}

int main(int argc, char **argv) {
    const bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const uint32_t batch = argc >= 3 + json ? (uint32_t)strtoul(argv[2 + json], NULL, 10) : 0;
    if (!batch) {
        fprintf(stderr, "usage: %s [--json] MODEL BATCH [LAYER]\n", argv[0]);
        return 2;
    }
    contest c = {0};
    if (pp_engine_create(NULL, &c.engine) != PP_OK) return EXIT_FAILURE;
    check(&c, pp_device_open(c.engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &c.device));
    check(&c, pp_profile_for_device(c.device, NULL, &c.profile));
    check(&c, pp__source_add(c.device, "bench_columns", columns_text));
    static layer layers[MAX_LAYERS];
    const size_t count = collect(&c, argv[1 + json], batch, layers);
    const bool one = argc > 3 + json;
    const size_t first = one ? strtoul(argv[3 + json], NULL, 10) : 0;
    const size_t end = one ? first + 1 : count;
    if (end > count) {
        fprintf(stderr, "%s has convolutions 0 to %zu\n", argv[1 + json], count - 1);
        return 2;
    }
    double total[ENGINES] = {0}, library = 0;
    if (!json)
        printf("%s, batch %" PRIu32
               ", %s\n\n| input, window/stride, channels | layers | pass | ours, "
               "ms | GFLOP/s | plain | CLBlast | ours to CLBlast | to plain |\n"
               "|---|---|---|---|---|---|---|---|---|\n",
               argv[1], batch, pp_device_describe(c.device)->name);
    else
        printf("[\n");
    for (size_t i = first; i < end; i++) {
        open_layer(&c, &layers[i].g);
        for (int p = 0; p < PASSES; p++) {
            if (p == BACKWARD_INPUT && i == 0) continue; /* nobody wants the image's gradient */
            double median[ENGINES];
            time_pass(&c, (pass)p, median);
            print_row(&layers[i], (pass)p, median, json, i == first && p == 0);
            for (int e = 0; e < ENGINES; e++) total[e] += layers[i].count * median[e];
            library += layers[i].count * fmin(median[BATCHED], median[BY_IMAGE]);
        }
        close_layer(&c);
    }
    if (json)
        printf("\n]\n");
    else
        printf(
            "\nAll convolutions: ours %.1f ms, CLBlast %.1f ms (%.1fx), plain loops %.0f ms "
            "(%.0fx)\n",
            1e3 * total[OURS], 1e3 * library, library / total[OURS], 1e3 * total[PLAIN],
            total[PLAIN] / total[OURS]);
    pp_profile_destroy(c.profile);
    pp_device_close(c.device);
    pp_engine_destroy(c.engine);
    return EXIT_SUCCESS;
}
