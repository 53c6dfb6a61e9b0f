#include "device/self_test.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "device/buffer.h"
#include "device/cache.h"
#include "device/device.h"
#include "device/stream.h"
#include "util/embedded.h"
#include "util/rng.h"

void pp__probe_begin(pp__stream *stream) {
    stream->probing = true;
    stream->programs = 0;
    stream->probed_count = 0;
}

uint64_t pp__probe_end(pp__stream *stream) {
    stream->probing = false;
    return stream->programs;
}

/* FNV-1a (Fowler, Noll, Vo), the terminating zero included. */
static uint64_t hash_text(uint64_t hash, const char *text) {
    do {
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    } while (*text++);
    return hash;
}

/* The sum over all different launches. One that is not remembered counts again, which makes a
 * small problem harder to find and nothing else. */
void pp__probe_add(pp__stream *stream, const char *const *texts, size_t count) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < count; i++) hash = hash_text(hash, texts[i]);
    for (size_t i = 0; i < stream->probed_count; i++)
        if (stream->probed[i] == hash) return;
    if (stream->probed_count < PP__STREAM_PROBED) stream->probed[stream->probed_count++] = hash;
    stream->programs += hash;
}

pp__ref pp__probe_ref(pp__stream *stream) {
    return (pp__ref){&stream->device->placeholder, 0};
}

static pp_status judge(pp_device *device, uint64_t programs, bool right) {
    PP_TRY(pp__grow(device->engine, &device->verdicts, &device->verdict_capacity,
                    device->verdict_count + 1, sizeof *device->verdicts));
    device->verdicts[device->verdict_count++] = (pp__device_judgement){programs, right};
    return PP_OK;
}

/* Verdicts are kept on disk for this device, driver and text of all kernels. Not where kernels come
 * from elsewhere. */
static bool keeps_verdicts(const pp_device *device) {
#ifdef POCKETPROP_KERNELS_FROM_DISK
    return false;
#else
    return device->cache_dir && !device->distrusts && !device->extra_text_count;
#endif
}

static void make_key(const pp_device *device, char *key, size_t capacity) {
    uint64_t hash = 0;
    for (size_t i = 0; i < pp__embedded_count; i++)
        hash = hash_text(hash, pp__embedded_files[i].text);
    const pp_device_info *info = &device->info;
    snprintf(key, capacity, "self-tests\n%s\n%s\n%s\n%s\n%s\n%016" PRIx64 "\n", info->platform,
             device->platform_version, info->name, info->version, info->driver_version, hash);
}

enum { KEY_CAPACITY = 1024 };

static pp_status load_verdicts(pp_device *device) {
    if (device->verdicts_loaded) return PP_OK;
    device->verdicts_loaded = true;
    if (!keeps_verdicts(device)) return PP_OK;
    char key[KEY_CAPACITY];
    make_key(device, key, sizeof key);
    unsigned char *bytes;
    size_t count;
    PP_TRY(pp__cache_load(device, key, &bytes, &count));
    pp_status status = PP_OK;
    for (size_t i = 0; status == PP_OK && bytes && i + sizeof(uint64_t) <= count;
         i += sizeof(uint64_t)) {
        uint64_t programs;
        memcpy(&programs, bytes + i, sizeof programs);
        status = judge(device, programs, true);
    }
    device->verdicts_saved = device->verdict_count;
    pp__release(device->engine, bytes);
    return status;
}

/* Wrong ones are not kept: a driver may be repaired without a new version. */
void pp__self_test_save(pp_device *device) {
    if (device->verdict_count == device->verdicts_saved || !keeps_verdicts(device)) return;
    uint64_t *programs;
    if (pp__allocate(device->engine, device->verdict_count, sizeof *programs, &programs) != PP_OK)
        return;
    size_t count = 0;
    for (size_t i = 0; i < device->verdict_count; i++)
        if (device->verdicts[i].right) programs[count++] = device->verdicts[i].programs;
    char key[KEY_CAPACITY];
    make_key(device, key, sizeof key);
    if (count)
        pp__cache_save(device, key, (const unsigned char *)programs, count * sizeof *programs);
    pp__release(device->engine, programs);
}

pp__verdict pp__device_verdict(const pp__stream *stream, uint64_t programs) {
    const pp_device *device = stream->device;
    for (size_t i = 0; i < device->verdict_count; i++)
        if (device->verdicts[i].programs == programs)
            return device->verdicts[i].right ? PP__VERDICT_RIGHT : PP__VERDICT_WRONG;
    return PP__VERDICT_NONE;
}

/* A test's memory. Both twins begin with the same output, and may use it up. */
typedef struct trial {
    const pp__self_test *test;
    pp_device *device;
    const pp_profile *profile;
    pp__memory *inputs[PP__SELF_TEST_INPUTS], *output, *workspace;
    float *drawn; /* for one tensor; at last for the output */
    float *found[2];
} trial;

static void release(trial *t) {
    pp_engine *engine = t->device->engine;
    for (size_t i = 0; i < PP__SELF_TEST_INPUTS; i++) pp__memory_destroy(t->inputs[i]);
    pp__memory_destroy(t->output);
    pp__memory_destroy(t->workspace);
    pp__release(engine, t->drawn);
    pp__release(engine, t->found[0]);
    pp__release(engine, t->found[1]);
}

