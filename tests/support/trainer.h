/* A session with everything that it needs, for tests that train.
 *
 *     trainer t;
 *     trainer_create(&t, graph, &(pp_plan_options){.batch = 4}, 1);
 *     TEST_OK(pp_session_step(t.session, &batch, 0.1f));
 *     float *weights = trainer_read(&t, "conv1.weight");   // the caller frees it
 *     trainer_destroy(&t);
 *
 * Every function fails the running test by itself. */
#ifndef PP_TEST_TRAINER_H
#define PP_TEST_TRAINER_H

#include <stdbool.h>

#include <pocketprop/pocketprop.h>

typedef struct trainer {
    pp_profile *profile; /* the device's */
    pp_plan *plan;
    pp_session *session;
} trainer;

/* Borrows the graph, of test_engine, during the call; uses test_device. */
void trainer_create(trainer *t, const pp_graph *graph, const pp_plan_options *options,
                    uint64_t seed);
/* With a profile by name or path in place of the device's. */
void trainer_create_with(trainer *t, const char *profile, const pp_graph *graph,
                         const pp_plan_options *options, uint64_t seed);
void trainer_destroy(trainer *t);

/* A parameter's number, and its element count. */
size_t trainer_index(const trainer *t, const char *name);
size_t trainer_elems(const trainer *t, const char *name);

/* A parameter's values, or the gradient that the last step left. The caller frees them. */
float *trainer_read(const trainer *t, const char *name);
float *trainer_read_gradient(const trainer *t, const char *name);
void trainer_write(const trainer *t, const char *name, const double *values);

/* All parameters and running statistics, one behind the other. The caller frees them. */
float *trainer_read_all(const trainer *t, size_t *count_out);

/* One step's mean loss. */
double trainer_step(const trainer *t, const pp_batch *batch, float rate);

/* True when all parameters and running statistics have the same bits. */
bool trainer_same(const trainer *a, const trainer *b);

#endif
