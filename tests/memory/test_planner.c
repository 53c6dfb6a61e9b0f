#include <stdlib.h>
#include <string.h>

#include "memory/planner.h"
#include "support/support.h"

enum { CHUNK_CAPACITY = 64 };

typedef struct result {
    pp_status status;
    pp__layout layout;
    size_t chunk_sizes[CHUNK_CAPACITY];
    size_t offender;
} result;

static result plan(pp__life *lives, size_t count, size_t alignment, size_t chunk_bytes,
                   size_t chunk_capacity) {
    result r = {.offender = 12345};
    pp__layout_limits limits = {.alignment_bytes = alignment, .chunk_bytes = chunk_bytes};
    void *scratch = malloc(pp__planner_scratch_bytes(count) + 1);
    ck_assert_ptr_nonnull(scratch);
    r.status = pp__planner_run(lives, count, &limits, scratch, r.chunk_sizes, chunk_capacity,
                               &r.layout, &r.offender);
    free(scratch);
    return r;
}

static size_t live_sum(const pp__life *lives, size_t count, size_t step) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        if (lives[i].first <= step && step <= lives[i].last) sum += lives[i].bytes;
    return sum;
}

/* What every layout must satisfy: alignment, chunks, disjoint live slots, and the bound. */
static void check_layout(const pp__life *lives, size_t count, size_t alignment, size_t chunk_bytes,
                         const result *r) {
    ck_assert_int_eq(r->status, PP_OK);
    size_t tops[CHUNK_CAPACITY] = {0}, peak = 0, bound = 0, bound_step = 0;
    for (size_t i = 0; i < count; i++) {
        const pp__life *a = &lives[i];
        if (!a->bytes) continue;
        ck_assert_uint_eq(a->offset_bytes % alignment, 0);
        ck_assert_uint_lt(a->chunk, r->layout.chunk_count);
        size_t end = a->offset_bytes + a->bytes;
        if (end > tops[a->chunk]) tops[a->chunk] = end;
        for (size_t j = 0; j < i; j++) {
            const pp__life *b = &lives[j];
            bool together =
                b->bytes && a->chunk == b->chunk && a->first <= b->last && b->first <= a->last;
            bool apart = end <= b->offset_bytes || b->offset_bytes + b->bytes <= a->offset_bytes;
            if (together && !apart) ck_abort_msg("lives %zu and %zu lie on one another", j, i);
        }
        size_t sum = live_sum(lives, count, a->first);
        if (sum > bound || (sum == bound && a->first < bound_step))
            bound = sum, bound_step = a->first;
    }
    for (size_t c = 0; c < r->layout.chunk_count; c++) {
        size_t size = (tops[c] + alignment - 1) / alignment * alignment;
        ck_assert_uint_gt(size, 0);
        ck_assert_uint_eq(r->chunk_sizes[c], size);
        if (chunk_bytes) ck_assert_uint_le(size, chunk_bytes);
        peak += size;
    }
    ck_assert_uint_eq(r->layout.peak_bytes, peak);
    ck_assert_uint_eq(r->layout.lower_bound_bytes, bound);
    ck_assert_uint_eq(r->layout.peak_step, bound_step);
    ck_assert_uint_ge(peak, bound);
}

START_TEST(no_lives_take_nothing) {
    result r = plan(NULL, 0, 128, 0, CHUNK_CAPACITY);
    ck_assert_int_eq(r.status, PP_OK);
    ck_assert_uint_eq(r.layout.chunk_count, 0);
    ck_assert_uint_eq(r.layout.peak_bytes, 0);
    ck_assert_uint_eq(r.layout.lower_bound_bytes, 0);
}
END_TEST

START_TEST(one_life_is_rounded_up) {
    pp__life life = {.bytes = 100, .first = 7, .last = 9};
    result r = plan(&life, 1, 64, 0, 1);
    check_layout(&life, 1, 64, 0, &r);
    ck_assert_uint_eq(life.offset_bytes, 0);
    ck_assert_uint_eq(r.layout.peak_bytes, 128);
    ck_assert_uint_eq(r.layout.lower_bound_bytes, 100);
    ck_assert_uint_eq(r.layout.peak_step, 7);
}
END_TEST

START_TEST(zero_bytes_take_nothing) {
    pp__life lives[] = {
        {.bytes = 0, .first = 0, .last = 5}, {.bytes = 8, .first = 0, .last = 5}, {.bytes = 0}};
    result r = plan(lives, 3, 8, 8, 1);
    check_layout(lives, 3, 8, 8, &r);
    ck_assert_uint_eq(r.layout.peak_bytes, 8);
    ck_assert_uint_eq(lives[0].chunk, 0);
    ck_assert_uint_eq(lives[0].offset_bytes, 0);

    result nothing = plan(lives, 1, 8, 0, 0);
    ck_assert_int_eq(nothing.status, PP_OK);
    ck_assert_uint_eq(nothing.layout.chunk_count, 0);
}
END_TEST