static size_t floats_of(size_t bytes) {
    return bytes / sizeof(float) + (bytes % sizeof(float) != 0);
}

static pp_status make_room(trial *t) {
    const pp__self_test *test = t->test;
    pp_engine *engine = t->device->engine;
    const size_t outputs = floats_of(test->output_bytes);
    size_t most = outputs;
    for (size_t i = 0; i < PP__SELF_TEST_INPUTS; i++)
        if (floats_of(test->input_bytes[i]) > most) most = floats_of(test->input_bytes[i]);
    PP_TRY(pp__allocate(engine, most, sizeof(float), &t->drawn));
    PP_TRY(pp__allocate(engine, outputs, sizeof(float), &t->found[0]));
    return pp__allocate(engine, outputs, sizeof(float), &t->found[1]);
}

/* Tensors draw apart: sums of products of equal draws would grow with their number. */
static void draw(trial *t, uint64_t tensor, size_t bytes) {
    const size_t count = floats_of(bytes);
    for (size_t i = 0; i < count; i += 4) {
        const pp__rng_block block = pp__rng(1, tensor, i / 4);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            t->drawn[i + j] = 2 * pp__rng_uniform(block.word[j]) - 1;
    }
}

static pp_status create(trial *t) {
    const pp__self_test *test = t->test;
    PP_TRY(make_room(t));
    for (size_t i = 0; i < PP__SELF_TEST_INPUTS; i++) {
        const size_t bytes = test->input_bytes[i];
        if (!bytes) continue;
        draw(t, i, bytes);
        PP_TRY(pp__memory_create(t->device, bytes, &t->inputs[i]));
        PP_TRY(pp__write_now(t->device, (pp__ref){t->inputs[i], 0}, t->drawn, bytes));
    }
    draw(t, PP__SELF_TEST_INPUTS, test->output_bytes);
    if (test->workspace_bytes)
        PP_TRY(pp__memory_create(t->device, test->workspace_bytes, &t->workspace));
    return pp__memory_create(t->device, test->output_bytes, &t->output);
}

static pp_status run_twin(trial *t, bool plain) {
    const pp__self_test *test = t->test;
    const pp__ref output = {t->output, 0};
    pp__ref inputs[PP__SELF_TEST_INPUTS];
    for (size_t i = 0; i < PP__SELF_TEST_INPUTS; i++) inputs[i] = (pp__ref){t->inputs[i], 0};
    PP_TRY(pp__write_now(t->device, output, t->drawn, test->output_bytes));
    pp__stream *stream;
    PP_TRY(pp__stream_create(t->device, t->profile, &stream));
    pp_status status = pp__stream_label(stream, test->what);
    if (status == PP_OK)
        status = test->record(test, stream, inputs, output, (pp__ref){t->workspace, 0}, plain);
    if (status == PP_OK) status = pp__stream_run(stream);
    if (status == PP_OK)
        status = pp__read_now(t->device, output, t->found[plain], test->output_bytes);
    pp__stream_destroy(stream);
    return status;
}

/* The largest difference; infinite where one is no number. */
static float compare(const trial *t) {
    float worst = 0;
    for (size_t i = 0; i < t->test->output_bytes / sizeof(float); i++) {
        const float difference = fabsf(t->found[0][i] - t->found[1][i]);
        if (isnan(difference)) return INFINITY;
        if (difference > worst) worst = difference;
    }
    return worst;
}

/* Whether the fast path is right, or a failure that says nothing about it. */
static pp_status decide(trial *t, bool *right_out) {
    pp_engine *engine = t->device->engine;
    const char *name = t->device->info.name;
    *right_out = false;
    if (t->device->distrusts) {
        pp__log(engine, PP_LOG_WARNING,
                "self-test: %s on %s: distrusted by POCKETPROP_LIMITS; using the plain kernels",
                t->test->what, name);
        return PP_OK;
    }
    PP_TRY(create(t));
    const pp_status fast = run_twin(t, false);
    if (fast == PP_ERROR_DEVICE || fast == PP_ERROR_UNSUPPORTED) {
        pp__log(engine, PP_LOG_WARNING, "self-test: %s on %s fails: %s; using the plain kernels",
                t->test->what, name, pp_engine_error(engine));
        return PP_OK;
    }
    PP_TRY(fast);
    PP_TRY(run_twin(t, true));
    const float worst = compare(t);
    *right_out = worst <= t->test->tolerance;
    if (!*right_out)
        pp__log(engine, PP_LOG_WARNING,
                "self-test: %s on %s differs from the plain kernels by up to %g, where %g would be "
                "rounding; using the plain kernels",
                t->test->what, name, (double)worst, (double)t->test->tolerance);
    return PP_OK;
}

pp_status pp__self_test_run(pp__stream *stream, const pp__self_test *test) {
    PP_TRY(load_verdicts(stream->device));
    if (pp__device_verdict(stream, test->programs) != PP__VERDICT_NONE) return PP_OK;
    trial t = {.test = test, .device = stream->device, .profile = stream->profile};
    bool right;
    pp_status status = decide(&t, &right);
    release(&t);
    return status == PP_OK ? judge(stream->device, test->programs, right) : status;
}
