// Codecs on one thread: 64 MB of floats in memory to bytes, back, and into an exact sum, beside a
// copy of the same floats. Best of five, all by turns. The goals are what the first plain loops of
// each codec reached on the machine they were written on, against its copy of 24 GB/s.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/codec/accumulate.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/kernels.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kFloats = std::size_t{16} << 20;
constexpr double kBytes = double(kFloats * sizeof(float));
constexpr int kRepeats = 5;
constexpr double kRange = 1e3;  // of values in the sum

struct Figures {
    std::string name;
    double encode_goal, feedback_goal;                     // 0: none
    double encode = 0, feedback = 0, decode = 0, add = 0;  // bytes of floats a second
};

template <class Work>
void take_best(double& best, Work&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, kBytes / took.count());
}

template <class T>
T need(Result<T> result) {
    if (result) return std::move(*result);
    std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
    std::exit(1);
}

void print(const std::string& name, double value, double limit, double goal) {
    const double ratio = value / limit;
    std::printf(
        "{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"GB/s\",\"limit\":%.2f,\"ratio\":%.3f,"
        "\"goal\":%.2f,\"met\":%s}\n",
        name.c_str(), value * 1e-9, limit * 1e-9, ratio, goal,
        goal == 0       ? "null"
        : ratio >= goal ? "true"
                        : "false");
}

}  // namespace

int main() {
    const auto pool = tensor::BufferPool::create(std::size_t{1} << 30);
    const auto fresh = [&](std::size_t bytes) {
        auto buffer = pool->take(bytes);
        std::memset(buffer.bytes().data(), 0, bytes);  // no page fault is measured
        return buffer;
    };
    auto values = fresh(kFloats * sizeof(float)), back = fresh(kFloats * sizeof(float));
    auto residual = fresh(kFloats * sizeof(float)), next = fresh(kFloats * sizeof(float));
    auto sum = fresh(kFloats * sizeof(std::int64_t));
    auto draws = stream(RunSeed{1}, Purpose::data, 1);
    for (auto& v : values.floats())  // about normal
        v = static_cast<float>(draws.uniform() + draws.uniform() + draws.uniform() - 1.5) * 1e-2f;
    const auto x = std::as_const(values).floats();
    const auto scale = tensor::ExactScale::choose(1, 1e3, kRange);

    std::vector<Figures> all = {{"f16", 0.40, 0},  {"bf16", 0.36, 0}, {"int8", 0.30, 0},
                                {"sign", 0, 0.26}, {"top10", 0, 0},   {"top1", 0, 0.41}};
    double copy = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        take_best(copy, [&] { std::memcpy(back.bytes().data(), x.data(), x.size_bytes()); });
        for (auto& of : all) {
            const auto codec = need(codec::find_codec(of.name));
            auto bytes = fresh(codec->bytes_max(kFloats));
            std::size_t size = 0;
            take_best(of.encode, [&] { size = need(codec->encode(bytes.bytes(), x, {})); });
            if (codec->traits().error_feedback)
                take_best(of.feedback, [&] {
                    codec::EncodeState state;
                    state.residual = std::as_const(residual).floats();
                    state.next_residual = next.floats();
                    size = need(codec->encode(bytes.bytes(), x, state));
                });
            const ByteView encoded = std::as_const(bytes).bytes().first(size);
            take_best(of.decode, [&] { codec->decode(back.floats(), encoded, kFloats, 0); });
            take_best(of.add, [&] {
                if (!codec::add_encoded(sum.words(), *codec, encoded, 1, scale)) std::exit(1);
            });
        }
    }
    for (const auto& of : all) {
        print(of.name + ": encode, against a copy", of.encode, copy, of.encode_goal);
        if (of.feedback > 0)
            print(of.name + ": encode with error feedback", of.feedback, copy, of.feedback_goal);
        print(of.name + ": decode", of.decode, copy, 0);
        print(of.name + ": decode into an exact sum", of.add, copy, 0);
    }
}
