#include "data/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

enum { MAX_COUNT = 1000 };

START_TEST(orders_are_permutations) {
    static const uint32_t counts[] = {1, 2, 3, 17, MAX_COUNT};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        uint32_t order[MAX_COUNT];
        bool seen[MAX_COUNT] = {false};
        pp__draw_order(5, 3, order, counts[k]);
        for (uint32_t i = 0; i < counts[k]; i++) {
            ck_assert_uint_lt(order[i], counts[k]);
            ck_assert(!seen[order[i]]);
            seen[order[i]] = true;
        }
    }
}
END_TEST

START_TEST(orders_depend_on_seed_and_epoch) {
    uint32_t a[MAX_COUNT], b[MAX_COUNT];
    pp__draw_order(5, 3, a, MAX_COUNT);
    pp__draw_order(5, 3, b, MAX_COUNT);
    ck_assert_mem_eq(a, b, sizeof a);
    pp__draw_order(5, 4, b, MAX_COUNT);
    ck_assert_mem_ne(a, b, sizeof a);
    pp__draw_order(6, 3, b, MAX_COUNT);
    ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

/* Every element is equally likely in every place: 36 counts of mean 1000 and deviation about 29. */
START_TEST(orders_are_even) {
    int counts[6][6] = {{0}};
    for (uint64_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t order[6];
        pp__draw_order(1, epoch, order, 6);
        for (int place = 0; place < 6; place++) counts[place][order[place]]++;
    }
    for (int place = 0; place < 6; place++)
        for (int element = 0; element < 6; element++)
            ck_assert_int_le(abs(counts[place][element] - 1000), 150);
}
END_TEST

START_TEST(draws_are_even) {
    /* Nine crop offsets of mean 2000, deviation about 42, and mirrors of deviation about 67. */
    int tops[9] = {0}, lefts[9] = {0}, cuts[9] = {0}, mirrors = 0;
    for (uint64_t sample = 0; sample < 18000; sample++) {
        pp__draws draws = pp__draw_sample(7, 2, sample);
        tops[pp__draw_below(draws.top, 9)]++;
        lefts[pp__draw_below(draws.left, 9)]++;
        cuts[pp__draw_below(draws.cut[0], 9)]++;
        mirrors += (int)(draws.mirror >> 31);
    }
    for (int i = 0; i < 9; i++) {
        ck_assert_int_le(abs(tops[i] - 2000), 200);
        ck_assert_int_le(abs(lefts[i] - 2000), 200);
        ck_assert_int_le(abs(cuts[i] - 2000), 200);
    }
    ck_assert_int_le(abs(mirrors - 9000), 300);
}
END_TEST

START_TEST(draws_stay_below) {
    ck_assert_uint_eq(pp__draw_below(UINT32_MAX, 9), 8);
    ck_assert_uint_eq(pp__draw_below(0, 9), 0);
    ck_assert_uint_eq(pp__draw_below(UINT32_MAX, 1), 0);
    ck_assert_uint_eq(pp__draw_below(UINT32_MAX, UINT32_MAX), UINT32_MAX - 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("draw");
    TCase *tests = tcase_create("draw");
    tcase_add_test(tests, orders_are_permutations);
    tcase_add_test(tests, orders_depend_on_seed_and_epoch);
    tcase_add_test(tests, orders_are_even);
    tcase_add_test(tests, draws_are_even);
    tcase_add_test(tests, draws_stay_below);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
