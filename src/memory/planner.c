/* Offsets for lives. Packing intervals into the least memory is NP-hard, so this is a search with a
 * bound:
 *
 *     measure   compress the steps to those at which some life begins and sum the live bytes at
 *               each; the largest sum bounds every layout from below
 *     base      lives that span all steps go to the bottom; where they lie changes nothing for the
 *               others
 *     orders    place the other lives one by one, in several orders, each into a gap between the
 *               placed lives that it overlaps in time: the lowest such gap, or the tightest
 *     promote   move the lives that reach the top nearer to the front of the order, place again
 *
 * The search ends when the bound is met, or what is enough, or its budget of visits is spent. The budget counts work,
 * not time, so the same lives give the same layout on every machine.
 *
 * Under a chunk limit the chunks lie one behind the other on one line of *addresses*, chunk c from
 * c * capacity on, and no life may cross a border. Sizes are rounded up to the alignment at the
 * start; nothing after that sees an unaligned number. */
#include "memory/planner.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/size.h"

enum {
    VISIT_BUDGET = 300000000, /* half a second on a desktop core */
    PROMOTE_ROUNDS = 40,
};

/* One life, its steps compressed. */
typedef struct item {
    uint64_t bytes;   /* rounded up; 0: takes no place */
    uint64_t load;    /* the largest live sum of the steps it lives through */
    uint64_t address; /* in the layout being made */
    uint64_t kept;    /* in the best layout so far */
    uint32_t first, last;
} item;

typedef struct placed {
    uint64_t begin, end;
    uint32_t first, last;
} placed;

typedef struct record {
    uint64_t key, tie;
    uint32_t index;
} record;

typedef struct search {
    item *items;
    size_t item_count;
    placed *placed; /* by ascending begin; the first base_count stand in every layout */
    size_t placed_count, base_count;
    uint32_t *order; /* the lives that are neither empty nor base */
    size_t order_count;
    record *records, *spare;
    size_t *steps;      /* by compressed step: the step */
    uint64_t *step_sum; /* by compressed step: the live sum */
    size_t step_count;
    uint32_t *stack;
    uint64_t *tops; /* by chunk: its highest end */
    size_t chunk_limit;
    uint64_t capacity; /* of a chunk; UINT64_MAX: one chunk without end */
    uint64_t bound;    /* the largest live sum */
    uint64_t enough;
    uint64_t peak; /* of the best layout so far; UINT64_MAX: there is none */
    uint64_t visits_left;
} search;

static void *carve(char *scratch, size_t *used_bytes, size_t count, size_t item_bytes) {
    void *memory = scratch ? scratch + *used_bytes : NULL;
    *used_bytes += pp__round_up(count * item_bytes, alignof(max_align_t));
    return memory;
}

/* One walk gives the size (without scratch) and the pointers. */
static size_t carve_all(search *s, char *scratch, size_t count) {
    size_t used = 0;
    s->items = carve(scratch, &used, count, sizeof *s->items);
    s->placed = carve(scratch, &used, count, sizeof *s->placed);
    s->order = carve(scratch, &used, count, sizeof *s->order);
    s->records = carve(scratch, &used, count, sizeof *s->records);
    s->spare = carve(scratch, &used, count, sizeof *s->spare);
    s->steps = carve(scratch, &used, count, sizeof *s->steps);
    s->step_sum = carve(scratch, &used, count, sizeof *s->step_sum);
    s->stack = carve(scratch, &used, count, sizeof *s->stack);
    s->tops = carve(scratch, &used, count, sizeof *s->tops);
    return used;
}

size_t pp__planner_scratch_bytes(size_t life_count) {
    if (life_count > SIZE_MAX / 1024) return SIZE_MAX; /* a life takes far less than 1 KiB */
    search s;
    return carve_all(&s, NULL, life_count);
}

static bool comes_before(const record *a, const record *b) {
    if (a->key != b->key) return a->key < b->key;
    return a->tie < b->tie;
}

