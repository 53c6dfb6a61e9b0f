#include "ref/group_ref.h"

#include <math.h>
#include <string.h>

#include "util/rng.h"

enum { HEADER_BYTES = 4 };

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Neighbours on the grid of bf16. */
static float bf16_down(float x) {
    float cut = float_of(bits_of(x) & 0xFFFF0000u);
    if (x == 0) return 0;
    return cut > x ? float_of(bits_of(cut) + 0x10000u) : cut; /* a negative number grows */
}
static float bf16_up(float x) {
    float cut = float_of(bits_of(x) & 0xFFFF0000u);
    return cut < x ? float_of(bits_of(cut) + 0x10000u) : cut;
}

/* Where an element's group, header and level lie. */
typedef struct place {
    size_t group;          /* of the whole value */
    size_t octet, lane;    /* the octet's place in its group */
    size_t header, levels; /* bytes from the code's beginning */
} place;

static size_t image_octets(ref_shape s) {
    return s.h * s.w * ((s.c + 7) / 8);
}
static size_t image_groups(const ref_group *g, ref_shape s) {
    return (image_octets(s) + g->size / 8 - 1) / (g->size / 8);
}

static place place_of(const ref_group *g, ref_shape s, size_t i) {
    size_t channel = i % s.c, pixel = i / s.c, image = pixel / (s.h * s.w);
    size_t octet = pixel % (s.h * s.w) * ((s.c + 7) / 8) + channel / 8, octets = g->size / 8;
    size_t image_bytes = image_groups(g, s) * HEADER_BYTES + image_octets(s) * g->bits;
    size_t in_image = octet / octets;
    size_t header = image * image_bytes + in_image * (HEADER_BYTES + octets * g->bits);
    return (place){image * image_groups(g, s) + in_image, octet % octets, channel % 8, header,
                   header + HEADER_BYTES + octet % octets * g->bits};
}

size_t ref_group_bytes(const ref_group *g, ref_shape s) {
    return s.n * (image_groups(g, s) * HEADER_BYTES + image_octets(s) * g->bits);
}

static float top_of(const ref_group *g) {
    return (float)((1 << g->bits) - 1 - g->relu);
}

typedef struct grid {
    float lo, step; /* NaN and 0: broken */
} grid;

static grid grid_of(const ref_group *g, float smallest, float largest, bool broken) {
    float lo = bf16_down(smallest), top = top_of(g), step = 0;
    if (!broken && largest > lo) {
        step = bf16_up((largest - lo) * (1.0f / top));
        if (step < ldexpf(1, -110)) step = ldexpf(1, -110);
        if (fmaf(top, step, lo) < largest) step = float_of(bits_of(step) + 0x10000u);
    }
    if (broken || !isfinite(fmaf(top, step, lo))) return (grid){NAN, 0};
    return (grid){lo, step};
}

