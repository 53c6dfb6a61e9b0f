/* safetensors files: what is written is read back, what is wrong is named, and a failed write leaves
 * what was there. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "io/make_files.h"
#include "io/safetensors.h"
#include "support/support.h"

/* A file with this header and so many bytes of data. */
static const char *make_header(const char *name, const char *header, size_t data_bytes) {
    static unsigned char bytes[4096];
    const size_t length = strlen(header);
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, header, length);
    return make_file(name, bytes, 8 + length + data_bytes);
}

static pp_status try_open(const char *path) {
    pp__safe_file *file;
    const pp_status status = pp__safe_open(test_engine(), path, &file);
    pp__safe_close(file);
    return status;
}

static const float weights[] = {1, -2, 3.5f, 0, 1e-30f, -0.0f};
static const uint8_t codes[] = {0, 1, 254, 255, 7};

static pp_status write_example(const char *path, bool sealed) {
    pp__safe_tensor tensors[] = {
        {.name = "w", .type = PP__SAFE_F32, .axis_count = 2, .extents = {2, 3}},
        {.name = "empty", .type = PP__SAFE_I64, .axis_count = 1, .extents = {0}},
        {.name = "codes", .type = PP__SAFE_U8, .axis_count = 1, .extents = {5}},
        {.name = "scalar", .type = PP__SAFE_F32, .axis_count = 0},
    };
    const void *data[] = {weights, NULL, codes, weights};
    const pp__safe_entry entries[] = {{"format", "pt"}, {"note", "a \"quoted\" line\n"}};
    return pp__safe_write(test_engine(), path, tensors, data, 4, entries, 2, sealed);
}

START_TEST(round_trip) {
    const char *path = make_path("round_trip");
    TEST_OK(write_example(path, _i));
    pp__safe_file *file;
    TEST_OK(pp__safe_open(test_engine(), path, &file));
    ck_assert_uint_eq(file->tensor_count, 4);
    ck_assert_str_eq(pp__safe_metadata(file, "note"), "a \"quoted\" line\n");
    ck_assert_ptr_null(pp__safe_metadata(file, "other"));
    ck_assert_uint_eq(pp__safe_find(file, "other"), SIZE_MAX);
    const size_t w = pp__safe_find(file, "w"), c = pp__safe_find(file, "codes");
    ck_assert_uint_eq(file->tensors[w].axis_count, 2);
    ck_assert_uint_eq(file->tensors[w].extents[1], 3);
    ck_assert_uint_eq(file->tensors[pp__safe_find(file, "scalar")].elem_count, 1);
    ck_assert_uint_eq(file->tensors[pp__safe_find(file, "empty")].elem_count, 0);
    float read_weights[6];
    uint8_t read_codes[5];
    TEST_OK(pp__safe_read(file, c, read_codes));
    TEST_OK(pp__safe_read(file, w, read_weights));
    ck_assert(!memcmp(read_weights, weights, sizeof weights));
    ck_assert(!memcmp(read_codes, codes, sizeof codes));
    ck_assert_uint_eq(file->header_bytes % 8, 0);
    if (_i)
        TEST_OK(pp__safe_check_seal(file));
    else
        TEST_FAILS(pp__safe_check_seal(file), PP_ERROR_CORRUPT_DATA, "no checksum");
    pp__safe_close(file);
}
END_TEST

/* Any other byte anywhere is found out. */
START_TEST(a_seal_guards_every_byte) {
    const char *path = make_path("sealed");
    TEST_OK(write_example(path, true));
    FILE *stream = fopen(path, "rb");
    ck_assert(stream != NULL);
    static unsigned char bytes[4096];
    const size_t count = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= 1u << i % 8;
        pp__safe_file *file;
        pp_status status = pp__safe_open(test_engine(), make_file("damaged", bytes, count), &file);
        if (status == PP_OK) status = pp__safe_check_seal(file);
        ck_assert_msg(status == PP_ERROR_CORRUPT_DATA, "byte %zu: %s", i, pp_status_name(status));
        pp__safe_close(file);
        bytes[i] ^= 1u << i % 8;
    }
    for (size_t length = 0; length < count; length++)
        ck_assert_int_eq(try_open(make_file("short", bytes, length)), PP_ERROR_CORRUPT_DATA);
}
END_TEST

