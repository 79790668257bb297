// Figures of the CUDA plugin: gpu_bench PLUGIN [JSON [PART]]. Stands alone: a compiler suffices.
//
// Steps are timed by the card's clock and by ours, after a warm-up, medians of several; vectors are
// larger than the second-level cache. A step is one batch of one replica.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>

#include "tests/cuda/session.hpp"

namespace gossamer::cuda {
namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}
double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

// Written with each of them: what follows may take the process down, or its time may run out.
class Figures {
public:
    Figures(const char* path, std::string device)
        : path_(path != nullptr ? path : ""), device_(std::move(device)) {}
    void add(const std::string& name, double value, const std::string& unit) {
        std::printf("%-56s %14.4g %s\n", name.c_str(), value, unit.c_str());
        std::fflush(stdout);
        char text[64];
        std::snprintf(text, sizeof text, "%.6g", value);
        lines_ += (lines_.empty() ? "" : ",\n") + std::string("    {\"name\": \"") + name +
                  "\", \"value\": " + text + ", \"unit\": \"" + unit + "\"}";
        write(false);
    }
    void finish() const { write(true); }

private:
    void write(bool finished) const {
        if (path_.empty()) return;
        const std::string next = path_ + ".next";
        std::ofstream(next) << "{\n  \"device\": \"" << device_
                            << "\",\n  \"finished\": " << (finished ? "true" : "false")
                            << ",\n  \"figures\": [\n"
                            << lines_ << "\n  ]\n}\n";
        std::rename(next.c_str(), path_.c_str());  // whole, or not at all
    }
    const std::string path_, device_;
    std::string lines_;
};

void steps(const Api& api, Figures& figures, const std::string& name, const Net& net,
           std::uint32_t batch, std::uint32_t replicas, std::uint32_t mode,
           std::uint32_t step_count) {
    const Samples samples(net, 960, 1, net.entries == 0);
    const Data data(api, samples);
    PlanOf plan(api, net, plan_options(batch, replicas, mode));
    const auto start = weights_of(net, 1);
    std::vector<std::unique_ptr<Work>> works;
    std::vector<Work*> all;
    for (std::uint32_t r = 0; r < replicas; ++r) {
        works.push_back(std::make_unique<Work>(data, start, 960, step_count, 0.01f));
        works.back()->r.who = r, works.back()->r.product.kind = GOSSAMER_CUDA_INT8;
        all.push_back(works.back().get());
    }
    plan.run(all);
    std::vector<double> card, wall;
    for (int i = 0; i < 5; ++i) {
        const double before = now();
        card.push_back(plan.run(all));
        wall.push_back(now() - before);
    }
    const std::string what = name + " batch " + std::to_string(batch) + " replicas " +
                             std::to_string(replicas) +
                             (mode == GOSSAMER_CUDA_PERSISTENT ? " persistent" : " graph");
    const double count = double(step_count) * replicas;
    figures.add(what, count / median(card), "steps/s");
    figures.add(what + ", with both copies", count / median(wall), "steps/s");
    figures.add(what + ", memory", double(api.plan_bytes(plan.get())) / (1 << 20), "MiB");
    if (works[0]->r.failed_step != 0 || works[0]->r.finite != GOSSAMER_CUDA_SENT)
        std::printf("NOT FINITE: %s\n", what.c_str());
}

class Vectors {
public:
    Vectors(const Api& api, std::size_t count, std::size_t number) : api_(api) {
        Numbers numbers(1);
        auto values = numbers.vector(count, 1.0f);
        for (std::size_t i = 0; i < number; ++i) {
            if (i == 1) values = numbers.vector(count, 1.0f);  // a delta that is not zero
            gossamer_cuda_vector* v = nullptr;
            gossamer_cuda_error error{};
            if (api.vector_create(0, count, &v, &error) != 0 ||
                api.vector_write(v, values.data(), &error) != 0)
                stop(error);
            all.push_back(v);
        }
    }
    ~Vectors() {
        for (auto* v : all) api_.vector_destroy(v);
    }
    Vectors(const Vectors&) = delete;
    Vectors& operator=(const Vectors&) = delete;
    std::vector<gossamer_cuda_vector*> all;

private:
    const Api& api_;
};

