/* data.h: data sets and batches (library pocketprop_data; the core does not need it).
 *
 *     pp_dataset *train = NULL;
 *     pp_dataset_open(engine, "mnist:/data/mnist", PP_SPLIT_TRAIN, NULL, &train);
 *     pp_loader_options options = {.batch = 64, .shuffle = true, .drop_last = true, .seed = 1};
 *     pp_loader *loader = NULL;
 *     pp_loader_create(train, &options, &loader);
 *     for (uint64_t epoch = 0; epoch < 3; epoch++) {
 *         pp_loader_start_epoch(loader, epoch);
 *         pp_batch batch;
 *         while (pp_loader_next(loader, &batch) == PP_OK && batch.count)
 *             pp_session_step(session, &batch, rate);
 *     }
 *
 * Specifications:
 *
 *   digits        1,797 handwritten digits, 8x8x1, built in (UCI, CC BY 4.0); every fifth
 *                 sample belongs to the test split
 *   mnist:DIR     {train,t10k}-{images-idx3,labels-idx1}-ubyte, with or without .gz
 *   cifar10:DIR   data_batch_1..5.bin (those that are present, said in the log), test_batch.bin
 *   cifar100:DIR  train.bin and test.bin, fine labels
 *   images:DIR    one folder per class of JPEG and PNG files, in alphabetical order; below
 *                 DIR/train and DIR/test where these exist (with the same classes in both), else
 *                 below DIR for both splits
 *
 * All but image folders are read whole when they are opened. An image file is read each time its
 * sample is wanted, so a broken one is reported by pp_loader_next.
 */
#ifndef POCKETPROP_DATA_H
#define POCKETPROP_DATA_H

#include <pocketprop/engine.h>
#include <pocketprop/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_dataset pp_dataset;
typedef struct pp_loader pp_loader;

typedef enum pp_split { PP_SPLIT_TRAIN, PP_SPLIT_TEST } pp_split;

/* `height`, `width` and `resize` say what an image file is made into: its shorter side is resized
 * (with averaging when it shrinks), then the sample is cut out, anywhere in the training split and
 * in the middle in the test split. An image of exactly height x width stays untouched. Other
 * formats have their own size and ignore these three. Zeroed members: 224, 224, 8/7 of the longer
 * of both.
 *
 * `limit` uses only the first samples of any format: in the files' order, or, of image folders, the
 * first file of each class in turn, then the second of each, and so on. 0 uses all. */
typedef struct pp_dataset_options {
    uint32_t height, width;
    uint32_t resize; /* at least height and width */
    uint32_t limit;
} pp_dataset_options;

/* The caller owns *dataset_out. `options` may be NULL.
 * PP_ERROR_INVALID_ARGUMENT: unknown specification; PP_ERROR_IO: a missing or unreadable file;
 * PP_ERROR_CORRUPT_DATA: truncated file, wrong magic, label out of range, unequal counts, empty
 * class folder, different classes in DIR/train and DIR/test. PP_ERROR_OUT_OF_MEMORY. Each message
 * names the file, what was found and what was expected. The engine must outlive the data set. */
PP_API pp_status pp_dataset_open(pp_engine *engine, const char *specification, pp_split split,
                                 const pp_dataset_options *options, pp_dataset **dataset_out);
PP_API void pp_dataset_close(pp_dataset *dataset); /* accepts NULL */

typedef struct pp_dataset_info {
    size_t count;
    uint32_t height, width, channels;
    uint32_t classes;
    uint32_t pixel_max;          /* the byte that stands for 1 */
    float mean[3], deviation[3]; /* the format's usual normalisation, per channel, of pixels in [0,
                                    1]; image folders have ImageNet's */
} pp_dataset_info;
PP_API void pp_dataset_describe(const pp_dataset *dataset, pp_dataset_info *info_out);

/* Borrowed from the data set; "" without names (cifar100) or beyond the last class. */
PP_API const char *pp_dataset_class_name(const pp_dataset *dataset, uint32_t class_index);

/* Zeroed members, but for `batch`: everything in order, prepared within pp_loader_next. */
typedef struct pp_loader_options {
    uint32_t batch; /* samples; not 0 */
    bool shuffle;   /* anew in every epoch */
    bool drop_last; /* leave out a last batch that is not full (training) */
    uint64_t seed;
    uint32_t pad;     /* random crop after padding so many pixels on every side, each channel with
                         the byte nearest to its mean; at most the sample's sides */
    bool flip;        /* mirror left to right with probability 1/2 */
    uint32_t threads; /* background threads: 0 prepares each batch in pp_loader_next, 1 or more
                         ahead of it */
    const float *mean, *deviation; /* per channel; NULL: the data set's */
    bool bytes; /* batches hold `pixels` as they are (for pp_graph_input_bytes), not `inputs`, which
                   are the same pixels, normalised */
} pp_loader_options;

/* The same seed and epoch give the same batches whatever `threads` is: every draw is keyed by seed,
 * epoch and sample. The caller owns *loader_out; the data set must outlive it, and may have several
 * loaders. `options` is copied. All memory of the batches, 4 + threads of them, is allocated here;
 * pp_loader_next allocates none. Background threads never call the engine's allocator: what
 * decoding an image file needs comes from malloc. PP_ERROR_INVALID_ARGUMENT: an option that cannot
 * be right, or drop_last with fewer samples than a batch; PP_ERROR_OUT_OF_MEMORY: memory or a
 * thread is refused. */
PP_API pp_status pp_loader_create(pp_dataset *dataset, const pp_loader_options *options,
                                  pp_loader **loader_out);
/* At any time; waits for its threads; accepts NULL. */
PP_API void pp_loader_destroy(pp_loader *loader);

/* Begins epoch number `epoch` (any number, in any order); abandons the running one. */
PP_API pp_status pp_loader_start_epoch(pp_loader *loader, uint64_t epoch);
PP_API size_t pp_loader_batch_count(const pp_loader *loader); /* of one epoch */

/* The same from batch number `first` on, without preparing those before it: to go on where a run was
 * cut off. At most the batch count, which leaves nothing. */
PP_API pp_status pp_loader_start_epoch_at(pp_loader *loader, uint64_t epoch, size_t first);

/* The next batch, or count 0 at the epoch's end; `targets` is NULL. Only an epoch's last batch may
 * hold fewer than `batch` samples. Its memory stays untouched until the third next call, across
 * epochs too. PP_ERROR_IO, PP_ERROR_CORRUPT_DATA: a sample's file cannot be read, wherever that was
 * noticed; the failure is reported again by every call until another epoch begins.
 * PP_ERROR_INVALID_ARGUMENT: no epoch yet. */
PP_API pp_status pp_loader_next(pp_loader *loader, pp_batch *batch_out);

/* The same, but the samples are made in `inputs`, with room for `batch` of them, and nowhere else:
 *
 *     pp_session_map_inputs(session, &inputs);           // where the device reads them
 *     pp_loader_next_into(loader, inputs, &batch);       // batch.inputs (or pixels) == inputs
 *     pp_session_step(session, &batch, rate);
 *
 * PP_ERROR_UNSUPPORTED: a loader with threads, which make batches ahead in its own memory. */
PP_API pp_status pp_loader_next_into(pp_loader *loader, void *inputs, pp_batch *batch_out);

#ifdef __cplusplus
}
#endif

#endif
