// The plugin's element-wise arithmetic against that of the house, and its kernels against the
// codecs, the loader and the averaging they stand in for.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "gossamer/codec/codec.hpp"
#include "gossamer/data/loader.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/codec/built_in.hpp"
#include "learning/cuda/emulation.hpp"
#include "learning/cuda/machine_host.hpp"
#include "learning/cuda/plan.hpp"
#include "learning/model/maths/layers.hpp"
#include "learning/training/cuda_trainer.hpp"
#include "tests/cuda/nets.hpp"

using namespace gossamer;
using namespace gossamer::cuda;

TEST_CASE("sixteen-bit conversions give the bits of the codecs") {
    std::vector<float> values;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 65521 / 16 * 3 + 1)
        values.push_back(bits_of<float>(static_cast<std::uint32_t>(bits)));
    for (std::uint32_t half = 0; half < 65536; ++half) {  // every tie, and beside it
        const float x = float_of_half(static_cast<std::uint16_t>(half));
        const auto bits = bits_of<std::uint32_t>(x);
        for (std::uint32_t add : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu})
            values.push_back(bits_of<float>(bits + add));
        for (std::uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
            values.push_back(bits_of<float>(half << 16 | low));
    }
    std::vector<std::uint16_t> half(values.size()), brief(values.size());
    tensor::to_half(half, values);
    tensor::to_bfloat16(brief, values);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        wrong += half_of(values[i]) != half[i] || bfloat16_of(values[i]) != brief[i];
    CHECK(wrong == 0);
    std::vector<std::uint16_t> all(65536);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    std::vector<float> from_half(all.size()), from_brief(all.size());
    tensor::from_half(from_half, all);
    tensor::from_bfloat16(from_brief, all);
    for (std::size_t i = 0; i < all.size(); ++i)
        wrong +=
            bits_of<std::uint32_t>(float_of_half(all[i])) != bits_of<std::uint32_t>(from_half[i]) ||
            bits_of<std::uint32_t>(float_of_bfloat16(all[i])) !=
                bits_of<std::uint32_t>(from_brief[i]);
    CHECK(wrong == 0);
}

TEST_CASE("draws, names and dropout are those of the house") {
    for (std::uint64_t round : {0ull, 7ull, 1ull << 40}) {
        const PeerId who = PeerId::of_number(round + 3);
        auto stream = gossamer::stream(RunSeed{99}, Purpose::shuffle, round, who);
        const Draws draws = draws_of(99, 2, round, training::stream_name(who));
        for (std::uint64_t i = 0; i < 9; ++i) CHECK(draw(draws, i) == stream.next_u64());
    }
    std::vector<float> x(3000, 1.0f), y(3000);
    for (float rate : {0.1f, 0.5f, 0.99f}) {
        model::maths::dropout(y.data(), x.data(), 3000, rate, 0x123456789abcdef0ull);
        std::size_t wrong = 0;
        for (std::uint32_t i = 0; i < 3000; ++i)
            wrong += kept_by_dropout(i, rate, 0x123456789abcdef0ull) != (y[i] != 0);
        CHECK(wrong == 0);
    }
}

TEST_CASE("functions are near those of libm, and say NaN when asked about NaN") {
    for (double x = -80; x < 80; x += 0.0137) {
        const auto f = static_cast<float>(x);
        CHECK(exp_of(f) == doctest::Approx(std::exp(double(f))).epsilon(3e-7));
        CHECK(tanh_of(f) == doctest::Approx(std::tanh(double(f))).epsilon(1e-6));
        CHECK(log_of(std::exp(x)) == doctest::Approx(x).epsilon(1e-14));
    }
    CHECK(std::isnan(exp_of(NAN)));
    CHECK(std::isnan(activate(kRelu, NAN)));
}