void memory(const Api& api, Figures& figures) {
    constexpr std::size_t kCount = std::size_t{64} << 20, kInputs = 8;
    constexpr double kBytes = double(kCount) * 4;
    const Vectors v(api, kCount, kInputs + 1);
    gossamer_cuda_error error{};
    std::vector<double> copy, mix, seconds(2);
    const std::vector<const gossamer_cuda_vector*> inputs(v.all.begin(), v.all.end() - 1);
    const std::vector<double> weights(kInputs, 1.0 / kInputs);
    for (int i = 0; i < 12; ++i) {
        double s = 0;
        if (api.vector_copy(v.all[kInputs], v.all[0], &s, &error) != 0) stop(error);
        copy.push_back(s);
        if (api.mix(v.all[kInputs], inputs.data(), weights.data(), kInputs, &s, &error) != 0)
            stop(error);
        mix.push_back(s);
    }
    const double limit = 2 * kBytes / median(copy) * 1e-9;
    const double mixed = (kInputs + 1) * kBytes / median(mix) * 1e-9;
    figures.add("copy on the card, read and write", limit, "GB/s");
    figures.add("mixing 8 vectors of 64M", mixed, "GB/s");
    figures.add("mixing 8 vectors of 64M, of the copy's rate (goal 0.85)", mixed / limit, "");

    std::vector<unsigned char> out(kCount * 4 + 64);
    const auto encode = [&](const char* name, std::uint32_t kind, bool delta, double clip,
                            double bytes_per_value, double& total) {
        std::vector<double> kernels, all;
        for (int i = 0; i < 7; ++i) {
            gossamer_cuda_product p{};
            p.kind = kind, p.clip_norm = clip, p.top_count = kCount / 100;
            std::uint64_t size = 0;
            const double before = now();
            if (api.encode(v.all[0], delta ? v.all[1] : nullptr, &p, out.data(), out.size(), &size,
                           seconds.data(), &error) != 0)
                stop(error);
            all.push_back(now() - before);
            kernels.push_back(seconds[0]);
        }
        total = median(all);
        const double rate = double(kCount) * bytes_per_value / median(kernels) * 1e-9;
        figures.add(std::string(name) + ", on the card", rate, "GB/s");
        figures.add(std::string(name) + ", of the copy's rate", rate / limit, "");
        figures.add(std::string(name) + ", with the copy to the host", total * 1e3, "ms");
    };
    double plain = 0, packed = 0, other = 0;
    encode("float32 weights", GOSSAMER_CUDA_WEIGHTS, false, 0, 8, plain);
    encode("int8 (goal 0.70)", GOSSAMER_CUDA_INT8, false, 0, 5.004, other);
    encode("f16", GOSSAMER_CUDA_F16, false, 0, 6, other);
    encode("sign", GOSSAMER_CUDA_SIGN, false, 0, 4.13, other);
    encode("top 1%", GOSSAMER_CUDA_TOP, false, 0, 4, other);
    encode("delta, clip, int8", GOSSAMER_CUDA_INT8, true, 1, 8 + 9.004, packed);
    figures.add("delta, clip, int8 and copy against a float32 copy (goal 4)", plain / packed, "x");
}

// The parts, each for a process of its own; "": all.
int run(const char* plugin, const char* json, const std::string& part) {
    const Api* api = std::string(plugin) == "--emulated" ? nullptr : load_api(plugin);
    if (api == nullptr) return 77;
    gossamer_cuda_error error{};
    gossamer_cuda_device device{};
    device.size = sizeof device;
    if (api->describe(0, &device, &error) != 0) {
        std::printf("SKIPPED: no card: %s\n", error.what);
        return 77;
    }
    std::printf("%s, %d processors\n", device.name, device.multiprocessors);
    Figures figures(json, device.name);
    const Net two = two_layer_net(), cnn = fedavg_cnn(), logistic = Net(28, 28, 1).dense(10);
    constexpr auto graph = GOSSAMER_CUDA_GRAPH, persistent = GOSSAMER_CUDA_PERSISTENT;
    const auto wanted = [&](const char* name) { return part.empty() || part == name; };
    for (std::uint32_t batch : {32u, 10u}) {
        if (wanted("2nn")) {
            steps(*api, figures, "2nn", two, batch, 1, graph, 1600);
            steps(*api, figures, "2nn", two, batch, 1, persistent, 320);
            steps(*api, figures, "2nn", two, batch, 64, graph, 320);
            steps(*api, figures, "2nn", two, batch, 64, persistent, 320);
            steps(*api, figures, "2nn", two, batch, 1000, graph, 48);
            steps(*api, figures, "2nn", two, batch, 1000, persistent, 48);
        }
        if (wanted("cnn")) {
            steps(*api, figures, "cnn", cnn, batch, 1, graph, 640);
            steps(*api, figures, "cnn", cnn, batch, 64, graph, 48);
        }
        if (wanted("logistic")) {
            steps(*api, figures, "logistic", logistic, batch, 1, graph, 1600);
            steps(*api, figures, "logistic", logistic, batch, 1, persistent, 1600);
            steps(*api, figures, "logistic", logistic, batch, 1000, graph, 160);
            steps(*api, figures, "logistic", logistic, batch, 1000, persistent, 160);
        }
    }
    if (wanted("layers")) {
        const Net lstm = character_lstm(), former = small_transformer();
        const Net residual = small_residual_net();
        for (std::uint32_t replicas : {1u, 16u}) {
            steps(*api, figures, "lstm", lstm, 10, replicas, graph, 32);
            steps(*api, figures, "transformer", former, 10, replicas, graph, 32);
            steps(*api, figures, "resnet-8", residual, 20, replicas, graph, 32);
        }
    }
    if (wanted("memory")) memory(*api, figures);
    figures.finish();
    return 0;
}

}  // namespace
}  // namespace gossamer::cuda

int main(int count, char** arguments) {
    if (count < 2) {
        std::fprintf(stderr, "usage: gpu_bench PLUGIN [JSON [PART]]\n");
        return 2;
    }
    return gossamer::cuda::run(arguments[1], count > 2 ? arguments[2] : nullptr,
                               count > 3 ? arguments[3] : "");
}
