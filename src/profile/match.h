/* Which profile fits a device. */
#ifndef PP_PROFILE_MATCH_H
#define PP_PROFILE_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "profile/profile.h"

/* Whether the text has match strings and all of them fit. */
bool pp__profile_fits(const char *profile_text, const pp__profile_subject *subject);

/* How many ancestors a profile has. */
size_t pp__profile_depth(const char *profile_text);

#endif
