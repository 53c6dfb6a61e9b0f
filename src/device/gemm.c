#include "device/gemm.h"

#include "device/device.h"
#include "device/stream.h"

#ifdef PP_CLBLAST
#include <clblast_c.h>
#include <math.h>
#include <stdio.h>

#include "device/clerror.h"
#include "device/trace.h"

/* Products from 2^27 on are the same to a self-test. */
enum { MOST_TESTED_BITS = 27 };

bool pp__gemm_available(void) {
    return true;
}

/* CLBlast chooses kernels by the size of the product, and is tested only so far. */
static void probe(pp__stream *stream, const pp__gemm *gemm) {
    const double product = (double)gemm->m * (double)gemm->n * (double)gemm->k;
    char text[64];
    snprintf(text, sizeof text, "gemm %d %d %d %d", gemm->a_transposed, gemm->b_transposed,
             gemm->adds, (int)fmin(log2(product), MOST_TESTED_BITS));
    const char *texts[] = {text};
    pp__probe_add(stream, texts, 1);
}

pp_status pp__stream_gemm(pp__stream *stream, const pp__gemm *gemm) {
    pp_engine *engine = stream->device->engine;
    const size_t most = SIZE_MAX / sizeof(float);
    if (!gemm->m || !gemm->n || !gemm->k || gemm->m > most / gemm->n || gemm->m > most / gemm->k ||
        gemm->n > most / gemm->k)
        return pp__fail(engine, PP_ERROR_INTERNAL, "gemm: %zu x %zu from a sum of %zu", gemm->m,
                        gemm->n, gemm->k);
    if (stream->probing) {
        probe(stream, gemm);
        return PP_OK;
    }
    PP_TRY(pp__ref_check(engine, "gemm, a", gemm->a, gemm->m * gemm->k * sizeof(float)));
    PP_TRY(pp__ref_check(engine, "gemm, b", gemm->b, gemm->k * gemm->n * sizeof(float)));
    PP_TRY(pp__ref_check(engine, "gemm, c", gemm->c, gemm->m * gemm->n * sizeof(float)));
    pp__command command = {.kind = PP__COMMAND_GEMM, .gemm = *gemm};
    return pp__stream_append(stream, &command);
}

pp_status pp__gemm_run(pp__stream *stream, const pp__command *command) {
    pp_device *device = stream->device;
    const pp__gemm *g = &command->gemm;
    const char *label = pp__stream_label_text(stream, command->label);
    cl_event *event = pp__trace_event(device);
    CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, g->a_transposed ? CLBlastTransposeYes : CLBlastTransposeNo,
        g->b_transposed ? CLBlastTransposeYes : CLBlastTransposeNo, g->m, g->n, g->k, 1.0f,
        g->a.memory->handle, g->a.offset_bytes / sizeof(float), g->a_transposed ? g->m : g->k,
        g->b.memory->handle, g->b.offset_bytes / sizeof(float), g->b_transposed ? g->k : g->n,
        g->adds ? 1.0f : 0.0f, g->c.memory->handle, g->c.offset_bytes / sizeof(float), g->n,
        &device->queue, event);
    if (code == CLBlastSuccess) {
        device->uses_gemm = true;
        return event ? pp__trace_add(device, label, "gemm") : PP_OK;
    }
    /* CLBlast hands OpenCL's codes on and numbers its own from -1024 downwards. */
    return pp__cl_fail(device->engine, "CLBlastSgemm", (cl_int)code,
                       " in %s, %zu x %zu from a sum of %zu", label, g->m, g->n, g->k);
}

/* CLBlast keeps programs in a table of the process, and each of them its context. */
void pp__gemm_close(pp_device *device) {
    if (!device->uses_gemm) return;
    CLBlastStatusCode code = CLBlastClearCache();
    if (code != CLBlastSuccess)
        pp__log(device->engine, PP_LOG_WARNING, "CLBlastClearCache: %s (%d)",
                pp__cl_name((cl_int)code), (int)code);
}

#else

bool pp__gemm_available(void) {
    return false;
}

static pp_status fail(pp__stream *stream) {
    return pp__fail(stream->device->engine, PP_ERROR_UNSUPPORTED,
                    "gemm: this build has no CLBlast (CMake option POCKETPROP_CLBLAST)");
}

pp_status pp__stream_gemm(pp__stream *stream, const pp__gemm *gemm) {
    (void)gemm;
    return fail(stream);
}

pp_status pp__gemm_run(pp__stream *stream, const pp__command *command) {
    (void)command;
    return fail(stream);
}

void pp__gemm_close(pp_device *device) {
    (void)device;
}
#endif
