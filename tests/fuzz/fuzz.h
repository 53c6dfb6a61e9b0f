/* What the fuzzers of file readers share. Each fuzz_<reader>.c defines LLVMFuzzerTestOneInput and is
 * linked with libFuzzer, or with replay.c, which feeds it the files of a folder.
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
 *         pp__idx idx;
 *         fuzz_check(pp__idx_read(fuzz_engine(), fuzz_file(bytes, count), 3, &idx));
 *         pp__idx_release(fuzz_engine(), &idx);
 *         fuzz_end();
 *         return 0;
 *     }
 *
 * What does not hold ends the process by abort, which is what libFuzzer takes for a find.
 */
#ifndef PP_TEST_FUZZ_H
#define PP_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pocketprop/pocketprop.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Made on first use. Its allocator counts, and refuses more than 64 MiB at a time, as a small
 * machine does: an input that claims gigabytes is then refused and not slow. */
pp_engine *fuzz_engine(void);

/* The path of a file that holds these bytes until the next call. */
const char *fuzz_file(const uint8_t *bytes, size_t count);

/* The bytes with a NUL behind them, which the caller frees. */
char *fuzz_text(const uint8_t *bytes, size_t count);

/* A folder of this process, removed at its end, for readers that look for files by name. */
const char *fuzz_folder(void);

/* Aborts where a reader fails with a status that no input may cause, or without a sentence. Returns
 * whether it succeeded. */
bool fuzz_check(pp_status status);

/* Aborts unless `condition` holds; `what` says which invariant it was. */
void fuzz_expect(bool condition, const char *what);

/* At the end of an input: aborts where host memory is left. What was allocated before fuzz_begin,
 * or before the first input, is not counted. */
void fuzz_begin(void);
void fuzz_end(void);

#endif
