/* Measuring a device: every variant of two kernels, the fastest run of the fastest variant. */
#include <pocketprop/peak.h>

#include <time.h>

#include "device/buffer.h"
#include "device/launch.h"
#include "util/engine.h"

enum {
    UNROLL = 16,           /* as in cl/exec/peak.cl */
    PILOT_ROUNDS = 16,     /* of a first run, which says how long a round takes */
    ITEMS_PER_UNIT = 1024, /* work-items for each compute unit: more than any keeps in flight */
    RUNS = 4,
    WIDEST_VECTOR = 16
};
static const size_t most_copy_bytes = (size_t)128 << 20;
static const double run_seconds = 0.025;

typedef struct bench {
    pp_device *device;
    const pp_profile *profile;
    pp__memory *x, *y;
    size_t bytes; /* of each */
} bench;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The fastest of `count` runs of a stream, each waited for. */
static pp_status time_stream(const bench *b, pp__stream *stream, size_t count,
                             double *seconds_out) {
    *seconds_out = 0;
    for (size_t i = 0; i < count; i++) {
        const double started = seconds();
        PP_TRY(pp__stream_run(stream));
        PP_TRY(pp__device_finish(b->device));
        const double taken = seconds() - started;
        if (i == 0 || taken < *seconds_out) *seconds_out = taken;
    }
    return PP_OK;
}

typedef struct fma_variant {
    uint32_t vector, sums;
} fma_variant;

static uint32_t fma_items(const bench *b) {
    const uint64_t wished = (uint64_t)pp_device_describe(b->device)->compute_units * ITEMS_PER_UNIT;
    const size_t room = b->bytes / (WIDEST_VECTOR * sizeof(float));
    return (uint32_t)(wished < room ? wished : room);
}

/* The best time of `runs` runs with so many rounds. */
static pp_status time_fma(const bench *b, fma_variant v, uint32_t rounds, size_t runs,
                          double *seconds_out) {
    pp__stream *stream;
    PP_TRY(pp__stream_create(b->device, b->profile, &stream));
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/peak", "peak_fma");
    pp__launch_define(&l, "PEAK_VECTOR", v.vector);
    pp__launch_define(&l, "PEAK_SUMS", v.sums);
    pp__launch_tensor(&l, (pp__ref){b->y, 0}, sizeof(float));
    pp__launch_u32(&l, fma_items(b));
    pp__launch_u32(&l, rounds);
    pp__launch_f32(&l, 0.5f);
    pp__launch_f32(&l, 1.0f);
    pp_status status = pp__launch_cover(&l, fma_items(b), 1, 1);
    if (status == PP_OK) status = time_stream(b, stream, runs, seconds_out);
    pp__stream_destroy(stream);
    return status;
}

static pp_status measure_fma(const bench *b, fma_variant v, pp_peak *peak) {
    double pilot, best;
    PP_TRY(time_fma(b, v, PILOT_ROUNDS, 2, &pilot));
    const double scale = run_seconds / pilot;
    const uint32_t rounds =
        scale > 1 ? (uint32_t)(PILOT_ROUNDS * (scale < 1e6 ? scale : 1e6)) : PILOT_ROUNDS;
    PP_TRY(time_fma(b, v, rounds, RUNS, &best));
    const double flops = 2.0 * UNROLL * v.sums * v.vector * rounds * fma_items(b);
    if (1e-9 * flops / best <= peak->fma_gflops) return PP_OK;
    peak->fma_gflops = 1e-9 * flops / best;
    peak->fma_vector = v.vector;
    peak->fma_sums = v.sums;
    return PP_OK;
}

typedef struct copy_variant {
    uint32_t vector, chunk;
} copy_variant;

static pp_status measure_copy(const bench *b, copy_variant v, pp_peak *peak) {
    const size_t vectors = b->bytes / (v.vector * sizeof(float));
    pp__stream *stream;
    PP_TRY(pp__stream_create(b->device, b->profile, &stream));
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/peak", "peak_copy");
    pp__launch_define(&l, "PEAK_VECTOR", v.vector);
    pp__launch_define(&l, "PEAK_CHUNK", v.chunk);
    pp__launch_tensor(&l, (pp__ref){b->x, 0}, sizeof(float));
    pp__launch_tensor(&l, (pp__ref){b->y, 0}, sizeof(float));
    pp__launch_u32(&l, (uint32_t)vectors);
    pp_status status = pp__launch_cover(&l, vectors / v.chunk + (vectors % v.chunk != 0), 1, 1);
    double best = 0;
    if (status == PP_OK) status = time_stream(b, stream, RUNS, &best);
    pp__stream_destroy(stream);
    const double gbps = best > 0 ? 2e-9 * (double)b->bytes / best : 0;
    if (status != PP_OK || gbps <= peak->copy_gbps) return status;
    peak->copy_gbps = gbps;
    peak->copy_vector = v.vector;
    return PP_OK;
}

/* Both buffers get their pages here: memory that nobody wrote may be one page of zeros, in the
 * cache. */
static pp_status write_buffers(const bench *b) {
    pp__stream *stream;
    PP_TRY(pp__stream_create(b->device, b->profile, &stream));
    pp_status status = pp__stream_zero(stream, (pp__ref){b->x, 0}, b->bytes);
    if (status == PP_OK)
        status = pp__stream_copy(stream, (pp__ref){b->x, 0}, (pp__ref){b->y, 0}, b->bytes);
    double taken;
    if (status == PP_OK) status = time_stream(b, stream, 1, &taken);
    pp__stream_destroy(stream);
    return status;
}

static pp_status measure(const bench *b, pp_peak *peak) {
    static const fma_variant fma[] = {{1, 12}, {4, 8},  {4, 12},  {8, 8},
                                      {8, 12}, {16, 8}, {16, 12}, {16, 16}};
    static const copy_variant copy[] = {{1, 1}, {4, 1}, {8, 512}, {16, 256}};
    PP_TRY(write_buffers(b));
    for (size_t i = 0; i < sizeof fma / sizeof fma[0]; i++) PP_TRY(measure_fma(b, fma[i], peak));
    for (size_t i = 0; i < sizeof copy / sizeof copy[0]; i++)
        PP_TRY(measure_copy(b, copy[i], peak));
    return PP_OK;
}

/* An eighth of the device's memory at most, and whole vectors. */
static size_t buffer_bytes(const pp_device_info *info) {
    uint64_t bytes = most_copy_bytes;
    if (info->max_allocation_bytes < bytes) bytes = info->max_allocation_bytes;
    if (info->memory_bytes / 8 < bytes) bytes = info->memory_bytes / 8;
    const size_t whole = WIDEST_VECTOR * sizeof(float);
    return bytes < whole ? whole : (size_t)bytes / whole * whole;
}

pp_status pp_peak_measure(pp_device *device, const pp_profile *profile, pp_peak *peak_out) {
    bench b = {.device = device, .profile = profile};
    b.bytes = buffer_bytes(pp_device_describe(device));
    *peak_out = (pp_peak){.copy_bytes = b.bytes};
    pp_status status;
    PP_TRY_GOTO(status, pp__memory_create(device, b.bytes, &b.x), done);
    PP_TRY_GOTO(status, pp__memory_create(device, b.bytes, &b.y), done);
    status = measure(&b, peak_out);
done:
    pp__memory_destroy(b.x);
    pp__memory_destroy(b.y);
    return status;
}
