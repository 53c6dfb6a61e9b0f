/* Measured signals: a small session per codec, run step by step. It is filled from the training's
 * state, so every codec sees the same forward pass, bit for bit, and its codes are compared with
 * what the first session, which stores everything in float32, holds in their place. */
#include <pocketprop/measure.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exec/state.h"
#include "plan/budget.h"
#include "util/size.h"

enum { DEFAULT_IMAGES = 4, MOST_CODECS = 64, PATTERN_BYTES = 256 };

typedef struct value {
    pp_signal signal;
    char *name;
    const char *kind;
    pp__shape shape;
    bool centred;       /* only x-hat is read: errors are relative to the spread about the mean */
    size_t first;       /* of its elements among measuring.exact */
    double weight;      /* not yet divided by the mean */
    double denominator; /* of relative errors */
    /* Of an x-hat: the node in front, and the share of the gradient's squares that the variance term
     * takes off. */
    uint32_t front;
    double variance_share;
} value;

struct pp_signals {
    pp_engine *engine;
    value *values;
    size_t value_count;
    pp_harm *harms;
    size_t harm_count, harm_capacity;
    char (*texts)[PP__CODING_TEXT]; /* of the codecs that were measured */
    size_t text_count;
    uint32_t images;
    size_t device_bytes;
};

typedef struct measuring {
    pp_engine *engine;
    pp_device *device;
    const pp_graph *graph;
    const pp_profile *profile;
    const pp_state *state;
    const pp_measure_options *options;
    pp_batch batch;
    pp_plan *base; /* by the budget's own policy: whose records are the values */
    pp_signals *signals;
    float *exact; /* all values */
    float *found; /* one value, or one gradient */
    size_t found_elems;
    pp__memory *scratch; /* one decoded value */
    size_t scratch_bytes;
    /* The session at hand. */
    pp_plan *plan;
    pp_session *session;
} measuring;

/* --- Values and codecs --- */

static bool is_value(const pp__saved *saved) {
    return saved->kind == PP__SAVED_NORMALISED || saved->kind == PP__SAVED_ACTIVATION;
}

static bool same_value(const pp_plan *plan, const pp__saved *saved, const value *v) {
    return is_value(saved) && !strcmp(pp__saved_kind_name(saved->kind), v->kind) &&
           !strcmp(plan->nodes[saved->node].name, v->name);
}

/* Only float32 will do for one of its readers: there is nothing to choose. */
static bool is_exact(const pp_plan *plan, uint32_t record) {
    for (size_t i = 0; i < plan->node_count; i++)
        for (size_t s = 0; s < plan->nodes[i].save_count; s++)
            if (plan->nodes[i].saved[s] == record && plan->nodes[i].saves[s].exact) return true;
    return false;
}

/* The value's record in another plan of the network, or NULL. */
static const pp__saved *find_record(const pp_plan *plan, const value *v) {
    for (size_t r = 0; r < plan->saved_count; r++)
        if (same_value(plan, &plan->saved[r], v)) return &plan->saved[r];
    return NULL;
}

static pp_status list_values(measuring *m) {
    pp_signals *signals = m->signals;
    size_t elems = 0;
    PP_TRY(
        pp__allocate(m->engine, m->base->saved_count, sizeof *signals->values, &signals->values));
    for (uint32_t r = 0; r < m->base->saved_count; r++) {
        const pp__saved *saved = &m->base->saved[r];
        if (!is_value(saved) || is_exact(m->base, r)) continue;
        value *v = &signals->values[signals->value_count++];
        v->front = saved->subject == PP__SUBJECT_NORMALISED ? m->base->nodes[saved->node].inputs[0]
                                                            : PP__NONE;
        v->kind = pp__saved_kind_name(saved->kind);
        v->shape = saved->shape;
        v->first = elems;
        v->centred = saved->subject == PP__SUBJECT_NORMALISED && !(saved->views & PP__VIEW_VALUE);
        PP_TRY(pp__copy_text(m->engine, m->base->nodes[saved->node].name, &v->name));
        elems += pp__shape_bytes(v->shape) / sizeof(float);
    }
    return pp__allocate(m->engine, elems, sizeof *m->exact, &m->exact);
}

