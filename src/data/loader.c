/* Batches in a ring of buffers, prepared by background threads or on demand.
 *
 * Batches are numbered from the loader's creation, across epochs; batch number t lives in slot
 * t % slot_count. Three numbers, guarded by the mutex, say everything:
 *
 *     delivered   batches handed out so far, so also the number of the next one
 *     claimed     batches that a thread has begun or finished to prepare
 *     epoch_end   the number behind the running epoch's last batch
 *
 * The last HELD_BATCHES delivered ones still belong to the caller, so a thread may claim number t
 * only while t < delivered + slot_count - HELD_BATCHES. Threads finish in any order; delivery is in
 * order, because pp_loader_next waits for exactly the slot of number `delivered`.
 *
 * Only the caller's thread touches the data set's engine. A background failure is kept in its slot,
 * with its sentence, and reported by the call that would have delivered the batch.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "data/augment.h"
#include "data/dataset.h"
#include "util/engine.h"
#include "util/size.h"

enum { HELD_BATCHES = 3, MAX_THREADS = 256 };

typedef struct slot {
    float *inputs;   /* [batch, height, width, channels], or ... */
    uint8_t *pixels; /* ... the same as bytes */
    int32_t *labels; /* [batch] */
    uint32_t count;
    bool ready;
    pp_status status;
    char error[PP__ERROR_CAPACITY];
} slot;

/* One background thread's place in the loader. */
typedef struct worker {
    pp_loader *loader;
    pp__reader reader;
    pthread_t thread;
} worker;

struct pp_loader {
    pp_dataset *dataset; /* borrowed */
    uint32_t batch, sample_count;
    bool shuffle;
    uint64_t seed;
    pp__augment augment;
    bool bytes; /* batches hold pixels, not inputs */
    size_t sample_elems;
    size_t batch_count; /* of one epoch */

    uint64_t epoch;
    uint32_t *order; /* [sample_count], of this epoch; written only while no thread works */

    slot *slots;
    size_t slot_count;
    worker *workers; /* without threads there is one, and the caller does its work */
    size_t worker_count, running_count;

    pthread_mutex_t mutex;
    pthread_cond_t may_claim, has_finished;
    bool has_mutex, has_may_claim, has_has_finished;

    bool in_epoch, stopping;
    uint64_t delivered, claimed, epoch_begin, epoch_end;
    size_t busy_count; /* threads inside a batch */
    atomic_bool
        abandoning; /* read between samples, so that stopping does not wait for a whole batch */
};

/* `into` NULL: in the slot's memory. */
static void prepare_batch(pp_loader *loader, pp__reader *reader, uint64_t number, void *into) {
    slot *s = &loader->slots[number % loader->slot_count];
    uint8_t *pixels = into ? into : s->pixels;
    float *inputs = into ? into : s->inputs;
    uint32_t first = (uint32_t)(number - loader->epoch_begin) * loader->batch;
    uint32_t left = loader->sample_count - first;
    s->count = left < loader->batch ? left : loader->batch;
    s->status = PP_OK;
    for (uint32_t i = 0; i < s->count && !atomic_load(&loader->abandoning); i++) {
        uint32_t index = loader->order[first + i];
        pp__draws draws = pp__draw_sample(loader->seed, loader->epoch, index);
        pp__sample sample;
        s->status =
            loader->dataset->source->read(loader->dataset, reader, index, draws.cut, &sample);
        if (s->status != PP_OK) {
            memcpy(s->error, pp_engine_error(reader->engine), sizeof s->error);
            return;
        }
        if (loader->bytes)
            pp__augment_write_bytes(&loader->augment, &draws, sample.pixels,
                                    pixels + i * loader->sample_elems);
        else
            pp__augment_write(&loader->augment, &draws, sample.pixels,
                              inputs + i * loader->sample_elems);
        s->labels[i] = sample.label;
    }
}

