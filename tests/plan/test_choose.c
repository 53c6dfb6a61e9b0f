/* The choice of levels against an exhaustive search on random small problems. */
#include <stdlib.h>

#include "plan/choose.h"
#include "support/support.h"
#include "util/rng.h"

enum { MOST_ITEMS = 7, MOST_STEPS = 24 };

typedef struct problem {
    pp__item items[MOST_ITEMS];
    size_t item_count, step_count;
    size_t base[MOST_STEPS];
    size_t budget;
} problem;

typedef struct dice {
    uint64_t thrown;
} dice;

static uint32_t draw(dice *rng, uint32_t below) {
    return pp__rng(11, 0, rng->thrown++).word[0] % below;
}

/* Lives as in training, nested round the step where forward ends; forms as codecs give them: fewer
 * bytes, more harm, with weights that differ by layer. */
static void make_problem(problem *p, dice *rng) {
    memset(p, 0, sizeof *p);
    p->item_count = 1 + draw(rng, MOST_ITEMS);
    p->step_count = 8 + draw(rng, MOST_STEPS - 7);
    size_t middle = p->step_count / 2, most = 0, least = 0;
    for (size_t t = 0; t < p->step_count; t++) p->base[t] = 100 + draw(rng, 400);
    for (size_t i = 0; i < p->item_count; i++) {
        pp__item *item = &p->items[i];
        size_t elems = 16u << draw(rng, 6);
        double weight = 0.1 + draw(rng, 100) / 25.0, harm = 0;
        item->first = draw(rng, (uint32_t)middle + 1);
        item->last = middle + draw(rng, (uint32_t)(p->step_count - middle));
        item->level_count = 2 + draw(rng, 4);
        for (size_t level = 0; level < item->level_count; level++) {
            item->bytes[level] = elems * (32 >> level) / 8;
            item->harm[level] = weight * harm;
            harm = harm * (2 + draw(rng, 4)) + 0.001 * (1 + draw(rng, 9));
        }
        most += item->bytes[0];
        least += item->bytes[item->level_count - 1];
    }
    p->budget = 500 + least + (size_t)draw(rng, (uint32_t)(most - least + 1));
}

static bool is_feasible(const problem *p) {
    for (size_t t = 0; t < p->step_count; t++) {
        size_t live = p->base[t];
        for (size_t i = 0; i < p->item_count; i++)
            if (p->items[i].first <= t && t <= p->items[i].last)
                live += p->items[i].bytes[p->items[i].level];
        if (live > p->budget) return false;
    }
    return true;
}

/* The least harm of all combinations, counted through like the digits of a number, or -1. */
static double exhaustive(problem p) {
    double best = -1;
    size_t i;
    do {
        double harm = is_feasible(&p) ? pp__chosen_harm(p.items, p.item_count) : -1;
        if (harm >= 0 && (best < 0 || harm < best)) best = harm;
        for (i = 0; i < p.item_count && ++p.items[i].level == p.items[i].level_count; i++)
            p.items[i].level = 0;
    } while (i < p.item_count);
    return best;
}

START_TEST(within_5_percent_of_the_optimum_and_never_over_budget) {
    dice rng = {0};
    for (int round = 0; round < 400; round++) {
        problem p;
        make_problem(&p, &rng);
        double optimum = exhaustive(p);
        size_t live[MOST_STEPS];
        memcpy(live, p.base, sizeof live);
        bool found = pp__choose_levels(p.items, p.item_count, live, p.step_count, p.budget);
        ck_assert_msg(found == (optimum >= 0), "round %d: found %d, optimum %g", round, found,
                      optimum);
        if (!found) continue;
        ck_assert(is_feasible(&p));
        double harm = pp__chosen_harm(p.items, p.item_count);
        double excess = optimum > 0 ? harm / optimum - 1 : harm;

        ck_assert_msg(excess <= 0.05, "round %d: harm %g, optimum %g", round, harm, optimum);
    }
}
END_TEST

START_TEST(what_cannot_fit_is_refused_with_the_smallest_forms) {
    pp__item items[] = {
        {.first = 0, .last = 1, .level_count = 2, .bytes = {80, 40}, .harm = {0, 1}},
        {.first = 1, .last = 1, .level_count = 2, .bytes = {8, 4}, .harm = {0, 1}}};
    size_t live[] = {10, 10};
    ck_assert(!pp__choose_levels(items, 2, live, 2, 53));
    ck_assert_uint_eq(items[0].level, 1);
    ck_assert_uint_eq(items[1].level, 1);
    ck_assert_uint_eq(live[0], 50);
    ck_assert_uint_eq(live[1], 54);
    size_t again[] = {10, 10};
    ck_assert(pp__choose_levels(items, 2, again, 2, 54));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("choose");
    TCase *all = tcase_create("all");
    tcase_add_test(all, within_5_percent_of_the_optimum_and_never_over_budget);
    tcase_add_test(all, what_cannot_fit_is_refused_with_the_smallest_forms);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