/* The menus' codecs, the one that keeps float32 first. */
static pp_status list_codecs(measuring *m) {
    pp_signals *signals = m->signals;
    PP_TRY(pp__allocate(m->engine, MOST_CODECS, sizeof *signals->texts, &signals->texts));
    for (int own = 1; own >= 0; own--)
        for (size_t c = 0; c < pp__codec_count(); c++) {
            const pp__codec *codec = pp__codec_at(c);
            const char *const *menu = codec->stores_itself == (own == 1) ? codec->menu : NULL;
            for (; menu && *menu && signals->text_count < MOST_CODECS; menu++)
                snprintf(signals->texts[signals->text_count++], PP__CODING_TEXT, "%s", *menu);
        }
    return PP_OK;
}

/* --- One codec's plan and session --- */

/* By the budget's policy, but for the values that can be stored in the codec. NULL: the base. */
static pp_status make_plan(const measuring *m, const char *text, bool places, uint32_t images,
                           pp_plan **plan_out) {
    const size_t most = text ? m->base->saved_count : 0;
    pp_plan_options options = {.batch = images, .codec = pp__budget_base_codec()};
    pp_codec_override *overrides = NULL;
    char(*patterns)[PATTERN_BYTES] = NULL;
    pp__coding coding = {0};
    pp_status status = PP_OK;
    if (text) PP_TRY(pp__coding_read(m->engine, text, &coding));
    PP_TRY_GOTO(status, pp__allocate(m->engine, most, sizeof *overrides, &overrides), done);
    PP_TRY_GOTO(status, pp__allocate(m->engine, most, sizeof *patterns, &patterns), done);
    for (size_t r = 0; r < most; r++) {
        const pp__saved *saved = &m->base->saved[r];
        if (!is_value(saved) || saved->views & ~coding.codec->views[saved->subject]) continue;
        char *pattern = patterns[options.override_count];
        snprintf(pattern, PATTERN_BYTES, "%s@%s", m->base->nodes[saved->node].name,
                 pp__saved_kind_name(saved->kind));
        overrides[options.override_count++] = (pp_codec_override){pattern, text};
    }
    options.overrides = overrides;
    status = pp__plan_make(m->graph, m->profile, &options, places, plan_out);
done:
    pp__release(m->engine, overrides);
    pp__release(m->engine, patterns);
    return status;
}

/* False in *fits_out: a codec whose scratch is beyond the budget; nothing is open then. */
static pp_status open_session(measuring *m, const char *text, bool *fits_out) {
    PP_TRY(make_plan(m, text, true, m->batch.count, &m->plan));
    const size_t bytes = m->plan->layout.peak_bytes + m->scratch_bytes;
    *fits_out = !m->options->budget_bytes || bytes <= m->options->budget_bytes;
    if (!*fits_out) return PP_OK;
    if (bytes > m->signals->device_bytes) m->signals->device_bytes = bytes;
    const pp_session_options seeded = {.seed = m->state->seed};
    PP_TRY(pp__session_open(m->device, m->plan, m->profile, &seeded, &m->session));
    PP_TRY(pp__state_load_values(m->state, m->session));
    return pp__session_transfer(m->session, &m->batch);
}

static void close_session(measuring *m) {
    pp_session_destroy(m->session);
    pp_plan_destroy(m->plan);
    m->session = NULL;
    m->plan = NULL;
}

static bool is_forward(const pp__plan_step *step) {
    return step->kind == PP__STEP_FORWARD || step->kind == PP__STEP_MOMENTS ||
           step->kind == PP__STEP_STATISTICS || step->kind == PP__STEP_ENCODE ||
           step->kind == PP__STEP_COPY_VALUE;
}

static bool is_update(const pp__plan_step *step) {
    return step->kind == PP__STEP_UPDATE || step->kind == PP__STEP_CLIP;
}

static pp_status run_step(const measuring *m, const pp__plan_step *step) {
    pp__stream *stream;
    PP_TRY(pp__stream_create(m->device, m->profile, &stream));
    pp_status status = pp__session_record_step(m->session, m->profile, step, stream);
    if (status == PP_OK) status = pp__stream_run(stream);
    /* The stream's kernels are its own. */
    if (status == PP_OK) status = pp__device_finish(m->device);
    pp__stream_destroy(stream);
    return status;
}