TEST_CASE("optimiser steps are those of the processor's trainer, to the last digits") {
    namespace maths = model::maths;
    Numbers numbers(4);
    constexpr std::size_t n = 257;
    const auto g = numbers.vector(n, 1);
    for (int kind = 0; kind < 5; ++kind) {
        auto w = numbers.vector(n, 1), first = numbers.vector(n, 0.1f);
        auto second = numbers.vector(n, 0.1f);
        for (auto& s : second) s = std::abs(s);
        auto w2 = w, first2 = first, second2 = second;
        Optimiser o;
        o.kind = kind < 3 ? 0 : kind - 2, o.momentum = 0.9f, o.nesterov = kind == 2;
        o.decay = 0.01f, o.beta1 = 0.9f, o.beta2 = 0.999f, o.epsilon = 1e-8f;
        const StepRow row{0.05f, 1.5f, 2.5f, 0, 0};
        const auto size = static_cast<maths::Index>(n);
        if (kind == 0) maths::sgd_step(w.data(), g.data(), size, 0.05f, 0.01f);
        if (kind == 1 || kind == 2)
            maths::momentum_step(w.data(), first.data(), g.data(), size,
                                 {0.05f, 0.9f, 0.01f, kind == 2});
        if (kind > 2)
            maths::adam_step(w.data(), first.data(), second.data(), g.data(), size,
                             {0.05f, 0.9f, 0.999f, 1e-8f, 0.01f, 1.5f, 2.5f, kind == 4});
        for (std::size_t i = 0; i < n; ++i) {
            if (kind == 0) w2[i] = sgd_step(w2[i], g[i], 0.05f, 0.01f);
            if (kind == 1 || kind == 2) w2[i] = momentum_step(w2[i], first2[i], g[i], 0.05f, o);
            if (kind > 2) w2[i] = adam_step(w2[i], first2[i], second2[i], g[i], row, o);
            CHECK(std::abs(w2[i] - w[i]) < 1e-6f);
            CHECK(std::abs(first2[i] - first[i]) < 1e-6f);
            CHECK(std::abs(second2[i] - second[i]) < 1e-6f);
        }
    }
}

TEST_CASE("samples come in the loader's order, also after a draw that is repeated") {
    for (int count : {1, 2, 3, 60, 1000}) {
        data::Dataset::Parts parts{.name = "numbers", .shape = {1}};
        for (int i = 0; i < count; ++i) parts.floats.push_back(float(i)), parts.labels.push_back(0);
        parts.class_count = 1;
        const auto who = PeerId::of_number(8);
        const auto n = static_cast<std::size_t>(count);
        data::Loader loader(data::View::all(data::Dataset::make(std::move(parts)).value()),
                            {.batch_size = n, .seed = RunSeed{5}, .peer = who});
        data::BatchRoom room;
        const auto wanted = loader.batch(3, 0, room).features;
        for (int serial : {0, 1})
            for (bool backwards : {false, true}) {
                std::vector<std::uint32_t> order(n);
                const ShuffleRow row{nullptr, order.data(),
                                     draws_of(5, 2, 3, training::stream_name(who)), count, 1};
                emulate_backwards(backwards);
                Machine machine(0);
                machine.launch<Shuffle>({.threads = static_cast<unsigned>(Shuffle::kThreads),
                                         .shared_bytes = shuffle_bytes(count)},
                                        {&row, serial});
                emulate_backwards(false);
                for (std::size_t i = 0; i < n; ++i) CHECK(float(order[i]) == wanted[i]);
            }
    }
}

TEST_CASE("encodings and mixes give the bytes of the codecs and of the averaging kernels") {
    const auto& api = emulation();
    Numbers numbers(2);
    const auto values = numbers.vector(3001, 3.0f), other = numbers.vector(3001, 1.0f);
    gossamer_cuda_error error{};
    gossamer_cuda_vector *a = nullptr, *b = nullptr;
    REQUIRE(api.vector_create(0, values.size(), &a, &error) == 0);
    REQUIRE(api.vector_create(0, values.size(), &b, &error) == 0);
    api.vector_write(a, values.data(), &error);
    api.vector_write(b, other.data(), &error);
    struct {
        std::uint32_t kind;
        const char* codec;
    } const forms[] = {{GOSSAMER_CUDA_F16, "f16"}, {GOSSAMER_CUDA_BF16, "bf16"}};
    for (const auto& form : forms) {
        gossamer_cuda_product p{};
        p.kind = form.kind;
        Bytes bytes(values.size() * 8);
        std::uint64_t size = 0;
        REQUIRE(api.encode(a, nullptr, &p, bytes.data(), bytes.size(), &size, nullptr, &error) ==
                0);
        bytes.resize(size);
        CHECK(bytes == codec::encode_all(*codec::find_codec(form.codec).value(), values).value());
    }
    const tensor::Weighted rows[] = {{values.data(), 0.75}, {other.data(), 0x1p-24 * 123457}};
    std::vector<float> wanted(values.size()), mixed(values.size());
    tensor::weighted_mean(wanted, rows);
    const gossamer_cuda_vector* inputs[] = {a, b};
    const double weights[] = {rows[0].weight, rows[1].weight};
    REQUIRE(api.mix(b, inputs, weights, 2, nullptr, &error) == 0);
    REQUIRE(api.vector_read(b, mixed.data(), &error) == 0);
    CHECK(mixed == wanted);
    api.vector_destroy(a);
    api.vector_destroy(b);
}

