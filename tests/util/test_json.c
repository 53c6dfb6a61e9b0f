/* The JSON writer: exact text, escapes, numbers, layout, and every way to misuse it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/support.h"
#include "util/json.h"

typedef struct sink_text {
    char text[1024];
    size_t byte_count;
    size_t capacity; /* writes past it are refused */
} sink_text;

static bool append(void *user, const char *text, size_t byte_count) {
    sink_text *sink = user;
    if (sink->byte_count + byte_count > sink->capacity) return false;
    memcpy(sink->text + sink->byte_count, text, byte_count);
    sink->byte_count += byte_count;
    return true;
}

static pp__json begin(sink_text *sink, uint32_t line_depth) {
    memset(sink, 0, sizeof *sink);
    sink->capacity = sizeof sink->text - 1;
    pp__json json;
    pp__json_begin(&json, append, sink, line_depth);
    return json;
}

START_TEST(one_line) {
    sink_text sink;
    pp__json json = begin(&sink, 0);
    pp__json_open_object(&json, NULL);
    pp__json_integer(&json, "epoch", 3);
    pp__json_real(&json, "loss", 0.1);
    pp__json_text(&json, "codec", "norm:4,clip=3");
    pp__json_bool(&json, "done", true);
    pp__json_open_array(&json, "sizes");
    pp__json_integer(&json, NULL, 1);
    pp__json_integer(&json, NULL, UINT64_MAX);
    pp__json_close(&json);
    pp__json_open_object(&json, "empty");
    pp__json_close(&json);
    pp__json_text(&json, "nothing", NULL);
    pp__json_close(&json);
    ck_assert(pp__json_end(&json));
    ck_assert_str_eq(sink.text,
                     "{\"epoch\": 3, \"loss\": 0.1, \"codec\": \"norm:4,clip=3\", \"done\": true, "
                     "\"sizes\": [1, 18446744073709551615], \"empty\": {}, \"nothing\": null}\n");
}
END_TEST

START_TEST(lines_for_the_outer_levels) {
    sink_text sink;
    pp__json json = begin(&sink, 2);
    pp__json_open_object(&json, NULL);
    pp__json_open_array(&json, "values");
    for (uint64_t i = 0; i < 2; i++) {
        pp__json_open_object(&json, NULL);
        pp__json_integer(&json, "a", i);
        pp__json_integer(&json, "b", i);
        pp__json_close(&json);
    }
    pp__json_close(&json);
    pp__json_open_array(&json, "empty");
    pp__json_close(&json);
    pp__json_close(&json);
    ck_assert(pp__json_end(&json));
    ck_assert_str_eq(
        sink.text,
        "{\n  \"values\": [\n    {\"a\": 0, \"b\": 0},\n    {\"a\": 1, \"b\": 1}\n  ],\n"
        "  \"empty\": []\n}\n");
}
END_TEST

/* Writes `text` as the root value and compares with what a parser must see between the quotes. */
static void check_text(const char *text, const char *expected) {
    sink_text sink;
    pp__json json = begin(&sink, 0);
    pp__json_text(&json, NULL, text);
    ck_assert(pp__json_end(&json));
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\"%s\"\n", expected);
    ck_assert_str_eq(sink.text, wanted);
}

START_TEST(escapes) {
    check_text("a \"b\" \\ /", "a \\\"b\\\" \\\\ /");
    check_text("tab\tline\nbell\x07", "tab\\u0009line\\u000abell\\u0007");
    check_text("\x7f", "\x7f");
    check_text(
        "Gr\xC3\xBC\xC3\x9F"
        "e \xE2\x82\xAC \xF0\x9F\x93\xB1",
        "Gr\xC3\xBC\xC3\x9F"
        "e \xE2\x82\xAC \xF0\x9F\x93\xB1");
}
END_TEST

START_TEST(bytes_that_are_no_utf8) {
    check_text("a\xFFz", "a\\ufffdz");
    check_text("\x80", "\\ufffd");
    check_text("cut\xE2\x82", "cut\\ufffd\\ufffd");
    check_text("\xC0\xAF", "\\ufffd\\ufffd");                       /* overlong slash */
    check_text("\xED\xA0\x80", "\\ufffd\\ufffd\\ufffd");            /* a surrogate */
    check_text("\xF4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"); /* past U+10FFFF */
}
END_TEST