/* Ascending by key, then tie, then place: a stable merge sort, because qsort's order of equals and
 * its use of memory are the C library's own. */
static void sort_records(search *s, size_t count) {
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = middle + width < count ? middle + width : count;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                bool take_b =
                    a == middle || (b < end && comes_before(&s->records[b], &s->records[a]));
                s->spare[i] = take_b ? s->records[b++] : s->records[a++];
            }
        }
        record *sorted = s->spare;
        s->spare = s->records;
        s->records = sorted;
    }
}

/* The last compressed step that is not behind `step`. */
static uint32_t compress(const search *s, size_t step) {
    size_t low = 0, high = s->step_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->steps[middle] <= step)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* Two lives overlap exactly when one lives at the other's first step, so the first steps are all
 * that matter; the live sum has its maxima there too. */
static void compress_steps(search *s, const pp__life *lives) {
    size_t count = s->item_count;
    for (size_t i = 0; i < count; i++) s->records[i] = (record){lives[i].first, 0, (uint32_t)i};
    sort_records(s, count);
    s->step_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t first = lives[s->records[i].index].first;
        if (!s->step_count || s->steps[s->step_count - 1] != first)
            s->steps[s->step_count++] = first;
        s->items[s->records[i].index].first = (uint32_t)(s->step_count - 1);
    }
    for (size_t i = 0; i < count; i++) s->items[i].last = compress(s, lives[i].last);
}

/* Live sums: `step_sum` of the rounded sizes for the search, the layout's bound of the sizes as
 * they are. */
static void sum_steps(search *s, const pp__life *lives, pp__layout *layout) {
    uint64_t *exact_sum = s->tops; /* not needed yet */
    memset(s->step_sum, 0, s->step_count * sizeof *s->step_sum);
    memset(exact_sum, 0, s->step_count * sizeof *exact_sum);
    for (size_t i = 0; i < s->item_count; i++) {
        const item *it = &s->items[i];
        s->step_sum[it->first] += it->bytes;
        exact_sum[it->first] += lives[i].bytes;
        if (it->last + 1 < s->step_count) { /* differences: they may wrap, the sums do not */
            s->step_sum[it->last + 1] -= it->bytes;
            exact_sum[it->last + 1] -= lives[i].bytes;
        }
    }
    uint64_t sum = 0, exact = 0;
    for (size_t k = 0; k < s->step_count; k++) {
        s->step_sum[k] = sum += s->step_sum[k];
        exact += exact_sum[k];
        if (sum > s->bound) s->bound = sum;
        if (exact > layout->lower_bound_bytes) {
            layout->lower_bound_bytes = (size_t)exact;
            layout->peak_step = s->steps[k];
        }
    }
}

/* For each life the largest sum over its steps. Walking the steps, the stack holds those not yet
 * exceeded by a later one, so the maximum over [first, last] is the first stack entry not before
 * `first`. */
static void find_loads(search *s) {
    for (size_t i = 0; i < s->item_count; i++)
        s->records[i] = (record){s->items[i].last, 0, (uint32_t)i};
    sort_records(s, s->item_count);
    size_t depth = 0, next = 0;
    for (uint32_t k = 0; k < s->step_count; k++) {
        while (depth && s->step_sum[s->stack[depth - 1]] <= s->step_sum[k]) depth--;
        s->stack[depth++] = k;
        for (; next < s->item_count && s->records[next].key == k; next++) {
            item *it = &s->items[s->records[next].index];
            size_t low = 0, high = depth - 1;
            while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (s->stack[middle] >= it->first)
                    high = middle;
                else
                    low = middle + 1;
            }
            it->load = s->step_sum[s->stack[low]];
        }
    }
}

/* `address`, or the next chunk's start where `bytes` would cross the border. */
static uint64_t inside_chunk(const search *s, uint64_t address, uint64_t bytes) {
    if (s->capacity == UINT64_MAX) return address;
    uint64_t used = address % s->capacity;
    return used + bytes <= s->capacity ? address : address + (s->capacity - used);
}

