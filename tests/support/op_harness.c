#include "support/op_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "op/scalars.h"
#include "profile/profile.h"
#include "support/support.h"

/* A multiple of every alignment in use, and wider than a work-item's writes. */
enum { GUARD_BYTES = 256, GUARD = 0xFF };

void *op_harness_bytes(op_harness *h, size_t bytes) {
    ck_assert(h->room_count < OP_HARNESS_ROOMS);
    void *memory = malloc(bytes ? bytes : 1);
    ck_assert(memory != NULL);
    h->rooms[h->room_count++] = memory;
    return memory;
}

double *op_harness_room(op_harness *h, size_t count) {
    double *values = op_harness_bytes(h, count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = NAN;
    return values;
}

/* Fills with guard bytes, which as float32 are NaN. */
static void scribble(op_harness *h, pp__ref at, size_t bytes) {
    unsigned char *guards = op_harness_bytes(h, bytes);
    memset(guards, GUARD, bytes);
    TEST_OK(pp__write_now(test_device(), at, guards, bytes));
}

pp__ref op_harness_tensor(op_harness *h, size_t bytes) {
    ck_assert(h->memory_count < OP_HARNESS_MEMORIES);
    size_t all = bytes + 2 * GUARD_BYTES, place = h->memory_count++;
    h->memories[place].bytes = bytes;
    TEST_OK(pp__memory_create(test_device(), all, &h->memories[place].memory));
    scribble(h, (pp__ref){h->memories[place].memory, 0}, all);
    return (pp__ref){h->memories[place].memory, GUARD_BYTES};
}

size_t op_harness_elems(pp__shape shape) {
    return pp__shape_pixels(shape) * shape.c;
}

static void choose_coding(op_harness *h, size_t s) {
    const char *text = h->c.codings[s];
    pp__view view = h->saves[s].view;
    if (!text)
        text = view == PP__VIEW_MASK ? "signmask" : view == PP__VIEW_INDEX ? "argmax" : "raw";
    TEST_OK(pp__coding_read(test_engine(), text, &h->stored[s].coding));
    if (view == PP__VIEW_INDEX) h->stored[s].coding.bits = h->saves[s].bits;
}

/* What each save is stored as. A mask behind a normalising operator is a view of x-hat's code where
 * that code offers it. */
static void describe_saves(op_harness *h) {
    pp__op_binding *b = &h->b;
    for (size_t s = 0; s < h->save_count; s++) {
        const pp__save *save = &h->saves[s];
        pp__stored *stored = &h->stored[s];
        if (save->source == PP__SAVE_NOTHING) continue;
        if (save->source == PP__SAVE_AUXILIARY && save->view != PP__VIEW_INDEX) continue;
        choose_coding(h, s);
        stored->shape = save->source == PP__SAVE_INPUT ? b->q.inputs[0] : b->q.output;
        stored->subject = save->view == PP__VIEW_XHAT    ? PP__SUBJECT_NORMALISED
                          : save->view == PP__VIEW_INDEX ? PP__SUBJECT_BITS
                                                         : PP__SUBJECT_ACTIVATION;
        stored->relu = (h->c.op->traits & PP__OP_RELU_OUTPUT) != 0;
        if (save->view == PP__VIEW_MASK && h->saves[0].view == PP__VIEW_XHAT && !h->c.codings[s] &&
            h->stored[0].coding.codec->views[PP__SUBJECT_NORMALISED] & PP__VIEW_MASK)
            *stored = h->stored[0];
        b->q.stored[s] = stored;
    }
}

static bool has_own_code(const op_harness *h, size_t s) {
    return h->b.q.stored[s] && !h->stored[s].coding.codec->stores_itself &&
           !(h->saves[s].view == PP__VIEW_MASK && h->stored[s].subject == PP__SUBJECT_NORMALISED);
}

static void place_saves(op_harness *h) {
    pp__op_binding *b = &h->b;
    for (size_t s = 0; s < h->save_count; s++) {
        pp__stored *stored = &h->stored[s];
        if (h->saves[s].source == PP__SAVE_NOTHING)
            continue;
        else if (!b->q.stored[s])
            b->auxiliary[s] = op_harness_tensor(h, h->saves[s].bytes);
        else if (has_own_code(h, s))
            stored->code = b->auxiliary[s] =
                op_harness_tensor(h, pp__coding_bytes(&stored->coding, stored->shape));
        else if (stored->subject == PP__SUBJECT_NORMALISED && h->saves[s].view == PP__VIEW_MASK)
            stored->code = h->stored[0].code;
        else
            stored->code = h->saves[s].view == PP__VIEW_MASK ? b->output : b->inputs[0];
    }
    for (size_t s = 0; s < h->save_count; s++) {
        if (!b->q.stored[s] || h->stored[s].subject != PP__SUBJECT_NORMALISED) continue;
        h->stored[s].gamma = b->parameters[0];
        h->stored[s].beta = b->parameters[1];
        for (size_t t = 0; t < h->save_count; t++)
            if (b->auxiliary[t].memory && !b->q.stored[t])
                h->stored[s].statistics = b->auxiliary[t];
    }
}

static void place_tensors(op_harness *h) {
    pp__op_binding *b = &h->b;
    const pp__op *op = h->c.op;
    for (size_t i = 0; i < op->input_count; i++) {
        b->inputs[i] = op_harness_tensor(h, pp__shape_bytes(b->q.inputs[i]));
        b->input_gradient_adds[i] = h->c.adds;
    }
    b->output = h->c.in_place ? b->inputs[0] : op_harness_tensor(h, pp__shape_bytes(b->q.output));
    b->output_gradient = op_harness_tensor(h, pp__shape_bytes(b->q.output));
    for (size_t i = 0; i < op->input_count; i++)
        b->input_gradients[i] = i == 0 && h->c.gradient_in_place
                                    ? b->output_gradient
                                    : op_harness_tensor(h, pp__shape_bytes(b->q.inputs[i]));
    for (size_t i = 0; i < h->shapes.parameter_count; i++) {
        size_t bytes = pp__shape_bytes(h->shapes.parameters[i].shape);
        b->parameters[i] = op_harness_tensor(h, bytes);
        if (h->shapes.parameters[i].trainable && !h->c.frozen[i])
            b->parameter_gradients[i] = op_harness_tensor(h, bytes);
    }
    size_t workspace_bytes = 0;
    for (pp__pass pass = PP__PASS_FORWARD; op->workspace && pass <= PP__PASS_BACKWARD; pass++) {
        if (pass != PP__PASS_FORWARD && h->c.inference) break;
        size_t bytes = op->workspace(&b->q, pass);
        if (bytes > workspace_bytes) workspace_bytes = bytes;
    }
    if (workspace_bytes) b->workspace = op_harness_tensor(h, workspace_bytes);
}

static void place_staging(op_harness *h) {
    pp__op_binding *b = &h->b;
    uint32_t batch = b->q.inputs[0].n;
    b->scalars = op_harness_tensor(h, sizeof h->scalars);
    for (size_t s = 0; s < h->save_count; s++) {
        h->stored[s].scalars = b->scalars;
        h->stored[s].number = b->node_number;
    }
    h->scalars[PP__SCALAR_COUNT] = batch;
    float scale = 1.0f / (float)batch;
    memcpy(&h->scalars[PP__SCALAR_LOSS_SCALE], &scale, sizeof scale);
    if (!(h->c.op->traits & PP__OP_LOSS)) return;
    bool targets = h->c.op->traits & PP__OP_TARGETS;
    b->labels =
        op_harness_tensor(h, targets ? pp__shape_bytes(b->q.inputs[0]) : batch * sizeof(int32_t));
    b->metrics = op_harness_tensor(h, 2 * sizeof(float));
}

void op_harness_open(op_harness *h, const char *profile) {
    memset(h, 0, sizeof *h);
    TEST_OK(pp_profile_for_device(test_device(), profile ? profile : test_profile(), &h->profile));
}

void op_harness_create(op_harness *h, const op_case *c) {
    op_harness_open(h, c->profile);
    h->c = *c;
    pp__op_query *q = &h->b.q;
    TEST_OK(c->op->infer(test_engine(), "node", c->params, c->inputs, &h->shapes));
    q->params = c->params;
    q->profile = h->profile;
    q->input_count = c->op->input_count;
    q->output = h->shapes.output;
    q->training = !c->inference;
    memcpy(q->frozen, c->frozen, sizeof q->frozen);
    for (size_t i = 0; i < q->input_count; i++) {
        q->inputs[i] = c->inputs[i];
        q->input_gradient[i] = true;
    }
    h->b.parameter_gradients_add = c->parameters_add;
    h->b.node_number = 7;
    if (c->op->save && !c->inference) h->save_count = c->op->save(q, h->saves);
    describe_saves(h);
    place_tensors(h);
    place_saves(h);
    place_staging(h);
}

static const char *name_of(const op_harness *h) {
    return h->c.op ? h->c.op->name : "codec";
}

static void check_guards(const op_harness *h, size_t place) {
    size_t bytes = h->memories[place].bytes, all = bytes + 2 * GUARD_BYTES;
    unsigned char *found = malloc(all);
    ck_assert(found != NULL);
    TEST_OK(pp__read_now(test_device(), (pp__ref){h->memories[place].memory, 0}, found, all));
    for (size_t i = 0; i < all; i++)
        if (i < GUARD_BYTES || i >= GUARD_BYTES + bytes)
            ck_assert_msg(found[i] == GUARD, "%s: byte %zd of tensor %zu (%zu bytes) was written",
                          name_of(h), (ptrdiff_t)i - GUARD_BYTES, place, bytes);
    free(found);
}

void op_harness_destroy(op_harness *h) {
    for (size_t i = 0; i < h->memory_count; i++) {
        check_guards(h, i);
        pp__memory_destroy(h->memories[i].memory);
    }
    for (size_t i = 0; i < h->room_count; i++) free(h->rooms[i]);
    pp_profile_destroy(h->profile);
}

void op_harness_begin(op_harness *h) {
    TEST_OK(pp__stream_create(test_device(), h->profile, &h->b.stream));
    TEST_OK(pp__stream_label(h->b.stream, name_of(h)));
}

void op_harness_run(op_harness *h) {
    TEST_OK(pp__stream_run(h->b.stream));
    TEST_OK(pp__device_finish(test_device()));
    pp__stream_destroy(h->b.stream);
    h->b.stream = NULL;
}

static void encode(op_harness *h, pp__save_source source, pp__ref value) {
    for (size_t s = 0; s < h->save_count; s++)
        if (h->saves[s].source == source && has_own_code(h, s) &&
            h->stored[s].subject == PP__SUBJECT_ACTIVATION)
            TEST_OK(h->stored[s].coding.codec->encode(&h->stored[s], value, h->b.stream));
}

void op_harness_forward(op_harness *h) {
    TEST_OK(pp__write_now(test_device(), h->b.scalars, h->scalars, sizeof h->scalars));
    op_harness_begin(h);
    encode(h, PP__SAVE_INPUT, h->b.inputs[0]);
    TEST_OK(h->c.op->forward(&h->b));
    encode(h, PP__SAVE_OUTPUT, h->b.output);
    op_harness_run(h);
}

/* True when a codec that stores itself keeps this tensor for backward. */
static bool is_kept(const op_harness *h, pp__ref tensor_ref) {
    for (size_t s = 0; s < h->save_count; s++)
        if (h->b.q.stored[s] && h->stored[s].code.memory == tensor_ref.memory) return true;
    return false;
}

void op_harness_backward(op_harness *h) {
    pp__op_binding forward = h->b;
    for (size_t i = 0; i < h->c.op->input_count; i++) {
        if (!is_kept(h, forward.inputs[i]))
            scribble(h, forward.inputs[i], pp__shape_bytes(forward.q.inputs[i]));
        h->b.inputs[i] = (pp__ref){0};
    }
    if (!is_kept(h, forward.output)) scribble(h, forward.output, pp__shape_bytes(forward.q.output));
    h->b.output = (pp__ref){0};
    memset(h->b.auxiliary, 0, sizeof h->b.auxiliary);
    op_harness_begin(h);
    if (h->c.op->backward_parameters) TEST_OK(h->c.op->backward_parameters(&h->b));
    TEST_OK(h->c.op->backward(&h->b));
    op_harness_run(h);
    memcpy(h->b.inputs, forward.inputs, sizeof forward.inputs);
    memcpy(h->b.auxiliary, forward.auxiliary, sizeof forward.auxiliary);
    h->b.output = forward.output;
}

void op_harness_write(op_harness *h, pp__ref to, const double *values, size_t count) {
    float *narrow = op_harness_bytes(h, count * sizeof *narrow);
    for (size_t i = 0; i < count; i++) narrow[i] = (float)values[i];
    TEST_OK(pp__write_now(test_device(), to, narrow, count * sizeof *narrow));
}

double *op_harness_random(op_harness *h, pp__ref to, size_t count) {
    double *values = op_harness_room(h, count);
    for (size_t i = 0; i < count; i++) values[i] = (double)test_random_normal();
    op_harness_write(h, to, values, count);
    return values;
}

void op_harness_read(op_harness *h, pp__ref from, void *to, size_t bytes) {
    (void)h;
    TEST_OK(pp__read_now(test_device(), from, to, bytes));
}

void op_harness_expect(op_harness *h, const char *what, pp__ref found, const double *expected,
                       size_t count, float absolute, float relative) {
    float *values = op_harness_bytes(h, count * sizeof *values),
          *narrow = op_harness_bytes(h, count * sizeof *narrow);
    op_harness_read(h, found, values, count * sizeof *values);
    for (size_t i = 0; i < count; i++) narrow[i] = (float)expected[i];
    test_close(what, values, narrow, count, absolute, relative);
}

void op_harness_add(double *into, const double *values, size_t count) {
    for (size_t i = 0; values && i < count; i++) into[i] += values[i];
}

pp__shape op_harness_shape(size_t index) {
    const pp__shape shapes[OP_SHAPES] = {
        {1, 1, 1, 1}, {2, 3, 5, 7}, {3, 1, 17, 8}, {2, 5, 7, 19}, {1, 9, 11, 24}};
    if (index < OP_SHAPES - 1) return shapes[index];
    return (pp__shape){1 + test_random_below(4), 1 + test_random_below(13),
                       1 + test_random_below(13), 1 + test_random_below(40)};
}
