#include "support/golden.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next number of the file. */
static double read_value(FILE *file, const golden *g, const golden_tensor *t, size_t place) {
    double value;
    int found = fscanf(file, "%lf", &value);
    ck_assert_msg(found == 1, "%s: tensor %s: no number at element %zu of %zu", g->name, t->name,
                  place, t->count);
    return value;
}

/* "x 2 5 7 3", what follows the word "tensor" on its line. */
static void read_header(FILE *file, const golden *g, golden_tensor *t) {
    char line[160];
    int consumed = 0;
    ck_assert_msg(fgets(line, sizeof line, file) != NULL, "%s: a tensor without a name", g->name);
    ck_assert_msg(sscanf(line, "%31s%n", t->name, &consumed) == 1, "%s: a tensor without a name",
                  g->name);
    t->count = 1;
    for (char *rest = line + consumed, *end;; rest = end) {
        size_t extent = strtoul(rest, &end, 10);
        if (end == rest) break;
        ck_assert_msg(t->rank < GOLDEN_RANK, "%s: tensor %s has more than %d axes", g->name,
                      t->name, GOLDEN_RANK);
        t->extents[t->rank++] = extent;
        t->count *= extent;
    }
    ck_assert_msg(t->rank > 0 && t->count > 0, "%s: tensor %s has no elements", g->name, t->name);
}

golden *golden_read(const char *name) {
    char path[1024], word[16];
    snprintf(path, sizeof path, "%s/golden/%s.golden", PP_TEST_DIR, name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    golden *g = calloc(1, sizeof *g);
    snprintf(g->name, sizeof g->name, "%s", name);
    int ch;
    while ((ch = fgetc(file)) == '#')
        while (ch != '\n' && ch != EOF) ch = fgetc(file);
    ungetc(ch, file);
    while (fscanf(file, "%15s", word) == 1) {
        ck_assert_msg(strcmp(word, "tensor") == 0, "%s: \"%s\" where \"tensor\" should be", name,
                      word);
        ck_assert_msg(g->tensor_count < GOLDEN_TENSORS, "%s: more than %d tensors", name,
                      GOLDEN_TENSORS);
        golden_tensor *t = &g->tensors[g->tensor_count++];
        read_header(file, g, t);
        t->values = malloc(t->count * sizeof *t->values);
        for (size_t i = 0; i < t->count; i++) t->values[i] = read_value(file, g, t, i);
    }
    fclose(file);
    return g;
}

void golden_free(golden *g) {
    if (!g) return;
    for (size_t i = 0; i < g->tensor_count; i++) free(g->tensors[i].values);
    for (size_t i = 0; i < g->room_count; i++) free(g->rooms[i]);
    free(g);
}

const golden_tensor *golden_find(const golden *g, const char *name) {
    for (size_t i = 0; i < g->tensor_count; i++)
        if (strcmp(g->tensors[i].name, name) == 0) return &g->tensors[i];
    return NULL;
}

const double *golden_values(const golden *g, const char *name, size_t count) {
    const golden_tensor *t = golden_find(g, name);
    ck_assert_msg(t != NULL, "%s has no tensor %s", g->name, name);
    ck_assert_msg(t->count == count, "%s: tensor %s has %zu elements, expected %zu", g->name, name,
                  t->count, count);
    return t->values;
}

double golden_scalar(const golden *g, const char *name) {
    return golden_values(g, name, 1)[0];
}

static void *add_room(golden *g, size_t bytes) {
    ck_assert_msg(g->room_count < GOLDEN_ROOMS, "%s: more than %d rooms", g->name, GOLDEN_ROOMS);
    return g->rooms[g->room_count++] = malloc(bytes);
}

float *golden_floats(golden *g, const char *name, size_t count) {
    const double *values = golden_values(g, name, count);
    float *floats = add_room(g, count * sizeof *floats);
    for (size_t i = 0; i < count; i++) floats[i] = (float)values[i];
    return floats;
}

double *golden_room(golden *g, size_t count) {
    double *room = add_room(g, count * sizeof *room);
    for (size_t i = 0; i < count; i++) room[i] = NAN;
    return room;
}

void golden_close(const char *what, const double *found, const double *expected, size_t count,
                  double tolerance) {
    double worst = -1;
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        double excess = fabs(found[i] - expected[i]) - tolerance * (1 + fabs(expected[i]));
        if (isnan(excess)) excess = INFINITY;
        if (excess > worst) worst = excess, place = i;
    }
    ck_assert_msg(worst <= 0, "%s: element %zu of %zu is %.17g, expected %.17g (+- %g)", what,
                  place, count, found[place], expected[place], tolerance);
}
