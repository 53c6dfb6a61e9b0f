/* peak.h: what a device can do at best, as the measure of what it does.
 *
 *     pp_peak peak;
 *     pp_peak_measure(device, profile, &peak);
 *     printf("%.0f GFLOP/s, %.1f GB/s\n", peak.fma_gflops, peak.copy_gbps);
 *
 * Both rates are measured with the engine's own launches, so they hold for this driver too, not for
 * the hardware alone. pp_plan_describe_step (plan.h) says what each step of a plan needs of them.
 */
#ifndef POCKETPROP_PEAK_H
#define POCKETPROP_PEAK_H

#include <pocketprop/device.h>
#include <pocketprop/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_peak {
    double fma_gflops; /* 10^9 float32 operations per second; a fused multiply-add is two */
    double copy_gbps;  /* 10^9 bytes per second, read plus written, far beyond any cache */
    /* What the fastest kernels were: floats of a vector, independent sums of a work-item. */
    uint32_t fma_vector, fma_sums, copy_vector;
    size_t copy_bytes; /* of the buffer that was copied */
} pp_peak;

/* Waits for the device and keeps it busy for one to two seconds, and for some more where kernels
 * have to be compiled first. Takes two buffers of up to 128 MiB meanwhile, less where the device's
 * memory or its largest allocation is small. `profile` gives the work-groups' shape
 * ("peak.group_x") and is borrowed. PP_ERROR_DEVICE, PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_peak_measure(pp_device *device, const pp_profile *profile, pp_peak *peak_out);

#ifdef __cplusplus
}
#endif

#endif