static void spend(search *s, uint64_t visits) {
    s->visits_left -= visits < s->visits_left ? visits : s->visits_left;
}

/* The address of a gap among the placed lives that overlap `it`: the lowest, or with `tightest` the
 * one with the least to spare; above all of them where no gap is wide enough. */
static uint64_t find_gap(search *s, const item *it, bool tightest) {
    uint64_t cursor = 0, best = UINT64_MAX, best_spare = UINT64_MAX;
    size_t i = 0;
    for (; i < s->placed_count; i++) {
        const placed *p = &s->placed[i];
        if (p->first > it->last || p->last < it->first) continue;
        if (p->begin >= cursor + it->bytes) {
            uint64_t address = inside_chunk(s, cursor, it->bytes);
            if (p->begin >= address + it->bytes) {
                uint64_t spare = p->begin - address - it->bytes;
                if (spare < best_spare) {
                    best = address;
                    best_spare = spare;
                }
                if (!tightest || !spare) break;
            }
        }
        if (p->end > cursor) cursor = p->end;
    }
    spend(s, i);
    return best != UINT64_MAX ? best : inside_chunk(s, cursor, it->bytes);
}

static void insert_placed(search *s, const placed *p) {
    size_t low = 0, high = s->placed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->placed[middle].begin <= p->begin)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(s->placed + low + 1, s->placed + low, (s->placed_count - low) * sizeof *s->placed);
    s->placed[low] = *p;
    s->placed_count++;
}

static size_t chunk_of(const search *s, uint64_t address) {
    return (size_t)(address / s->capacity);
}

/* The sum of the chunks' sizes of the layout in `address`. */
static uint64_t measure_peak(search *s) {
    memset(s->tops, 0, s->chunk_limit * sizeof *s->tops);
    for (size_t i = 0; i < s->item_count; i++) {
        const item *it = &s->items[i];
        if (!it->bytes) continue;
        size_t chunk = chunk_of(s, it->address);
        if (it->address + it->bytes > s->tops[chunk]) s->tops[chunk] = it->address + it->bytes;
    }
    uint64_t peak = 0;
    for (size_t c = 0; c < s->chunk_limit; c++)
        if (s->tops[c]) peak += s->tops[c] - c * s->capacity;
    return peak;
}

/* Places the lives in `order` and keeps the layout if it is the best so far. UINT64_MAX: too many
 * chunks. */
static uint64_t place_all(search *s, bool tightest) {
    s->placed_count = s->base_count;
    spend(s, s->item_count);
    for (size_t i = 0; i < s->order_count; i++) {
        item *it = &s->items[s->order[i]];
        it->address = find_gap(s, it, tightest);
        if (chunk_of(s, it->address) >= s->chunk_limit) return UINT64_MAX;
        insert_placed(s, &(placed){it->address, it->address + it->bytes, it->first, it->last});
    }
    uint64_t peak = measure_peak(s);
    if (peak < s->peak) {
        s->peak = peak;
        for (size_t i = 0; i < s->item_count; i++) s->items[i].kept = s->items[i].address;
    }
    return peak;
}

static bool is_done(const search *s) {
    return s->peak <= s->bound || s->peak <= s->enough || !s->visits_left;
}

/* Lives that span all steps, each into the first chunk with room for it, the large ones first. One
 * entry of `placed` stands for all of them in a chunk. The rest becomes the order. False: too many
 * chunks. */
