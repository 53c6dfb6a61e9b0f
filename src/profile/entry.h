/* What a profile is in memory, shared by the files that load, change and write one. */
#ifndef PP_PROFILE_ENTRY_H
#define PP_PROFILE_ENTRY_H

#include "profile/profile.h"
#include "profile/range.h"

enum { PP__PROFILE_KEY = 64, PP__PROFILE_NAME = 64 };

typedef struct pp__profile_entry {
    char key[PP__PROFILE_KEY];
    size_t value;
    size_t inherited; /* what the profile's ancestors say */
    bool is_own;      /* the profile's own file or pp_profile_set gave the value */
    bool in_bytes;    /* K, M and G may stand behind it */
    bool may_be_zero;
    pp__range range;
    const char *
        origin; /* the text that set it last; compared, never read. Texts of one load are told apart
                   by address, because a descendant's is held while its ancestors' are read */
} pp__profile_entry;

struct pp_profile {
    pp_engine *engine;
    char name[PP__PROFILE_NAME];
    char base[PP__PROFILE_NAME]; /* the shipped profile that it is, or whose numbers it changes */
    pp__profile_entry *entries;
    size_t entry_count, entry_capacity;
    pp_status *status; /* apart from the struct, because look-ups take a const profile */
};

/* The entry of that key, or NULL; the key need not be terminated. */
pp__profile_entry *pp__profile_entry_find(const pp_profile *profile, const char *key,
                                          size_t length);

/* True when the entry may have that value; else *why_out is what was expected. */
typedef struct pp__expected_text {
    char text[256];
} pp__expected_text;
bool pp__profile_entry_allows(const pp__profile_entry *entry, size_t value,
                              pp__expected_text *why_out);

#endif
