/* What a data set is made of: one constant table per kind of source, and the state that one open
 * set has.
 *
 * A source's file answers every question about it in its table; dataset.c holds the list. Nothing
 * else knows a source's name.
 */
#ifndef PP_DATA_DATASET_H
#define PP_DATA_DATASET_H

#include <pocketprop/data.h>

#include "io/image.h"
#include "io/resize.h"

enum { PP__DATA_MAX_CHANNELS = 3 };

/* What one thread needs to read samples. `engine` is its own, on malloc: it takes the sentence of a
 * failure and the decoder's scratch memory, because the data set's engine belongs to the caller's
 * thread and its allocator is never called from another (engine.h). */
typedef struct pp__reader {
    pp_engine *engine;
    pp__image image;  /* as the file holds it */
    pp__image sample; /* as it is handed out */
    pp__resizer resizer;
} pp__reader;

typedef struct pp__sample {
    const uint8_t *pixels; /* [height, width, channels]; the data set's or the reader's */
    int32_t label;
} pp__sample;

typedef struct pp__folder pp__folder;

typedef struct pp__source {
    const char *name; /* in front of the ':' of a specification */
    bool takes_folder;
    uint32_t pixel_max; /* the byte that stands for 1.0 */
    float mean[PP__DATA_MAX_CHANNELS], deviation[PP__DATA_MAX_CHANNELS];
    const char *const *class_names; /* [info.classes], or NULL */

    /* Fills info's count, extents and classes, and the set's own memory. On failure close is
     * called. */
    pp_status (*open)(pp_dataset *dataset, const char *folder);

    /* Called from several threads at once, each with its reader. `crop` are two random words for
     * sources that cut their samples out of larger images. */
    pp_status (*read)(const pp_dataset *dataset, pp__reader *reader, size_t index,
                      const uint32_t crop[2], pp__sample *sample_out);

    const char *(*class_name)(const pp_dataset *dataset,
                              uint32_t class_index); /* NULL: class_names */
} pp__source;

struct pp_dataset {
    pp_engine *engine; /* borrowed */
    const pp__source *source;
    pp_split split;
    pp_dataset_options options; /* with the defaults filled in */
    pp_dataset_info info;
    uint8_t *pixels; /* [count, height, width, channels] of sources that live in memory */
    uint8_t *labels; /* [count] of the same */
    pp__folder *folder;
};

extern const pp__source pp__source_digits, pp__source_mnist, pp__source_cifar10,
    pp__source_cifar100, pp__source_images;

/* Memory for `count` samples of info's extents, for sources that live in memory. */
pp_status pp__dataset_reserve(pp_dataset *dataset, size_t count);

/* The `read` of such sources. */
pp_status pp__dataset_read_memory(const pp_dataset *dataset, pp__reader *reader, size_t index,
                                  const uint32_t crop[2], pp__sample *sample_out);

/* "0" to "9", for both sources of digits. */
extern const char *const pp__digit_names[10];

void pp__folder_release(pp_engine *engine, pp__folder *folder); /* accepts NULL */

pp_status pp__reader_create(pp_engine *engine, pp__reader *reader);
void pp__reader_release(pp__reader *reader); /* accepts a zeroed one */

#endif
