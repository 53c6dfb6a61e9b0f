/* Winograd's launches: how a geometry is cut into work-items, and where that pays. */
#include "op/winograd.h"
#include "profile/profile.h"
#include "util/size.h"

/* WINOGRAD_PART: the kernel of cl/op/winograd.cl that a launch's program holds. */
enum { PART_GATHER = 1, PART_WEIGHT = 2 };

enum { WINDOW = 3, MAX_VECTOR = 16, OCTET = 8 };

/* Of a register tile, along a side: no processor has more registers. */
enum { MAX_REGISTERS = 32 };

/* The product of matrices that a pass is (cl/op/winograd.cl). Tiles are its rows, or its depth. */
typedef struct product {
    uint32_t rows, columns;
    bool tiles_are_rows;
} product;

typedef struct cut {
    uint32_t output;                                 /* of a tile, along an axis */
    uint32_t tiles_h, tiles_w;                       /* of one image */
    uint32_t tiles;                                  /* of all */
    uint32_t vector, vectors, rows;                  /* of a register tile */
    uint32_t block_rows, block_columns, block_depth; /* that the scratch has room for */
    uint32_t item_rows;                              /* of one work-item, at most block_rows */
    uint32_t items_across, items_down;
} cut;

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}
static uint32_t round_up(uint32_t value, uint32_t unit) {
    return pp__divide_up(value, unit) * unit;
}
static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint32_t planes_of(const cut *c) {
    return (c->output + WINDOW - 1) * (c->output + WINDOW - 1);
}

/* Blocks of equal width up to `widest`, and as many vectors in a register tile as leave the fewest
 * of them empty. */
static void cut_columns(cut *c, uint32_t columns, uint32_t widest, uint32_t most_vectors) {
    uint32_t blocks = pp__divide_up(columns, widest);
    uint32_t width = round_up(pp__divide_up(columns, blocks), c->vector);
    c->block_columns = UINT32_MAX;
    for (uint32_t vectors = most_vectors; vectors; vectors--) {
        uint32_t padded = round_up(width, vectors * c->vector);
        if (padded >= c->block_columns) continue;
        c->block_columns = padded;
        c->vectors = vectors;
    }
    c->items_across = pp__divide_up(columns, c->block_columns);
}

/* Rows of a register tile: the last tile computes some for nothing, and each costs the time of one
 * more for loading its columns. Half of the most still hide the latency of an addition. */
static uint32_t register_rows(uint32_t tiles, uint32_t most) {
    uint32_t best = most;
    for (uint32_t rows = most; rows && 2 * rows >= most; rows--)
        if ((uint64_t)pp__divide_up(tiles, rows) * (rows + 1) <
            (uint64_t)pp__divide_up(tiles, best) * (best + 1))
            best = rows;
    return best;
}

/* Tiles are dealt out evenly, to about `wished` work-items in all. */
static void cut_tiles(cut *c, uint32_t most_tiles, uint32_t most_rows, uint32_t wished) {
    c->rows = register_rows(c->tiles, smaller(most_rows, most_tiles));
    c->block_rows = most_tiles / c->rows * c->rows;
    uint32_t down =
        larger(pp__divide_up(c->tiles, c->block_rows), pp__divide_up(wished, c->items_across));
    c->item_rows = round_up(pp__divide_up(c->tiles, down), c->rows);
    c->items_down = pp__divide_up(c->tiles, c->item_rows);
}

/* All blocks of channels, a shorter last one too, are multiples of the register tile. */
static void cut_channels(cut *c, uint32_t channels, uint32_t most_channels, uint32_t most_rows) {
    uint32_t blocks = pp__divide_up(channels, most_channels);
    c->block_rows = c->item_rows = round_up(pp__divide_up(channels, blocks), c->vector);
    c->items_down = pp__divide_up(channels, c->block_rows);
    uint32_t unit = common_divisor(c->block_rows, channels);
    c->rows = smaller(most_rows, unit);
    while (unit % c->rows) c->rows--;
}

