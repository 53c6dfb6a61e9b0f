/* Files that a command writes beside its output: every call that opens, flushes, closes or renames
 * fails once; the old file is whole then, and no other beside it. */
#include "cli/outfile.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "io/make_files.h"
#include "support/faulty_files.h"
#include "support/support.h"

static const cli_command command = {.name = "test"};

/* Longer than a stream's buffer. */
enum { LINES = 2000 };

static int write_lines(const char *path, char letter) {
    cli_outfile outfile;
    int code = cli_outfile_open(&outfile, &command, "--out", path);
    for (size_t i = 0; code == CLI_OK && i < LINES; i++)
        fprintf(outfile.file, "%c line %zu\n", letter, i);
    if (code == CLI_OK) code = cli_outfile_finish(&outfile);
    cli_outfile_discard(&outfile);
    return code;
}

static void expect_file(const char *path, const char *folder, char letter) {
    size_t bytes, files = 0, lines = 0;
    char *text = (char *)make_copy(path, &bytes);
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    ck_assert(text[0] == letter && lines == LINES);
    free(text);
    DIR *listing = opendir(folder);
    ck_assert(listing != NULL);
    for (struct dirent *entry; (entry = readdir(listing));) files += entry->d_name[0] != '.';
    closedir(listing);
    ck_assert_uint_eq(files, 1);
}

START_TEST(every_call_fails_once) {
    const char *folder = make_folder("out"), *path = make_path("out/file");
    ck_assert_int_eq(write_lines(path, 'a'), CLI_OK);
    size_t n = 1;
    for (;; n++) {
        faulty_files_start(n);
        const int code = write_lines(path, 'b');
        const char *call = faulty_files_stop();
        if (!call) {
            ck_assert_int_eq(code, CLI_OK);
            break;
        }
        ck_assert_msg(code != CLI_OK, "call %zu, %s: it went on", n, call);
        expect_file(path, folder, 'a');
    }
    ck_assert_uint_gt(n, 5);
    expect_file(path, folder, 'b');
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/outfile");
    TCase *test = tcase_create("host");
    tcase_add_test(test, every_call_fails_once);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
