/* pocketprop devices: what OpenCL offers on this machine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/setup.h"

static const char *type_name(pp_device_type type) {
    switch (type) {
        case PP_DEVICE_GPU: return "gpu";
        case PP_DEVICE_CPU: return "cpu";
        case PP_DEVICE_ACCELERATOR: return "accelerator";
        case PP_DEVICE_OTHER: return "other";
    }
    return "other";
}

typedef struct listing {
    size_t count;
    pp_device_info *infos;
    char **own_profiles; /* the user's, by path; NULL where there is none */
} listing;

static void print_device(const pp_device_info *info, const char *own_profile) {
    printf("%" PRIu32 ": %s\n", info->index, info->name);
    printf("   %-16s%s, %s\n", "type", type_name(info->type), info->vendor);
    printf("   %-16s%s, %s, driver %s\n", "platform", info->platform, info->version,
           info->driver_version);
    printf("   %-16s%s, at most %s in one allocation, %s local\n", "memory",
           cli_bytes_text(info->memory_bytes).text, cli_bytes_text(info->max_allocation_bytes).text,
           cli_bytes_text(info->local_memory_bytes).text);
    printf("   %-16s%" PRIu32 ", work groups of up to %" PRIu32 ", vectors of %" PRIu32 " floats\n",
           "compute units", info->compute_units, info->max_work_group_size,
           info->native_vector_float);
    printf("   %-16s%" PRIu32 " bytes\n", "base alignment", info->base_alignment_bytes);
    printf("   %-16shalf %s, images %s, the host's memory %s\n", "extras",
           info->half ? "yes" : "no", info->images ? "yes" : "no",
           info->shares_memory ? "yes" : "no");
    printf("   %-16s%s%s%s\n", "profile", own_profile ? own_profile : info->profile,
           own_profile ? " in place of " : "", own_profile ? info->profile : "");
}

static void write_device(pp__json *json, const pp_device_info *info, const char *own_profile) {
    pp__json_open_object(json, NULL);
    pp__json_integer(json, "index", info->index);
    pp__json_text(json, "name", info->name);
    pp__json_text(json, "platform", info->platform);
    pp__json_text(json, "vendor", info->vendor);
    pp__json_text(json, "type", type_name(info->type));
    pp__json_text(json, "version", info->version);
    pp__json_text(json, "driver_version", info->driver_version);
    pp__json_integer(json, "compute_units", info->compute_units);
    pp__json_integer(json, "memory_bytes", info->memory_bytes);
    pp__json_integer(json, "max_allocation_bytes", info->max_allocation_bytes);
    pp__json_integer(json, "local_memory_bytes", info->local_memory_bytes);
    pp__json_integer(json, "max_work_group_size", info->max_work_group_size);
    pp__json_integer(json, "base_alignment_bytes", info->base_alignment_bytes);
    pp__json_integer(json, "native_vector_float", info->native_vector_float);
    pp__json_bool(json, "half", info->half);
    pp__json_bool(json, "images", info->images);
    pp__json_bool(json, "shares_memory", info->shares_memory);
    pp__json_text(json, "profile", info->profile);
    pp__json_text(json, "own_profile", own_profile);
    pp__json_close(json);
}

static void write_devices(const listing *devices) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_array(&json, NULL);
    for (size_t i = 0; i < devices->count; i++)
        write_device(&json, &devices->infos[i], devices->own_profiles[i]);
    pp__json_close(&json);
    pp__json_end(&json);
}

/* Opening is what fails with the sentence that names what to install. */
static int fail_without_device(cli_setup *setup) {
    int code = cli_setup_device(setup);
    if (code) return code;
    cli_fail(setup->command, "the list of devices is empty, yet one could be opened");
    return CLI_FAILURE;
}

static int fill_listing(cli_setup *setup, listing *devices) {
    size_t count = devices->count;
    int code =
        cli_check(setup, pp_device_list(setup->engine, devices->infos, devices->count, &count));
    if (count < devices->count) devices->count = count;
    for (size_t i = 0; !code && i < devices->count; i++)
        code = cli_check(setup, pp_profile_find(setup->engine, &devices->infos[i], NULL,
                                                &devices->own_profiles[i]));
    return code;
}

static int list_devices(cli_setup *setup) {
    listing devices = {0};
    int code = cli_check(setup, pp_device_list(setup->engine, NULL, 0, &devices.count));
    if (code) return code;
    if (!devices.count) return fail_without_device(setup);
    size_t capacity = devices.count;
    devices.infos = calloc(capacity, sizeof *devices.infos);
    devices.own_profiles = calloc(capacity, sizeof *devices.own_profiles);
    if (!devices.infos || !devices.own_profiles) {
        cli_fail(setup->command, "no host memory for the list of %zu devices", capacity);
        code = CLI_FAILURE;
    }
    if (!code) code = fill_listing(setup, &devices);
    if (!code && setup->settings->json) write_devices(&devices);
    for (size_t i = 0; !code && !setup->settings->json && i < devices.count; i++)
        print_device(&devices.infos[i], devices.own_profiles[i]);
    for (size_t i = 0; devices.own_profiles && i < capacity; i++)
        pp_text_free(setup->engine, devices.own_profiles[i]);
    free(devices.own_profiles);
    free(devices.infos);
    return code;
}

static int run(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = list_devices(&setup);
    cli_setup_end(&setup);
    return code;
}

const cli_command cli_devices = {
    .name = "devices",
    .summary = "List the OpenCL devices, their limits and the profile that matches each.",
    .groups = (const cli_group *const[]){&cli_output_options, NULL},
    .run = run,
};