#define TENSOR(name, type, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end \
    "]}"

START_TEST(wrong_headers_are_named) {
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *says;
    } cases[] = {
        {"", 0, "no JSON"},
        {"[]", 0, "no JSON object"},
        {"{\"a\":1}", 0, "'a' is no JSON object"},
        {"{} {}", 0, "no JSON near byte"},
        {"{" TENSOR("a", "F31", "[1]", 0, 4) "}", 4, "dtype 'F31'"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype '(none)'"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "has no shape"},
        {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "at most 8 axes"},
        {"{" TENSOR("a", "F32", "[-1]", 0, 4) "}", 4, "no whole number"},
        {"{" TENSOR("a", "F32", "[1.5]", 0, 4) "}", 4, "no whole number"},
        {"{" TENSOR("a", "F32", "[1e300]", 0, 4) "}", 4, "no whole number"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296]", 0, 4) "}", 4, "more than 2^53"},
        {"{" TENSOR("a", "F32", "[1]", 0, 8) "}", 4, "bytes 0 to 8 of 4"},
        {"{" TENSOR("a", "F32", "[1]", 4, 0) "}", 4, "bytes 4 to 0"},
        {"{" TENSOR("a", "F32", "[2]", 0, 4) "}", 4, "4 bytes for 2 elements"},
        {"{" TENSOR("a", "F32", "[1]", 0, 5) "}", 5, "5 bytes for 1 elements"},
        {"{" TENSOR("a", "F32", "[1]", 0, -4) "}", 4, "two whole numbers"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "}", 8, "8 bytes behind the header, expected 4"},
        {"{" TENSOR("a", "F32", "[1]", 4, 8) "}", 8, "lies at byte 4, expected 0"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 0, 4) "}", 4,
         "'b' lies at byte 0, expected 4"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("a", "F32", "[1]", 4, 8) "}", 8,
         "two tensors are called 'a'"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("b", "F32", "[1]", 4, 8) "}", 8,
         "'b' lies at byte 4, expected 8"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 8, 12) "}", 12,
         "'b' lies at byte 8, expected 4"},
        {"{" TENSOR("a", "F32", "[\"1\"]", 0, 4) "}", 4, "no whole number"},
        {"{" TENSOR("a", "F32", "1", 0, 4) "}", 4, "has no shape"},
        {"{" TENSOR("a", "F32", "[9007199254740994]", 0, 4) "}", 4, "no whole number"},
        {"{" TENSOR("a", "F32", "[1]", 0.5, 4) "}", 4, "two whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "two whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4,
         "two whole numbers"},
        {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype '(none)'"},
        {"{" TENSOR("a", "F32", "[0]", 0, 4) "}", 4, "4 bytes for 0 elements"},
        {"{" TENSOR("a\\u0000b", "F32", "[1]", 0, 4) "}", 4, "zero byte"},
        {"{" TENSOR("a\\\\\\u0000", "F32", "[1]", 0, 4) "}", 4, "zero byte"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4), 4, "no JSON near byte"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is no object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is no text"},
        {"{\"__metadata__\":{\"a\":\"\"},\"__metadata__\":{}}", 0, "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        TEST_FAILS(try_open(make_header("wrong", cases[i].header, cases[i].data_bytes)),
                   PP_ERROR_CORRUPT_DATA, cases[i].says);
    static const unsigned char huge[16] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F};
    TEST_FAILS(try_open(make_file("huge", huge, sizeof huge)), PP_ERROR_CORRUPT_DATA,
               "9223372036854775807 bytes in a file of 16");
    static const unsigned char zero[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', 0, '}'};
    TEST_FAILS(try_open(make_file("zero", zero, sizeof zero)), PP_ERROR_CORRUPT_DATA, "zero byte");
    TEST_FAILS(try_open(make_path("nowhere")), PP_ERROR_IO, "nowhere");
    TEST_OK(try_open(make_header("nothing", "{}", 0)));
    /* A backslash and five letters, not an escape. */
    TEST_OK(try_open(make_header("slash", "{" TENSOR("a\\\\u0000", "F32", "[1]", 0, 4) "}", 4)));
}
END_TEST

static size_t count_files(const char *folder) {
    size_t count = 0;
    DIR *stream = opendir(folder);
    ck_assert(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream));) count += entry->d_name[0] != '.';
    closedir(stream);
    return count;
}

