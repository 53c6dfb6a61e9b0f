/* Ranges as profiles write them. */
#include "profile/range.h"

#include <string.h>

#include "support/support.h"

static bool read(const char *text, pp__range *range_out) {
    return pp__range_read(text, strlen(text), range_out);
}

START_TEST(reads_every_form) {
    pp__range range;
    char text[64];
    ck_assert(read("[1 2 4]", &range));
    ck_assert(range.listed && range.candidate_count == 3 && range.least == 1 && range.most == 4);
    ck_assert(pp__range_holds(&range, 2) && !pp__range_holds(&range, 3));
    pp__range_print(&range, false, text, sizeof text);
    ck_assert_str_eq(text, "one of 1 2 4");

    ck_assert(read("[0..2M: 0  64K 1M ]", &range));
    ck_assert(!range.listed && range.candidate_count == 3 && range.candidates[1] == 64 << 10);
    ck_assert(pp__range_holds(&range, 3) && !pp__range_holds(&range, (2 << 20) + 1));
    pp__range_print(&range, true, text, sizeof text);
    ck_assert_str_eq(text, "0 to 2M");

    ck_assert(read("[ 1 .. 16 ]", &range));
    ck_assert(range.least == 1 && range.most == 16 && range.candidate_count == 0);
    pp__range_print(&range, true, text, 4);
    ck_assert_str_eq(text, "1 t");
}
END_TEST

START_TEST(refuses) {
    static const char *const bad[] = {
        "",           "[",         "[]",
        "1 2",        "[1 2",      "1 2]",
        "[1 1]",      "[2 1]",     "[1..]",
        "[..4]",      "[4..1]",    "[1.4]",
        "[1..4:]",    "[1..4: 5]", "[2..4: 1]",
        "[1..4 1 2]", "[1..x]",    "[1 two]",
        "[1: 1 2]",   "[-1..2]",   "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17]"};
    pp__range range;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!read(bad[i], &range), "%s was taken", bad[i]);
}
END_TEST

START_TEST(prints_numbers) {
    ck_assert_str_eq(pp__number_print(0, true).text, "0");
    ck_assert_str_eq(pp__number_print(1000, true).text, "1000");
    ck_assert_str_eq(pp__number_print(96 << 10, true).text, "96K");
    ck_assert_str_eq(pp__number_print(1 << 20, true).text, "1M");
    ck_assert_str_eq(pp__number_print(1 << 20, false).text, "1048576");
}
END_TEST

int main(void) {
    TCase *range = tcase_create("range");
    tcase_add_test(range, reads_every_form);
    tcase_add_test(range, refuses);
    tcase_add_test(range, prints_numbers);
    Suite *suite = suite_create("range");
    suite_add_tcase(suite, range);
    return test_run(suite);
}