/* The depth that the scratch has room for beside M; 0: none. In each plane A, B and M are a vector
 * longer than what they hold. */
static uint32_t depth_of(const cut *c, size_t scratch_bytes) {
    size_t room = scratch_bytes / sizeof(float) / planes_of(c);
    size_t taken = (size_t)c->block_rows * c->block_columns + 3 * (size_t)c->vector;
    if (room <= taken) return 0;
    return (uint32_t)((room - taken) / (c->block_rows + c->block_columns));
}

/* The profile's blocks, or half of them where the scratch has no room for them. Yet smaller ones cost more transforms than they save multiplications. */
static bool cut_blocks(cut *c, const product *p, const pp_profile *profile) {
    const uint32_t most_vectors =
        smaller(pp__profile_u32(profile, "winograd.vectors"), MAX_REGISTERS);
    const uint32_t accumulators =
        smaller(pp__profile_u32(profile, "winograd.rows"), MAX_REGISTERS) * most_vectors;
    size_t scratch = pp__profile_bytes(profile, "winograd.scratch_bytes");
    for (uint32_t part = 1; part <= 2; part++) {
        uint32_t tiles = larger(pp__profile_u32(profile, "winograd.tiles") / part, 1);
        uint32_t channels =
            round_up(pp__profile_u32(profile, "winograd.channels") / part, c->vector);
        cut_columns(c, p->columns, channels, most_vectors);
        if (p->tiles_are_rows)
            cut_tiles(c, tiles, accumulators / c->vectors,
                      pp__profile_u32(profile, "winograd.items"));
        else
            cut_channels(c, p->rows, channels, accumulators / c->vectors);
        c->block_depth = depth_of(c, scratch);
        if (p->tiles_are_rows) c->block_depth -= c->block_depth % c->vector;
        if (c->block_depth) return true;
    }
    return false;
}

/* Tiles cut the output: y, or dx. */
static bool cut_pass(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile,
                     cut *c) {
    const bool turned = pass == PP__PASS_BACKWARD;
    c->output = pp__profile_u32(profile, "winograd.output");
    c->vector = pp__profile_u32(profile, "conv2d.vector");
    c->tiles_h = pp__divide_up(turned ? g->h : g->oh, c->output);
    c->tiles_w = pp__divide_up(turned ? g->w : g->ow, c->output);
    uint64_t tiles = (uint64_t)g->n * c->tiles_h * c->tiles_w;
    if (tiles > INT32_MAX / 2) return false; /* the kernels count them in int */
    c->tiles = (uint32_t)tiles;
    const product p = pass == PP__PASS_BACKWARD_PARAMETERS ? (product){g->c, g->k, false}
                      : turned                             ? (product){c->tiles, g->c, true}
                                                           : (product){c->tiles, g->k, true};
    return cut_blocks(c, &p, profile);
}

static bool is_computable(const pp__conv2d_geometry *g, const pp_profile *profile) {
    uint32_t vector = pp__profile_u32(profile, "conv2d.vector");
    uint32_t output = pp__profile_u32(profile, "winograd.output");
    bool numbers =
        (output == 2 || output == 4) && vector >= 2 && vector <= MAX_VECTOR &&
        !(vector & (vector - 1)) &&
        pp__profile_bytes(profile, "memory.alignment_bytes") % (vector * sizeof(float)) == 0 &&
        pp__profile_u32(profile, "winograd.group_x") == 1 &&
        pp__profile_u32(profile, "winograd.group_y") == 1 &&
        pp__profile_u32(profile, "winograd.group_z") == 1;
    return numbers && g->r == WINDOW && g->s == WINDOW && g->stride_h == 1 && g->stride_w == 1 &&
           g->dilation_h == 1 && g->dilation_w == 1 && g->groups == 1 && g->pad_h < WINDOW &&
           g->pad_w < WINDOW && g->c % vector == 0 && g->k % vector == 0;
}

