/* Sessions inside an application's OpenCL: they live in memory that was handed over, take batches
 * from its buffers and write predictions there, and let the host write a batch where it is read. In
 * each of these ways a run has the same bits as in memory of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/host_app.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, SIDE = 6, COLOURS = 2, CLASSES = 3, INPUT = SIDE * SIDE * COLOURS, STEPS = 4 };
enum { MOST_CHUNKS = 16, GARBAGE = 0xFF /* NaN as float32 */ };

static float inputs[STEPS][BATCH * INPUT];
static int32_t labels[STEPS][BATCH];
static host_app app;
static pp_device *device;
static pp_graph *graph;

static pp_graph *make_graph(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    x = pp_graph_dropout(g, "dropout", x, 0.25f);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void set_up(void) {
    host_app_create(&app, 0);
    device = host_app_open(&app, app.queue);
    graph = make_graph();
    test_fill_normal(&inputs[0][0], sizeof inputs / sizeof(float));
    for (size_t i = 0; i < STEPS * BATCH; i++)
        labels[i / BATCH][i % BATCH] = (int32_t)(i % CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(graph);
    pp_device_close(device);
    host_app_destroy(&app);
}

static const pp_plan_options options = {
    .batch = BATCH, .codec = "norm:4", .optimizer = {.momentum = 0.9f}};

/* A plan for the application's device; with small chunks it has several. */
static void make_plan(trainer *t, bool small_chunks) {
    memset(t, 0, sizeof *t);
    char path[256];
    const char *profile = test_profile();
    if (small_chunks) {
        snprintf(path, sizeof path, "%s/small.profile", test_scratch_folder());
        FILE *file = fopen(path, "w");
        ck_assert(file && fputs("memory.max_allocation_bytes = 6144\n", file) >= 0 &&
                  fclose(file) == 0);
        profile = path;
    }
    TEST_OK(pp_profile_for_device(device, profile, &t->profile));
    TEST_OK(pp_plan_create(graph, t->profile, &options, &t->plan));
}

/* Blocks of the application's for each chunk, `slack` bytes into their buffers and as many before
 * their end. */
typedef struct blocks {
    cl_mem buffers[MOST_CHUNKS];
    pp_memory *memory[MOST_CHUNKS];
    size_t count, slack;
} blocks;

static size_t chunk_bytes(const pp_plan *plan, size_t index) {
    pp_plan_chunk chunk;
    pp_plan_read_chunk(plan, index, &chunk);
    return chunk.bytes;
}

static void blocks_create(blocks *b, const pp_plan *plan, size_t alignments) {
    pp_plan_summary summary;
    pp_plan_chunk chunk;
    pp_plan_summarize(plan, &summary);
    b->count = summary.chunk_count;
    ck_assert_uint_le(b->count, MOST_CHUNKS);
    for (size_t i = 0; i < b->count; i++) {
        pp_plan_read_chunk(plan, i, &chunk);
        b->slack = alignments * chunk.alignment_bytes;
        b->buffers[i] =
            host_app_buffer(&app, CL_MEM_READ_WRITE, chunk.bytes + 2 * b->slack, GARBAGE);
        b->memory[i] = host_app_wrap(device, b->buffers[i], b->slack, chunk.bytes);
    }
}

static void blocks_destroy(const blocks *b) {
    for (size_t i = 0; i < b->count; i++) {
        pp_memory_release(b->memory[i]);
        ck_assert_int_eq(clReleaseMemObject(b->buffers[i]), CL_SUCCESS);
    }
}

static pp_session_options living_in(const blocks *b) {
    return (pp_session_options){.seed = 1, .memory = b->memory, .memory_count = b->count};
}

static pp_batch batch_of(size_t step) {
    return (pp_batch){.inputs = inputs[step], .labels = labels[step], .count = BATCH};
}

/* The same run from host memory in memory of the session's own, to compare with. */
static float *expected_parameters(const trainer *like, size_t *count_out) {
    trainer t = {.plan = like->plan};
    TEST_OK(pp_session_create(device, t.plan, like->profile, &(pp_session_options){.seed = 1},
                              &t.session));
    for (size_t s = 0; s < STEPS; s++) {
        const pp_batch batch = batch_of(s);
        TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    }
    float *values = trainer_read_all(&t, count_out);
    pp_session_destroy(t.session);
    return values;
}

static void expect_same_parameters(const trainer *t) {
    size_t count, expected_count;
    float *found = trainer_read_all(t, &count), *expected = expected_parameters(t, &expected_count);
    ck_assert_uint_eq(count, expected_count);
    ck_assert_mem_eq(found, expected, count * sizeof *found);
    free(found);
    free(expected);
}

static pp_device_counters counters(void) {
    pp_device_counters c;
    pp_device_read_counters(device, &c);
    return c;
}

static void expect_guards(const blocks *b, const pp_plan *plan) {
    unsigned char *guard = malloc(b->slack);
    ck_assert(guard != NULL);
    for (size_t i = 0; i < b->count; i++)
        for (size_t side = 0; side < 2; side++) {
            const size_t offset = side ? b->slack + chunk_bytes(plan, i) : 0;
            host_app_read(&app, b->buffers[i], offset, guard, b->slack);
            for (size_t g = 0; g < b->slack; g++) ck_assert_uint_eq(guard[g], GARBAGE);
        }
    free(guard);
}

/* With the self-tests done and the programs built by a first session, a second one creates nothing
 * on the device, whatever the blocks held, and leaves what lies around them alone. */
START_TEST(lives_in_memory_handed_over) {
    const bool small_chunks = _i & 1;
    trainer t;
    blocks b;
    make_plan(&t, small_chunks);
    TEST_OK(pp_session_create(device, t.plan, t.profile, NULL, &t.session));
    pp_session_destroy(t.session);
    blocks_create(&b, t.plan, _i & 2 ? 3 : 0);
    ck_assert(b.count > 1 || !small_chunks);
    const pp_session_options where = living_in(&b);
    const pp_device_counters before = counters();
    TEST_OK(pp_session_create(device, t.plan, t.profile, &where, &t.session));
    pp_plan_summary summary;
    pp_plan_summarize(t.plan, &summary);
    ck_assert_uint_eq(pp_session_device_bytes(t.session), summary.peak_bytes);
    for (size_t s = 0; s < STEPS; s++) {
        const pp_batch batch = batch_of(s);
        TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    }
    ck_assert_uint_eq(counters().buffers_created, before.buffers_created);
    ck_assert_uint_eq(counters().live_buffer_bytes, before.live_buffer_bytes);
    expect_same_parameters(&t);
    if (b.slack) expect_guards(&b, t.plan);
    trainer_destroy(&t);
    blocks_destroy(&b);
}
END_TEST

/* What the plan says of a parameter's place is where the application finds it. */
START_TEST(the_plan_tells_where_values_lie) {
    trainer t;
    blocks b;
    make_plan(&t, true);
    blocks_create(&b, t.plan, 1);
    const pp_session_options where = living_in(&b);
    TEST_OK(pp_session_create(device, t.plan, t.profile, &where, &t.session));
    size_t found = 0;
    for (size_t r = 0; r < pp_plan_row_count(t.plan); r++) {
        pp_plan_row row;
        pp_plan_read_row(t.plan, r, &row);
        if (strcmp(row.name, "fc.weight") != 0 || row.memory_class != PP_MEMORY_PARAMETERS)
            continue;
        float *expected = trainer_read(&t, "fc.weight");
        float *values = malloc(row.raw_bytes);
        host_app_read(&app, b.buffers[row.chunk], b.slack + row.offset_bytes, values,
                      row.raw_bytes);
        ck_assert_mem_eq(values, expected, row.raw_bytes);
        free(values);
        free(expected);
        found++;
    }
    ck_assert_uint_eq(found, 1);
    trainer_destroy(&t);
    blocks_destroy(&b);
}
END_TEST

static trainer refused;

/* Nothing is created on the device for a session that cannot be. */
static void expect_refused(pp_memory *const *memory, size_t count, const char *part) {
    const pp_device_counters before = counters();
    const pp_session_options where = {.memory = memory, .memory_count = count};
    TEST_FAILS(pp_session_create(device, refused.plan, refused.profile, &where, &refused.session),
               PP_ERROR_INVALID_ARGUMENT, part);
    ck_assert_ptr_null(refused.session);
    const pp_device_counters after = counters();
    ck_assert_mem_eq(&after, &before, sizeof after);
}

static void expect_block_refused(pp_device *of, const blocks *b, cl_mem_flags flags, size_t offset,
                                 size_t missing, const char *part) {
    const size_t bytes = chunk_bytes(refused.plan, 1) - missing;
    cl_int code;
    cl_mem buffer = clCreateBuffer(app.context, flags, offset + bytes, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    pp_memory *memory[MOST_CHUNKS];
    memcpy(memory, b->memory, sizeof memory);
    memory[1] = host_app_wrap(of, buffer, offset, bytes);
    expect_refused(memory, b->count, part);
    pp_memory_release(memory[1]);
    clReleaseMemObject(buffer);
}

static void expect_overlaps_refused(const blocks *b) {
    pp_memory *memory[MOST_CHUNKS];
    const size_t first = chunk_bytes(refused.plan, 0), second = chunk_bytes(refused.plan, 1);
    pp_plan_chunk chunk;
    pp_plan_read_chunk(refused.plan, 1, &chunk);
    const size_t behind =
        (first + chunk.alignment_bytes - 1) / chunk.alignment_bytes * chunk.alignment_bytes;
    cl_mem both = host_app_buffer(&app, CL_MEM_READ_WRITE, behind + second, 0);
    memcpy(memory, b->memory, sizeof memory);
    memory[0] = host_app_wrap(device, both, 0, first);
    memory[1] = host_app_wrap(device, both, behind - chunk.alignment_bytes, second);
    expect_refused(memory, b->count, "memory blocks 0 and 1 overlap");
    pp_memory_release(memory[1]);
    memory[1] = host_app_wrap(device, both, behind, second);
    const pp_session_options where = {.memory = memory, .memory_count = b->count};
    TEST_OK(pp_session_create(device, refused.plan, refused.profile, &where, &refused.session));
    pp_session *held = refused.session;
    refused.session = NULL;
    expect_refused(memory, b->count, "another session lives in memory block 0");
    pp_session_destroy(held);
    pp_memory_release(memory[0]);
    pp_memory_release(memory[1]);
    clReleaseMemObject(both);
}

START_TEST(refuses_memory) {
    blocks b;
    make_plan(&refused, true);
    blocks_create(&b, refused.plan, 0);
    pp_device *other = host_app_open(&app, app.queue);
    pp_memory *memory[MOST_CHUNKS];
    memcpy(memory, b.memory, sizeof memory);
    char part[64];
    snprintf(part, sizeof part, "%zu memory blocks for a plan of %zu chunks", b.count - 1, b.count);
    expect_refused(memory, b.count - 1, part);
    expect_refused(memory, b.count + 1, "memory blocks for a plan of");
    expect_refused(NULL, 1, "1 memory blocks for a plan of");
    expect_refused(NULL, b.count, "no list of memory blocks");
    memory[1] = NULL;
    expect_refused(memory, b.count, "memory block 1 is NULL");
    expect_block_refused(device, &b, CL_MEM_READ_WRITE, 0, 1, "memory block 1 has ");
    expect_block_refused(device, &b, CL_MEM_READ_WRITE, 4, 0, "memory block 1 begins at byte 4 of");
    expect_block_refused(device, &b, CL_MEM_READ_ONLY, 0, 0, "made with CL_MEM_READ_ONLY");
    expect_block_refused(device, &b, CL_MEM_WRITE_ONLY, 0, 0, "made with CL_MEM_WRITE_ONLY");
    expect_block_refused(device, &b, CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS, 0, 0,
                         "made with CL_MEM_HOST_NO_ACCESS");
    expect_block_refused(device, &b, CL_MEM_HOST_READ_ONLY, 0, 0, "with CL_MEM_HOST_READ_ONLY");
    expect_block_refused(device, &b, CL_MEM_HOST_WRITE_ONLY, 0, 0, "with CL_MEM_HOST_WRITE_ONLY");
    expect_block_refused(other, &b, CL_MEM_READ_WRITE, 0, 0, "wrapped for another device");
    expect_overlaps_refused(&b);
    pp_device_close(other);
    trainer_destroy(&refused);
    blocks_destroy(&b);
}
END_TEST

/* Batches from the application's buffers, and predictions into one, in the order of its queue: the
 * buffers are overwritten right behind each call. */
START_TEST(takes_batches_from_the_device) {
    enum { BEFORE = 20 };
    trainer t;
    make_plan(&t, false);
    TEST_OK(
        pp_session_create(device, t.plan, t.profile, &(pp_session_options){.seed = 1}, &t.session));
    const size_t input_bytes = sizeof inputs[0], label_bytes = sizeof labels[0];
    cl_mem buffer =
        host_app_buffer(&app, CL_MEM_READ_ONLY, BEFORE + input_bytes + label_bytes, GARBAGE);
    pp_memory *memory = host_app_wrap(device, buffer, 0, BEFORE + input_bytes + label_bytes);
    const pp_place samples = {memory, BEFORE}, classes = {memory, BEFORE + input_bytes};
    for (size_t s = 0; s < STEPS; s++) {
        host_app_write(&app, buffer, BEFORE, inputs[s], input_bytes);
        host_app_write(&app, buffer, BEFORE + input_bytes, labels[s], label_bytes);
        /* Labels from either side. */
        const pp_batch batch = {.device_inputs = samples,
                                .labels = s & 1 ? labels[s] : NULL,
                                .device_labels = s & 1 ? (pp_place){0} : classes,
                                .count = BATCH};
        TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    }
    expect_same_parameters(&t);

    float expected[BATCH * CLASSES], found[1 + BATCH * CLASSES];
    const pp_batch on_host = batch_of(STEPS - 1),
                   on_device = {.device_inputs = samples, .count = BATCH - 1};
    TEST_OK(pp_session_predict(t.session, &on_host, expected));
    TEST_OK(pp_session_predict(t.session, &on_device, found));
    ck_assert_mem_eq(found, expected, (BATCH - 1) * CLASSES * sizeof(float));
    cl_mem results = host_app_buffer(&app, CL_MEM_READ_WRITE, sizeof found, GARBAGE);
    pp_memory *room = host_app_wrap(device, results, 0, sizeof found);
    TEST_OK(pp_session_predict_to(t.session, &on_device, (pp_place){room, sizeof(float)}));
    host_app_read(&app, results, 0, found, sizeof found);
    ck_assert_mem_eq(found + 1, expected, (BATCH - 1) * CLASSES * sizeof(float));
    ck_assert(isnan(found[0]) && isnan(found[1 + (BATCH - 1) * CLASSES]));

    TEST_FAILS(pp_session_predict_to(t.session, &on_host, (pp_place){room, 2 * sizeof(float)}),
               PP_ERROR_INVALID_ARGUMENT,
               "the room for predictions: 48 bytes at 8 of memory of 52 bytes");
    TEST_FAILS(pp_session_predict_to(t.session, &on_host, (pp_place){0}), PP_ERROR_INVALID_ARGUMENT,
               "no memory for the predictions");
    pp_memory_release(room);
    pp_memory_release(memory);
    clReleaseMemObject(results);
    clReleaseMemObject(buffer);
    trainer_destroy(&t);
}
END_TEST

START_TEST(refuses_batches_on_the_device) {
    trainer t;
    make_plan(&t, false);
    TEST_OK(pp_session_create(device, t.plan, t.profile, NULL, &t.session));
    pp_device *other = host_app_open(&app, app.queue);
    cl_mem buffer = host_app_buffer(&app, CL_MEM_READ_WRITE, sizeof inputs[0], 0);
    pp_memory *memory = host_app_wrap(device, buffer, 0, sizeof inputs[0]),
              *foreign = host_app_wrap(other, buffer, 0, sizeof inputs[0]);
    const pp_batch good = {.device_inputs = {memory, 0}, .labels = labels[0], .count = BATCH};
    pp_batch batch = good;
    batch.inputs = inputs[0];
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "inputs both in host memory and on the device");
    batch = good;
    batch.device_labels = (pp_place){memory, 0};
    TEST_FAILS(pp_session_evaluate(t.session, &batch), PP_ERROR_INVALID_ARGUMENT,
               "labels or targets both in host memory and on the device");
    batch = good;
    batch.device_inputs.offset_bytes = 4;
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "the batch's inputs: 1152 bytes at 4 of memory of 1152 bytes");
    batch = good;
    batch.labels = NULL;
    batch.device_labels = (pp_place){memory, sizeof inputs[0] - 8};
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "the batch's labels: 16 bytes at 1144 of memory of 1152 bytes");
    batch = good;
    batch.device_inputs.memory = foreign;
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "wrapped for another device");
    TEST_OK(pp_session_step(t.session, &good, 0.1f));
    pp_memory_release(foreign);
    pp_memory_release(memory);
    clReleaseMemObject(buffer);
    pp_device_close(other);
    trainer_destroy(&t);
}
END_TEST

