/* Policies: the text behind --codec, and overrides. The table in include/pocketprop/plan.h is this
 * file in words; each kind's default follows from facts in the codec table, not from names. */
#include <string.h>

#include "plan/plan.h"

static const char *const kind_names[PP__SAVED_KIND_COUNT] = {
    [PP__SAVED_NORMALISED] = "normalised", [PP__SAVED_ACTIVATION] = "activation",
    [PP__SAVED_INPUT] = "input",           [PP__SAVED_MASK] = "mask",
    [PP__SAVED_INDEX] = "index",
};

/* What each kind falls back on where the policy's own codec cannot serve it. */
static const struct {
    const char *exact, *lossy;
} fallbacks[PP__SAVED_KIND_COUNT] = {
    [PP__SAVED_NORMALISED] = {"raw", "raw"},  [PP__SAVED_ACTIVATION] = {"raw", "half"},
    [PP__SAVED_INPUT] = {"raw", "half"},      [PP__SAVED_MASK] = {"signmask", "signmask"},
    [PP__SAVED_INDEX] = {"argmax", "argmax"},
};

const char *pp__saved_kind_name(pp__saved_kind kind) {
    return kind_names[kind];
}

static bool offers(const pp__coding *coding, pp__subject subject, pp__view view) {
    return (coding->codec->views[subject] & (uint32_t)view) != 0;
}

/* The codec of the menus that stores `subject` for `view` with as many bits as `base`, or the next
 * more. False: the base has no bits, or there is none. */
static bool find_companion(pp_engine *engine, const pp__coding *base, pp__subject subject,
                           pp__view view, pp__coding *coding_out) {
    bool found = false;
    if (!base->bits) return false;
    for (size_t c = 0; c < pp__codec_count(); c++) {
        for (const char *const *text = pp__codec_at(c)->menu; text && *text; text++) {
            pp__coding coding;
            if (pp__coding_read(engine, *text, &coding) != PP_OK) continue;
            if (!offers(&coding, subject, view) || coding.bits < base->bits) continue;
            if (found && coding.bits >= coding_out->bits) continue;
            *coding_out = coding;
            found = true;
        }
    }
    return found;
}

pp_status pp__policy_read(pp_engine *engine, const char *text, pp__policy *policy_out) {
    memset(policy_out, 0, sizeof *policy_out);
    pp__coding base;
    PP_TRY(pp__coding_read(engine, text, &base));
    bool normalised = offers(&base, PP__SUBJECT_NORMALISED, PP__VIEW_XHAT);
    bool activation = offers(&base, PP__SUBJECT_ACTIVATION, PP__VIEW_VALUE);
    if ((!normalised && !activation) || base.codec->staged)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "codec '%s' stores masks, indices or images only; a policy is raw, half, "
                        "norm:K, btc:W, group:K, avgpool:W, bitmap or pool:W+residual:K",
                        text);
    bool lossless = base.codec->stores_itself || base.codec->pooled || base.codec->behind_relu;
    for (int kind = 0; kind < PP__SAVED_KIND_COUNT; kind++) {
        const char *name = lossless ? fallbacks[kind].exact : fallbacks[kind].lossy;
        PP_TRY(pp__coding_read(engine, name, &policy_out->fallback[kind]));
        policy_out->kinds[kind].coding = policy_out->fallback[kind];
    }
    pp__coding *root = &policy_out->kinds[PP__SAVED_NORMALISED].coding;
    pp__coding *value = &policy_out->kinds[PP__SAVED_ACTIVATION].coding;
    if (normalised)
        *root = base;
    else if (!base.codec->pooled)
        (void)find_companion(engine, &base, PP__SUBJECT_NORMALISED, PP__VIEW_XHAT, root);
    if (activation)
        *value = base;
    else
        (void)find_companion(engine, &base, PP__SUBJECT_ACTIVATION, PP__VIEW_VALUE, value);
    if (activation && !base.codec->pooled && !base.codec->behind_relu && !base.bits)
        policy_out->kinds[PP__SAVED_INPUT].coding = base;
    policy_out->kinds[PP__SAVED_ACTIVATION].view = !base.codec->pooled && !base.codec->apart;
    policy_out->kinds[PP__SAVED_MASK].view = true;
    return PP_OK;
}

