/* A session for fuzzers whose reader writes into one: a small network with a convolution, a
 * batch-norm and a dense layer, on the first device. */
#ifndef PP_TEST_FUZZ_SESSION_H
#define PP_TEST_FUZZ_SESSION_H

#include "fuzz/fuzz.h"

/* Made on first use, and kept to the end of the process. */
pp_session *fuzz_session(void);

#endif
