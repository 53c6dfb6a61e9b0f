/* Names by rules that a user gives (pp_rename). */
#ifndef PP_STORE_RENAME_H
#define PP_STORE_RENAME_H

#include <pocketprop/weights.h>
#include <stdbool.h>

enum { PP__RENAME_TEXT = 512 };

/* By the first rule that matches; without one the name stays. False: it would be too long. */
bool pp__rename(const pp_rename *rules, size_t rule_count, const char *name,
                char renamed[PP__RENAME_TEXT]);

#endif
