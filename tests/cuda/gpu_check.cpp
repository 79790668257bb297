// Checks of the CUDA plugin: gpu_check PLUGIN|--emulated [JSON [few]]. Stands alone.
//
// Gradients are held against central differences of a network in double; everything that is
// computed is held, bit by bit, against the same kernels run on the processor, thread by thread;
// encodings and mixes against loops written out here. Exits 77 where there is no card. Long because
// each check is a screen of its own.
#include <cinttypes>
#include <fstream>

#include "learning/cuda/emulation.hpp"
#include "tests/cuda/gpu_check.hpp"

namespace gossamer::cuda {
namespace {

struct Case {
    const char* name;
    Net net;
    std::uint32_t batch, rows;
    bool as_bytes = false;
};

Net residual_blocks() {
    Net net(6, 6, 3);
    net.conv(4, 3, 1, true).norm(GOSSAMER_CUDA_GROUP_NORM, 2, GOSSAMER_CUDA_TANH);
    const auto first = net.here();
    net.conv(4, 3, 1, true).norm(GOSSAMER_CUDA_GROUP_NORM, 2).add(first, GOSSAMER_CUDA_SIGMOID);
    const auto second = net.here();
    net.conv(6, 3, 2, true);
    const auto main = net.here();
    net.from(second).conv(6, 1, 2, true).add(main);
    return net.pool(3, 1, false).dense(4);
}
Net transformer_block() {
    Net net(1, 6, 1);
    net.embedding(9, 8).position();
    const auto before = net.here();
    net.norm(GOSSAMER_CUDA_LAYER_NORM).attention(2).add(before);
    const auto between = net.here();
    net.norm(GOSSAMER_CUDA_LAYER_NORM).dense_each(12).activate(GOSSAMER_CUDA_GELU);
    return net.dense_each(8).add(between).dense_each(9).labelled_each();
}

std::vector<Case> cases() {
    constexpr auto relu = GOSSAMER_CUDA_RELU, tanh_ = GOSSAMER_CUDA_TANH,
                   sigmoid = GOSSAMER_CUDA_SIGMOID;
    return {
        {"softmax regression", Net(1, 1, 20).dense(5), 8, 23},
        {"three dense layers", Net(1, 1, 24).dense(16, relu).dense(12, tanh_).dense(5), 7, 23,
         true},
        {"a wide dense layer", Net(1, 1, 300).dense(140, relu).dense(10), 32, 45},
        {"small convolutions",
         Net(8, 8, 2).conv(5, 3, 1, true, relu).pool(2, 2).conv(6, 3, 2, false, tanh_).dense(4), 6,
         13},
        {"a strided convolution",
         Net(9, 7, 3).conv(4, 3, 2, true, sigmoid).conv(7, 2, 2, true, relu).dense(3), 5, 9},
        {"convolutions of 32 and 40 channels",
         Net(10, 10, 1)
             .conv(32, 5, 1, true, relu)
             .pool(2, 2)
             .conv(40, 5, 1, true, relu)
             .pool(2, 2)
             .dense(24, relu)
             .dense(6),
         4, 6, true},
        {"overlapping pools, activations apart",
         Net(9, 9, 2)
             .conv(4, 2, 1, false)
             .pool(3, 2)
             .activate(relu)
             .pool(2, 1, false)
             .activate(sigmoid)
             .dense(3),
         5, 11},
        {"an autoencoder",
         Net(1, 1, 30)
             .dense(12, sigmoid)
             .dense(5)
             .dense(30, sigmoid)
             .with(GOSSAMER_CUDA_RECONSTRUCTION),
         8, 19},
        {"squared error of targets",
         Net(1, 1, 9).dense(6, tanh_).dense(3).with(GOSSAMER_CUDA_SQUARED, 3), 4, 10},
        {"sigmoid cross-entropy of labels",
         Net(1, 1, 9).dense(6, relu).dense(4).with(GOSSAMER_CUDA_SIGMOID_CROSS), 4, 10},
        {"layer norm, RMS norm, GELU, SiLU",
         Net(1, 3, 8)
             .norm(GOSSAMER_CUDA_LAYER_NORM)
             .dense_each(10)
             .activate(GOSSAMER_CUDA_GELU)
             .norm(GOSSAMER_CUDA_RMS_NORM, 1, tanh_)
             .dense_each(7)
             .activate(GOSSAMER_CUDA_SILU)
             .dense(4),
         5, 9},
        {"residual blocks with group norm", residual_blocks(), 5, 9},
        {"an embedding and two LSTMs",
         Net(1, 6, 1)
             .embedding(9, 5)
             .recurrent(GOSSAMER_CUDA_LSTM, 6)
             .recurrent(GOSSAMER_CUDA_LSTM, 4)
             .last()
             .dense(9),
         5, 9},
        {"a GRU with a label at each step",
         Net(1, 6, 1).embedding(9, 5).recurrent(GOSSAMER_CUDA_GRU, 7).dense_each(9).labelled_each(),
         5, 9},
        {"a transformer's block", transformer_block(), 5, 9},
        {"adapters on frozen layers",
         Net(1, 1, 24).adapted(16, 3, relu).dense(9, tanh_).adapted(5, 2), 7, 23},
        {"factors", Net(1, 2, 1).factors(12, 7, 3).with(GOSSAMER_CUDA_SQUARED, 1), 6, 20},
    };
}

// ---- Gradients against central differences in double ----

void check_gradient(const Api& api, const Case& c, std::uint32_t mode, Report& report) {
    const Samples samples(c.net, c.rows, 3, c.as_bytes);
    const Data data(api, samples);
    auto options = plan_options(c.batch, 2, mode);
    options.unfused = 1;
    PlanOf plan(api, c.net, options);
    const std::uint32_t rows = std::min(c.batch - 1, c.rows);  // a batch that is not full
    Work one(data, weights_of(c.net, 1), rows, 1, 1.0f),
        two(data, weights_of(c.net, 2), rows, 1, 1);
    two.rows.resize(rows);
    for (std::uint32_t i = 0; i < rows; ++i) two.rows[i] = c.rows - 1 - i;
    plan.run({&one, &two});
    double worst = 0;
    for (Work* w : {&one, &two}) {
        std::vector<std::uint32_t> used = w->rows;
        if (used.empty())
            for (std::uint32_t i = 0; i < rows; ++i) used.push_back(i);
        std::vector<double> at(w->start.begin(), w->start.end());
        const auto delta = w->floats();
        double largest = 0;
        for (float d : delta) largest = std::max(largest, std::abs(double(d)));
        Numbers numbers(9);
        for (int probe = 0; probe < 20; ++probe) {
            const std::size_t i = numbers.next() % at.size();
            constexpr double kStep = 1e-5;
            const double kept = at[i];
            at[i] = kept + kStep;
            const double above = loss_of(c.net, at, samples, used);
            at[i] = kept - kStep;
            const double below = loss_of(c.net, at, samples, used);
            at[i] = kept;
            const double wanted = (above - below) / (2 * kStep);
            worst = std::max(worst, std::abs(wanted + double(delta[i])) / (largest + 1e-3));
        }
        const double loss = loss_of(c.net, at, samples, used);
        worst = std::max(worst, std::abs(w->r.loss_sum / rows - loss) / loss);
    }
    report.add(std::string("gradient of ") + c.name + mode_name(mode), worst < 2e-5,
               "worst error " + number(worst) + " of the largest element");
}

// ---- The same bits as on the processor ----

struct Trained {
    std::vector<float> delta, first, second;
    double loss = 0;
    std::uint64_t seen = 0;
    bool operator==(const Trained&) const = default;
};

std::vector<Trained> train(const Api& api, const Net& net, const Samples& samples,
                           gossamer_cuda_plan_options options, std::uint32_t steps, float rate) {
    const Data data(api, samples);
    PlanOf plan(api, net, options);
    std::vector<Work> works;
    for (std::uint32_t r = 0; r < options.replica_max; ++r) {
        // Replicas with unequal data and unequal ends.
        works.emplace_back(data, weights_of(net, r + 1),
                           static_cast<std::uint32_t>(samples.count) - r, steps - r % 2, rate);
        auto& w = works.back();
        w.r.who = 100 + r, w.r.first_step = 3 * r;
        if (options.optimiser != 0 || options.momentum != 0) w.first.assign(net.parameters, 0.01f);
        if (options.optimiser != 0) w.second.assign(net.parameters, 0.02f);
    }
    std::vector<Work*> all;
    for (auto& w : works) all.push_back(&w);
    plan.run(all);
    std::vector<Trained> results;
    for (auto& w : works)
        results.push_back({w.floats(), w.first, w.second, w.r.loss_sum, w.r.seen});
    return results;
}

// Against the emulation; the emulation itself against its threads in the other order.
void check_bits(const Api& api, bool emulated, const std::string& name, const Net& net,
                const Samples& samples, const gossamer_cuda_plan_options& options,
                std::uint32_t steps, float rate, Report& report) {
    const auto here = train(api, net, samples, options, steps, rate);
    emulate_backwards(emulated);
    const auto there = train(emulation(), net, samples, options, steps, rate);
    emulate_backwards(false);
    double worst = 0;
    bool finite = true;
    for (std::size_t r = 0; r < here.size(); ++r) {
        worst = std::max(worst, distance(here[r].delta, there[r].delta));
        for (float d : here[r].delta) finite = finite && std::isfinite(d);
    }
    const bool same = here == there;
    const bool again = emulated || here == train(api, net, samples, options, steps, rate);
    report.add(name, finite && again && (same || (!emulated && worst < 1e-4)),
               std::string(same ? "the same bits as on the processor"
                                : "relative distance " + number(worst)) +
                   (again ? ", twice the same" : ", NOT twice the same"));
}

void check_training(const Api& api, bool emulated, Report& report) {
    for (const auto& c : cases())
        for (std::uint32_t mode : {GOSSAMER_CUDA_GRAPH, GOSSAMER_CUDA_PERSISTENT}) {
            const Samples samples(c.net, c.rows, 4, c.as_bytes);
            check_bits(api, emulated, std::string("training of ") + c.name + mode_name(mode), c.net,
                       samples, plan_options(c.batch, 3, mode), emulated ? 4 : 7, 0.05f, report);
        }
    const Net net = Net(1, 1, 24).dense(16, GOSSAMER_CUDA_RELU).dropout(0.3f).dense(5);
    const Samples samples(net, 40, 4);
    struct {
        const char* name;
        std::uint32_t kind;
        float momentum, nesterov, decay, clip, mu;
    } const optimisers[] = {{"momentum", 0, 0.9f, 0, 0, 0, 0},
                            {"nesterov, decay", 0, 0.9f, 1, 0.01f, 0, 0},
                            {"sgd, decay", 0, 0, 0, 0.01f, 0, 0},
                            {"sgd, clipped, proximal", 0, 0, 0, 0.01f, 0.1f, 0.2f},
                            {"adam, clipped", 1, 0, 0, 0.01f, 0.5f, 0},
                            {"adamw, proximal", 2, 0, 0, 0.01f, 0, 0.2f}};
    for (const auto& o : optimisers)
        for (std::uint32_t mode : {GOSSAMER_CUDA_GRAPH, GOSSAMER_CUDA_PERSISTENT}) {
            auto options = plan_options(8, 2, mode);
            options.optimiser = o.kind, options.momentum = o.momentum;
            options.nesterov = o.nesterov != 0, options.decay = o.decay;
            options.clip_norm = o.clip, options.proximal_mu = o.mu;
            check_bits(api, emulated, std::string("optimiser ") + o.name + mode_name(mode), net,
                       samples, options, 37, 0.01f, report);
        }
    // More samples than the card puts in order, and a batch larger than the data.
    const Net small = Net(1, 1, 3).dense(2);
    check_bits(api, emulated, "7,000 samples in the order of the host", small,
               Samples(small, 7000, 1), plan_options(100, 1), 75, 0.1f, report);
    check_bits(api, emulated, "fewer samples than the batch", small, Samples(small, 5, 1),
               plan_options(64, 2), 9, 0.1f, report);
}

// The networks that are measured, as large as they are: too slow for every run on the processor.
void check_full_size(const Api& api, Report& report) {
    const Net two = two_layer_net(), cnn = fedavg_cnn();
    for (std::uint32_t mode : {GOSSAMER_CUDA_GRAPH, GOSSAMER_CUDA_PERSISTENT}) {
        check_gradient(api, {"the 2NN", two, 32, 40, true}, mode, report);
        check_gradient(api, {"the CNN", cnn, 5, 6, true}, mode, report);
        check_bits(api, false, std::string("20 replicas of the 2NN") + mode_name(mode), two,
                   Samples(two, 96, 1, true), plan_options(32, 20, mode), 2, 0.05f, report);
    }
    check_bits(api, false, "the CNN", cnn, Samples(cnn, 20, 1, true), plan_options(10, 1), 2, 0.05f,
               report);
}

void check_few(const Api& api, bool emulated, Report& report) {
    const auto all = cases();
    for (std::size_t i : {2u, 3u, 5u}) {
        const Samples samples(all[i].net, all[i].rows, 4, all[i].as_bytes);
        auto options = plan_options(all[i].batch, 2);
        check_bits(api, emulated, all[i].name, all[i].net, samples, options, 2, 0.05f, report);
        options.mode = GOSSAMER_CUDA_PERSISTENT, options.optimiser = 1, options.clip_norm = 1;
        check_bits(api, emulated, all[i].name, all[i].net, samples, options, 2, 0.01f, report);
    }
    check_products(api, emulated, true, report);
    check_mixing(api, true, report);
}

// ---- What a job says about itself ----

void check_loss_not_finite(const Api& api, Report& report) {
    const Net net = Net(1, 1, 6).dense(4, GOSSAMER_CUDA_RELU).dense(3);
    Samples bad(net, 24, 1);
    bad.floats[6 * 17] = NAN;  // with batches of 8 in order: the third
    for (std::uint32_t mode : {GOSSAMER_CUDA_GRAPH, GOSSAMER_CUDA_PERSISTENT}) {
        const Data data(api, bad);
        PlanOf plan(api, net, plan_options(8, 2, mode));
        Work all(data, weights_of(net, 1), 24, 5, 0.1f), two(data, weights_of(net, 1), 24, 2, 0.1f);
        all.r.shuffled = two.r.shuffled = 0;
        plan.run({&all, &two});
        report.add(
            std::string("a loss that is not finite stops its replica alone") + mode_name(mode),
            all.r.failed_step == 3 && two.r.failed_step == 0 && all.r.finite == 1 &&
                all.r.seen == 16 && all.floats() == two.floats(),
            "stopped at batch " + std::to_string(all.r.failed_step));
        Work wild(data, std::vector<float>(net.parameters, 3e38f), 8, 0, 0.1f);
        wild.start[0] = INFINITY;
        plan.run({&wild});
        report.add(std::string("weights that are not finite are not sent") + mode_name(mode),
                   wild.r.finite == 0 && wild.r.out_bytes == 0);
    }
}

void check_score(const Api& api, Report& report) {
    const Net net = Net(8, 8, 1).conv(4, 3, 1, true, GOSSAMER_CUDA_RELU).dropout(0.5f).dense(5);
    const Samples samples(net, 37, 2);
    const Data data(api, samples);
    auto options = plan_options(16, 1);
    options.scoring = 1;
    PlanOf plan(api, net, options);
    Work w(data, weights_of(net, 1), 37, 3, 0);
    w.r.shuffled = 0;
    plan.run({&w}, true);
    std::vector<std::uint32_t> rows;
    std::uint64_t correct = 0;
    const std::vector<double> at(w.start.begin(), w.start.end());
    for (std::uint32_t i = 0; i < 37; ++i) {
        rows.push_back(i);
        std::vector<double> x(samples.features);
        for (std::size_t f = 0; f < x.size(); ++f) x[f] = samples.value(i, f);
        const auto z = outputs_of(net, at, x);
        correct += std::max_element(z.begin(), z.end()) - z.begin() == samples.labels[i];
    }
    const double loss = loss_of(net, at, samples, rows);
    report.add("evaluation",
               std::abs(w.r.loss_sum / 37 - loss) < 1e-5 * loss && w.r.seen == 37 &&
                   w.r.correct == correct,
               std::to_string(w.r.correct) + " of 37 right");
}

void check_refusals(const Api& api, Report& report) {
    gossamer_cuda_error error{};
    Net net = Net(1, 1, 6).dense(4).dense(3);
    const auto refuse = [&](const char* name, int wanted, std::uint32_t size = 0) {
        auto n = net.description();
        if (size != 0) n.size = size;
        const auto options = plan_options(8, 1);
        gossamer_cuda_plan* plan = nullptr;
        const int code = api.plan_create(&n, &options, &plan, &error);
        report.add(name, code == wanted, error.what);
    };
    refuse("a struct of another version is refused", GOSSAMER_CUDA_ARGUMENT, 8);
    net.layers[1].channels = 5;
    refuse("layers that do not fit are refused", GOSSAMER_CUDA_MODEL);
    net.layers[1].channels = 4, net.layers[1].weight_offset = 1000;
    refuse("weights beyond the parameters are refused", GOSSAMER_CUDA_MODEL);
    net.layers[1].weight_offset = GOSSAMER_CUDA_FROZEN;
    refuse("frozen weights that are not there are refused", GOSSAMER_CUDA_MODEL);
    gossamer_cuda_vector* vector = nullptr;
    const int code = api.vector_create(0, std::uint64_t{1} << 36, &vector, &error);
    report.add("more memory than the card has", code == GOSSAMER_CUDA_MEMORY, error.what);
}

// The parts, each for a process of its own: a failure of the card leaves the others their chance.
// "few": one of everything, for tools that make it slow; "": all but that.
int run(const std::string& plugin, const char* json, const std::string& part) {
    const bool emulated = plugin == "--emulated";
    const Api* api = emulated ? &emulation() : load_api(plugin.c_str());
    if (api == nullptr) {
        std::printf("the plugin cannot be loaded: %s\n", plugin.c_str());
        return 1;
    }
    gossamer_cuda_error error{};
    gossamer_cuda_device device{};
    device.size = sizeof device;
    if (api->describe(0, &device, &error) != 0) {
        std::printf("SKIPPED: no card: %s\n", error.what);
        return error.code == GOSSAMER_CUDA_NO_DRIVER || error.code == GOSSAMER_CUDA_NO_DEVICE ? 77
                                                                                              : 1;
    }
    std::printf("%s, compute capability %d.%d, %d processors, %" PRIu64 " MiB free\n", device.name,
                device.major, device.minor, device.multiprocessors, device.free_bytes >> 20);
    Report report;
    report.write_to(json, device.name);
    const auto wanted = [&](const char* name) { return part.empty() || part == name; };
    if (part == "few") check_few(*api, emulated, report);
    if (wanted("gradients"))
        for (const auto& c : cases())
            for (std::uint32_t mode : {GOSSAMER_CUDA_GRAPH, GOSSAMER_CUDA_PERSISTENT})
                check_gradient(*api, c, mode, report);
    if (wanted("training")) check_training(*api, emulated, report);
    if (wanted("large") && !emulated) check_full_size(*api, report);
    if (wanted("answers")) {
        check_loss_not_finite(*api, report);
        check_score(*api, report);
        check_refusals(*api, report);
    }
    if (wanted("products")) {
        check_products(*api, emulated, false, report);
        check_mixing(*api, false, report);
    }
    std::printf("%zu checks, %d failed\n", report.count(), report.failed());
    report.finish();
    if (report.count() == 0) return 2;  // no part has this name
    return report.failed() > 0 ? 1 : 0;
}

}  // namespace
}  // namespace gossamer::cuda

int main(int count, char** arguments) {
    if (count < 2) {
        std::fprintf(stderr, "usage: gpu_check PLUGIN|--emulated [JSON [PART]]\n");
        return 2;
    }
    return gossamer::cuda::run(arguments[1], count > 2 ? arguments[2] : nullptr,
                               count > 3 ? arguments[3] : "");
}
