/* checkpoint.h: a training run on disk, to go on with as if nothing had happened (library
 * pocketprop_data).
 *
 *     pp_checkpoint_place place = {.epoch = epoch, .samples = done, .policy = policy};
 *     pp_checkpoint_save(session, "run", &place, 3);
 *     ...
 *     pp_checkpoint *checkpoint = NULL;
 *     pp_checkpoint_open(engine, "run", &checkpoint);          // the newest good one
 *     if (checkpoint) pp_checkpoint_load(checkpoint, session);
 *     pp_loader_start_epoch_at(loader, place.epoch, place.samples / batch);
 *
 * A checkpoint is one safetensors file called step-N.safetensors, N being the number of updates:
 * parameters and running statistics under their own names and in PyTorch's layouts, so that
 * pp_weights_load and other programs read it as weights; the optimizer's moments as
 * "optimizer.moment1.NAME" (float32 in the same layouts, or 8-bit codes as they are stored); a replay
 * set as "replay.*"; and in its metadata the optimizer, the counts, the seed, the place in the data,
 * the policy, a fingerprint of the network and its moments, and a checksum of the whole file. Every
 * draw, of dropout, of random rounding and of the data's order, is keyed by seed and step, so these
 * numbers are all of the random state.
 *
 * A session that loads a checkpoint goes on bit for bit as the one that saved it would have. Codecs,
 * budget, bands and batch may differ; another network or optimizer is refused.
 */
#ifndef POCKETPROP_CHECKPOINT_H
#define POCKETPROP_CHECKPOINT_H

#include <pocketprop/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stored examples that are mixed into later training, so that old classes are not forgotten. Bytes
 * or float32, as the network's input takes them. */
typedef struct pp_replay {
    const uint8_t *pixels; /* [count, height, width, channels]; NULL: `inputs` are there */
    const float *inputs;
    const int32_t *labels; /* [count] */
    uint32_t count, height, width, channels;
} pp_replay;

/* Where a run stands, beside what its session holds. Texts may be NULL. */
typedef struct pp_checkpoint_place {
    uint64_t epoch, samples; /* whole epochs, and samples of the next one that were trained on */
    const char *policy;      /* pp_plan_print_policy */
    const char *schedule;    /* the application's words for its learning rates */
    const char *note;        /* anything else */
    pp_replay replay;        /* count 0: none */
    uint64_t updates, seed;  /* of the session; these and the next are filled in by */
    uint32_t batch;          /* pp_checkpoint_describe, and saving does not look at them */
} pp_checkpoint_place;

/* Writes a checkpoint into a folder, which is made if it is not there, under another name; syncs it
 * and renames it. Then all older ones but the newest `keep` (0 stands for 1) are removed, and what
 * an interrupted write left behind. After a failure everything that was there still is. `place` may be
 * NULL: all zeros. Waits for the device. PP_ERROR_UNSUPPORTED: between two micro-steps;
 * PP_ERROR_INVALID_ARGUMENT: a parameter's name has more than 480 characters, the texts have more
 * than 16 MB, or the replay set lacks labels or has not exactly one of pixels and inputs; PP_ERROR_IO;
 * PP_ERROR_OUT_OF_MEMORY; PP_ERROR_DEVICE. */
PP_API pp_status pp_checkpoint_save(pp_session *session, const char *folder,
                                    const pp_checkpoint_place *place, uint32_t keep);

typedef struct pp_checkpoint pp_checkpoint;

/* The newest checkpoint of a folder whose checksum holds. Older ones stand in for those that are
 * damaged or foreign, each of which is named in a warning of the log. *checkpoint_out is NULL where
 * the folder is missing or has no checkpoint at all. The caller owns it. PP_ERROR_CORRUPT_DATA: there
 * are some, and none is good, which says why of the newest; PP_ERROR_IO; PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_checkpoint_open(pp_engine *engine, const char *folder,
                                    pp_checkpoint **checkpoint_out);
PP_API void pp_checkpoint_close(pp_checkpoint *checkpoint); /* accepts NULL */

/* Texts and the replay set live as long as the checkpoint. */
PP_API void pp_checkpoint_describe(const pp_checkpoint *checkpoint, pp_checkpoint_place *place_out);
PP_API const char *pp_checkpoint_path(const pp_checkpoint *checkpoint);

/* Parameters, running statistics, moments, metrics, counts and seed into a session. Everything is
 * read and checked before anything is written to it. PP_ERROR_SHAPE: another network, other frozen
 * parameters, or another optimizer; PP_ERROR_CORRUPT_DATA; PP_ERROR_IO; PP_ERROR_OUT_OF_MEMORY;
 * PP_ERROR_DEVICE. */
PP_API pp_status pp_checkpoint_load(pp_checkpoint *checkpoint, pp_session *session);

#ifdef __cplusplus
}
#endif

#endif
