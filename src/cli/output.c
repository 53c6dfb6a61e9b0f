#include "cli/output.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

bool cli_write_to_file(void *file, const char *text, size_t byte_count) {
    return fwrite(text, 1, byte_count, file) == byte_count;
}

cli_text cli_bytes_text(uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    cli_text result;
    if (bytes < 1024) {
        snprintf(result.text, sizeof result.text, "%" PRIu64 " B", bytes);
        return result;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1024 && unit < 3; unit++) value /= 1024;
    snprintf(result.text, sizeof result.text, "%.*f %s", value < 100 ? 2 : 1, value, units[unit]);
    return result;
}

cli_text cli_real_text(double value, int digits) {
    cli_text result = {"-"};
    if (!isnan(value)) snprintf(result.text, sizeof result.text, "%.*f", digits, value);
    return result;
}

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