/*   step        0   1   2   3
 *   a (64)     [=======]            Lives that touch at a step overlap; b takes a's place only from
 *   b (64)             [=======]    step 3 on, but it is needed at step 2 already. */
START_TEST(both_ends_of_a_life_count) {
    pp__life lives[] = {{.bytes = 64, .first = 0, .last = 2}, {.bytes = 64, .first = 2, .last = 3}};
    result r = plan(lives, 2, 64, 0, 1);
    ck_assert_uint_eq(r.layout.peak_bytes, 128);
    lives[1].first = 3;
    r = plan(lives, 2, 64, 0, 1);
    ck_assert_uint_eq(r.layout.peak_bytes, 64);
    ck_assert_uint_eq(lives[0].offset_bytes, 0);
    ck_assert_uint_eq(lives[1].offset_bytes, 0);
}
END_TEST

/* Nested lives become a stack, the longest at the bottom, and a short one lies on what is left of
 * it:
 *
 *   192         [c]
 *   128       [==b==]        [e]     e (128 bytes) lies on a
 *     0     [======a===========]
 *   step    0  1  2  3  4  5  6      */
START_TEST(nested_lives_are_stacked) {
    pp__life lives[] = {{.bytes = 64, .first = 2, .last = 2},
                        {.bytes = 64, .first = 1, .last = 3},
                        {.bytes = 128, .first = 0, .last = 6},
                        {.bytes = 128, .first = 6, .last = 6}};
    result r = plan(lives, 4, 64, 0, 1);
    check_layout(lives, 4, 64, 0, &r);
    ck_assert_uint_eq(r.layout.peak_bytes, 256);
    ck_assert_uint_eq(r.layout.peak_step, 2);
    ck_assert_uint_eq(lives[2].offset_bytes, 0);
    ck_assert_uint_eq(lives[1].offset_bytes, 128);
    ck_assert_uint_eq(lives[0].offset_bytes, 192);
    ck_assert_uint_eq(lives[3].offset_bytes, 128);
}
END_TEST

/* In the order of their first steps, a and b would leave a gap of 64 that c does not fit into:
 *
 *   step     0  1  2  3
 *   a (64)  [====]
 *   b (64)     [====]
 *   c (128)        [=]   wants 128 beside b; the bound is 192 at step 2 */
START_TEST(orders_that_leave_gaps_lose) {
    pp__life lives[] = {{.bytes = 64, .first = 0, .last = 1},
                        {.bytes = 64, .first = 1, .last = 2},
                        {.bytes = 128, .first = 2, .last = 3}};
    result r = plan(lives, 3, 64, 0, 1);
    check_layout(lives, 3, 64, 0, &r);
    ck_assert_uint_eq(r.layout.peak_bytes, 192);
}
END_TEST

START_TEST(steps_may_be_far_apart) {
    pp__life lives[] = {{.bytes = 64, .first = 0, .last = SIZE_MAX},
                        {.bytes = 64, .first = SIZE_MAX, .last = SIZE_MAX},
                        {.bytes = 64, .first = SIZE_MAX / 2, .last = SIZE_MAX - 1}};
    result r = plan(lives, 3, 64, 0, 1);
    check_layout(lives, 3, 64, 0, &r);
    ck_assert_uint_eq(r.layout.peak_bytes, 128);
    ck_assert_uint_eq(r.layout.peak_step, SIZE_MAX / 2);
}
END_TEST

/* Three lives of 96 that span all steps, chunks of 256: two and one. A life of 128 at one step
 * finds room behind the single one. */
START_TEST(chunks_are_filled_without_crossing) {
    pp__life lives[] = {{.bytes = 96, .first = 0, .last = 9},
                        {.bytes = 96, .first = 0, .last = 9},
                        {.bytes = 96, .first = 0, .last = 9},
                        {.bytes = 128, .first = 4, .last = 4}};
    result r = plan(lives, 4, 32, 256, CHUNK_CAPACITY);
    check_layout(lives, 4, 32, 256, &r);
    ck_assert_uint_eq(r.layout.chunk_count, 2);
    ck_assert_uint_eq(r.chunk_sizes[0], 192);
    ck_assert_uint_eq(r.chunk_sizes[1], 224);
    ck_assert_uint_eq(lives[2].chunk, 1);
    ck_assert_uint_eq(lives[3].chunk, 1);
    ck_assert_uint_eq(lives[3].offset_bytes, 96);
}
END_TEST

