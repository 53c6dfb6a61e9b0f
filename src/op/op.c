#include "op/op.h"

#include <string.h>

const pp__op *pp__op_find(const char *name) {
    static const pp__op *const all[] = {
#define PP__OP(name) &pp__op_##name,
#include "op/op_list.inc"
#undef PP__OP
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    return NULL;
}