static bool can_claim(const pp_loader *loader) {
    return loader->in_epoch && loader->claimed < loader->epoch_end &&
           loader->claimed < loader->delivered + loader->slot_count - HELD_BATCHES;
}

static void *work(void *argument) {
    worker *w = argument;
    pp_loader *loader = w->loader;
    pthread_mutex_lock(&loader->mutex);
    for (;;) {
        while (!loader->stopping && !can_claim(loader))
            pthread_cond_wait(&loader->may_claim, &loader->mutex);
        if (loader->stopping) break;
        uint64_t number = loader->claimed++;
        loader->busy_count++;
        pthread_mutex_unlock(&loader->mutex);
        prepare_batch(loader, &w->reader, number, NULL);
        pthread_mutex_lock(&loader->mutex);
        loader->busy_count--;
        /* An abandoned batch is half written; the epoch that it belonged to is over. */
        if (!atomic_load(&loader->abandoning))
            loader->slots[number % loader->slot_count].ready = true;
        pthread_cond_broadcast(&loader->has_finished);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

static pp_status check_options(pp_engine *engine, const pp_dataset_info *info,
                               const pp_loader_options *options) {
    if (!options || !options->batch)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "loader: the batch is 0, expected at least 1");
    if (options->drop_last && options->batch > info->count)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "loader: a batch of %" PRIu32
                        " is more than the data set's %zu samples, and drop_last leaves nothing",
                        options->batch, info->count);
    if (options->threads > MAX_THREADS)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "loader: %" PRIu32 " threads, expected at most %d", options->threads,
                        MAX_THREADS);
    if (options->pad > info->height || options->pad > info->width)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "loader: a padding of %" PRIu32 " around samples of %" PRIu32 " x %" PRIu32
                        ", expected at most their sides",
                        options->pad, info->height, info->width);
    for (uint32_t c = 0; c < info->channels; c++) {
        float mean = options->mean ? options->mean[c] : info->mean[c];
        float deviation = options->deviation ? options->deviation[c] : info->deviation[c];
        if (!isfinite(mean) || !isfinite(deviation) || !(deviation > 0.0f))
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                            "loader: channel %" PRIu32
                            " has mean %g and deviation %g, expected finite and above 0",
                            c, (double)mean, (double)deviation);
    }
    return PP_OK;
}

static void set_facts(pp_loader *loader, pp_dataset *dataset, const pp_loader_options *options) {
    const pp_dataset_info *info = &dataset->info;
    loader->dataset = dataset;
    loader->sample_count = (uint32_t)info->count;
    /* A larger batch would hold no more samples, only more memory. */
    loader->batch = options->batch < loader->sample_count ? options->batch : loader->sample_count;
    loader->shuffle = options->shuffle;
    loader->seed = options->seed;
    loader->bytes = options->bytes;
    loader->sample_elems = (size_t)info->height * info->width * info->channels;
    loader->batch_count = info->count / loader->batch;
    if (!options->drop_last && info->count % loader->batch) loader->batch_count++;
    loader->augment.height = info->height;
    loader->augment.width = info->width;
    loader->augment.channels = info->channels;
    loader->augment.pad = options->pad;
    loader->augment.flip = options->flip;
    pp__augment_set_values(&loader->augment, dataset->source->pixel_max,
                           options->mean ? options->mean : info->mean,
                           options->deviation ? options->deviation : info->deviation);
    atomic_init(&loader->abandoning, false);
}