/* Labels that only kernels see: one that is no class has no finite loss, its update is left out, and
 * the memory beside the logits is left alone. */
START_TEST(labels_that_are_no_class) {
    static const int32_t wrong[BATCH] = {CLASSES, -1, INT32_MAX, INT32_MIN};
    const pp_plan_options plain = {.batch = BATCH};
    pp_metrics metrics;
    trainer t = {0};
    TEST_OK(pp_profile_for_device(device, test_profile(), &t.profile));
    TEST_OK(pp_plan_create(graph, t.profile, &plain, &t.plan));
    TEST_OK(pp_session_create(device, t.plan, t.profile, NULL, &t.session));
    cl_mem buffer = host_app_buffer(&app, CL_MEM_READ_ONLY, sizeof wrong, 0);
    host_app_write(&app, buffer, 0, wrong, sizeof wrong);
    pp_memory *memory = host_app_wrap(device, buffer, 0, sizeof wrong);
    float *before = trainer_read(&t, "fc.weight");
    const pp_batch batch = {.inputs = inputs[0], .device_labels = {memory, 0}, .count = BATCH};
    TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    TEST_OK(pp_session_read_metrics(t.session, &metrics));
    ck_assert(metrics.not_finite == BATCH && metrics.count == 0 && metrics.correct == 0);
    ck_assert(metrics.skipped_updates == 1 && metrics.kept_elems == 0);
    float *after = trainer_read(&t, "fc.weight");
    ck_assert_mem_eq(after, before, trainer_elems(&t, "fc.weight") * sizeof *after);
    free(before);
    free(after);
    pp_memory_release(memory);
    clReleaseMemObject(buffer);
    trainer_destroy(&t);
}
END_TEST

