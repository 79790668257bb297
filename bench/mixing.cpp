// Mixing 8 vectors of 64M floats in one pass on one thread, as gossip does with its neighbours'
// models, beside one thread that only reads the same buffers. Best of five of each, by turns; the
// output's bytes are not counted.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

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
    double mixed = 0, read = 0, total = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        double begin = seconds();
        for (const auto& v : vectors) total += sum_of(std::as_const(v).floats().data(), kFloats);
        read = std::max(read, bytes / (seconds() - begin));
        begin = seconds();
        tensor::weighted_mean(out.floats(), inputs);
        mixed = std::max(mixed, bytes / (seconds() - begin));
    }
    if (total == 0) std::printf("nothing was read\n");
    std::printf(
        "{\"name\":\"mixing 8 vectors of 64M floats, against reading them\",\"value\":%.2f,"
        "\"unit\":\"GB/s\",\"limit\":%.2f,\"ratio\":%.3f,\"goal\":0.9,\"met\":%s}\n",
        mixed * 1e-9, read * 1e-9, mixed / read, mixed / read >= 0.9 ? "true" : "false");
}
