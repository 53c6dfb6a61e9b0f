/* Keys that a profile may leave out. */
#ifndef PP_PROFILE_LOOKUP_H
#define PP_PROFILE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include <pocketprop/profile.h>

/* The number behind `key`, or false: `<stem>.group_x` exists only where a profile sets it. */
bool pp__profile_find(const pp_profile *profile, const char *key, size_t *value_out);

#endif