/* The host writes where the device reads; in memory of the session's own and of the application's. */
START_TEST(maps_a_batch) {
    trainer t;
    blocks b;
    make_plan(&t, false);
    blocks_create(&b, t.plan, 2);
    pp_session_options where = living_in(&b);
    if (_i == 0) where.memory = NULL, where.memory_count = 0;
    TEST_OK(pp_session_create(device, t.plan, t.profile, &where, &t.session));
    void *room, *again;
    for (size_t s = 0; s < STEPS; s++) {
        pp_batch batch = batch_of(s);
        TEST_OK(pp_session_map_inputs(t.session, &room));
        memcpy(room, inputs[s], sizeof inputs[s]);
        TEST_OK(pp_session_map_inputs(t.session, &again));
        ck_assert_ptr_eq(room, again);
        batch.inputs = room;
        TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    }
    expect_same_parameters(&t);
    trainer_destroy(&t);
    blocks_destroy(&b);
}
END_TEST

static size_t count_transfers(pp_device *traced, const char *kernel) {
    static pp_device_trace_event events[256];
    size_t count, found = 0;
    TEST_OK(pp_device_read_trace(traced, events, 256, &count));
    ck_assert_uint_le(count, 256);
    for (size_t i = 0; i < count; i++)
        found += !strcmp(events[i].label, "transfer") && !strcmp(events[i].kernel, kernel);
    return found;
}

