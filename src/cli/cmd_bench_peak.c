/* pocketprop bench peak: what the device can do at best. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/setup.h"

static void write_result(const cli_setup *setup, const pp_peak *peak) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "device", pp_device_describe(setup->device)->name);
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_real(&json, "fma_gflops", peak->fma_gflops);
    pp__json_integer(&json, "fma_vector", peak->fma_vector);
    pp__json_integer(&json, "fma_sums", peak->fma_sums);
    pp__json_real(&json, "copy_gbps", peak->copy_gbps);
    pp__json_integer(&json, "copy_vector", peak->copy_vector);
    pp__json_integer(&json, "copy_bytes", peak->copy_bytes);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const cli_setup *setup, const pp_peak *peak) {
    printf("%s (profile %s)\n", pp_device_describe(setup->device)->name,
           pp_profile_name(setup->profile));
    printf("multiply-add  %8.1f GFLOP/s  float32, %" PRIu32 " sums of %" PRIu32 " floats\n",
           peak->fma_gflops, peak->fma_sums, peak->fma_vector);
    printf("copy          %8.1f GB/s     read and written, %s, %" PRIu32 " floats at a time\n",
           peak->copy_gbps, cli_bytes_text(peak->copy_bytes).text, peak->copy_vector);
}

static int run(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    pp_peak peak;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = cli_setup_device(&setup);
    if (!code) cli_setup_ready(&setup);
    if (!code) code = cli_check(&setup, pp_peak_measure(setup.device, setup.profile, &peak));
    if (!code && settings->json) write_result(&setup, &peak);
    if (!code && !settings->json) print_result(&setup, &peak);
    cli_setup_end(&setup);
    return code;
}

const cli_command cli_bench_peak = {
    .name = "bench",
    .topic = "peak",
    .summary = "Measure the device's multiply-add and copy rates; takes about two seconds.",
    .groups = (const cli_group *const[]){&cli_profile_options, &cli_device_options,
                                         &cli_output_options, NULL},
    .run = run,
};
