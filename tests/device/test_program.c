/* The program cache: what is built, what is loaded, and what happens to files that are damaged.
 * Every test opens devices of its own, with a cache folder of its own. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/buffer.h"
#include "device/cache.h"
#include "device/launch.h"
#include "device/source.h"
#include "support/support.h"

static const char answer[] =
    "#ifndef ANSWER_VALUE\n"
    "#define ANSWER_VALUE 1\n"
    "#endif\n"
    "__kernel void answer_run(__global uint *y, uint y_offset) {\n"
    "    TENSOR(y);\n"
    "    if (get_global_id(0) == 0) y[0] = ANSWER_VALUE;\n"
    "}\n";
static const char other_answer[] =
    "__kernel void answer_run(__global uint *y, uint y_offset) {\n"
    "    TENSOR(y);\n"
    "    if (get_global_id(0) == 0) y[0] = 77;\n"
    "}\n";

static char folder[128];
static unsigned folder_count;

/* Every test gets an empty folder's name; the folder itself is the cache's to make. */
static void set_up(void) {
    snprintf(folder, sizeof folder, "%s/cache%u/inner", test_scratch_folder(), folder_count++);
}

/* Opens a device, runs the kernel once, closes the device; returns what the kernel wrote. */
static uint32_t run_once(const char *text, uint32_t value, const pp_device_options *options,
                         pp_device_counters *counters) {
    pp_device *device;
    TEST_OK(pp_device_open(test_engine(), getenv("POCKETPROP_TEST_DEVICE"), options, &device));
    TEST_OK(pp__source_add(device, "test/answer", text));
    pp_profile *profile;
    pp__memory *memory;
    pp__stream *stream;
    /* PoCL's own leaves programs to the driver's cache. */
    TEST_OK(pp_profile_for_device(device, "default", &profile));
    TEST_OK(pp__memory_create(device, 4, &memory));
    TEST_OK(pp__stream_create(device, profile, &stream));
    for (int repeat = 0; repeat < 2; repeat++) {
        pp__launch l;
        pp__launch_begin(&l, stream, "test/answer", "answer_run");
        pp__launch_define(&l, "ANSWER_VALUE", value);
        pp__launch_tensor(&l, (pp__ref){memory, 0}, sizeof(uint32_t));
        TEST_OK(pp__launch_cover(&l, 1, 1, 1));
    }
    TEST_OK(pp__stream_run(stream));
    uint32_t found = 0;
    TEST_OK(pp__read_now(device, (pp__ref){memory, 0}, &found, sizeof found));
    pp_device_read_counters(device, counters);
    pp__stream_destroy(stream);
    pp__memory_destroy(memory);
    pp_profile_destroy(profile);
    pp_device_close(device);
    return found;
}

static void expect(const char *text, uint32_t value, uint32_t wanted, uint64_t built,
                   uint64_t loaded) {
    pp_device_counters counters;
    ck_assert_uint_eq(run_once(text, value, &(pp_device_options){.cache_dir = folder}, &counters),
                      wanted);
    ck_assert_uint_eq(counters.programs_built, built);
    ck_assert_uint_eq(counters.programs_loaded, loaded);
}

/* The path of the only file in the cache folder. */
static void find_file(char path[512]) {
    DIR *listing = opendir(folder);
    ck_assert(listing != NULL);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] != '.') {
            snprintf(path, 512, "%s/%s", folder, entry->d_name);
            count++;
        }
    closedir(listing);
    ck_assert_uint_eq(count, 1);
}

START_TEST(loads_what_it_saved) {
    expect(answer, 5, 5, 1, 0);
    expect(answer, 5, 5, 0, 1);
    expect(answer, 6, 6, 1, 0);        /* other options */
    expect(other_answer, 5, 77, 1, 0); /* other text */
    expect(answer, 5, 5, 0, 1);
}
END_TEST

/* Applies `damage` to the saved file and expects a build, and that the file is sound again after
 * it. */
static void expect_repair(void (*damage)(const char *path)) {
    expect(answer, 5, 5, 1, 0);
    char path[512];
    find_file(path);
    damage(path);
    expect(answer, 5, 5, 1, 0);
    expect(answer, 5, 5, 0, 1);
}

