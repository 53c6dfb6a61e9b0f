/* Writing files that fails on demand. Programs listed in tests/CMakeLists.txt are linked with the
 * linker's --wrap for the calls below, as faulty_cl.h does it for OpenCL:
 *
 *     open fdopen mkstemp write fwrite fflush fsync fclose close rename
 *
 * Calls that only read are not told apart; a test counts around what writes. */
#ifndef PP_TEST_FAULTY_FILES_H
#define PP_TEST_FAULTY_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* From now on, call number `fail_at` (from 1; 0: none) fails with ENOSPC, as a full disk makes it
 * do. What closes fails after it has closed; a write puts half of its bytes first. */
void faulty_files_start(size_t fail_at);

/* Counts no more; the name of the call that failed, or NULL. */
const char *faulty_files_stop(void);

/* Whether fsync has been called for this file or folder since the counting began. */
bool faulty_files_synced(const char *path);

#endif