TEST_CASE("every kind of tile and divided products come up in the networks that are checked") {
    std::set<TileKind> tiles;
    std::set<OpKind> divided, kinds;
    for (int replicas : {1, 64}) {
        const Net nets[] = {two_layer_net(), fedavg_cnn(),
                            Net(1, 1, 300).dense(140, GOSSAMER_CUDA_RELU).dense(10),
                            Net(10, 10, 1).conv(32, 5, 1, true).pool(2, 2).conv(40, 5, 1, true)};
        for (const auto& net : nets) {
            const auto n = net.description();
            CHECK(network_fault(n, 32) == "");
            const auto program =
                ProgramBuilder(n, {.batch = 32, .replicas = replicas, .fused = true}).build();
            for (const Op& op : program.ops) {
                kinds.insert(op.kind);
                if (!is_product(op.kind)) continue;
                tiles.insert(op.tile);
                if (op.splits > 1) divided.insert(op.kind);
                CHECK(op.k_part % kDepth == 0);
                CHECK(op.k_part * op.splits >= op.k);
                CHECK(op.k_part * (op.splits - 1) < op.k);
            }
        }
    }
    CHECK(tiles.size() == 3);
    CHECK(divided.contains(OpKind::dense_forward));
    CHECK(divided.contains(OpKind::conv_weights));
    CHECK(kinds.size() >= 10);
}

namespace {

Bytes encoded_there(const codec::Codec& codec, const std::vector<float>& values,
                    const codec::EncodeState& state, std::vector<float>& left) {
    const auto& api = emulation();
    const auto traits = codec.traits();
    gossamer_cuda_error error{};
    gossamer_cuda_vector* v = nullptr;
    REQUIRE(api.vector_create(0, values.size(), &v, &error) == 0);
    REQUIRE(api.vector_write(v, values.data(), &error) == 0);
    gossamer_cuda_product p{};
    const std::map<std::uint8_t, std::uint32_t> kinds{
        {codec::kFloat32Id, GOSSAMER_CUDA_DELTA}, {codec::kHalfId, GOSSAMER_CUDA_F16},
        {codec::kBfloat16Id, GOSSAMER_CUDA_BF16}, {codec::kInt8Id, GOSSAMER_CUDA_INT8},
        {codec::kSignId, GOSSAMER_CUDA_SIGN},     {codec::kTop1Id, GOSSAMER_CUDA_TOP},
        {codec::kTop10Id, GOSSAMER_CUDA_TOP}};
    p.kind = kinds.at(traits.wire_id);
    if (p.kind == GOSSAMER_CUDA_TOP) p.top_count = codec::top_count(traits.wire_id, values.size());
    p.rounding = codec::rounding_key(state);
    if (!state.residual.empty()) p.residual = state.residual.data();
    if (traits.error_feedback) p.next_residual = left.data();
    Bytes out(codec.bytes_max(values.size()));
    std::uint64_t size = 0;
    REQUIRE(api.encode(v, nullptr, &p, out.data(), out.size(), &size, nullptr, &error) == 0);
    api.vector_destroy(v);
    out.resize(size);
    return out;
}

}  // namespace

// The kernels of all codecs, also where blocks are not whole and values are equal, with threads in
// both orders.
TEST_CASE("what the card encodes is to the bit what the host does") {
    for (std::size_t count : {1u, 5u, 99u, 1023u, 1024u, 1025u, 4099u, 70'001u})
        for (bool backwards : {false, true}) {
            emulate_backwards(backwards);
            Numbers numbers(count);
            auto delta = numbers.vector(count, 2.0f), residual = numbers.vector(count, 0.5f);
            if (count > 1000) {
                for (std::size_t i = 0; i < 300; ++i) delta[i] = i % 2 ? 0.25f : -0.25f;
                for (std::size_t i = 0; i < 300; ++i) residual[i] = 0;
                delta[301] = 1e-42f, delta[302] = 0.0f, delta[303] = -0.0f;
            }
            for (const auto& name : codec::CodecTable().names()) {
                CAPTURE(name);
                CAPTURE(count);
                const auto codec = codec::find_codec(name).value();
                const auto traits = codec->traits();
                codec::EncodeState state{.seed = RunSeed{7}, .round = 3};
                std::vector<float> left(count), left_there(count);
                if (traits.error_feedback) state.residual = residual, state.next_residual = left;
                const auto here = codec::encode_all(*codec, delta, state).value();
                const auto there = encoded_there(*codec, delta, state, left_there);
                CHECK(here == there);
                if (traits.error_feedback) CHECK(left == left_there);
            }
        }
    emulate_backwards(false);
}
