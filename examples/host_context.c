/* Inside a host application: its context, its queue, one block of its memory to live in, and batches
 * that a kernel of its own makes. The network learns to tell stripes that lie from stripes that
 * stand. */
#include <stdio.h>
#include <stdlib.h>

#include <pocketprop/opencl.h>
#include <pocketprop/pocketprop.h>

enum { BATCH = 32, SIDE = 8, PIXELS = BATCH * SIDE * SIDE, STEPS = 60 };

static void must(pp_engine *engine, pp_status status) {
    if (status == PP_OK) return;
    fprintf(stderr, "%s\n", pp_engine_error(engine));
    exit(EXIT_FAILURE);
}

static void check(const char *what, cl_int code) {
    if (code == CL_SUCCESS) return;
    fprintf(stderr, "%s: OpenCL says %d\n", what, (int)code);
    exit(EXIT_FAILURE);
}

/* The application's own work: images [BATCH, SIDE, SIDE, 1], and behind them their labels. */
static const char camera[] =
    "__kernel void camera(__global float *images, __global int *labels, uint step) {\n"
    "    uint i = get_global_id(0), n = i / (SIDE * SIDE), p = i % (SIDE * SIDE);\n"
    "    uint draw = (n + step * 977u + 1u) * 2654435761u, stands = draw >> 31;\n"
    "    uint place = (stands ? p % SIDE : p / SIDE) + (draw >> 20 & 3u);\n"
    "    float noise = (float)((i + draw) * 1664525u >> 8 & 0xFFFFu) / 65536.0f;\n"
    "    images[i] = (place / 2 % 2 ? 1.0f : -1.0f) + noise - 0.5f;\n"
    "    if (p == 0) labels[n] = (int)stands;\n"
    "}\n";

static cl_kernel build_camera(cl_context context, cl_device_id id, cl_mem frames, cl_mem labels) {
    const char *text = camera;
    char options[32];
    cl_int code;
    snprintf(options, sizeof options, "-DSIDE=%d", SIDE);
    cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, &code);
    check("camera", code);
    check("camera", clBuildProgram(program, 1, &id, options, NULL, NULL));
    cl_kernel kernel = clCreateKernel(program, "camera", &code);
    check("camera", code);
    check("camera", clSetKernelArg(kernel, 0, sizeof frames, &frames));
    check("camera", clSetKernelArg(kernel, 1, sizeof labels, &labels));
    clReleaseProgram(program);
    return kernel;
}

static void build_network(pp_graph *g) {
    const pp_conv2d_params conv = {.out_channels = 8, .kernel_h = 3, .kernel_w = 3};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, 1);
    x = pp_graph_relu(g, "relu", pp_graph_conv2d(g, "conv", x, &conv));
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 2, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0.0f);
}

int main(void) {
    /* What the application has anyway. */
    cl_platform_id platform;
    cl_device_id id;
    cl_int code;
    check("platform", clGetPlatformIDs(1, &platform, NULL));
    check("device", clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &id, NULL));
    cl_context context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    check("context", code);
    cl_command_queue queue = clCreateCommandQueue(context, id, 0, &code);
    check("queue", code);
    cl_mem frames = clCreateBuffer(context, CL_MEM_READ_WRITE, PIXELS * sizeof(float), NULL, &code);
    check("frames", code);
    cl_mem labels = clCreateBuffer(context, CL_MEM_READ_WRITE, BATCH * sizeof(int), NULL, &code);
    check("labels", code);
    cl_kernel kernel = build_camera(context, id, frames, labels);

    /* A plan for that device, and the block that it asks for. */
    pp_engine *engine = NULL;
    pp_graph *graph = NULL;
    pp_device *device = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_plan_chunk chunk;
    if (pp_engine_create(NULL, &engine) != PP_OK) return EXIT_FAILURE;
    must(engine, pp_device_open_opencl(engine, context, id, queue, NULL, &device));
    must(engine, pp_profile_for_device(device, NULL, &profile));
    must(engine, pp_graph_create(engine, &graph));
    build_network(graph);
    must(engine, pp_plan_create(graph, profile, &(pp_plan_options){.batch = BATCH}, &plan));
    pp_plan_read_chunk(plan, 0, &chunk);
    cl_mem block = clCreateBuffer(context, CL_MEM_READ_WRITE, chunk.bytes, NULL, &code);
    check("block", code);
    printf("the network lives in %zu bytes of the application's\n", chunk.bytes);

    pp_memory *home = NULL, *images = NULL, *classes = NULL;
    pp_session *session = NULL;
    must(engine, pp_memory_wrap(device, block, 0, chunk.bytes, &home));
    must(engine, pp_memory_wrap(device, frames, 0, PIXELS * sizeof(float), &images));
    must(engine, pp_memory_wrap(device, labels, 0, BATCH * sizeof(int), &classes));
    const pp_session_options options = {.seed = 1, .memory = &home, .memory_count = 1};
    must(engine, pp_session_create(device, plan, profile, &options, &session));

    /* Camera and step take turns on one queue, which is all the order they need. */
    const pp_batch batch = {
        .device_inputs = {images, 0}, .device_labels = {classes, 0}, .count = BATCH};
    const size_t pixels = PIXELS;
    for (cl_uint step = 0; step < STEPS; step++) {
        check("camera", clSetKernelArg(kernel, 2, sizeof step, &step));
        check("camera",
              clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &pixels, NULL, 0, NULL, NULL));
        if (step + 20 == STEPS) must(engine, pp_session_reset_metrics(session));
        must(engine, pp_session_step(session, &batch, 0.05f));
    }
    pp_metrics metrics;
    must(engine, pp_session_read_metrics(session, &metrics));
    printf("the last %d images: %.1f %% right\n", (int)metrics.count,
           100.0 * (double)metrics.correct / (double)metrics.count);

    pp_session_destroy(session);
    pp_memory_release(classes);
    pp_memory_release(images);
    pp_memory_release(home);
    pp_plan_destroy(plan);
    pp_graph_destroy(graph);
    pp_profile_destroy(profile);
    pp_device_close(device);
    pp_engine_destroy(engine);
    clReleaseMemObject(block);
    clReleaseKernel(kernel);
    clReleaseMemObject(labels);
    clReleaseMemObject(frames);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return metrics.correct * 10 > metrics.count * 9 ? EXIT_SUCCESS : EXIT_FAILURE;
}