/* Enough channels and tiles to share the transforms, and tiles that are not mostly border. */
static bool pays(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile,
                 const cut *c) {
    double outputs = pass == PP__PASS_BACKWARD ? (double)g->h * g->w : (double)g->oh * g->ow;
    double saving = outputs * WINDOW * WINDOW / ((double)c->tiles_h * c->tiles_w * planes_of(c));
    return smaller(g->c, g->k) >= pp__profile_u32(profile, "winograd.min_channels") &&
           c->tiles >= pp__profile_u32(profile, "winograd.min_tiles") &&
           100 * saving >= pp__profile_u32(profile, "winograd.min_saving");
}

bool pp__winograd_fits(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile) {
    cut c;
    return pp__profile_bytes(profile, "winograd.scratch_bytes") && is_computable(g, profile) &&
           cut_pass(g, pass, profile, &c) && pays(g, pass, profile, &c);
}

static pp_status check_fit(pp__stream *stream, const pp__conv2d_geometry *g, pp__pass pass,
                           cut *c) {
    const pp_profile *profile = pp__stream_profile(stream);
    if (pp__winograd_fits(g, pass, profile) && cut_pass(g, pass, profile, c)) return PP_OK;
    return pp__fail(pp__stream_engine(stream), PP_ERROR_INTERNAL,
                    "winograd: a geometry that does not fit");
}

static void begin(pp__launch *l, pp__stream *stream, const char *kernel, uint32_t part,
                  const cut *c) {
    pp__launch_begin(l, stream, "op/winograd", kernel);
    pp__launch_define(l, "WINOGRAD_PART", part);
    pp__launch_define(l, "WINOGRAD_OUTPUT", c->output);
    pp__launch_define(l, "WINOGRAD_VECTOR", c->vector);
    pp__launch_define(l, "WINOGRAD_VECTORS", c->vectors);
    pp__launch_define(l, "WINOGRAD_ROWS", c->rows);
    pp__launch_define(l, "WINOGRAD_BLOCK_ROWS", c->block_rows);
    pp__launch_define(l, "WINOGRAD_BLOCK_COLUMNS", c->block_columns);
    pp__launch_define(l, "WINOGRAD_BLOCK_DEPTH", c->block_depth);
}

static void append(pp__launch *l, const uint32_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) pp__launch_u32(l, values[i]);
}

/* One launch of winograd_gather; in and out are what is read and written. */
static pp_status gather(pp__stream *stream, const cut *c, pp__shape in, pp__shape out,
                        uint32_t pad_h, uint32_t pad_w, bool turned, pp__ref x, pp__ref w,
                        pp__ref bias, pp__ref y, pp__ref moments, bool adds) {
    pp__launch l;
    begin(&l, stream, "winograd_gather", PART_GATHER, c);
    pp__launch_define(&l, "WINOGRAD_BIAS", bias.memory != NULL);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, w, sizeof(float));
    pp__launch_tensor(&l, bias, sizeof(float));
    pp__launch_tensor(&l, y, sizeof(float));
    pp__launch_tensor(&l, moments, sizeof(float));
    const uint32_t values[] = {in.h,     in.w,         in.c,   out.h,      out.w,
                               out.c,    pad_h,        pad_w,  c->tiles_h, c->tiles_w,
                               c->tiles, c->item_rows, turned, adds,       moments.memory != NULL};
    append(&l, values, sizeof values / sizeof *values);
    return pp__launch_cover(&l, c->items_across, c->items_down, 1);
}

uint32_t pp__winograd_moment_splits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    cut c;
    return pp__winograd_fits(g, PP__PASS_FORWARD, profile) &&
                   cut_pass(g, PP__PASS_FORWARD, profile, &c)
               ? c.items_down
               : 0;
}