static bool place_base(search *s) {
    size_t count = 0;
    for (size_t i = 0; i < s->item_count; i++) {
        const item *it = &s->items[i];
        if (!it->bytes) continue;
        if (it->first == 0 && it->last == s->step_count - 1)
            s->records[count++] = (record){~it->bytes, 0, (uint32_t)i};
        else
            s->order[s->order_count++] = (uint32_t)i;
    }
    sort_records(s, count);
    for (size_t i = 0; i < count; i++) {
        item *it = &s->items[s->records[i].index];
        size_t c = 0;
        while (c < s->base_count && s->placed[c].end - s->placed[c].begin + it->bytes > s->capacity)
            c++;
        if (c == s->chunk_limit) return false;
        if (c == s->base_count)
            s->placed[s->base_count++] =
                (placed){c * s->capacity, c * s->capacity, 0, (uint32_t)(s->step_count - 1)};
        it->address = s->placed[c].end;
        s->placed[c].end += it->bytes;
    }
    return true;
}

typedef enum ranking {
    BY_LOAD_AND_LENGTH, /* the fullest step first: its lives lie without gaps at the bottom */
    BY_LENGTH,          /* nested lives become a stack */
    BY_LOAD_AND_BYTES,
    BY_BYTES,
    BY_AREA,
    BY_FIRST_STEP,
    BY_LAST_STEP,
    BY_SHORTNESS, /* behind those of a quarter of the steps, the longest of which come first */
    RANKING_COUNT
} ranking;

static uint64_t multiply_capped(uint64_t a, uint64_t b) {
    return b && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* What is large comes first; the complement turns that into an ascending sort. */
static record rank_item(const search *s, uint32_t index, ranking by) {
    const item *it = &s->items[index];
    uint64_t length = (uint64_t)it->last - it->first + 1;
    switch (by) {
        case BY_LOAD_AND_LENGTH: return (record){~it->load, ~length, index};
        case BY_LENGTH: return (record){~length, ~it->bytes, index};
        case BY_LOAD_AND_BYTES: return (record){~it->load, ~it->bytes, index};
        case BY_BYTES: return (record){~it->bytes, ~length, index};
        case BY_AREA: return (record){~multiply_capped(it->bytes, length), ~length, index};
        case BY_FIRST_STEP: return (record){it->first, ~length, index};
        case BY_SHORTNESS:
            if (length > s->step_count / 4) return (record){0, ~length, index};
            return (record){length, ~it->bytes, index};
        default: return (record){~(uint64_t)it->last, ~length, index};
    }
}

static void rank_order(search *s, ranking by) {
    for (size_t i = 0; i < s->order_count; i++) s->records[i] = rank_item(s, s->order[i], by);
    sort_records(s, s->order_count);
    for (size_t i = 0; i < s->order_count; i++) s->order[i] = s->records[i].index;
}

/* Moves the lives that end at the top of the last chunk to `eighths`/8 of their place in the order.
 */
static void promote_top(search *s, size_t eighths) {
    uint64_t top = 0;
    for (size_t i = 0; i < s->order_count; i++) {
        const item *it = &s->items[s->order[i]];
        if (it->address + it->bytes > top) top = it->address + it->bytes;
    }
    for (size_t i = 0; i < s->order_count; i++) {
        uint32_t index = s->order[i];
        if (s->items[index].address + s->items[index].bytes != top) continue;
        size_t place = i / 8 * eighths + i % 8 * eighths / 8;
        memmove(s->order + place + 1, s->order + place, (i - place) * sizeof *s->order);
        s->order[place] = index;
    }
}

/* The first pass is the rankings alone, the later ones go on from each with promotions of one
 * strength. A run of promotions keeps going through worse layouts. */
static void run_search(search *s) {
    static const size_t pass_eighths[] = {8, 4, 7, 0, 6, 2};
    for (size_t pass = 0; pass < sizeof pass_eighths / sizeof *pass_eighths; pass++) {
        for (int variant = 0; variant < 2 * RANKING_COUNT; variant++) {
            rank_order(s, (ranking)(variant / 2));
            place_all(s, variant % 2);
            for (int round = 0; pass && round < PROMOTE_ROUNDS && !is_done(s); round++) {
                promote_top(s, pass_eighths[pass]);
                place_all(s, variant % 2);
            }
            if (is_done(s)) return;
        }
    }
}

/* Chunks that hold nothing are left out of the numbering. */
static void write_layout(search *s, pp__life *lives, size_t *chunk_sizes, pp__layout *layout) {
    for (size_t i = 0; i < s->item_count; i++) s->items[i].address = s->items[i].kept;
    layout->peak_bytes = (size_t)measure_peak(s);
    for (size_t c = 0; c < s->chunk_limit; c++) {
        if (!s->tops[c]) continue;
        chunk_sizes[layout->chunk_count] = (size_t)(s->tops[c] - c * s->capacity);
        s->tops[c] = layout->chunk_count++;
    }
    for (size_t i = 0; i < s->item_count; i++) {
        const item *it = &s->items[i];
        lives[i].chunk = it->bytes ? (size_t)s->tops[chunk_of(s, it->kept)] : 0;
        lives[i].offset_bytes = it->bytes ? (size_t)(it->kept % s->capacity) : 0;
    }
}

static pp_status check_lives(const pp__life *lives, size_t life_count,
                             const pp__layout_limits *limits, size_t *offender_out) {
    size_t alignment = limits->alignment_bytes, total = 0;
    *offender_out = life_count;
    if (!alignment || life_count >= UINT32_MAX) return PP_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < life_count; i++) {
        *offender_out = i;
        if (lives[i].first > lives[i].last) return PP_ERROR_INVALID_ARGUMENT;
        if (limits->chunk_bytes && lives[i].bytes > limits->chunk_bytes / alignment * alignment)
            return PP_ERROR_OUT_OF_MEMORY;
        if (!pp__size_add(total, lives[i].bytes, &total) || !pp__size_add(total, alignment, &total))
            return PP_ERROR_OUT_OF_MEMORY; /* the addresses would not fit into size_t */
    }
    *offender_out = life_count;
    return PP_OK;
}