static pp_status run_forward(const measuring *m) {
    for (size_t s = 0; s < m->plan->step_count; s++)
        if (is_forward(&m->plan->steps[s])) PP_TRY(run_step(m, &m->plan->steps[s]));
    return PP_OK;
}

/* What the layers behind a value read of its code, in float32. */
static pp_status read_value(const measuring *m, const pp__saved *saved, float *to) {
    const pp__stored stored = pp__session_stored(m->session, saved);
    const size_t bytes = pp__shape_bytes(saved->shape);
    if (pp__stored_is_plain(&stored)) return pp__read_now(m->device, stored.code, to, bytes);
    const pp__ref scratch = {m->scratch, 0};
    pp__stream *stream;
    PP_TRY(pp__stream_create(m->device, m->profile, &stream));
    pp_status status = pp__stream_label(stream, "decode");
    if (status == PP_OK) status = pp__stored_decode(&stored, 0, m->batch.count, scratch, stream);
    if (status == PP_OK) status = pp__stream_run(stream);
    if (status == PP_OK) status = pp__read_now(m->device, scratch, to, bytes);
    pp__stream_destroy(stream);
    return status;
}

/* --- The exact session: the values themselves, and the gradients --- */

static double square_of(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sum;
}

/* The squares about each channel's mean. */
static double spread_of(const float *values, pp__shape shape) {
    const size_t pixels = pp__shape_pixels(shape);
    double sum = 0;
    for (size_t c = 0; c < shape.c; c++) {
        double mean = 0, square = 0;
        for (size_t p = 0; p < pixels; p++) mean += (double)values[p * shape.c + c];
        mean /= (double)pixels;
        for (size_t p = 0; p < pixels; p++) {
            const double from_mean = (double)values[p * shape.c + c] - mean;
            square += from_mean * from_mean;
        }
        sum += square;
    }
    return sum;
}

/* |U(m)|^2 of one block: its mean's square times its pixels, over all channels. */
static double block_square(const float *image, pp__shape shape, uint32_t window, uint32_t y0,
                           uint32_t x0) {
    const uint32_t y1 = y0 + window < shape.h ? y0 + window : shape.h;
    const uint32_t x1 = x0 + window < shape.w ? x0 + window : shape.w;
    const double pixels = (double)(y1 - y0) * (double)(x1 - x0);
    double sum = 0;
    for (size_t c = 0; c < shape.c; c++) {
        double total = 0;
        for (size_t y = y0; y < y1; y++)
            for (size_t x = x0; x < x1; x++)
                total += (double)image[(y * shape.w + x) * shape.c + c];
        sum += total * total / pixels;
    }
    return sum;
}

static double pooled_square(const float *values, pp__shape shape, uint32_t window) {
    double sum = 0;
    for (size_t n = 0; n < shape.n; n++)
        for (uint32_t y = 0; y < shape.h; y += window)
            for (uint32_t x = 0; x < shape.w; x += window)
                sum += block_square(values + n * shape.h * shape.w * shape.c, shape, window, y, x);
    return sum;
}

static pp_status read_exact(const measuring *m) {
    for (size_t i = 0; i < m->signals->value_count; i++) {
        value *v = &m->signals->values[i];
        const pp__saved *saved = find_record(m->plan, v);
        const size_t elems = pp__shape_bytes(v->shape) / sizeof(float);
        float *values = m->exact + v->first;
        if (!saved)
            return pp__fail(m->engine, PP_ERROR_INTERNAL, "measure: nothing is stored of '%s'",
                            v->name);
        PP_TRY(read_value(m, saved, values));
        const double square = square_of(values, elems);
        v->signal.square = square / (double)elems;
        v->denominator = v->centred ? spread_of(values, v->shape) : square;
        v->signal.kept2 = square > 0 ? pooled_square(values, v->shape, 2) / square : 1;
        v->signal.kept4 = square > 0 ? pooled_square(values, v->shape, 4) / square : 1;
    }
    return PP_OK;
}

/* How many products of one element with the output's gradient an element of the weight's gradient
 * adds up, per pixel: METHODS C.1's kernel taps. */