/* A disk that is full after any number of bytes. */
START_TEST(a_failed_write_leaves_the_old_file) {
    const char *folder = make_folder("full"), *path = make_path("full/weights");
    TEST_OK(write_example(path, true));
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    for (rlim_t bytes = 0; bytes < (rlim_t)info.st_size; bytes += 7) {
        const struct rlimit limit = {bytes, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        const pp_status status = write_example(path, true);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(status, PP_ERROR_IO);
        ck_assert_uint_eq(count_files(folder), 1);
    }
    pp__safe_file *file;
    TEST_OK(pp__safe_open(test_engine(), path, &file));
    TEST_OK(pp__safe_check_seal(file));
    pp__safe_close(file);
    TEST_FAILS(write_example(make_path("no/such/folder"), false), PP_ERROR_IO, "cannot write");
}
END_TEST

enum { WRITES = 100, WRITTEN_BYTES = 1 << 18 };

/* Both threads write to one path; whoever's file is there, it is whole. */
static void *write_and_check(void *user) {
    const char *path = user;
    static const uint8_t bytes[WRITTEN_BYTES];
    pp__safe_tensor tensor = {
        .name = "b", .type = PP__SAFE_U8, .axis_count = 1, .extents = {WRITTEN_BYTES}};
    const void *data[] = {bytes};
    pp_engine *engine = NULL;
    pp_status status = pp_engine_create(NULL, &engine);
    for (int i = 0; i < WRITES && status == PP_OK; i++) {
        pp__safe_file *file = NULL;
        status = pp__safe_write(engine, path, &tensor, data, 1, NULL, 0, true);
        if (status == PP_OK) status = pp__safe_open(engine, path, &file);
        if (status == PP_OK) status = pp__safe_check_seal(file);
        pp__safe_close(file);
    }
    pp_engine_destroy(engine);
    return status == PP_OK ? NULL : user;
}

START_TEST(threads_do_not_write_into_each_other) {
    const char *path = make_path("shared");
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_check, (void *)path), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

/* No more is read than is written. */
START_TEST(headers_have_a_bound) {
    const char *path = make_path("bound");
    static char note[PP__SAFE_HEADER_BYTES + 1];
    pp__safe_tensor tensor = {.name = "w", .type = PP__SAFE_F32, .axis_count = 0};
    const void *data[] = {weights};
    const pp__safe_entry entry = {"note", note};
    memset(note, 'a', sizeof note - 1);
    TEST_FAILS(pp__safe_write(test_engine(), path, &tensor, data, 1, &entry, 1, true),
               PP_ERROR_INVALID_ARGUMENT, "expected at most 16777216");
    note[sizeof note - 200] = 0;
    TEST_OK(pp__safe_write(test_engine(), path, &tensor, data, 1, &entry, 1, true));
    TEST_OK(try_open(path));
    FILE *file = fopen(path, "wb");
    ck_assert(file != NULL);
    for (int i = 0; i < 8; i++) putc((int)((PP__SAFE_HEADER_BYTES + 1ull) >> 8 * i & 0xFF), file);
    ck_assert_int_eq(fseek(file, PP__SAFE_HEADER_BYTES + 8, SEEK_SET), 0);
    putc(0, file);
    ck_assert_int_eq(fclose(file), 0);
    TEST_FAILS(try_open(path), PP_ERROR_CORRUPT_DATA, "expected at most 16777216");
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

/* A rename would take its place. */
START_TEST(a_pipe_stays_a_pipe) {
    const char *path = make_path("pipe");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    TEST_FAILS(write_example(path, false), PP_ERROR_IO, "no regular file");
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert(S_ISFIFO(info.st_mode));
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("io/safetensors");
    TCase *test = tcase_create("host");
    tcase_add_loop_test(test, round_trip, 0, 2);
    tcase_add_test(test, a_seal_guards_every_byte);
    tcase_add_test(test, wrong_headers_are_named);
    tcase_add_test(test, a_failed_write_leaves_the_old_file);
    tcase_add_test(test, threads_do_not_write_into_each_other);
    tcase_add_test(test, headers_have_a_bound);
    tcase_add_test(test, a_pipe_stays_a_pipe);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
