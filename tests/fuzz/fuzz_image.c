/* JPEG and PNG files, and what was read resized and cropped. */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "io/image.h"
#include "io/resize.h"

/* A size and a window of it that follow from the image's own size. */
static void resize(const pp__image *image) {
    pp__resizer resizer = {0};
    const uint32_t height = 1 + image->width % 40, width = 1 + image->height % 40;
    const pp__window window = {height / 3, width / 4, height - height / 3, width - width / 4};
    uint8_t *pixels = malloc((size_t)window.height * window.width * 3);
    fuzz_expect(pixels != NULL, "there is memory for a window");
    fuzz_check(pp__resize(fuzz_engine(), &resizer, image, height, width, window, pixels));
    free(pixels);
    pp__resizer_release(fuzz_engine(), &resizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    pp_engine *engine = fuzz_engine();
    const char *path = fuzz_file(bytes, count);
    pp__image image = {0};
    if (fuzz_check(pp__image_read(engine, path, &image))) {
        fuzz_expect(image.height && image.width, "an image has pixels");
        fuzz_expect(image.capacity_bytes >= (size_t)image.height * image.width * 3,
                    "there is room for the pixels");
        resize(&image);
        /* Once more, into memory that is there. */
        fuzz_expect(fuzz_check(pp__image_read(engine, path, &image)), "a file is read twice");
    }
    pp__image_release(engine, &image);
    fuzz_end();
    return 0;
}