/* Addresses stay below 2^64, which bounds the number of chunks. A chunk below one alignment unit is
 * no limit: only lives without bytes get past check_lives then. */
static void set_limits(search *s, const pp__layout_limits *limits, size_t chunk_capacity) {
    s->capacity = UINT64_MAX;
    s->chunk_limit = 1;
    if (limits->chunk_bytes >= limits->alignment_bytes) {
        s->capacity = limits->chunk_bytes / limits->alignment_bytes * limits->alignment_bytes;
        uint64_t most = UINT64_MAX / 2 / s->capacity;
        s->chunk_limit = most < s->item_count ? (size_t)most : s->item_count;
        if (!s->chunk_limit) s->chunk_limit = 1;
    }
    if (s->chunk_limit > chunk_capacity) s->chunk_limit = chunk_capacity;
}

pp_status pp__planner_run(pp__life *lives, size_t life_count, const pp__layout_limits *limits,
                          void *scratch, size_t *chunk_sizes, size_t chunk_capacity,
                          pp__layout *layout_out, size_t *offender_out) {
    *layout_out = (pp__layout){0};
    pp_status status = check_lives(lives, life_count, limits, offender_out);
    if (status != PP_OK || !life_count) return status;

    search s = {.item_count = life_count,
                .peak = UINT64_MAX,
                .enough = limits->enough_bytes,
                .visits_left = VISIT_BUDGET / (limits->haste ? limits->haste : 1)};
    carve_all(&s, scratch, life_count);
    set_limits(&s, limits, chunk_capacity);
    for (size_t i = 0; i < life_count; i++)
        s.items[i] = (item){.bytes = pp__round_up(lives[i].bytes, limits->alignment_bytes)};
    compress_steps(&s, lives);
    sum_steps(&s, lives, layout_out);
    find_loads(&s);
    if (!place_base(&s)) return PP_ERROR_OUT_OF_MEMORY;
    run_search(&s);
    if (s.peak == UINT64_MAX) return PP_ERROR_OUT_OF_MEMORY;
    write_layout(&s, lives, chunk_sizes, layout_out);
    return PP_OK;
}
