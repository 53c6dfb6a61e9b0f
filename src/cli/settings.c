#include "cli/settings.h"

#include "cli/args.h"

const cli_settings cli_defaults = {
    .batch = 64,
    .accumulate = 1,
    .split = "test",
    .pad = CLI_AUTOMATIC_COUNT,
    .threads = 1,
    .optimizer = "sgd",
    .optimizer_bits = "32",
    .transient_bits = "32",
    .schedule = "cosine",
    .on_nan = "stop",
    .momentum = 0.9,
    .weight_decay = 1e-4,
    .learning_rate = CLI_AUTOMATIC_REAL,
    .gamma = 0.1,
    .epochs = 1,
    .steps = 20,
    .time_limit = 60,
    .batches = 4,
    .draws = 4,
    .warm_up = 50,
    .seed = 1,
    .keep = 3,
};

const cli_group cli_network_options = {
    "Network",
    (const cli_option[]){
        {"model", "NAME",
         "one of the built-in networks, e.g. lenet, resnet20, resnet18-cifar, resnet50", CLI_TEXT,
         .offset = offsetof(cli_settings, model), .required = true},
        {"height", "N",
         "of the input; of image folders with data, where the model's own is the default",
         CLI_COUNT, .offset = offsetof(cli_settings, height), .least = 1, .most = 65536},
        {"width", "N", "likewise; the height when only that is given", CLI_COUNT,
         .offset = offsetof(cli_settings, width), .least = 1, .most = 65536},
        {"float-input", NULL,
         "images come to the device normalised, in float32, in the place of their bytes", CLI_FLAG,
         .offset = offsetof(cli_settings, float_input)},
        {0}}};

const cli_group cli_weight_options = {
    "Weights",
    (const cli_option[]){
        {"weights", "FILE",
         "a safetensors file with PyTorch's names, in the place of random weights", CLI_TEXT,
         .offset = offsetof(cli_settings, weights)},
        {"rename", "FROM=TO",
         "tensors in the file that are called otherwise, e.g. 'backbone.*=*'; may be given several "
         "times, the first match counts",
         CLI_RENAME, .offset = offsetof(cli_settings, renames)},
        {"partial", NULL,
         "load what fits by name and shape and say what does not, for another head for example",
         CLI_FLAG, .offset = offsetof(cli_settings, partial)},
        {0}}};

const cli_group cli_shape_options = {
    "Shape",
    (const cli_option[]){
        {"channels", "N", "of the input; the model's own by default", CLI_COUNT,
         .offset = offsetof(cli_settings, channels), .least = 1, .most = 65536},
        {"classes", "N", "outputs of the classifier; the model's own by default", CLI_COUNT,
         .offset = offsetof(cli_settings, classes), .least = 1, .most = 16777216},
        {0}}};

const cli_group cli_plan_options = {
    "Plan",
    (const cli_option[]){
        {"batch", "N",
         "samples per step; auto: as many as fit the --budget, of those that there are", CLI_COUNT,
         .offset = offsetof(cli_settings, batch), .least = 1, .most = 1048576, .word = "auto"},
        {0}}};

const cli_group cli_profile_options = {
    "Profile",
    (const cli_option[]){
        {"profile", "NAME|PATH",
         "the device family's numbers, by name or from a file; an unknown name lists the shipped "
         "ones; without it the user's or the shipped one that matches the device, or default",
         CLI_TEXT, .offset = offsetof(cli_settings, profile)},
        {0}}};

const char *cli_policy_name(const cli_settings *settings) {
    return settings->codec    ? settings->codec
           : settings->budget ? "within the budget"
           : settings->policy ? "by the policy"
                              : "raw";
}

const cli_group cli_codec_options = {
    "Codec",
    (const cli_option[]){
        {"codec", "POLICY",
         "how activations are kept for the backward pass: raw (the default), half, norm:8, norm:4, "
         "btc:4, avgpool:2, "
         "avgpool:4, bitmap, ...",
         CLI_TEXT, .offset = offsetof(cli_settings, codec)},
        {"override", "PATTERN=CODEC",
         "another codec for the nodes that match, e.g. 'layer1.*=raw', or for a kind of value, "
         "e.g. @input=half; may be given several times, the last match wins",
         CLI_OVERRIDE, .offset = offsetof(cli_settings, overrides)},
        {"budget", "BYTES",
         "choose codecs and bands so that the peak of a step is at most this, e.g. 64M; --override "
         "and --band pin some",
         CLI_BYTES, .offset = offsetof(cli_settings, budget)},
        {"policy", "FILE", "decisions that --save-policy wrote, for the same network", CLI_TEXT,
         .offset = offsetof(cli_settings, policy)},
        {"save-policy", "FILE", "write what was decided for each value, to keep or to edit",
         CLI_TEXT, .offset = offsetof(cli_settings, save_policy)},
        {"band", "FIRST..LAST[=N]",
         "run the nodes FIRST to LAST on N images at a time, so that what lies between them takes "
         "memory for so many only; may be given several times",
         CLI_BAND, .offset = offsetof(cli_settings, bands)},
        {"recompute", "FIRST..LAST",
         "keep nothing of what lies between the nodes FIRST and LAST, and compute it again for "
         "backward; may be given several times",
         CLI_SPAN, .offset = offsetof(cli_settings, recompute)},
        {"transient-bits", "32|16",
         "of an activation's or gradient's element while no step uses it; 16: float16, and for "
         "gradients the upper half of a float32",
         CLI_CHOICE, .offset = offsetof(cli_settings, transient_bits)},
        {0}}};

