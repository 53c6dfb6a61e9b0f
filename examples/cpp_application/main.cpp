// Trains a network on the digits from C++ and asks it about some that it has not seen. Handles are
// kept in unique_ptrs, whose order of destruction is the one that Pocketprop asks for: children
// before parents.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>

template <typename T, void (*Destroy)(T *)>
struct Destroyer {
    void operator()(T *object) const { Destroy(object); }
};
template <typename T, void (*Destroy)(T *)>
using Owned = std::unique_ptr<T, Destroyer<T, Destroy>>;

using Engine = Owned<pp_engine, pp_engine_destroy>;
using Graph = Owned<pp_graph, pp_graph_destroy>;
using Device = Owned<pp_device, pp_device_close>;
using Profile = Owned<pp_profile, pp_profile_destroy>;
using Plan = Owned<pp_plan, pp_plan_destroy>;
using Session = Owned<pp_session, pp_session_destroy>;
using Dataset = Owned<pp_dataset, pp_dataset_close>;
using Loader = Owned<pp_loader, pp_loader_destroy>;

static void check(const Engine &engine, pp_status status) {
    if (status != PP_OK) throw std::runtime_error(pp_engine_error(engine.get()));
}

// Calls a function whose last argument is where the new handle goes.
template <typename Handle, typename Function, typename... Arguments>
static Handle make(const Engine &engine, Function function, Arguments... arguments) {
    typename Handle::pointer made = nullptr;
    check(engine, function(arguments..., &made));
    return Handle(made);
}

static Loader load(const Engine &engine, const Dataset &dataset, uint32_t batch, bool training) {
    pp_loader_options options = {};
    options.batch = batch;
    options.shuffle = options.drop_last = training;
    Loader loader = make<Loader>(engine, pp_loader_create, dataset.get(), &options);
    check(engine, pp_loader_start_epoch(loader.get(), 0));
    return loader;
}

static void run() {
    Engine engine([] {
        pp_engine *made = nullptr;
        if (pp_engine_create(nullptr, &made) != PP_OK) throw std::bad_alloc();
        return made;
    }());
    Graph graph = make<Graph>(engine, pp_model_build, engine.get(), "resnet8-digits", nullptr);
    Device device = make<Device>(engine, pp_device_open, engine.get(), nullptr, nullptr);
    Profile profile = make<Profile>(engine, pp_profile_for_device, device.get(), nullptr);
    pp_plan_options options = {};
    options.batch = 32;
    options.codec = "norm:4";
    options.optimizer.momentum = 0.9f;
    Plan plan = make<Plan>(engine, pp_plan_create, graph.get(), profile.get(), &options);
    Session session = make<Session>(engine, pp_session_create, device.get(), plan.get(),
                                    profile.get(), nullptr);

    Dataset train = make<Dataset>(engine, pp_dataset_open, engine.get(), "digits", PP_SPLIT_TRAIN,
                                  nullptr);
    Loader batches = load(engine, train, options.batch, true);
    pp_batch batch;
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        check(engine, pp_loader_start_epoch(batches.get(), epoch));
        for (check(engine, pp_loader_next(batches.get(), &batch)); batch.count;
             check(engine, pp_loader_next(batches.get(), &batch)))
            check(engine, pp_session_step(session.get(), &batch, 0.05f));
    }

    Dataset test = make<Dataset>(engine, pp_dataset_open, engine.get(), "digits", PP_SPLIT_TEST,
                                 nullptr);
    Loader unseen = load(engine, test, options.batch, false);
    pp_metrics metrics;
    check(engine, pp_session_reset_metrics(session.get()));
    for (check(engine, pp_loader_next(unseen.get(), &batch)); batch.count;
         check(engine, pp_loader_next(unseen.get(), &batch)))
        check(engine, pp_session_evaluate(session.get(), &batch));
    check(engine, pp_session_read_metrics(session.get(), &metrics));
    std::printf("Pocketprop %s: %.1f %% of %llu unseen digits are right, in %zu bytes\n",
                pp_version(), 100.0 * double(metrics.correct) / double(metrics.count),
                static_cast<unsigned long long>(metrics.count),
                pp_session_device_bytes(session.get()));
}

int main() {
    try {
        run();
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