static pp_status reserve_memory(pp_engine *engine, pp_loader *loader, uint32_t threads) {
    PP_TRY(pp__allocate(engine, loader->sample_count, sizeof *loader->order, &loader->order));
    size_t batch_elems;
    if (!pp__size_multiply(loader->batch, loader->sample_elems, &batch_elems))
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY,
                        "loader: %" PRIu32 " samples of %zu elements overflow", loader->batch,
                        loader->sample_elems);
    /* What the caller holds, one to deliver next, and one more for each thread to be busy with. */
    size_t slot_count = HELD_BATCHES + 1 + (size_t)threads;
    PP_TRY(pp__allocate(engine, slot_count, sizeof *loader->slots, &loader->slots));
    loader->slot_count = slot_count;
    for (size_t i = 0; i < slot_count; i++) {
        slot *s = &loader->slots[i];
        if (loader->bytes)
            PP_TRY(pp__allocate(engine, batch_elems, sizeof *s->pixels, &s->pixels));
        else
            PP_TRY(pp__allocate(engine, batch_elems, sizeof *s->inputs, &s->inputs));
        PP_TRY(pp__allocate(engine, loader->batch, sizeof *s->labels, &s->labels));
    }
    size_t worker_count = threads ? threads : 1;
    PP_TRY(pp__allocate(engine, worker_count, sizeof *loader->workers, &loader->workers));
    loader->worker_count = worker_count;
    for (size_t i = 0; i < worker_count; i++) {
        loader->workers[i].loader = loader;
        PP_TRY(pp__reader_create(engine, &loader->workers[i].reader));
    }
    return PP_OK;
}

static pp_status start_threads(pp_engine *engine, pp_loader *loader, uint32_t threads) {
    int error = pthread_mutex_init(&loader->mutex, NULL);
    loader->has_mutex = !error;
    if (!error) error = pthread_cond_init(&loader->may_claim, NULL);
    loader->has_may_claim = !error;
    if (!error) error = pthread_cond_init(&loader->has_finished, NULL);
    loader->has_has_finished = !error;
    for (uint32_t i = 0; i < threads && !error; i++) {
        error = pthread_create(&loader->workers[i].thread, NULL, work, &loader->workers[i]);
        if (!error) loader->running_count++;
    }
    if (error)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY,
                        "loader: the system refuses thread %zu of %" PRIu32
                        " or its locks: error %d",
                        loader->running_count + 1, threads, error);
    return PP_OK;
}

pp_status pp_loader_create(pp_dataset *dataset, const pp_loader_options *options,
                           pp_loader **loader_out) {
    *loader_out = NULL;
    pp_engine *engine = dataset->engine;
    PP_TRY(check_options(engine, &dataset->info, options));
    pp_loader *loader;
    PP_TRY(pp__allocate(engine, 1, sizeof *loader, &loader));
    set_facts(loader, dataset, options);
    pp_status status;
    PP_TRY_GOTO(status, reserve_memory(engine, loader, options->threads), failed);
    PP_TRY_GOTO(status, start_threads(engine, loader, options->threads), failed);
    *loader_out = loader;
    return PP_OK;
failed:
    pp_loader_destroy(loader);
    return status;
}

void pp_loader_destroy(pp_loader *loader) {
    if (!loader) return;
    if (loader->running_count) {
        pthread_mutex_lock(&loader->mutex);
        loader->stopping = true;
        atomic_store(&loader->abandoning, true);
        pthread_cond_broadcast(&loader->may_claim);
        pthread_mutex_unlock(&loader->mutex);
        for (size_t i = 0; i < loader->running_count; i++)
            pthread_join(loader->workers[i].thread, NULL);
    }
    if (loader->has_has_finished) pthread_cond_destroy(&loader->has_finished);
    if (loader->has_may_claim) pthread_cond_destroy(&loader->may_claim);
    if (loader->has_mutex) pthread_mutex_destroy(&loader->mutex);
    pp_engine *engine = loader->dataset->engine;
    for (size_t i = 0; i < loader->worker_count; i++)
        pp__reader_release(&loader->workers[i].reader);
    for (size_t i = 0; i < loader->slot_count; i++) {
        pp__release(engine, loader->slots[i].inputs);
        pp__release(engine, loader->slots[i].pixels);
        pp__release(engine, loader->slots[i].labels);
    }
    pp__release(engine, loader->workers);
    pp__release(engine, loader->slots);
    pp__release(engine, loader->order);
    pp__release(engine, loader);
}

