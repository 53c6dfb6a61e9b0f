#include "plan/choose.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Exchanges look at all pairs, perturbations begin anew for each item. */
enum { MOST_EXCHANGED = 128, MOST_PERTURBED = 16 };

typedef struct search {
    pp__item *items;
    size_t item_count;
    size_t *live;
    size_t step_count, budget;
} search;

double pp__chosen_harm(const pp__item *items, size_t item_count) {
    double harm = 0;
    for (size_t i = 0; i < item_count; i++) harm += items[i].harm[items[i].level];
    return harm;
}

static void set_level(const search *s, pp__item *item, size_t level) {
    for (size_t t = item->first; t <= item->last; t++)
        s->live[t] += item->bytes[level] - item->bytes[item->level];
    item->level = level;
}

static bool fits(const search *s, size_t first, size_t last) {
    for (size_t t = first; t <= last; t++)
        if (s->live[t] > s->budget) return false;
    return true;
}

static size_t fullest_step(const search *s) {
    size_t fullest = 0;
    for (size_t t = 1; t < s->step_count; t++)
        if (s->live[t] > s->live[fullest]) fullest = t;
    return fullest;
}

/* How a smaller form is priced: by the bytes that the full step needs of it, or by all of them. */
typedef enum pricing { BY_NEED, BY_BYTES } pricing;

/* One form smaller, for the least harm per byte. False: there is none. */
static bool relieve(const search *s, size_t step, pricing by) {
    const size_t excess = s->live[step] - s->budget;
    pp__item *best = NULL;
    size_t best_level = 0;
    double best_price = INFINITY;
    for (size_t i = 0; i < s->item_count; i++) {
        pp__item *item = &s->items[i];
        if (item->first > step || item->last < step) continue;
        for (size_t level = 0; level < item->level_count; level++) {
            if (item->bytes[level] >= item->bytes[item->level]) continue;
            const size_t saved = item->bytes[item->level] - item->bytes[level];
            const size_t counted = by == BY_NEED && saved > excess ? excess : saved;
            const double price = (item->harm[level] - item->harm[item->level]) / (double)counted;
            if (price >= best_price) continue;
            best = item, best_level = level, best_price = price;
        }
    }
    if (best) set_level(s, best, best_level);
    return best != NULL;
}

static void take_smallest(const search *s) {
    for (size_t i = 0; i < s->item_count; i++) {
        pp__item *item = &s->items[i];
        size_t smallest = item->level;
        for (size_t level = 0; level < item->level_count; level++)
            if (item->bytes[level] < item->bytes[smallest]) smallest = level;
        set_level(s, item, smallest);
    }
}

static void take_least_harm(const search *s) {
    for (size_t i = 0; i < s->item_count; i++) {
        pp__item *item = &s->items[i];
        size_t best = item->level;
        for (size_t level = 0; level < item->level_count; level++)
            if (item->harm[level] < item->harm[best]) best = level;
        set_level(s, item, best);
    }
}

/* Levels of less harm that fit as they are. */
static bool upgrade(const search *s) {
    bool any = false;
    for (size_t i = 0; i < s->item_count; i++) {
        pp__item *item = &s->items[i];
        size_t best = item->level;
        const size_t before = item->level;
        for (size_t level = 0; level < item->level_count; level++) {
            if (item->harm[level] >= item->harm[best]) continue;
            set_level(s, item, level);
            if (fits(s, item->first, item->last)) best = level;
            set_level(s, item, before);
        }
        set_level(s, item, best);
        any |= best != before;
    }
    return any;
}

/* One item's level of less harm, paid for by another's of more. */
static bool exchange_pair(const search *s, pp__item *winner, pp__item *payer) {
    const size_t winner_before = winner->level, payer_before = payer->level;
    const size_t first = winner->first < payer->first ? winner->first : payer->first;
    const size_t last = winner->last > payer->last ? winner->last : payer->last;
    for (size_t up = 0; up < winner->level_count; up++) {
        const double gain = winner->harm[winner_before] - winner->harm[up];
        if (gain <= 0) continue;
        for (size_t down = 0; down < payer->level_count; down++) {
            const double loss = payer->harm[down] - payer->harm[payer_before];
            if (payer->bytes[down] >= payer->bytes[payer_before] || loss >= gain * (1 - 1e-9))
                continue;
            set_level(s, winner, up);
            set_level(s, payer, down);
            if (fits(s, first, last)) return true;
            set_level(s, winner, winner_before);
            set_level(s, payer, payer_before);
        }
    }
    return false;
}

static bool exchange(const search *s) {
    bool any = false;
    for (size_t i = 0; i < s->item_count; i++)
        for (size_t k = 0; k < s->item_count; k++)
            if (i != k) any |= exchange_pair(s, &s->items[i], &s->items[k]);
    return any;
}

/* From the levels as they are to a choice that fits and that no single step betters. */
static bool descend(const search *s, pricing by) {
    for (size_t step; s->live[step = fullest_step(s)] > s->budget;)
        if (!relieve(s, step, by)) return false;
    do {
        while (upgrade(s)) continue;
    } while (s->item_count <= MOST_EXCHANGED && exchange(s));
    return true;
}

/* Other starts: an item held at a level while the rest is chosen anew. Keeps what is better. */
static bool perturb(const search *s, size_t held, pricing by) {
    pp__item *item = &s->items[held];
    size_t kept[MOST_PERTURBED];
    const double before = pp__chosen_harm(s->items, s->item_count);
    bool better = false;
    for (size_t i = 0; i < s->item_count; i++) kept[i] = s->items[i].level;
    for (size_t level = 0; level < item->level_count && !better; level++) {
        if (level == kept[held]) continue;
        const pp__item whole = *item;
        take_least_harm(s);
        set_level(s, item, level);
        const size_t level_count = item->level_count;
        item->bytes[0] = item->bytes[level], item->harm[0] = item->harm[level];
        item->level = 0, item->level_count = 1;
        better = descend(s, by) && pp__chosen_harm(s->items, s->item_count) < before * (1 - 1e-9);
        memcpy(item->bytes, whole.bytes, sizeof item->bytes);
        memcpy(item->harm, whole.harm, sizeof item->harm);
        item->level = level, item->level_count = level_count;
        if (better) break;
        for (size_t i = 0; i < s->item_count; i++) set_level(s, &s->items[i], kept[i]);
    }
    return better;
}

bool pp__choose_levels(pp__item *items, size_t item_count, size_t *live, size_t step_count,
                       size_t budget) {
    const search s = {items, item_count, live, step_count, budget};
    for (size_t i = 0; i < item_count; i++) {
        items[i].level = 0;
        for (size_t t = items[i].first; t <= items[i].last; t++) live[t] += items[i].bytes[0];
    }
    take_least_harm(&s);
    if (!descend(&s, BY_NEED)) {
        take_smallest(&s);
        return false;
    }
    if (item_count > MOST_PERTURBED) return true;
    for (size_t i = 0; i < item_count;)
        i = perturb(&s, i, BY_NEED) || perturb(&s, i, BY_BYTES) ? 0 : i + 1;
    return true;
}
