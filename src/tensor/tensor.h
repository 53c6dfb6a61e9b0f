/* A tensor's description: four extents and what an element is. Activations are [n, h, w, c];
 * convolution weights use the same four places for [r, s, c, k]. */
#ifndef PP_TENSOR_TENSOR_H
#define PP_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pp__shape {
    uint32_t n, h, w, c;
} pp__shape;

/* The number of elements; false when it does not fit size_t. */
bool pp__shape_elems(pp__shape shape, size_t *elems_out);

/* n*h*w: the number of pixels of a batch. For shapes whose element count was checked. */
size_t pp__shape_pixels(pp__shape shape);

/* float32 bytes of a shape whose element count was checked. */
size_t pp__shape_bytes(pp__shape shape);

bool pp__shape_equal(pp__shape a, pp__shape b);

enum { PP__SHAPE_TEXT = 64 };
/* "[64, 32, 32, 16]" */
void pp__shape_print(pp__shape shape, char text[PP__SHAPE_TEXT]);

#endif
