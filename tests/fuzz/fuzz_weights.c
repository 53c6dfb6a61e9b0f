/* safetensors files as weights of a small network: strictly, in part, and with names changed. */
#include <string.h>

#include <pocketprop/weights.h>

#include "fuzz/fuzz_session.h"

static void load(const char *path, const pp_weights_options *options) {
    pp_weights_report *report = NULL;
    const bool loaded = fuzz_check(pp_weights_load(fuzz_session(), path, options, &report));
    fuzz_expect(!loaded || report, "a success has a report");
    for (size_t i = 0; report && i < pp_weights_report_count(report); i++) {
        pp_weights_row row;
        pp_weights_report_read(report, i, &row);
        fuzz_expect(row.name && row.in_file && row.found && row.expected, "a row has its texts");
        (void)(strlen(row.name) + strlen(row.in_file) + strlen(row.found) + strlen(row.expected));
    }
    pp_weights_report_destroy(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static const pp_rename renames[] = {{"a*b", "*"}, {"*.gamma", "*.weight"}, {"m.*", "*"}};
    (void)fuzz_session();
    const char *path = fuzz_file(bytes, count);
    load(path, NULL);
    load(path, &(pp_weights_options){.partial = true});
    load(path, &(pp_weights_options){.partial = true, .renames = renames, .rename_count = 3});
    fuzz_end();
    return 0;
}