static double taps_of(const pp_plan *plan, const pp__plan_node *node) {
    if (node->op->traits & PP__OP_NORMALISES) return 1 / (double)node->shape.c;
    if (!node->parameter_count) return 0;
    const pp__shape weight = plan->parameters[node->first_parameter].spec.shape;
    return (double)weight.n * (double)weight.h;
}

/* The sum over the channels of mean(dA * x-hat)^2 in that of mean(dA^2), with dA the gradient of
 * gamma * x-hat + beta, which lies in m->found: METHODS A.4's c, squared. The value is the output,
 * whose zeros are where a ReLU stops the gradient. */
static pp_status find_variance_share(const measuring *m, const pp__plan_node *node, value *v) {
    const size_t channels = v->shape.c, pixels = pp__shape_pixels(v->shape);
    const pp__plan_parameter *gammas = &m->plan->parameters[node->first_parameter];
    const bool relu = pp__plan_stored(m->plan, find_record(m->plan, v)).relu;
    double products = 0, squares = 0;
    for (size_t c = 0; c < channels; c++) {
        float scale[2];
        for (size_t p = 0; p < 2; p++) {
            pp__ref ref = pp__session_ref(m->session, gammas[p].value);
            ref.offset_bytes += c * sizeof(float);
            PP_TRY(pp__read_now(m->device, ref, &scale[p], sizeof(float)));
        }
        double product = 0;
        for (size_t i = c; i < pixels * channels; i += channels) {
            const double y = (double)m->exact[v->first + i], gradient = (double)m->found[i];
            if (relu && y <= 0) continue;
            if (scale[0] != 0) product += gradient * (y - (double)scale[1]) / (double)scale[0];
            squares += gradient * gradient;
        }
        products += product * product / (double)pixels;
    }
    v->variance_share = squares > 0 ? products / squares : 0;
    return PP_OK;
}

/* A layer's share in the weights of what it reads, and of the x-hat behind it, whose error comes
 * down to it as one of its output's gradient. */
static pp_status add_reader(const measuring *m, uint32_t number, double square) {
    const pp__plan_node *node = &m->plan->nodes[number];
    const size_t pixels = pp__shape_pixels(node->shape);
    for (size_t i = 0; i < m->signals->value_count; i++) {
        value *v = &m->signals->values[i];
        for (size_t s = 0; s < node->save_count; s++) {
            const pp__view view = node->saves[s].view;
            if (node->saved[s] == PP__NONE || (view != PP__VIEW_VALUE && view != PP__VIEW_XHAT) ||
                !same_value(m->plan, &m->plan->saved[node->saved[s]], v))
                continue;
            const double weight = v->denominator * square * taps_of(m->plan, node) / (double)pixels;
            v->signal.gradient += square / ((double)pixels * (double)node->shape.c);
            v->weight += weight;
            if (view == PP__VIEW_XHAT) PP_TRY(find_variance_share(m, node, v));
            for (size_t k = 0; k < m->signals->value_count; k++) {
                value *behind = &m->signals->values[k];
                if (behind->front == number) behind->weight += behind->variance_share * weight;
            }
        }
    }
    return PP_OK;
}

/* A node's output gradient is whole when the first step of its backward pass is due. The loss is
 * the images' mean; gradients here are of their sum. */
static pp_status read_gradient(const measuring *m, const pp__plan_step *step) {
    const pp__plan_node *node = &m->plan->nodes[step->node];
    const size_t bytes = pp__shape_bytes(node->shape);
    if (!node->save_count || step->output_gradient == PP__NONE ||
        bytes > m->found_elems * sizeof(float))
        return PP_OK;
    PP_TRY(pp__read_now(m->device, pp__session_ref(m->session, step->output_gradient), m->found,
                        bytes));
    const double images = (double)m->batch.count;
    const double square = square_of(m->found, bytes / sizeof(float));
    return add_reader(m, step->node, square * images * images);
}

static bool begins_backward(const measuring *m, size_t step) {
    const pp__plan_step *steps = m->plan->steps;
    if (steps[step].kind != PP__STEP_BACKWARD && steps[step].kind != PP__STEP_BACKWARD_PARAMETERS)
        return false;
    for (size_t s = 0; s < step; s++)
        if (steps[s].node == steps[step].node &&
            (steps[s].kind == PP__STEP_BACKWARD || steps[s].kind == PP__STEP_BACKWARD_PARAMETERS))
            return false;
    return true;
}