/* Inputs, labels and scalars are written; of a mapped batch the last two alone. */
START_TEST(a_mapped_batch_is_not_copied) {
    trainer t = {0};
    void *room;
    pp_device *traced;
    TEST_OK(pp_device_open(test_engine(), getenv("POCKETPROP_TEST_DEVICE"),
                           &(pp_device_options){.profiling = true}, &traced));
    TEST_OK(pp_profile_for_device(traced, test_profile(), &t.profile));
    TEST_OK(pp_plan_create(graph, t.profile, &options, &t.plan));
    TEST_OK(pp_session_create(traced, t.plan, t.profile, NULL, &t.session));
    pp_batch batch = batch_of(0);
    TEST_OK(pp_device_clear_trace(traced));
    TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    ck_assert_uint_eq(count_transfers(traced, "write"), 3);
    TEST_OK(pp_device_clear_trace(traced));
    TEST_OK(pp_session_map_inputs(t.session, &room));
    memcpy(room, inputs[0], sizeof inputs[0]);
    batch.inputs = room;
    TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    ck_assert_uint_eq(count_transfers(traced, "write"), 2);
    ck_assert_uint_eq(count_transfers(traced, "map"), 1);
    ck_assert_uint_eq(count_transfers(traced, "unmap"), 1);
    ck_assert_uint_eq(count_transfers(traced, "copy"), 0);
    trainer_destroy(&t);
    pp_device_close(traced);
}
END_TEST

