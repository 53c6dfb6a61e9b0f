/* Self-tests: a fast path is compared with its plain twin before a device first uses it. Compiles
 * without OpenCL.
 *
 * A path is known by its *programs*: kernels, files and options, profile's numbers included, of all
 * launches that it records, each kind once, as one number. Probing finds it without building
 * anything:
 *
 *     pp__probe_begin(stream);
 *     status = fast(stream, ...);            // launches are neither built nor recorded
 *     uint64_t programs = pp__probe_end(stream);
 *
 * so an operator can look for a small problem that makes the same programs as the real one, have
 * both twins solve that, and ask for the verdict whenever it records the real one. Verdicts live as
 * long as the device, good ones in the program cache too.
 */
#ifndef PP_DEVICE_SELF_TEST_H
#define PP_DEVICE_SELF_TEST_H

#include <stdbool.h>

#include "device/launch.h"

void pp__probe_begin(pp__stream *stream);
uint64_t pp__probe_end(pp__stream *stream);

/* A ref that stands for a tensor while there is no memory; only probes take it. */
pp__ref pp__probe_ref(pp__stream *stream);

typedef enum pp__verdict { PP__VERDICT_NONE, PP__VERDICT_RIGHT, PP__VERDICT_WRONG } pp__verdict;
pp__verdict pp__device_verdict(const pp__stream *stream, uint64_t programs);

enum { PP__SELF_TEST_INPUTS = 5 };

typedef struct pp__self_test {
    const char *what; /* for the log */
    uint64_t programs;
    size_t input_bytes[PP__SELF_TEST_INPUTS]; /* 0: an empty ref */
    size_t output_bytes;                      /* float32 */
    size_t workspace_bytes;
    float tolerance;
    /* Records one twin. Inputs hold float32 from -1 to 1, and so does the output. */
    pp_status (*record)(const struct pp__self_test *test, pp__stream *stream,
                        const pp__ref inputs[PP__SELF_TEST_INPUTS], pp__ref output,
                        pp__ref workspace, bool plain);
    const void *subject; /* of `record` */
} pp__self_test;

/* Runs the test and keeps its verdict, and does nothing where there is one. `stream` lends its
 * device and profile. A path that disagrees with its twin, cannot be built or is refused gives a
 * warning in the log, not a failure; a twin that fails does. Memory lives during the call. */
pp_status pp__self_test_run(pp__stream *stream, const pp__self_test *test);

#endif