pp_status pp__winograd_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                               pp__ref w, pp__ref bias, pp__ref y, pp__ref moments) {
    cut c;
    PP_TRY(check_fit(stream, g, PP__PASS_FORWARD, &c));
    return gather(stream, &c, (pp__shape){g->n, g->h, g->w, g->c},
                  (pp__shape){g->n, g->oh, g->ow, g->k}, g->pad_h, g->pad_w, false, x, w, bias, y,
                  moments, false);
}

pp_status pp__winograd_backward_input(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref w,
                                      pp__ref dy, pp__ref dx, bool adds) {
    cut c;
    PP_TRY(check_fit(stream, g, PP__PASS_BACKWARD, &c));
    return gather(stream, &c, (pp__shape){g->n, g->oh, g->ow, g->k},
                  (pp__shape){g->n, g->h, g->w, g->c}, WINDOW - 1 - g->pad_h, WINDOW - 1 - g->pad_w,
                  true, dy, w, (pp__ref){0}, dx, (pp__ref){0}, adds);
}

/* How many ways the tiles are split, so that there are about winograd.items work-items. */
static uint32_t splits_of(const pp__conv2d_geometry *g, const cut *c, const pp_profile *profile) {
    uint32_t wished =
        pp__divide_up(pp__profile_u32(profile, "winograd.items"), c->items_across * c->items_down);
    return pp__conv2d_splits(g, profile, smaller(wished, pp__divide_up(c->tiles, c->block_depth)));
}

size_t pp__winograd_partial_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    cut c;
    if (!pp__winograd_fits(g, PP__PASS_BACKWARD_PARAMETERS, profile) ||
        !cut_pass(g, PP__PASS_BACKWARD_PARAMETERS, profile, &c))
        return 0;
    uint32_t splits = splits_of(g, &c, profile);
    return splits > 1 ? (size_t)splits * pp__conv2d_weight_elems(g) * sizeof(float) : 0;
}

/* Codes are read an octet at a time; block means have kernels that profit from them. */
bool pp__winograd_reads(const pp__conv2d_geometry *g, const pp__stored *stored,
                        const pp_profile *profile) {
    if (pp__stored_is_plain(stored)) return true;
    const pp__shape s = stored->shape;
    return pp__profile_u32(profile, "conv2d.vector") >= OCTET && !stored->coding.codec->pooled &&
           s.n == g->n && s.h == g->h && s.w == g->w && s.c == g->c;
}

/* The program that reads what batch-norms keep raw reads plain values too: one program less. */
static void append_stored(pp__launch *l, const pp__stored *stored, uint32_t vector) {
    pp__stored read = *stored;
    if (pp__stored_is_plain(stored)) {
        read.subject = PP__SUBJECT_NORMALISED;
        read.relu = true;
    }
    if (vector >= OCTET)
        pp__conv2d_append_stored(l, &read);
    else
        pp__stored_arguments(stored, l);
}

pp_status pp__winograd_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                       const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                       pp__ref workspace) {
    cut c;
    PP_TRY(check_fit(stream, g, PP__PASS_BACKWARD_PARAMETERS, &c));
    uint32_t splits = splits_of(g, &c, pp__stream_profile(stream));
    uint32_t elems = pp__conv2d_weight_elems(g);
    pp__launch l;
    begin(&l, stream, "winograd_backward_weight", PART_WEIGHT, &c);
    append_stored(&l, stored, c.vector);
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, splits > 1 ? workspace : dw, sizeof(float));
    const uint32_t values[] = {g->h,
                               g->w,
                               g->c,
                               g->oh,
                               g->ow,
                               g->k,
                               g->pad_h,
                               g->pad_w,
                               c.tiles_h,
                               c.tiles_w,
                               c.tiles,
                               splits,
                               elems,
                               adds && splits == 1,
                               pp__stored_is_plain(stored)};
    append(&l, values, sizeof values / sizeof *values);
    PP_TRY(pp__launch_cover(&l, c.items_across, c.items_down, splits));
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, dw, elems, splits, adds);
}