static pp_status run_backward(const measuring *m) {
    for (size_t s = 0; s < m->plan->step_count; s++) {
        const pp__plan_step *step = &m->plan->steps[s];
        if (is_forward(step) || is_update(step)) continue;
        if (begins_backward(m, s)) PP_TRY(read_gradient(m, step));
        PP_TRY(run_step(m, step));
    }
    return PP_OK;
}

static pp_status finish_weights(const measuring *m) {
    double sum = 0;
    for (size_t i = 0; i < m->signals->value_count; i++) sum += m->signals->values[i].weight;
    if (!isfinite(sum))
        return pp__fail(m->engine, PP_ERROR_UNSUPPORTED,
                        "measure: activations or gradients are not finite");
    const double mean = sum / (double)(m->signals->value_count + !m->signals->value_count);
    for (size_t i = 0; i < m->signals->value_count; i++) {
        value *v = &m->signals->values[i];
        v->signal.weight = mean > 0 ? v->weight / mean : 1;
    }
    return PP_OK;
}

/* --- A codec's errors --- */

static pp_status add_harm(const measuring *m, value *v, const char *text, double error) {
    pp_signals *signals = m->signals;
    PP_TRY(pp__grow(m->engine, &signals->harms, &signals->harm_capacity, signals->harm_count + 1,
                    sizeof *signals->harms));
    signals->harms[signals->harm_count++] =
        (pp_harm){v->name, v->kind, text, error * v->signal.weight};
    return PP_OK;
}

static double error_of(const measuring *m, const value *v) {
    const size_t elems = pp__shape_bytes(v->shape) / sizeof(float);
    const float *exact = m->exact + v->first;
    double sum = 0;
    for (size_t i = 0; i < elems; i++) {
        const double error = (double)m->found[i] - (double)exact[i];
        sum += error * error;
    }
    return v->denominator > 0 ? sum / v->denominator : 0;
}

static pp_status read_errors(const measuring *m, const char *text) {
    for (size_t i = 0; i < m->signals->value_count; i++) {
        value *v = &m->signals->values[i];
        const pp__saved *saved = find_record(m->plan, v);
        if (!saved || strcmp(saved->text, text) != 0) continue;
        PP_TRY(read_value(m, saved, m->found));
        PP_TRY(add_harm(m, v, text, error_of(m, v)));
    }
    return PP_OK;
}

static pp_status measure_codec(measuring *m, size_t index) {
    const char *text = m->signals->texts[index];
    bool fits;
    pp_status status;
    PP_TRY_GOTO(status, open_session(m, text, &fits), done);
    if (!fits) goto done;
    PP_TRY_GOTO(status, run_forward(m), done);
    if (!index) {
        PP_TRY_GOTO(status, read_exact(m), done);
        PP_TRY_GOTO(status, run_backward(m), done);
        PP_TRY_GOTO(status, finish_weights(m), done);
        for (size_t i = 0; i < m->signals->value_count; i++)
            PP_TRY_GOTO(status, add_harm(m, &m->signals->values[i], text, 0), done);
    } else {
        status = read_errors(m, text);
    }
done:
    close_session(m);
    return status;
}

/* --- All of it --- */

/* The most elements of a node's output or gradient, and of a value. */
static size_t most_elems(const pp_plan *plan) {
    size_t most = 1;
    for (size_t i = 0; i < plan->node_count; i++) {
        const size_t elems = pp__shape_bytes(plan->nodes[i].shape) / sizeof(float);
        if (elems > most) most = elems;
    }
    return most;
}