pp_status pp__policy_keep_bytes(pp_engine *engine, pp__policy *policy) {
    return pp__coding_read(engine, "bytes", &policy->kinds[PP__SAVED_INPUT].coding);
}

/* Matches with * (any run) and ? (any one character). On a mismatch only the last * takes one
 * character more, so the time is at most the product of the lengths. */
bool pp__plan_matches(const char *pattern, size_t length, const char *text) {
    const char *end = pattern + length, *star = NULL, *retry = NULL;
    while (*text) {
        if (pattern < end && *pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (pattern < end && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*') pattern++;
    return pattern == end;
}

bool pp__policy_matches(const char *pattern, const char *node, pp__saved_kind kind) {
    const char *at = strchr(pattern, '@');
    if (!at) return pp__plan_matches(pattern, strlen(pattern), node);
    if (strcmp(at + 1, kind_names[kind]) != 0) return false;
    return at == pattern || pp__plan_matches(pattern, (size_t)(at - pattern), node);
}

/* A codec that can serve the kind at all, whatever the node. */
static bool serves(const pp__coding *coding, pp__saved_kind kind) {
    switch (kind) {
        case PP__SAVED_NORMALISED: return offers(coding, PP__SUBJECT_NORMALISED, PP__VIEW_XHAT);
        case PP__SAVED_ACTIVATION:
        case PP__SAVED_INPUT: return offers(coding, PP__SUBJECT_ACTIVATION, PP__VIEW_VALUE);
        case PP__SAVED_MASK: return offers(coding, PP__SUBJECT_ACTIVATION, PP__VIEW_MASK);
        case PP__SAVED_INDEX: return offers(coding, PP__SUBJECT_BITS, PP__VIEW_INDEX);
        case PP__SAVED_KIND_COUNT: break;
    }
    return false;
}

/* What an override by name does to a kind: what a policy of its codec would, so that a value has
 * one code with views on it. A mask changes only where the codec stores nothing else. */
static bool changes_by_name(pp__choice *choice, pp__saved_kind kind) {
    if (!serves(&choice->coding, kind)) return false;
    if (kind == PP__SAVED_MASK)
        return !offers(&choice->coding, PP__SUBJECT_ACTIVATION, PP__VIEW_VALUE);
    choice->view = kind == PP__SAVED_ACTIVATION && !choice->coding.codec->pooled &&
                   !choice->coding.codec->apart;
    return true;
}

/* Nothing becomes what the application hands over, and that stays what it is unless its kind is
 * named. */
static bool respects_staging(const pp__policy *policy, pp__saved_kind kind,
                             const pp__coding *coding, bool by_kind) {
    bool is_staged = policy->kinds[kind].coding.codec->staged;
    return coding->codec->staged ? is_staged && by_kind : !is_staged || by_kind;
}

pp_status pp__policy_choose(pp_engine *engine, const pp__policy *policy,
                            const pp_plan_options *options, const char *node, pp__saved_kind kind,
                            pp__choice *choice_out, bool *used) {
    *choice_out = policy->kinds[kind];
    for (size_t i = 0; i < options->override_count; i++) {
        const pp_codec_override *override = &options->overrides[i];
        bool by_kind = strchr(override->pattern, '@') != NULL;
        if (!pp__policy_matches(override->pattern, node, kind)) continue;
        pp__choice choice = {.view = true, .coding = policy->fallback[kind]};
        bool possible;
        if (!strcmp(override->codec, "view")) {
            possible = kind == PP__SAVED_ACTIVATION || kind == PP__SAVED_MASK;
        } else {
            choice.view = false;
            PP_TRY(pp__coding_read(engine, override->codec, &choice.coding));
            possible = (by_kind ? serves(&choice.coding, kind) : changes_by_name(&choice, kind)) &&
                       respects_staging(policy, kind, &choice.coding, by_kind);
        }
        if (!possible && by_kind)
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                            "override %s=%s: codec '%s' cannot store this kind", override->pattern,
                            override->codec, override->codec);
        /* A node has values of several kinds; an override by name changes those that its codec can
         * store. */
        if (!possible) continue;
        *choice_out = choice;
        choice_out->stated = true;
        used[i] = true;
    }
    return PP_OK;
}
