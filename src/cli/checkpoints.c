#include "cli/checkpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

static bool had_adapted(const cli_checkpoints *c) {
    pp_checkpoint_place place;
    pp_checkpoint_describe(c->from, &place);
    const uint64_t adapt = c->setup->settings->adapt;
    return adapt && place.updates > adapt;
}

int cli_checkpoints_open(cli_checkpoints *c, cli_setup *setup) {
    const cli_settings *settings = setup->settings;
    *c = (cli_checkpoints){.setup = setup};
    if (!settings->checkpoint) {
        if (!settings->resume && !settings->checkpoint_every) return CLI_OK;
        return cli_fail(setup->command, "--%s: found no --checkpoint, expected the folder",
                        settings->resume ? "resume" : "checkpoint-every");
    }
    pp_checkpoint *checkpoint = NULL;
    int code =
        cli_check(setup, pp_checkpoint_open(setup->engine, settings->checkpoint, &checkpoint));
    if (code) return code;
    if (checkpoint && !settings->resume) {
        code = cli_fail(setup->command,
                        "--checkpoint: found '%s', expected a folder without checkpoints, or "
                        "--resume to go on from them",
                        pp_checkpoint_path(checkpoint));
        pp_checkpoint_close(checkpoint);
        return code;
    }
    c->from = checkpoint;
    if (!checkpoint) return CLI_OK;
    pp_checkpoint_place place;
    pp_checkpoint_describe(checkpoint, &place);
    c->saved_at = place.updates;
    if (had_adapted(c)) setup->stored_policy = place.policy;
    setup->stored_batch = place.batch;
    if (place.seed == settings->seed) return CLI_OK;
    return cli_fail(setup->command,
                    "--seed: found %" PRIu64 ", expected %" PRIu64 ", that of the run in %s",
                    settings->seed, place.seed, pp_checkpoint_path(checkpoint));
}

int cli_checkpoints_make_folder(const cli_checkpoints *c) {
    const char *folder = c->setup->settings->checkpoint;
    if (!folder) return CLI_OK;
    if ((mkdir(folder, 0777) == 0 || errno == EEXIST) && access(folder, W_OK | X_OK) == 0)
        return CLI_OK;
    return cli_fail(c->setup->command,
                    "--checkpoint: found '%s', expected a folder that can be made and written: %s",
                    folder, strerror(errno));
}

void cli_checkpoints_close(cli_checkpoints *c) {
    pp_checkpoint_close(c->from);
    free(c->epochs);
    *c = (cli_checkpoints){0};
}

int cli_checkpoints_add(cli_checkpoints *c, const cli_epoch *epoch) {
    if (!c->setup->settings->checkpoint) return CLI_OK;
    if (c->epoch_count == c->epoch_capacity) {
        const size_t capacity = c->epoch_capacity ? 2 * c->epoch_capacity : 64;
        cli_epoch *epochs = realloc(c->epochs, capacity * sizeof *epochs);
        if (!epochs) {
            cli_fail(c->setup->command, "no host memory for %zu epochs", capacity);
            return CLI_FAILURE;
        }
        c->epochs = epochs;
        c->epoch_capacity = capacity;
    }
    c->epochs[c->epoch_count++] = *epoch;
    return CLI_OK;
}

/* The checkpoint's note: a line per whole epoch, its numbers in hexadecimal, which loses nothing. */
static void print_epochs(const cli_checkpoints *c, pp__text *note) {
    for (size_t i = 0; i < c->epoch_count; i++) {
        const cli_epoch *e = &c->epochs[i];
        pp__text_add(note, "%a %a %a %a %a %a %a\n", e->train_loss, e->train_top1, e->test_loss,
                     e->test_top1, e->images_per_second, e->learning_rate, e->seconds);
    }
}

static int read_epochs(cli_checkpoints *c, const char *note) {
    int code = CLI_OK;
    cli_epoch e;
    while (note && !code &&
           sscanf(note, "%la %la %la %la %la %la %la", &e.train_loss, &e.train_top1, &e.test_loss,
                  &e.test_top1, &e.images_per_second, &e.learning_rate, &e.seconds) == 7) {
        code = cli_checkpoints_add(c, &e);
        note = strchr(note, '\n');
        if (note) note++;
    }
    return code;
}

static void print_schedule(cli_checkpoints *c, const pp_schedule *s) {
    snprintf(c->schedule, sizeof c->schedule,
             "%s from %.9g, %" PRIu64 " updates, %" PRIu64
             " of warm-up, a factor of %.9g every "
             "%" PRIu64,
             c->setup->settings->schedule, (double)s->base, s->total_steps, s->warmup_steps,
             (double)s->gamma, s->step_every);
}

int cli_checkpoints_load(cli_checkpoints *c, const pp_schedule *schedule, uint64_t *epoch_out,
                         uint64_t *samples_out) {
    cli_setup *setup = c->setup;
    *epoch_out = *samples_out = 0;
    if (!setup->settings->checkpoint) return CLI_OK;
    print_schedule(c, schedule);
    if (!c->from) {
        if (setup->settings->resume)
            fprintf(stderr, "%s has no checkpoint; the run begins\n", setup->settings->checkpoint);
        return CLI_OK;
    }
    int code = cli_check(setup, pp_checkpoint_load(c->from, setup->session));
    if (code) return code;
    pp_checkpoint_place place;
    pp_checkpoint_describe(c->from, &place);
    code = read_epochs(c, place.note);
    if (code) return code;
    *epoch_out = place.epoch;
    *samples_out = place.samples;
    fprintf(stderr, "resumed from %s: %" PRIu64 " updates, %" PRIu64 " whole epochs\n",
            pp_checkpoint_path(c->from), place.updates, place.epoch);
    if (place.schedule && strcmp(place.schedule, c->schedule) != 0)
        fprintf(stderr, "another schedule than before (%s): now %s\n", place.schedule, c->schedule);
    return CLI_OK;
}

bool cli_checkpoints_due(const cli_checkpoints *c) {
    const cli_settings *settings = c->setup->settings;
    if (!settings->checkpoint || c->pending) return settings->checkpoint != NULL;
    return settings->checkpoint_every &&
           pp_session_update_count(c->setup->session) >= c->saved_at + settings->checkpoint_every;
}

void cli_checkpoints_save(cli_checkpoints *c, uint64_t epoch, uint64_t samples) {
    cli_setup *setup = c->setup;
    const cli_settings *settings = setup->settings;
    if (!settings->checkpoint) return;
    char *policy = NULL, *epochs = NULL;
    pp__text note = {.engine = setup->engine};
    print_epochs(c, &note);
    pp_status status = pp__text_take(&note, &epochs);
    if (status == PP_OK) status = pp_plan_print_policy(setup->plan, &policy);
    const pp_checkpoint_place place = {.epoch = epoch,
                                       .samples = samples,
                                       .policy = policy,
                                       .schedule = c->schedule,
                                       .note = epochs};
    if (status == PP_OK)
        status = pp_checkpoint_save(setup->session, settings->checkpoint, &place,
                                    (uint32_t)settings->keep);
    pp_text_free(setup->engine, policy);
    pp_text_free(setup->engine, epochs);
    c->pending = status == PP_ERROR_UNSUPPORTED;
    if (c->pending) return;
    c->failed = status != PP_OK;
    if (status == PP_OK)
        c->saved_at = pp_session_update_count(setup->session);
    else
        fprintf(stderr, "pocketprop %s: --checkpoint: nothing saved: %s\n", setup->command->name,
                pp_engine_error(setup->engine));
}