/* Seven lives of 126, two in a chunk of 255, of which the alignment leaves 252: exactly full is
 * allowed. */
START_TEST(chunk_limits_need_not_be_aligned) {
    pp__life lives[7];
    for (size_t i = 0; i < 7; i++) lives[i] = (pp__life){.bytes = 126, .first = i, .last = 10};
    result r = plan(lives, 7, 6, 255, CHUNK_CAPACITY);
    check_layout(lives, 7, 6, 255, &r);
    ck_assert_uint_eq(r.layout.chunk_count, 4);
    ck_assert_uint_eq(r.layout.peak_bytes, 7 * 126);
}
END_TEST

START_TEST(extreme_chunk_limits) {
    pp__life lives[] = {{.bytes = 10, .last = 1}, {.bytes = 20, .last = 1}};
    result r = plan(lives, 2, 1, SIZE_MAX, CHUNK_CAPACITY);
    check_layout(lives, 2, 1, SIZE_MAX, &r);
    ck_assert_uint_eq(r.layout.peak_bytes, 30);

    pp__life empty[] = {{.bytes = 0}, {.bytes = 0}};
    r = plan(empty, 2, 64, 63, CHUNK_CAPACITY);
    ck_assert_int_eq(r.status, PP_OK);
    ck_assert_uint_eq(r.layout.chunk_count, 0);
}
END_TEST

