/* The device's rates. How high they are is the machine's affair; that they are rates of what was
 * asked for is checked here. */
#include "support/support.h"

START_TEST(measures_both_rates) {
    pp_profile *profile;
    TEST_OK(pp_profile_for_device(test_device(), NULL, &profile));
    pp_device_counters before, after;
    pp_device_read_counters(test_device(), &before);
    pp_peak peak;
    TEST_OK(pp_peak_measure(test_device(), profile, &peak));
    pp_device_read_counters(test_device(), &after);
    ck_assert(peak.fma_gflops > 0 && peak.copy_gbps > 0);
    ck_assert(peak.fma_vector >= 1 && peak.fma_vector <= 16);
    ck_assert(peak.copy_vector >= 1 && peak.copy_vector <= 16);
    ck_assert(peak.fma_sums > 1);
    ck_assert(peak.copy_bytes > 0 &&
              peak.copy_bytes <= pp_device_describe(test_device())->max_allocation_bytes);
    ck_assert(after.live_buffer_bytes == before.live_buffer_bytes);
    pp_profile_destroy(profile);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/peak");
    TCase *cases = tcase_create("peak");
    tcase_add_test(cases, measures_both_rates);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
