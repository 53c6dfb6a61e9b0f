/* IDX files, plain or gzip, as images and as labels. */
#include "fuzz/fuzz.h"
#include "io/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    pp_engine *engine = fuzz_engine();
    const char *path = fuzz_file(bytes, count);
    for (uint32_t axes = 1; axes <= PP__IDX_MAX_AXES; axes += 2) {
        pp__idx idx;
        size_t elems = 1;
        const bool read = fuzz_check(pp__idx_read(engine, path, axes, &idx));
        for (uint32_t axis = 0; read && axis < axes; axis++) elems *= idx.extents[axis];
        fuzz_expect(read == (idx.bytes != NULL), "bytes are there after a success alone");
        fuzz_expect(!read || elems == idx.elem_count, "elements are the extents' product");
        pp__idx_release(engine, &idx);
    }
    fuzz_end();
    return 0;
}
