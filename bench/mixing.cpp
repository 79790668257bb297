// Mixing 8 vectors of 64M floats in one pass on one thread, beside one thread that only reads the
// same buffers: the bare kernel, then as gossip does with its neighbours' models, looking for
// values that are not finite and for the distance on the way. Best of five of each, by turns; the
// output's bytes are not counted.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/tensor/kernel_clones.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kVectors = 8, kFloats = std::size_t{64} << 20;
constexpr int kRepeats = 5;

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

GOSSAMER_KERNEL float sum_of(const float* x, std::size_t count) {
    constexpr std::size_t kLanes = 64;
    float lane[kLanes] = {};
    for (std::size_t i = 0; i < count; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) lane[k] += x[i + k];
    float sum = 0;
    for (float v : lane) sum += v;
    return sum;
}

void print(const char* name, double mixed, double read) {
    std::printf(
        "{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"GB/s\",\"limit\":%.2f,\"ratio\":%.3f,"
        "\"goal\":0.9,\"met\":%s}\n",
        name, mixed * 1e-9, read * 1e-9, mixed / read, mixed / read >= 0.9 ? "true" : "false");
}

}  // namespace

int main() {
    const auto pool = tensor::BufferPool::create(std::size_t{4} << 30);
    std::vector<tensor::Buffer> vectors;
    std::vector<tensor::Weighted> inputs;
    for (std::size_t k = 0; k < kVectors; ++k) {
        vectors.push_back(pool->take_floats(kFloats));
        auto floats = vectors.back().floats();
        for (std::size_t i = 0; i < kFloats; ++i)
            floats[i] = static_cast<float>(i % 1021 + k) * 1e-3f;
        inputs.push_back({floats.data(), 0.125});
    }
    auto out = pool->take_floats(kFloats);
    std::memset(out.bytes().data(), 1, out.bytes().size());
    const double bytes = double(kVectors * kFloats * sizeof(float));
    const auto f32 = codec::find_codec("f32").value();
    std::vector<codec::MixInput> models;
    for (const auto& v : vectors) models.push_back({f32.get(), v.bytes(), 0.125, {}});
    double mixed = 0, checked = 0, read = 0, total = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        double begin = seconds();
        for (const auto& v : vectors) total += sum_of(std::as_const(v).floats().data(), kFloats);
        read = std::max(read, bytes / (seconds() - begin));
        begin = seconds();
        tensor::weighted_mean(out.floats(), inputs);
        mixed = std::max(mixed, bytes / (seconds() - begin));
        begin = seconds();
        codec::MixCheck check;
        if (!codec::mix_encoded(out.floats(), models, check)) return 1;
        checked = std::max(checked, bytes / (seconds() - begin));
    }
    if (total == 0) std::printf("nothing was read\n");
    print("mixing 8 vectors of 64M floats, against reading them", mixed, read);
    print("mixing 8 models of 64M floats with checks, against reading them", checked, read);
}
