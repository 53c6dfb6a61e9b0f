/* What the options of all commands set, their defaults, and the option groups that commands share.
 */
#ifndef PP_CLI_SETTINGS_H
#define PP_CLI_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pocketprop/pocketprop.h>
#include <pocketprop/weights.h>

/* The value of a number that nobody gave and that has no fixed default. */
#define CLI_AUTOMATIC_COUNT UINT64_MAX
#define CLI_AUTOMATIC_REAL (-1.0)

enum { CLI_OVERRIDE_CAPACITY = 64 };

typedef struct cli_triple {
    float values[3];
    size_t count; /* 0: not given */
} cli_triple;

typedef struct cli_overrides {
    pp_codec_override items[CLI_OVERRIDE_CAPACITY];
    size_t count;
} cli_overrides;

enum { CLI_BAND_CAPACITY = 256 };
typedef struct cli_bands {
    pp_band items[CLI_BAND_CAPACITY];
    size_t count;
} cli_bands;

typedef struct cli_spans {
    pp_span items[CLI_BAND_CAPACITY];
    size_t count;
} cli_spans;

typedef struct cli_rules {
    pp_parameter_rule items[CLI_OVERRIDE_CAPACITY];
    size_t count;
} cli_rules;

typedef struct cli_renames {
    pp_rename items[CLI_OVERRIDE_CAPACITY];
    size_t count;
} cli_renames;

/* Texts are borrowed from the command line; NULL where nobody gave one. */
typedef struct cli_settings {
    /* network */
    const char *model;
    uint64_t height, width, channels, classes; /* 0: the model's, or the data's */
    double dropout, label_smoothing;
    bool float_input;

    /* weights */
    const char *weights, *save, *floats;
    cli_renames renames;
    bool partial;

    /* plan */
    uint64_t batch, accumulate;
    const char *codec, *profile;
    cli_overrides overrides;
    cli_bands bands;
    cli_spans recompute;
    cli_rules rules;
    uint64_t budget; /* bytes; 0: none */
    const char *policy, *save_policy, *compare, *html;
    bool inference, all_rows;

    /* data */
    const char *data, *split;
    uint64_t limit;
    bool augment, no_augment, flip;
    uint64_t pad;
    cli_triple mean, deviation;
    uint64_t threads;

    /* optimizer and schedule */
    const char *optimizer, *optimizer_bits, *schedule;
    const char *transient_bits;
    double momentum, weight_decay, clip_norm, learning_rate, gamma;
    bool nesterov, decay_all;
    uint64_t warmup, step_every;

    /* the run */
    uint64_t epochs, steps, seed, time_limit;
    const char *on_nan;
    const char *checkpoint; /* a folder */
    uint64_t checkpoint_every, keep;
    bool resume;
    uint64_t adapt;                   /* updates in front of a plan by measured signals; 0: none */
    uint64_t batches, draws, warm_up; /* of fidelity: exact steps in front */
    const char *device, *log, *report, *dump, *trace, *out;
    bool no_cache, json, help;
} cli_settings;

/* What --codec or --budget asks for, in words. */
const char *cli_policy_name(const cli_settings *settings);

extern const cli_settings cli_defaults;

/* The option groups that several commands share (args.h). */
extern const struct cli_group cli_network_options;   /* --model ... --float-input */
extern const struct cli_group cli_weight_options;    /* --weights, --rename, --partial */
extern const struct cli_group cli_shape_options;     /* --channels, --classes: without a data set */
extern const struct cli_group cli_plan_options;      /* --batch */
extern const struct cli_group cli_codec_options;     /* --codec, --override, --budget, --band */
extern const struct cli_group cli_data_options;      /* --data, --limit, --mean, --threads, ... */
extern const struct cli_group cli_optimizer_options; /* --optimizer ... --accumulate */
extern const struct cli_group cli_profile_options;   /* --profile */
extern const struct cli_group cli_trace_options;     /* --trace */
extern const struct cli_group cli_device_options;    /* --device, --no-cache */
extern const struct cli_group cli_output_options;    /* --json, --help */

#endif