/* While a batch is mapped nothing else is done; then it is used, dropped for another, or left. */
START_TEST(minds_what_is_mapped) {
    trainer t;
    make_plan(&t, false);
    TEST_OK(
        pp_session_create(device, t.plan, t.profile, &(pp_session_options){.seed = 1}, &t.session));
    float expected[BATCH * CLASSES], found[BATCH * CLASSES], bias[CLASSES];
    const pp_batch batch = batch_of(0);
    TEST_OK(pp_session_predict(t.session, &batch, expected));
    void *room;
    TEST_OK(pp_session_map_inputs(t.session, &room));
    memset(room, GARBAGE, sizeof inputs[0]);
    pp_metrics metrics;
    TEST_FAILS(pp_session_read_metrics(t.session, &metrics), PP_ERROR_INVALID_ARGUMENT,
               "the memory is mapped for a batch");
    const size_t index = trainer_index(&t, "fc.bias");
    TEST_FAILS(pp_session_read_parameter(t.session, index, bias, CLASSES),
               PP_ERROR_INVALID_ARGUMENT, "the memory is mapped for a batch");
    TEST_OK(pp_session_predict(t.session, &batch, found)); /* drops what was written */
    ck_assert_mem_eq(found, expected, sizeof found);

    TEST_OK(pp_session_map_inputs(t.session, &room));
    memcpy(room, inputs[0], sizeof inputs[0] / BATCH);
    TEST_OK(pp_session_predict(t.session, &(pp_batch){.inputs = room, .count = 1}, found));
    ck_assert_mem_eq(found, expected, CLASSES * sizeof(float));

    TEST_OK(pp_session_map_inputs(t.session, &room));
    TEST_OK(pp_session_unmap_inputs(t.session));
    TEST_OK(pp_session_unmap_inputs(t.session));
    TEST_OK(pp_session_read_parameter(t.session, index, bias, CLASSES));
    TEST_OK(pp_session_map_inputs(t.session, &room));
    trainer_destroy(&t);
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
    ck_assert(memory != NULL && c->live > 0);
    c->live--;
    free(memory);
}

