/* Choosing a level for each of many values so that everything fits: pure numbers, no plan. */
#ifndef PP_PLAN_CHOOSE_H
#define PP_PLAN_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>

enum { PP__CHOOSE_LEVELS = 16 };

/* A value that lives from step `first` to step `last` in one of some forms. */
typedef struct pp__item {
    size_t first, last;
    size_t level_count;
    size_t bytes[PP__CHOOSE_LEVELS];
    double harm[PP__CHOOSE_LEVELS];
    size_t level; /* chosen */
} pp__item;

/* Sets every item's level so that at each step the bytes of the items that live there, and
 * `live[step]` besides them, are at most `budget`, with as little harm in all as it finds. `live`
 * gets the sums. False: even the smallest forms do not fit; the levels are then the smallest.
 *
 * Greedy: from the least harm on, whatever relieves the fullest step for the least harm per byte;
 * then upgrades and, where the items are few, exchanges, as long as they help. */
bool pp__choose_levels(pp__item *items, size_t item_count, size_t *live, size_t step_count,
                       size_t budget);

double pp__chosen_harm(const pp__item *items, size_t item_count);

#endif