static void write_word(uint8_t *to, uint32_t word) {
    for (size_t b = 0; b < 4; b++) to[b] = (uint8_t)(word >> 8 * b);
}
static uint32_t read_word(const uint8_t *from) {
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static unsigned random_of(const ref_group *g, const ref_group_key *key, const place *at) {
    uint64_t stream = (uint64_t)(key->number | 0x80000000u) << 32 | key->step;
    uint64_t index = (at->group * ((g->size + 63) / 64) + at->octet / 8) * 8 + at->lane;
    uint32_t word = pp__rng(key->seed, stream, index).word[at->octet / 2 % 4];
    return at->octet % 2 ? word >> 16 : word & 0xFFFF;
}

static unsigned level_of(const ref_group *g, grid on, float x, unsigned random) {
    if (g->relu && !(x > 0)) return 0;
    if (g->relu && g->bits == 1) return 1;
    float most = 65536 * top_of(g), t = 0;
    if (isnan(on.lo))
        t = isfinite(x) ? 0 : most;
    else if (on.step > 0)
        t = fminf((x - on.lo) * (65536 / on.step), most);
    return ((unsigned)t + random) / 65536 + g->relu;
}

/* The mean of the positive elements of group `number`, whose elements are those from `first` on. */
static float mean_of(const ref_group *g, ref_shape s, const float *x, size_t first, size_t end) {
    float sums[8] = {0}, sum;
    size_t count = 0;
    bool broken = false;
    for (size_t i = first; i < end; i++) {
        place at = place_of(g, s, i);
        broken |= isnan(x[i]);
        if (!(x[i] > 0)) continue;
        sums[at.lane] += x[i];
        count++;
    }
    for (size_t apart = 4; apart; apart /= 2)
        for (size_t lane = 0; lane < apart; lane++) sums[lane] += sums[lane + apart];
    sum = sums[0];
    if (broken || !isfinite(sum)) return NAN;
    return count ? sum / (float)count : 0;
}

static void write_header(const ref_group *g, ref_shape s, const float *x, size_t first, size_t end,
                         uint8_t *header, grid *grid_out) {
    float smallest = INFINITY, largest = g->relu ? 0 : -INFINITY;
    bool broken = false, empty = true;
    if (g->relu && g->bits == 1) {
        float mean = mean_of(g, s, x, first, end);
        *grid_out = (grid){0, 0};
        write_word(header, isnan(mean) ? 0x7FC00000u : bits_of(mean));
        return;
    }
    for (size_t i = first; i < end; i++) {
        broken |= isnan(x[i]);
        if (isnan(x[i]) || (g->relu && x[i] <= 0)) continue;
        empty = false;
        smallest = fminf(smallest, x[i]), largest = fmaxf(largest, x[i]);
    }
    *grid_out = grid_of(g, empty ? 0 : smallest, empty ? 0 : largest, broken);
    write_word(header, isnan(grid_out->lo) ? 0x7FC0u
                                           : bits_of(grid_out->lo) >> 16 | bits_of(grid_out->step));
}

static void write_level(const ref_group *g, uint8_t *octet, size_t lane, unsigned q) {
    for (size_t b = 0; b < g->bits; b++) {
        size_t bit = lane * g->bits + b;
        if (q >> b & 1) octet[bit / 8] = (uint8_t)(octet[bit / 8] | 1u << bit % 8);
    }
}
static unsigned read_level(const ref_group *g, const uint8_t *octet, size_t lane) {
    unsigned q = 0;
    for (size_t b = 0; b < g->bits; b++) {
        size_t bit = lane * g->bits + b;
        q |= (unsigned)(octet[bit / 8] >> bit % 8 & 1) << b;
    }
    return q;
}

void ref_group_encode(const ref_group *g, ref_shape s, const float *x, const ref_group_key *key,
                      uint8_t *code) {
    size_t count = ref_elems(s), end;
    memset(code, 0, ref_group_bytes(g, s));
    for (size_t first = 0; first < count; first = end) {
        place at = place_of(g, s, first);
        grid on;
        for (end = first; end < count && place_of(g, s, end).group == at.group;) end++;
        write_header(g, s, x, first, end, code + at.header, &on);
        for (size_t i = first; i < end; i++) {
            at = place_of(g, s, i);
            write_level(g, code + at.levels, at.lane,
                        level_of(g, on, x[i], random_of(g, key, &at)));
        }
    }
}

void ref_group_decode(const ref_group *g, ref_shape s, const uint8_t *code, float *value) {
    for (size_t i = 0; i < ref_elems(s); i++) {
        place at = place_of(g, s, i);
        uint32_t header = read_word(code + at.header);
        float lo = float_of(header << 16), step = float_of(header & 0xFFFF0000u);
        float q = (float)read_level(g, code + at.levels, at.lane);
        if (g->relu && g->bits == 1)
            lo = float_of(header), value[i] = q > 0 ? lo : 0;
        else
            value[i] = g->relu ? (q > 0 ? fmaf(q - 1, step, lo) : 0) : fmaf(q, step, lo);
        if (isnan(lo)) value[i] = NAN;
    }
}

void ref_group_decode_mask(const ref_group *g, ref_shape s, const uint8_t *code, uint8_t *mask) {
    for (size_t i = 0; i < ref_elems(s); i++) {
        place at = place_of(g, s, i);
        mask[i] = read_level(g, code + at.levels, at.lane) > 0;
    }
}

float ref_group_step(const ref_group *g, ref_shape s, const uint8_t *code, size_t i) {
    return float_of(read_word(code + place_of(g, s, i).header) & 0xFFFF0000u);
}