const cli_group cli_data_options = {
    "Data",
    (const cli_option[]){
        {"data", "SPEC", "digits, mnist:DIR, cifar10:DIR, cifar100:DIR or images:DIR", CLI_TEXT,
         .offset = offsetof(cli_settings, data), .required = true},
        {"limit", "N", "use only the first N samples of a split", CLI_COUNT,
         .offset = offsetof(cli_settings, limit), .least = 1, .most = 4294967295.0},
        {"mean", "A[,B,C]",
         "subtracted from pixels in [0, 1], one for all channels or one for each; the data "
         "set's usual values by default",
         CLI_TRIPLE, .offset = offsetof(cli_settings, mean), .least = -1e6, .most = 1e6},
        {"deviation", "A[,B,C]", "divides them afterwards", CLI_TRIPLE,
         .offset = offsetof(cli_settings, deviation), .least = 1e-6, .most = 1e6},
        {"threads", "N", "background threads that prepare batches; they never change a result",
         CLI_COUNT, .offset = offsetof(cli_settings, threads), .least = 0, .most = 64},
        {0}}};

const cli_group cli_optimizer_options = {
    "Optimizer",
    (const cli_option[]){
        {"optimizer", "sgd|adam|adamw", "the update rule", CLI_CHOICE,
         .offset = offsetof(cli_settings, optimizer)},
        {"momentum", "X", "of sgd; 0 keeps no moment in memory", CLI_REAL,
         .offset = offsetof(cli_settings, momentum), .least = 0, .most = 0.999999},
        {"nesterov", NULL, "look ahead along the moment", CLI_FLAG,
         .offset = offsetof(cli_settings, nesterov)},
        {"optimizer-bits", "32|8",
         "of a moment's element; 8: in blocks with a float32 scale each, but for small parameters",
         CLI_CHOICE, .offset = offsetof(cli_settings, optimizer_bits)},
        {"weight-decay", "X", "L2 for sgd and adam, decoupled for adamw", CLI_REAL,
         .offset = offsetof(cli_settings, weight_decay), .least = 0, .most = 1e6},
        {"decay-all", NULL, "decay biases and batch-norm too, not the weights only", CLI_FLAG,
         .offset = offsetof(cli_settings, decay_all)},
        {"clip-norm", "X",
         "scale gradients down to this global L2 norm; keeps them until the step's end", CLI_REAL,
         .offset = offsetof(cli_settings, clip_norm), .least = 1e-12, .most = 1e12},
        {"freeze", "PATTERN",
         "leave parameters and running statistics as they are, e.g. 'layer1.*'; what is frozen "
         "takes no memory for gradients, moments or saved activations",
         CLI_FREEZE, .offset = offsetof(cli_settings, rules)},
        {"train", "PATTERN",
         "train them after all: --freeze '*' --train 'linear.*' trains the head alone; the last of "
         "--freeze and --train that matches wins",
         CLI_TRAIN, .offset = offsetof(cli_settings, rules)},
        {"rate", "PATTERN=X", "let them learn at X times the learning rate", CLI_RATE,
         .offset = offsetof(cli_settings, rules)},
        {"accumulate", "K", "add the gradients of K batches for one update", CLI_COUNT,
         .offset = offsetof(cli_settings, accumulate), .least = 1, .most = 1048576},
        {0}}};

const cli_group cli_trace_options = {
    "Trace", (const cli_option[]){
                 {"trace", "FILE",
                  "write what device and host did in the first 20 steps that are timed or trained, "
                  "in Chrome's trace format (ui.perfetto.dev shows it); recording it slows these "
                  "steps a little",
                  CLI_TEXT, .offset = offsetof(cli_settings, trace)},
                 {0}}};

const cli_group cli_device_options = {
    "Device", (const cli_option[]){
                  {"device", "SELECTOR",
                   "an index, gpu, cpu, accelerator, or a part of the name; the first GPU by "
                   "default, else the first device",
                   CLI_TEXT, .offset = offsetof(cli_settings, device)},
                  {"no-cache", NULL, "neither read nor write the on-disk program cache", CLI_FLAG,
                   .offset = offsetof(cli_settings, no_cache)},
                  {0}}};

const cli_group cli_output_options = {
    "Output", (const cli_option[]){
                  {"json", NULL,
                   "the result as JSON on standard output; everything else goes to standard error",
                   CLI_FLAG, .offset = offsetof(cli_settings, json)},
                  {"help", NULL, "this text", CLI_FLAG, .offset = offsetof(cli_settings, help)},
                  {0}}};