static void check_real(double value, const char *expected) {
    sink_text sink;
    pp__json json = begin(&sink, 0);
    pp__json_real(&json, NULL, value);
    ck_assert(pp__json_end(&json));
    ck_assert_msg(!strncmp(sink.text, expected, strlen(expected)) &&
                      strlen(sink.text) == strlen(expected) + 1,
                  "found %s, expected %s", sink.text, expected);
}

START_TEST(numbers) {
    check_real(0, "0");
    check_real(-2.5, "-2.5");
    check_real(1.0 / 3, "0.333333333");
    check_real(1e-30, "1e-30");
    check_real(NAN, "null");
    check_real(INFINITY, "null");
    check_real(-INFINITY, "null");
}
END_TEST

START_TEST(misuse_is_refused) {
    sink_text sink;
    pp__json json = begin(&sink, 0);
    ck_assert_msg(!pp__json_end(&json), "nothing written");

    json = begin(&sink, 0);
    pp__json_open_object(&json, NULL);
    ck_assert_msg(!pp__json_end(&json), "an open container");

    json = begin(&sink, 0);
    pp__json_close(&json);
    ck_assert_msg(!pp__json_end(&json), "closed what was not open");

    json = begin(&sink, 0);
    pp__json_open_object(&json, NULL);
    pp__json_integer(&json, NULL, 1);
    pp__json_close(&json);
    ck_assert_msg(!pp__json_end(&json), "no key inside an object");

    json = begin(&sink, 0);
    pp__json_open_array(&json, NULL);
    pp__json_integer(&json, "key", 1);
    pp__json_close(&json);
    ck_assert_msg(!pp__json_end(&json), "a key inside an array");

    json = begin(&sink, 0);
    pp__json_integer(&json, NULL, 1);
    pp__json_integer(&json, NULL, 2);
    ck_assert_msg(!pp__json_end(&json), "two roots");

    json = begin(&sink, 0);
    for (int i = 0; i <= PP__JSON_DEPTH; i++) pp__json_open_array(&json, NULL);
    for (int i = 0; i <= PP__JSON_DEPTH; i++) pp__json_close(&json);
    ck_assert_msg(!pp__json_end(&json), "too deep");
}
END_TEST

START_TEST(deepest_nesting) {
    sink_text sink;
    pp__json json = begin(&sink, 0);
    for (int i = 0; i < PP__JSON_DEPTH; i++) pp__json_open_array(&json, NULL);
    for (int i = 0; i < PP__JSON_DEPTH; i++) pp__json_close(&json);
    ck_assert(pp__json_end(&json));
    ck_assert_str_eq(sink.text, "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n");
}
END_TEST

/* Wherever the sink starts to refuse, the end says so and nothing more is written. */
START_TEST(refused_writes) {
    const size_t whole = strlen("{\"a\": [1.5, \"b\"]}\n");
    for (size_t capacity = 0; capacity <= whole; capacity++) {
        sink_text sink;
        pp__json json = begin(&sink, 0);
        sink.capacity = capacity;
        pp__json_open_object(&json, NULL);
        pp__json_open_array(&json, "a");
        pp__json_real(&json, NULL, 1.5);
        pp__json_text(&json, NULL, "b");
        pp__json_close(&json);
        pp__json_close(&json);
        ck_assert_int_eq(pp__json_end(&json), capacity == whole);
        ck_assert_msg(!strncmp("{\"a\": [1.5, \"b\"]}\n", sink.text, sink.byte_count), "%s",
                      sink.text);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("util/json");
    TCase *cases = tcase_create("json");
    tcase_add_test(cases, one_line);
    tcase_add_test(cases, lines_for_the_outer_levels);
    tcase_add_test(cases, escapes);
    tcase_add_test(cases, bytes_that_are_no_utf8);
    tcase_add_test(cases, numbers);
    tcase_add_test(cases, misuse_is_refused);
    tcase_add_test(cases, deepest_nesting);
    tcase_add_test(cases, refused_writes);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