/* Wrapping the block, a session in it, a step. */
static pp_status train_in(pp_device *where, const trainer *t, cl_mem buffer, size_t bytes) {
    pp_memory *memory = NULL;
    pp_session *session = NULL;
    const pp_batch batch = batch_of(0);
    pp_status status = pp_memory_wrap(where, buffer, 0, bytes, &memory);
    if (status == PP_OK)
        status = pp_session_create(where, t->plan, t->profile,
                                   &(pp_session_options){.memory = &memory, .memory_count = 1},
                                   &session);
    if (status == PP_OK) status = pp_session_step(session, &batch, 0.1f);
    pp_session_destroy(session);
    pp_memory_release(memory);
    return status;
}

/* Opening a device and a session in its memory: each allocation fails in turn, and nothing stays
 * retained. */
START_TEST(every_allocation_fails_once) {
    counting c = {.refused = SIZE_MAX};
    pp_engine *engine;
    pp_device *own = NULL;
    trainer t = {0};
    pp_graph *same;
    ck_assert(
        pp_engine_create(&(pp_engine_options){.allocator = {count_allocate, count_release, &c}},
                         &engine) == PP_OK);
    ck_assert(pp_device_open_opencl(engine, app.context, app.id, app.queue, NULL, &own) == PP_OK);
    ck_assert(pp_graph_create(engine, &same) == PP_OK);
    pp_value x = pp_graph_input(same, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_dense(same, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(same, "loss", x, 0);
    ck_assert(pp_profile_for_device(own, test_profile(), &t.profile) == PP_OK);
    ck_assert(pp_plan_create(same, t.profile, &options, &t.plan) == PP_OK);
    const size_t bytes = chunk_bytes(t.plan, 0);
    cl_mem buffer = host_app_buffer(&app, CL_MEM_READ_WRITE, bytes, GARBAGE);
    ck_assert_msg(train_in(own, &t, buffer, bytes) == PP_OK, "%s", pp_engine_error(engine));
    const size_t live = c.live;
    size_t failures = 0;
    for (;; failures++) {
        c.refused = c.calls + failures;
        const pp_status status = train_in(own, &t, buffer, bytes);
        ck_assert_uint_eq(c.live, live);
        host_app_expect_references(buffer, 1);
        if (c.calls <= c.refused) {
            ck_assert(status == PP_OK);
            break;
        }
        ck_assert_msg(status == PP_ERROR_OUT_OF_MEMORY, "allocation %zu refused: %s", failures,
                      pp_engine_error(engine));
    }
    ck_assert_uint_gt(failures, 10);
    for (size_t n = 0;; n++) {
        pp_device *device_out;
        c.refused = c.calls + n;
        const pp_status status =
            pp_device_open_opencl(engine, app.context, app.id, NULL, NULL, &device_out);
        pp_device_close(device_out);
        ck_assert_uint_eq(c.live, live);
        if (status == PP_OK) break;
        ck_assert(status == PP_ERROR_OUT_OF_MEMORY);
    }
    clReleaseMemObject(buffer);
    trainer_destroy(&t);
    pp_graph_destroy(same);
    pp_device_close(own);
    pp_engine_destroy(engine);
    ck_assert_uint_eq(c.live, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/host_memory");
    TCase *test = tcase_create("device");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, lives_in_memory_handed_over, 0, 4);
    tcase_add_test(test, the_plan_tells_where_values_lie);
    tcase_add_test(test, refuses_memory);
    tcase_add_test(test, takes_batches_from_the_device);
    tcase_add_test(test, refuses_batches_on_the_device);
    tcase_add_test(test, labels_that_are_no_class);
    tcase_add_loop_test(test, maps_a_batch, 0, 2);
    tcase_add_test(test, a_mapped_batch_is_not_copied);
    tcase_add_test(test, minds_what_is_mapped);
    tcase_add_test(test, every_allocation_fails_once);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
