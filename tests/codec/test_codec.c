/* The codec table without a device: reading, printing, sizes, and what each codec offers. */
#include "codec/codec.h"
#include "support/support.h"

START_TEST(reads_and_prints) {
    static const char *const texts[] = {"raw",       "half",          "norm:4",
                                        "norm:8",    "norm:4,clip=3", "avgpool:2",
                                        "avgpool:4", "signmask",      "argmax"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pp__coding coding;
        char text[PP__CODING_TEXT];
        TEST_OK(pp__coding_read(test_engine(), texts[i], &coding));
        pp__coding_print(&coding, text);
        ck_assert_str_eq(text, texts[i]);
        ck_assert_ptr_eq(coding.codec, pp__codec_find(coding.codec->name));
    }
    char text[PP__CODING_TEXT] = "?";
    pp__coding_print(&(pp__coding){0}, text);
    ck_assert_str_eq(text, "");
    ck_assert_ptr_null(pp__codec_find("norm:4"));
    ck_assert_ptr_null(pp__codec_find(""));
}
END_TEST

START_TEST(refuses) {
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"zip", "codec 'zip' is unknown; there are raw, half, norm, avgpool, signmask, argmax"},
        {"", "codec '' is unknown"},
        {"hal", "unknown"},
        {"half:2", "codec 'half:2': half takes no parameters"},
        {"raw:", "raw takes no parameters"},
        {"norm", "codec 'norm': expected norm:4 or norm:8"},
        {"norm:5", "codec 'norm:5': expected"},
        {"norm:4,clip=", "expected"},
        {"avgpool:1", "codec 'avgpool:1': expected avgpool:W"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pp__coding coding;
        TEST_FAILS(pp__coding_read(test_engine(), wrong[i].text, &coding),
                   PP_ERROR_INVALID_ARGUMENT, wrong[i].part);
        ck_assert_ptr_null(coding.codec);
    }
}
END_TEST

/* [2, 3, 5, 19]: 30 pixels, 570 elements, three octets a pixel. */
START_TEST(stored_bytes) {
    static const struct {
        const char *text;
        size_t bytes;
    } expected[] = {
        {"raw", 4 * 570},
        {"half", 2 * 570},
        {"norm:4", 30 * 3 * 4},
        {"norm:8", 30 * 3 * 8},
        {"avgpool:2", 4 * 2 * 2 * 3 * 19},
        {"signmask", 30 * 3},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        pp__coding coding;
        TEST_OK(pp__coding_read(test_engine(), expected[i].text, &coding));
        ck_assert_uint_eq(pp__coding_bytes(&coding, (pp__shape){2, 3, 5, 19}), expected[i].bytes);
    }
}
END_TEST

START_TEST(a_codec_offers_no_exact_mask_that_it_cannot_keep) {
    const pp__codec *half = pp__codec_find("half"), *mean = pp__codec_find("avgpool");
    ck_assert_uint_eq(half->views[PP__SUBJECT_NORMALISED] & PP__VIEW_MASK, 0);
    ck_assert_uint_ne(half->views[PP__SUBJECT_ACTIVATION] & PP__VIEW_MASK, 0);
    ck_assert_uint_eq(mean->views[PP__SUBJECT_ACTIVATION] & PP__VIEW_MASK, 0);
}
END_TEST

START_TEST(plain_is_a_raw_activation) {
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = {1, 1, 1, 1}};
    TEST_OK(pp__coding_read(test_engine(), "raw", &stored.coding));
    ck_assert(pp__stored_is_plain(&stored));
    stored.subject = PP__SUBJECT_NORMALISED;
    ck_assert(!pp__stored_is_plain(&stored));
    stored.subject = PP__SUBJECT_ACTIVATION;
    TEST_OK(pp__coding_read(test_engine(), "half", &stored.coding));
    ck_assert(!pp__stored_is_plain(&stored));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/codec");
    TCase *test = tcase_create("table");
    tcase_add_test(test, reads_and_prints);
    tcase_add_test(test, refuses);
    tcase_add_test(test, stored_bytes);
    tcase_add_test(test, a_codec_offers_no_exact_mask_that_it_cannot_keep);
    tcase_add_test(test, plain_is_a_raw_activation);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
