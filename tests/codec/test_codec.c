/* The codec table without a device: reading, printing, sizes, and what each codec offers. */
#include "codec/codec.h"
#include "support/support.h"

START_TEST(reads_and_prints) {
    static const char *const texts[] = {"raw",
                                        "half",
                                        "bfloat",
                                        "norm:1",
                                        "norm:2",
                                        "norm:3",
                                        "norm:4",
                                        "norm:5",
                                        "norm:6",
                                        "norm:8",
                                        "norm:4,clip=3",
                                        "norm:2,clip=1.9",
                                        "norm:2,lloyd",
                                        "norm:3,lloyd",
                                        "norm:4,lloyd",
                                        "avgpool:2",
                                        "avgpool:4",
                                        "signmask",
                                        "argmax",
                                        "bytes",
                                        "btc:2",
                                        "btc:4",
                                        "btc:8",
                                        "bitmap",
                                        "bitmap,density=0.5",
                                        "bitmap,density=0.1",
                                        "bitmap,density=0.3333",
                                        "bitmap,density=1",
                                        "group:1",
                                        "group:2",
                                        "group:3",
                                        "group:4",
                                        "group:8",
                                        "group:4,size=8",
                                        "group:4,size=1024",
                                        "avgpool:2+group:4",
                                        "pool:8+residual:2",
                                        "pool:2+residual:8,size=64",
                                        "avgpool:64+group:8,size=1024"};
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
        {"zip",
         "codec 'zip' is unknown; there are raw, half, bfloat, norm, group, avgpool, signmask, "
         "argmax"},
        {"", "codec '' is unknown"},
        {"hal", "unknown"},
        {"half:2", "codec 'half:2': half takes no parameters"},
        {"raw:", "raw takes no parameters"},
        {"bytes:8", "bytes takes no parameters"},
        {"btc", "codec 'btc': expected btc:W with a block side W of 2, 4 or 8"},
        {"btc:3", "expected btc:W"},
        {"btc:44", "expected btc:W"},
        {"btc:4,", "expected btc:W"},
        {"pool:8", "codec 'pool:8': expected pool:W+residual:K with a block side W of 2, 4 or 8"},
        {"pool:3+residual:2", "expected pool:W+residual:K"},
        {"pool:8+residual:5", "expected pool:W+residual:K"},
        {"pool:8+group:2", "expected pool:W+residual:K"},
        {"bitmap:", "codec 'bitmap:': expected bitmap with an optional share of non-zeros"},
        {"bitmap:0.5", "expected bitmap"},
        {"bitmap:,density=0.5", "expected bitmap"},
        {"bitmap,", "expected bitmap"},
        {"bitmap,density=", "expected bitmap"},
        {"bitmap,density=0.09", "from 0.1 to 1"},
        {"bitmap,density=1.1", "expected bitmap"},
        {"bitmap,density=-0.5", "expected bitmap"},
        {"bitmap,density=nan", "expected bitmap"},
        {"bitmap,density=0.5x", "expected bitmap"},
        {"bitmaps", "codec 'bitmaps' is unknown"},
        {"raw,density=1", "raw takes no parameters"},
        {"norm", "codec 'norm': expected norm:K with K = 1, 2, 3, 4, 5, 6 or 8"},
        {"norm:7", "codec 'norm:7': expected"},
        {"norm:0", "expected norm:K"},
        {"norm:9", "expected norm:K"},
        {"norm:16", "expected norm:K"},
        {"norm:4,clip=", "expected"},
        {"norm:1,clip=2", "for K > 1 an optional clip"},
        {"norm:3,lloyd,clip=2", "expected norm:K"},
        {"norm:3,clip=2,lloyd", "expected norm:K"},
        {"norm:1,lloyd", "up to 4, lloyd"},
        {"norm:5,lloyd", "up to 4, lloyd"},
        {"norm:3,lloyds", "expected norm:K"},
        {"norm:3lloyd", "expected norm:K"},
        {"avgpool:1", "codec 'avgpool:1': expected avgpool:W"},
        {"avgpool:2+", "expected avgpool:W"},
        {"avgpool:2+norm:4", "expected avgpool:W"},
        {"avgpool:2+group:5", "codec 'avgpool:2+group:5': expected group:K"},
        {"group", "codec 'group': expected group:K with K of 1, 2, 3, 4 or 8"},
        {"group:5", "expected group:K"},
        {"group:44", "expected group:K"},
        {"group:4,size=", "expected group:K"},
        {"group:4,size=0", "expected group:K"},
        {"group:4,size=12", "expected group:K"},
        {"group:4,size=1032", "expected group:K"},
        {"group:4,size=-8", "expected group:K"},
        {"group:4,size=64x", "expected group:K"},
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
        {"bfloat", 2 * 570},
        {"norm:1", 30 * 3 * 1},
        {"norm:2", 30 * 3 * 2},
        {"norm:3", 30 * 3 * 3},
        {"norm:3,lloyd", 30 * 3 * 3},
        {"norm:4", 30 * 3 * 4},
        {"norm:5", 30 * 3 * 5},
        {"norm:6", 30 * 3 * 6},
        {"norm:8", 30 * 3 * 8},
        {"avgpool:2", 4 * 2 * 2 * 3 * 19},
        {"group:4", 2 * (2 * 4 + 45 * 4)},
        {"group:3,size=40", 2 * (9 * 4 + 45 * 3)},
        {"avgpool:2+group:4", 2 * (4 + 18 * 4)},
        {"signmask", 30 * 3},
        {"pool:8+residual:2", 2 * (3 * 16 + 2 * 4 + 45 * 2)},
        {"pool:2+residual:4", 2 * (2 * 3 * 3 * 16 + 2 * 4 + 45 * 4)},
        {"bytes", 570},
        {"btc:2", 3 * (30 + 8 * 2 * 2 * 3)},
        {"btc:4", 3 * (30 + 8 * 2 * 1 * 2)},
        {"btc:8", 3 * (30 + 8 * 2 * 1 * 1)},
        {"bitmap", 2 * (16 + 2 * 36 + 4 * 171)},
        {"bitmap,density=1", 2 * (16 + 2 * 36 + 4 * 285)},
        {"bitmap,density=0.1", 2 * (16 + 2 * 36 + 4 * 29)},
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