pp_status pp_loader_start_epoch(pp_loader *loader, uint64_t epoch) {
    return pp_loader_start_epoch_at(loader, epoch, 0);
}

pp_status pp_loader_start_epoch_at(pp_loader *loader, uint64_t epoch, size_t first) {
    if (first > loader->batch_count)
        return pp__fail(loader->dataset->engine, PP_ERROR_INVALID_ARGUMENT,
                        "loader: batch %zu of an epoch of %zu", first, loader->batch_count);
    pthread_mutex_lock(&loader->mutex);
    loader->in_epoch = false;
    atomic_store(&loader->abandoning, true);
    while (loader->busy_count) pthread_cond_wait(&loader->has_finished, &loader->mutex);
    atomic_store(&loader->abandoning, false);
    /* Batches prepared ahead are given up; those that the caller holds keep their slots. */
    for (size_t i = 0; i < loader->slot_count; i++) loader->slots[i].ready = false;
    loader->claimed = loader->delivered;
    loader->epoch_begin = loader->delivered - first; /* may wrap; only differences count */
    loader->epoch_end = loader->delivered + loader->batch_count - first;
    loader->epoch = epoch;
    if (loader->shuffle)
        pp__draw_order(loader->seed, epoch, loader->order, loader->sample_count);
    else
        for (uint32_t i = 0; i < loader->sample_count; i++) loader->order[i] = i;
    loader->in_epoch = true;
    pthread_cond_broadcast(&loader->may_claim);
    pthread_mutex_unlock(&loader->mutex);
    return PP_OK;
}

size_t pp_loader_batch_count(const pp_loader *loader) {
    return loader->batch_count;
}

/* Waits for, or prepares, the batch to deliver. */
static slot *finish_batch(pp_loader *loader, void *into) {
    slot *s = &loader->slots[loader->delivered % loader->slot_count];
    if (loader->running_count) {
        pthread_mutex_lock(&loader->mutex);
        while (!s->ready) pthread_cond_wait(&loader->has_finished, &loader->mutex);
        pthread_mutex_unlock(&loader->mutex);
    } else if (!s->ready) {
        prepare_batch(loader, &loader->workers[0].reader, loader->claimed++, into);
        s->ready = true;
    }
    return s;
}

static pp_status deliver(pp_loader *loader, void *into, pp_batch *batch_out) {
    memset(batch_out, 0, sizeof *batch_out);
    if (!loader->in_epoch)
        return pp__fail(
            loader->dataset->engine, PP_ERROR_INVALID_ARGUMENT,
            "loader: no epoch is running, expected pp_loader_start_epoch before the first batch");
    if (loader->delivered == loader->epoch_end) return PP_OK;
    slot *s = finish_batch(loader, into);
    /* A failed batch stays where it is, so that every further call reports it again. */
    if (s->status != PP_OK) return pp__fail(loader->dataset->engine, s->status, "%s", s->error);
    batch_out->inputs = into && !loader->bytes ? into : s->inputs;
    batch_out->pixels = into && loader->bytes ? into : s->pixels;
    batch_out->labels = s->labels;
    batch_out->count = s->count;
    pthread_mutex_lock(&loader->mutex);
    s->ready = false;
    loader->delivered++;
    pthread_cond_signal(&loader->may_claim);
    pthread_mutex_unlock(&loader->mutex);
    return PP_OK;
}

pp_status pp_loader_next(pp_loader *loader, pp_batch *batch_out) {
    return deliver(loader, NULL, batch_out);
}

pp_status pp_loader_next_into(pp_loader *loader, void *inputs, pp_batch *batch_out) {
    memset(batch_out, 0, sizeof *batch_out);
    pp_engine *engine = loader->dataset->engine;
    if (!inputs) return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "loader: no room for a batch");
    if (loader->running_count)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                        "loader: its %zu threads make batches ahead in its own memory; one without "
                        "threads makes them where it is told",
                        loader->running_count);
    return deliver(loader, inputs, batch_out);
}
