/* The codec table: how a saved value is stored. Compiles without OpenCL.
 *
 * A codec is one file and one constant table at its end. Kernels get at the stored form through
 * functions of fixed names that the codec's cl file defines (cl/codec/README.md), so an operator's
 * kernel works with every codec by putting that file in front of its own.
 */
#ifndef PP_CODEC_CODEC_H
#define PP_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include <pocketprop/graph.h>

#include "device/launch.h"
#include "tensor/tensor.h"
#include "util/engine.h"

/* What backward can read from a stored code. */
typedef enum pp__view {
    PP__VIEW_VALUE = 1, /* the activation itself: a convolution's input */
    PP__VIEW_MASK = 2,  /* where a ReLU let its input pass */
    PP__VIEW_XHAT = 4,  /* batch-norm's normalised input */
    PP__VIEW_INDEX = 8  /* max-pool's choice */
} pp__view;

/* What a code is made from. */
typedef enum pp__subject {
    PP__SUBJECT_ACTIVATION, /* a float32 activation */
    PP__SUBJECT_NORMALISED, /* x-hat of a batch-norm, with its gamma, beta, mean and 1/deviation */
    PP__SUBJECT_BITS        /* small whole numbers made by an operator's kernel */
} pp__subject;

/* A codec with its parameters, read from text. */
typedef struct pp__codec pp__codec;
typedef struct pp__coding {
    const pp__codec *codec; /* NULL: none */
    uint32_t bits;          /* per element: norm, argmax, group; btc, rounded up; residual: pool */
    uint32_t window;        /* block side: avgpool, btc, pool */
    uint32_t group;         /* group: elements that share a range */
    float clip;             /* norm: the range in standard deviations */
    float density;          /* bitmap: the share of non-zeros that there is room for */
    bool lloyd;             /* norm: Lloyd and Max's levels instead of equal ones */
} pp__coding;

/* One stored code as a kernel sees it. For a normalised subject the channel tensors say how x-hat
 * becomes the activation: y = gamma * x-hat + beta, then ReLU if `relu`. */
typedef struct pp__stored {
    pp__coding coding;
    pp__subject subject;
    pp__shape shape; /* of the value that was stored */
    pp__ref code;
    pp__ref statistics; /* normalised: float32 [2, c], mean and 1/deviation */
    pp__ref gamma, beta;
    bool relu; /* the value went through a ReLU: it has no negative elements */
    /* Random rounding draws from (the step's scalars, number, element); cl/rng.cl. */
    pp__ref scalars;
    uint32_t number, first_image; /* images count from the value's first */
    const pp_pixels *pixels;      /* bytes: what they stand for; borrowed from the plan */
} pp__stored;

struct pp__codec {
    const char *name;
    const char *file; /* below cl/, "codec/norm": the functions that kernels call */
    /* Reads the parameters behind the name ("4,clip=3"; "" for none) into *coding; false when they
     * make no sense, with what was expected in *expected_out. */
    bool (*read)(const char *parameters, pp__coding *coding, const char **expected_out);
    void (*print)(const pp__coding *coding, char *text, size_t capacity);
    /* Exact bytes for a value of this shape: the planner's only formula, and the bound of every
     * write. Each image's code stands for itself, and images follow each other: n images take n
     * times the bytes of one. */
    size_t (*stored_bytes)(const pp__coding *coding, pp__shape shape);
    /* Defines that the codec's cl file needs. */
    void (*define)(const pp__stored *stored, pp__launch *launch);
    /* Records the encoding of a whole float32 activation. NULL: an operator's kernel writes the
     * code. */
    pp_status (*encode)(const pp__stored *stored, pp__ref value, pp__stream *stream);
    /* Records the encoding of x-hat, from a batch-norm's input x and its statistics, in front of
     * the launch that normalises x. NULL: that launch writes the code, element by element. */
    pp_status (*encode_xhat)(const pp__stored *stored, pp__ref x, pp__stream *stream);
    /* Records the decoding of images first..first+count-1 into float32 at `value` (VIEW_VALUE
     * only). NULL: the value is never decoded. */
    pp_status (*decode)(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                        pp__ref value, pp__stream *stream);
    /* What a planner under a budget may choose: texts, the least harm first, NULL behind the last.
     * NULL: nothing. */
    const char *const *menu;
    /* The mean squared error of what it gives back for typical values, relative to theirs: the
     * planner's notion of harm before it has measured any. NULL: none. */
    double (*error)(const pp__stored *stored);
    uint32_t views[3]; /* by subject: the views it offers, a sum of pp__view */
    bool lossy;
    bool stores_itself; /* the code is the float32 tensor itself, kept alive: nothing is encoded */
    bool staged;        /* the code is what the application hands over: nothing is encoded */
    bool blocks; /* an octet's code depends on its pixel's place in the image, not in line alone */
    bool behind_relu; /* stores what a ReLU let pass, and nothing else */
    bool dear;   /* to read an element takes long: who reads one more than once decodes it first */
    bool apart;  /* policies of it keep every activation in a code of its own, with no view */
    bool pooled; /* a block-mean map: convolutions take their weight gradient from the means */
};

/* Reads "norm:4,clip=3". PP_ERROR_INVALID_ARGUMENT: one line with what was found and what there
 * is. */
pp_status pp__coding_read(pp_engine *engine, const char *text, pp__coding *coding_out);
enum { PP__CODING_TEXT = 48 };
void pp__coding_print(const pp__coding *coding, char text[PP__CODING_TEXT]); /* "" for none */

/* All codecs. */
size_t pp__codec_count(void);
const pp__codec *pp__codec_at(size_t index);

/* The codec of that name, or NULL. */
const pp__codec *pp__codec_find(const char *name);

/* Bytes of `shape` stored with `coding`. */
size_t pp__coding_bytes(const pp__coding *coding, pp__shape shape);

/* Puts the codec's functions in front of a kernel that reads or writes `stored`, with its defines,
 * and appends nothing: the operator appends the tensors in its kernel's order. */
void pp__stored_prefix(const pp__stored *stored, pp__launch *launch);

/* Appends code, statistics, gamma, beta: the four pairs that every kernel reading a stored code
 * takes. */
void pp__stored_arguments(const pp__stored *stored, pp__launch *launch);

/* True when float32 VIEW_VALUE lies in memory as it is, so that no decoding is needed. */
bool pp__stored_is_plain(const pp__stored *stored);

/* Records the decoding of some images' VIEW_VALUE into float32 at `value`. */
pp_status pp__stored_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                            pp__ref value, pp__stream *stream);

#endif