/* Takes as many images as fit the budget with every codec; float32 needs the most. */
static pp_status choose_images(measuring *m) {
    uint32_t images = m->options->images ? m->options->images : DEFAULT_IMAGES;
    if (images > m->batch.count) images = m->batch.count;
    for (;; images /= 2) {
        pp_plan *plan;
        pp_plan_destroy(m->base);
        PP_TRY(make_plan(m, NULL, false, images, &m->base));
        PP_TRY(make_plan(m, m->signals->texts[0], true, images, &plan));
        const size_t scratch = most_elems(plan) * sizeof(float);
        const size_t bytes = plan->layout.peak_bytes + scratch;
        pp_plan_destroy(plan);
        if (!m->options->budget_bytes || bytes <= m->options->budget_bytes) {
            m->batch.count = images;
            m->scratch_bytes = scratch;
            return PP_OK;
        }
        if (images == 1)
            return pp__fail(m->engine, PP_ERROR_OUT_OF_MEMORY,
                            "measure: one image takes %zu bytes; the budget is %zu", bytes,
                            m->options->budget_bytes);
    }
}

/* Harms in the order of values. */
static pp_status sort_harms(pp_signals *signals) {
    pp_harm *sorted;
    size_t count = 0;
    PP_TRY(pp__allocate(signals->engine, signals->harm_count, sizeof *sorted, &sorted));
    for (size_t i = 0; i < signals->value_count; i++) {
        value *v = &signals->values[i];
        v->signal.first_harm = count;
        for (size_t h = 0; h < signals->harm_count; h++)
            if (signals->harms[h].value == v->name) sorted[count++] = signals->harms[h];
        v->signal.harm_count = count - v->signal.first_harm;
        v->signal.value = v->name;
        v->signal.kind = v->kind;
    }
    pp__release(signals->engine, signals->harms);
    signals->harms = sorted;
    return PP_OK;
}

static pp_status measure_all(measuring *m) {
    PP_TRY(list_codecs(m));
    PP_TRY(choose_images(m));
    m->signals->images = m->batch.count;
    PP_TRY(list_values(m));
    m->found_elems = m->scratch_bytes / sizeof(float);
    PP_TRY(pp__allocate(m->engine, m->found_elems, sizeof *m->found, &m->found));
    PP_TRY(pp__memory_create(m->device, m->scratch_bytes, &m->scratch));
    for (size_t c = 0; c < m->signals->text_count; c++) PP_TRY(measure_codec(m, c));
    return sort_harms(m->signals);
}

pp_status pp_measure(pp_device *device, const pp_graph *graph, const pp_profile *profile,
                     const pp_state *state, const pp_batch *batch,
                     const pp_measure_options *options, pp_signals **signals_out) {
    static const pp_measure_options defaults = {0};
    *signals_out = NULL;
    measuring m = {.engine = graph->engine,
                   .device = device,
                   .graph = graph,
                   .profile = profile,
                   .state = state,
                   .options = options ? options : &defaults,
                   .batch = *batch};
    if (!batch->count)
        return pp__fail(m.engine, PP_ERROR_INVALID_ARGUMENT, "measure: a batch without samples");
    PP_TRY(pp__allocate(m.engine, 1, sizeof *m.signals, &m.signals));
    m.signals->engine = m.engine;
    const pp_status status = measure_all(&m);
    pp_plan_destroy(m.base);
    pp__memory_destroy(m.scratch);
    pp__release(m.engine, m.exact);
    pp__release(m.engine, m.found);
    if (status != PP_OK) {
        pp_signals_destroy(m.signals);
        return status;
    }
    *signals_out = m.signals;
    return PP_OK;
}

void pp_signals_destroy(pp_signals *signals) {
    if (!signals) return;
    for (size_t i = 0; i < signals->value_count; i++)
        pp__release(signals->engine, signals->values[i].name);
    pp__release(signals->engine, signals->values);
    pp__release(signals->engine, signals->harms);
    pp__release(signals->engine, signals->texts);
    pp__release(signals->engine, signals);
}

size_t pp_signals_count(const pp_signals *signals) {
    return signals->value_count;
}

void pp_signals_read(const pp_signals *signals, size_t index, pp_signal *signal_out) {
    *signal_out = signals->values[index].signal;
}

uint32_t pp_signals_images(const pp_signals *signals) {
    return signals->images;
}

size_t pp_signals_device_bytes(const pp_signals *signals) {
    return signals->device_bytes;
}

const pp_harm *pp_signals_harms(const pp_signals *signals, size_t *count_out) {
    *count_out = signals->harm_count;
    return signals->harms;
}
