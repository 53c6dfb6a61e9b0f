#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/size.h"

bool pp__shape_elems(pp__shape shape, size_t *elems_out) {
    size_t elems = shape.n, bytes;
    return pp__size_multiply(elems, shape.h, &elems) && pp__size_multiply(elems, shape.w, &elems) &&
           pp__size_multiply(elems, shape.c, elems_out) &&
           pp__size_multiply(*elems_out, sizeof(float), &bytes);
}

size_t pp__shape_pixels(pp__shape shape) {
    return (size_t)shape.n * shape.h * shape.w;
}

size_t pp__shape_bytes(pp__shape shape) {
    return pp__shape_pixels(shape) * shape.c * sizeof(float);
}

bool pp__shape_equal(pp__shape a, pp__shape b) {
    return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

void pp__shape_print(pp__shape shape, char text[PP__SHAPE_TEXT]) {
    snprintf(text, PP__SHAPE_TEXT, "[%" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32 "]", shape.n,
             shape.h, shape.w, shape.c);
}
