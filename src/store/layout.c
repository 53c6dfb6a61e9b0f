#include "store/layout.h"

#include <math.h>
#include <string.h>

pp__safe_tensor pp__layout_tensor(const pp_parameter_info *info) {
    pp__safe_tensor tensor = {
        .name = info->name, .type = PP__SAFE_F32, .axis_count = info->axis_count};
    const uint32_t *e = info->extents;
    switch (info->axis_count) {
        case 4: /* [r, s, c, k] to [k, c, r, s] */
            memcpy(tensor.extents, (const uint64_t[]){e[3], e[2], e[0], e[1]},
                   4 * sizeof *tensor.extents);
            break;
        case 2: memcpy(tensor.extents, (const uint64_t[]){e[1], e[0]}, 2 * sizeof(uint64_t)); break;
        default: tensor.extents[0] = e[0]; break;
    }
    tensor.elem_count = info->elem_count;
    return tensor;
}

/* Where PyTorch has element `i` of the device's order. */
static size_t place_of(const pp_parameter_info *info, size_t i) {
    const uint32_t *e = info->extents;
    if (info->axis_count == 4) {
        const size_t k = i % e[3], c = i / e[3] % e[2], tap = i / e[3] / e[2];
        return (k * e[2] + c) * e[0] * e[1] + tap;
    }
    if (info->axis_count == 2) {
        const size_t out = i % e[1], in = i / e[1],
                     pixels = (size_t)info->input[0] * info->input[1];
        const size_t c = in % info->input[2], pixel = in / info->input[2];
        return out * e[0] + c * pixels + pixel;
    }
    return i;
}

void pp__layout_import(const pp_parameter_info *info, const float *torch, float *values) {
    for (size_t i = 0; i < info->elem_count; i++) values[i] = torch[place_of(info, i)];
}

void pp__layout_export(const pp_parameter_info *info, const float *values, float *torch) {
    for (size_t i = 0; i < info->elem_count; i++) torch[place_of(info, i)] = values[i];
}

static float float_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u,
                   fraction = half & 0x3FFu;
    uint32_t word = sign | (exponent + 112) << 23 | fraction << 13;
    float value;
    if (exponent == 31) word = sign | 0x7F800000u | fraction << 13;
    memcpy(&value, &word, sizeof value);
    if (exponent) return value;
    value = ldexpf((float)fraction, -24);
    return sign ? -value : value;
}

uint16_t pp__half_of(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    const uint16_t sign = (uint16_t)(word >> 16 & 0x8000u);
    word &= 0x7FFFFFFFu;
    if (word > 0x7F800000u) return sign | 0x7E00u;  /* not a number */
    if (word >= 0x477FF000u) return sign | 0x7C00u; /* 65520 and more */
    if (word < 0x38800000u) {                       /* below 2^-14: in units of 2^-24 */
        float magnitude;
        memcpy(&magnitude, &word, sizeof magnitude);
        return (uint16_t)(sign | (uint16_t)lrintf(ldexpf(magnitude, 24)));
    }
    word += 0xFFFu + (word >> 13 & 1u);
    return (uint16_t)(sign | (uint16_t)((word >> 13) - (112u << 10)));
}

bool pp__floats_read(pp__safe_type type, const void *bytes, size_t count, float *values) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        double wide;
        uint32_t word;
        switch (type) {
            case PP__SAFE_F32: memcpy(&values[i], from + 4 * i, 4); break;
            case PP__SAFE_F16:
                memcpy(&half, from + 2 * i, 2);
                values[i] = float_of_half(half);
                break;
            case PP__SAFE_BF16:
                memcpy(&half, from + 2 * i, 2);
                word = (uint32_t)half << 16;
                memcpy(&values[i], &word, 4);
                break;
            case PP__SAFE_F64:
                memcpy(&wide, from + 8 * i, 8);
                values[i] = (float)wide;
                break;
            default: return false;
        }
    }
    return true;
}
