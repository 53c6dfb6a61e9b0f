/* From lives to live bytes, and from those to places (memory/planner.h). */
#include "plan/plan.h"

#include "profile/profile.h"

static pp_status fail_layout(const pp_plan *plan, pp_status status, size_t offender,
                             const pp__layout_limits *limits, size_t capacity) {
    if (status != PP_ERROR_OUT_OF_MEMORY)
        return pp__fail(plan->engine, PP_ERROR_INTERNAL, "plan: the planner refuses its lives (%s)",
                        pp_status_name(status));
    if (offender < plan->piece_count)
        return pp__fail(plan->engine, status,
                        "plan: '%s' needs %zu bytes, but one device allocation holds at most %zu; "
                        "take a smaller batch",
                        plan->buffers[plan->pieces[offender].buffer].name,
                        plan->pieces[offender].bytes, limits->chunk_bytes);
    return pp__fail(plan->engine, status,
                    "plan: more than %zu device allocations of %zu bytes are needed", capacity,
                    limits->chunk_bytes);
}

/* A kernel's offset counts elements in 32 bits, and the elements of a code are bytes. Chunks that
 * end there also keep every count of float32 elements below 2^30, so that kernels' indices within
 * one tensor fit int. */
static size_t chunk_limit(const pp_profile *profile) {
    size_t allowed = pp__profile_bytes(profile, "memory.max_allocation_bytes");
    return allowed && allowed < UINT32_MAX ? allowed : UINT32_MAX;
}

static pp_status run_planner(pp_plan *plan, const pp_profile *profile,
                             const pp__layout_limits *given, pp__life *lives, void *scratch) {
    pp__layout_limits limits = *given;
    limits.alignment_bytes = pp__profile_bytes(profile, "memory.alignment_bytes");
    plan->alignment_bytes = limits.alignment_bytes;
    limits.chunk_bytes = chunk_limit(profile);
    size_t capacity = pp__profile_u32(profile, "memory.max_chunks"), offender = 0;
    pp__release(plan->engine, plan->chunk_bytes);
    plan->chunk_bytes = NULL;
    PP_TRY(pp__allocate(plan->engine, capacity, sizeof *plan->chunk_bytes, &plan->chunk_bytes));
    for (size_t i = 0; i < plan->piece_count; i++) {
        const pp__plan_piece *piece = &plan->pieces[i];
        lives[i] = (pp__life){.bytes = piece->bytes, .first = piece->first, .last = piece->last};
    }
    pp_status status = pp__planner_run(lives, plan->piece_count, &limits, scratch,
                                       plan->chunk_bytes, capacity, &plan->layout, &offender);
    if (status != PP_OK) return fail_layout(plan, status, offender, &limits, capacity);
    for (size_t i = 0; i < plan->piece_count; i++) {
        plan->pieces[i].chunk = lives[i].chunk;
        plan->pieces[i].offset_bytes = lives[i].offset_bytes;
    }
    const size_t total = pp__profile_bytes(profile, "memory.total_bytes");
    if (total && plan->layout.peak_bytes > total)
        return pp__fail(plan->engine, PP_ERROR_OUT_OF_MEMORY,
                        "plan: a step takes %zu bytes at its peak, the device has %zu; take a "
                        "smaller batch, a codec or a budget",
                        plan->layout.peak_bytes, total);
    return pp__profile_status(profile);
}

pp_status pp__plan_place(pp_plan *plan, const pp_profile *profile, size_t enough_bytes,
                         unsigned haste) {
    const pp__layout_limits limits = {.enough_bytes = enough_bytes, .haste = haste};
    pp__life *lives = NULL;
    void *scratch = NULL;
    pp_status status = PP_OK;
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->piece_count, sizeof *lives, &lives), done);
    PP_TRY_GOTO(
        status,
        pp__allocate(plan->engine, pp__planner_scratch_bytes(plan->piece_count), 1, &scratch),
        done);
    PP_TRY_GOTO(status, run_planner(plan, profile, &limits, lives, scratch), done);
done:
    pp__release(plan->engine, lives);
    pp__release(plan->engine, scratch);
    return status;
}

pp_status pp__plan_measure(pp_plan *plan) {
    PP_TRY(
        pp__allocate(plan->engine, plan->step_count, sizeof *plan->live_bytes, &plan->live_bytes));
    for (size_t i = 0; i < plan->piece_count; i++)
        for (size_t s = plan->pieces[i].first; s <= plan->pieces[i].last; s++)
            plan->live_bytes[s] += plan->pieces[i].bytes;
    plan->layout = (pp__layout){0};
    for (size_t s = 0; s < plan->step_count; s++)
        if (plan->live_bytes[s] > plan->layout.lower_bound_bytes) {
            plan->layout.lower_bound_bytes = plan->live_bytes[s];
            plan->layout.peak_step = s;
        }
    return PP_OK;
}