START_TEST(refusals_name_the_offender) {
    pp__life lives[] = {
        {.bytes = 10, .last = 1}, {.bytes = 257, .last = 1}, {.bytes = 10, .last = 1}};
    result r = plan(lives, 3, 1, 256, CHUNK_CAPACITY);
    ck_assert_int_eq(r.status, PP_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(r.offender, 1);

    lives[1].bytes = 250; /* rounded up it is 256, but the largest aligned chunk is 192 */
    r = plan(lives, 3, 64, 255, CHUNK_CAPACITY);
    ck_assert_int_eq(r.status, PP_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(r.offender, 1);

    r = plan(lives, 3, 1, 256, 1); /* 270 bytes that span all steps do not fit into one chunk */
    ck_assert_int_eq(r.status, PP_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(r.offender, 3);

    pp__life late[] = {{.bytes = 200, .first = 0, .last = 1},
                       {.bytes = 200, .first = 1, .last = 2}};
    r = plan(late, 2, 1, 256, 1);
    ck_assert_int_eq(r.status, PP_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(r.offender, 2);

    lives[2].first = 2;
    r = plan(lives, 3, 1, 0, 1);
    ck_assert_int_eq(r.status, PP_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(r.offender, 2);

    pp__life huge[] = {{.bytes = SIZE_MAX / 2 + 1}, {.bytes = SIZE_MAX / 2 + 1}};
    r = plan(huge, 2, 1, 0, 1);
    ck_assert_int_eq(r.status, PP_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(r.offender, 1);

    r = plan(late, 2, 0, 0, 1);
    ck_assert_int_eq(r.status, PP_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(random_lives_never_collide) {
    enum { MOST = 120 };
    pp__life lives[MOST];
    for (int round = 0; round < 150; round++) {
        size_t count = 1 + test_random_below(MOST);
        size_t alignment = (size_t[]){1, 4, 7, 64, 128}[test_random_below(5)];
        size_t chunk_bytes = round % 2 ? 8000 + test_random_below(20000) : 0;
        for (size_t i = 0; i < count; i++) {
            size_t first = test_random_below(60);
            lives[i] = (pp__life){.bytes = test_random_below(round % 3 ? 5000 : 90),
                                  .first = first,
                                  .last = first + test_random_below(1 + test_random_below(60))};
        }
        result r = plan(lives, count, alignment, chunk_bytes, CHUNK_CAPACITY);
        check_layout(lives, count, alignment, chunk_bytes, &r);
    }
}
END_TEST

static size_t add_life(pp__life *lives, size_t count, size_t bytes, size_t first, size_t last) {
    lives[count] = (pp__life){.bytes = bytes, .first = first, .last = last};
    return count + 1;
}

/* A training step as the plan makes it: a chain of `depth` layers whose maps shrink fourfold two
 * times. Each keeps a code (an eighth of the map) and a vector of 64 bytes until its backward step,
 * passes its map to the next, and every third one to the layer three further on. Weights and their
 * moments live all along, weight gradients for one step, and some steps have a workspace. */
static size_t make_chain(pp__life *lives, size_t depth) {
    size_t count = 0, last = 2 * depth - 1;
    for (size_t i = 0; i < depth; i++) {
        size_t stage = 3 * i / depth, back = last - i;
        size_t map = ((size_t)4 << 20) >> (2 * stage);
        if (i % 3) map /= 4;
        size_t weight = (size_t)9216 << (2 * stage);
        count = add_life(lives, count, map / 8, i, back);
        count = add_life(lives, count, 64, i, back);
        count = add_life(lives, count, map, i, i + 1);
        count = add_life(lives, count, map, back - 1, back);
        count = add_life(lives, count, weight, 0, last);
        count = add_life(lives, count, weight, 0, last);
        count = add_life(lives, count, weight, back, back);
        if (i % 3 == 0 && i + 3 < depth) {
            count = add_life(lives, count, map, i, i + 3);
            count = add_life(lives, count, map, back - 3, back);
        }
        if (i % 5 == 0) count = add_life(lives, count, map * 9 / 4 + 60, i, i);
        if (i % 7 == 0) count = add_life(lives, count, map * 9 / 4 + 60, back, back);
    }
    return count;
}

enum { CHAIN_LIVES = 10 * 1000 };

START_TEST(training_chains_come_near_the_bound) {
    static pp__life lives[CHAIN_LIVES];
    static const size_t depths[] = {10, 17, 31, 56, 101, 200, 333, 1000};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
        size_t count = make_chain(lives, depths[d]);
        for (size_t chunk_bytes = 0; chunk_bytes <= (size_t)64 << 20;
             chunk_bytes += (size_t)64 << 20) {
            result r = plan(lives, count, 128, chunk_bytes, CHUNK_CAPACITY);
            if (depths[d] <= 333) check_layout(lives, count, 128, chunk_bytes, &r);
            double ratio = (double)r.layout.peak_bytes / (double)r.layout.lower_bound_bytes;
            ck_assert_msg(ratio <= 1.02, "depth %zu, chunks of %zu: the peak is %.4f of the bound",
                          depths[d], chunk_bytes, ratio);
        }
    }
}
END_TEST

START_TEST(random_chains_come_near_the_bound) {
    static pp__life lives[CHAIN_LIVES];
    for (size_t depth = 10; depth <= 1000; depth = depth * 3 / 2) {
        size_t count = make_chain(lives, depth);
        for (size_t i = 0; i < count; i++)
            lives[i].bytes = lives[i].bytes * (64 + test_random_below(128)) / 128;
        result r = plan(lives, count, 128, 0, 1);
        if (depth <= 333) check_layout(lives, count, 128, 0, &r);
        double ratio = (double)r.layout.peak_bytes / (double)r.layout.lower_bound_bytes;
        ck_assert_msg(ratio <= 1.02, "depth %zu: the peak is %.4f of the bound", depth, ratio);
    }
}
END_TEST

START_TEST(the_same_lives_give_the_same_layout) {
    static pp__life a[CHAIN_LIVES], b[CHAIN_LIVES];
    size_t count = make_chain(a, 200);
    for (size_t i = 0; i < count; i++) a[i].bytes = 1 + test_random_below(100000);
    memcpy(b, a, sizeof b);
    result ra = plan(a, count, 64, 0, 1), rb = plan(b, count, 64, 0, 1);
    ck_assert_int_eq(ra.status, PP_OK);
    ck_assert_uint_eq(ra.layout.peak_bytes, rb.layout.peak_bytes);
    ck_assert_mem_eq(a, b, count * sizeof *a);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("memory/planner");
    TCase *drawn = tcase_create("drawn");
    tcase_add_test(drawn, no_lives_take_nothing);
    tcase_add_test(drawn, one_life_is_rounded_up);
    tcase_add_test(drawn, zero_bytes_take_nothing);
    tcase_add_test(drawn, both_ends_of_a_life_count);
    tcase_add_test(drawn, nested_lives_are_stacked);
    tcase_add_test(drawn, orders_that_leave_gaps_lose);
    tcase_add_test(drawn, steps_may_be_far_apart);
    tcase_add_test(drawn, chunks_are_filled_without_crossing);
    tcase_add_test(drawn, chunk_limits_need_not_be_aligned);
    tcase_add_test(drawn, extreme_chunk_limits);
    tcase_add_test(drawn, refusals_name_the_offender);
    suite_add_tcase(suite, drawn);
    TCase *properties = tcase_create("properties");
    tcase_add_test(properties, random_lives_never_collide);
    tcase_add_test(properties, training_chains_come_near_the_bound);
    tcase_add_test(properties, random_chains_come_near_the_bound);
    tcase_add_test(properties, the_same_lives_give_the_same_layout);
    suite_add_tcase(suite, properties);
    return test_run(suite);
}