static void flip_last_byte(const char *path) {
    FILE *file = fopen(path, "r+b");
    fseek(file, -1, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void cut_short(const char *path) {
    struct stat info;
    ck_assert(stat(path, &info) == 0 && truncate(path, info.st_size / 2) == 0);
}

static void make_empty(const char *path) {
    ck_assert(truncate(path, 0) == 0);
}

static void claim_a_huge_binary(const char *path) {
    FILE *file = fopen(path, "r+b");
    uint64_t bytes = UINT64_MAX - 3;
    fseek(file, 16, SEEK_SET);
    fwrite(&bytes, sizeof bytes, 1, file);
    fclose(file);
}

static void change_the_key(const char *path) {
    FILE *file = fopen(path, "r+b");
    fseek(file, 32, SEEK_SET);
    fputc('~', file);
    fclose(file);
}

/* A sound file (the checksum fits, FNV-1a over key and binary) around a binary that no driver
 * takes. */
static void spoil_the_binary(const char *path) {
    uint64_t header[4], checksum = 0xCBF29CE484222325u;
    FILE *file = fopen(path, "r+b");
    ck_assert(fread(header, sizeof header, 1, file) == 1);
    for (uint64_t i = 0; i < header[1]; i++)
        checksum = (checksum ^ (uint64_t)fgetc(file)) * 0x100000001B3u;
    fseek(file, 0, SEEK_CUR);
    for (uint64_t i = 0; i < header[2]; i++) {
        fputc('z', file);
        checksum = (checksum ^ 'z') * 0x100000001B3u;
    }
    fseek(file, 24, SEEK_SET);
    fwrite(&checksum, sizeof checksum, 1, file);
    fclose(file);
}

START_TEST(rebuilds_damaged_files) {
    static void (*const damages[])(const char *) = {flip_last_byte, cut_short,
                                                    make_empty,     claim_a_huge_binary,
                                                    change_the_key, spoil_the_binary};
    expect_repair(damages[_i]);
}
END_TEST

/* An allocator that remembers the largest request. */
static void *allocate_noted(void *user, size_t bytes) {
    size_t *largest = user;
    if (bytes > *largest) *largest = bytes;
    return malloc(bytes);
}

static void release_noted(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(a_header_alone_costs_no_memory) {
    size_t largest = 0, bytes;
    pp_engine_options options = {.allocator = {allocate_noted, release_noted, &largest}};
    pp_engine *engine;
    pp_device *device;
    ck_assert(pp_engine_create(&options, &engine) == PP_OK);
    ck_assert(pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"),
                             &(pp_device_options){.cache_dir = folder}, &device) == PP_OK);
    pp__cache_save(device, "key", (const unsigned char *)"binary", 6);
    char path[512];
    find_file(path);
    FILE *file = fopen(path, "r+b");
    uint64_t claimed = (uint64_t)1 << 29;
    fseek(file, 16, SEEK_SET);
    fwrite(&claimed, sizeof claimed, 1, file);
    fclose(file);
    largest = 0;
    unsigned char *binary;
    ck_assert(pp__cache_load(device, "key", &binary, &bytes) == PP_OK);
    ck_assert(!binary);
    ck_assert_uint_lt(largest, 4096);
    pp_device_close(device);
    pp_engine_destroy(engine);
}
END_TEST

START_TEST(works_without_a_folder) {
    /* A path below a plain file can neither be made nor read, not even by root. */
    char file[160];
    snprintf(file, sizeof file, "%s/plain%u", test_scratch_folder(), folder_count);
    fclose(fopen(file, "w"));
    snprintf(folder, sizeof folder, "%s/plain%u/cache", test_scratch_folder(), folder_count);
    expect(answer, 5, 5, 1, 0);
    expect(answer, 5, 5, 1, 0);
}
END_TEST

START_TEST(can_be_turned_off) {
    pp_device_counters counters;
    pp_device_options options = {.no_cache = true, .cache_dir = folder};
    run_once(answer, 5, &options, &counters);
    ck_assert(access(folder, F_OK) != 0);
    options.no_cache = false;
    setenv("POCKETPROP_CACHE", "off", 1);
    run_once(answer, 5, &options, &counters);
    unsetenv("POCKETPROP_CACHE");
    ck_assert(access(folder, F_OK) != 0);
    ck_assert_uint_eq(counters.programs_built, 1);
}
END_TEST

START_TEST(finds_its_folder) {
    pp_device_counters counters;
    char path[200];
    snprintf(path, sizeof path, "%s-env", folder);
    setenv("POCKETPROP_CACHE_DIR", path, 1);
    run_once(answer, 5, NULL, &counters);
    unsetenv("POCKETPROP_CACHE_DIR");
    ck_assert(access(path, F_OK) == 0);
    char *before = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME")) : NULL;
    setenv("XDG_CACHE_HOME", folder, 1);
    run_once(answer, 5, NULL, &counters);
    if (before)
        setenv("XDG_CACHE_HOME", before, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(before);
    snprintf(path, sizeof path, "%s/pocketprop", folder);
    ck_assert(access(path, F_OK) == 0);
}
END_TEST

int main(void) {
    /* The tests choose their folders themselves. */
    unsetenv("POCKETPROP_CACHE");
    unsetenv("POCKETPROP_CACHE_DIR");
    TCase *cache = tcase_create("cache");
    tcase_add_checked_fixture(cache, set_up, NULL);
    tcase_add_test(cache, loads_what_it_saved);
    tcase_add_loop_test(cache, rebuilds_damaged_files, 0, 6);
    tcase_add_test(cache, a_header_alone_costs_no_memory);
    tcase_add_test(cache, works_without_a_folder);
    tcase_add_test(cache, can_be_turned_off);
    tcase_add_test(cache, finds_its_folder);
    Suite *suite = suite_create("program");
    suite_add_tcase(suite, cache);
    return test_run(suite);
}
