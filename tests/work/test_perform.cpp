// What the workshop makes of what a user's own trainer or arithmetic gives it.
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "drivers/work/perform.hpp"
#include "gossamer/codec/update.hpp"

using namespace gossamer;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

tensor::LayoutRef layout_of(std::uint32_t count) {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("x", {count});
    return layout;
}

// Gives what it is told to give.
class Given final : public training::Trainer {
public:
    std::vector<float> weights;
    double loss = 0.5;
    bool checks = false;
    std::string bytes;  // encoded, when it makes those itself
    std::function<void()> first = [] {};
    training::Product asked{};

    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return 3; }
    void initialise(std::span<float>, RunSeed) const override {}
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        training::TrainProduct product;
        asked = request.product;
        first();
        if (!bytes.empty()) {
            product.product = training::Product::encoded;
            product.weights = pool.take(bytes.size());
            std::ranges::copy(std::as_bytes(std::span(bytes)), product.weights.bytes().begin());
            return product;
        }
        product.weights = pool.take_floats(weights.size());
        std::ranges::copy(weights, product.weights.floats().begin());
        product.loss = loss;
        return product;
    }
    Result<training::Evaluation> evaluate(std::span<const float>, training::EvaluationSet,
                                          const training::Pause&) override {
        return training::Evaluation{};
    }
    bool checks_finite() const override { return checks; }

private:
    tensor::LayoutRef layout_ = layout_of(4);
};

struct Bench {
    std::shared_ptr<Given> trainer = std::make_shared<Given>();
    tensor::PoolRef pool = tensor::BufferPool::create(1 << 20);
    work::Perform perform;

    Bench() {
        work::Tools tools;
        tools.trainer = trainer;
        tools.pool = pool;
        tools.codecs = std::make_shared<codec::CodecTable>();
        tools.self.bytes.fill(std::byte{0xab});
        perform = work::make_perform(std::move(tools));
    }
    // From {1, 1, 1, 1}.
    Result<job::JobDone> train_encoded(const char* codec, tensor::Payload& out) {
        out = tensor::Payload::promise();
        auto start = pool->take_floats(4);
        std::ranges::fill(start.floats(), 1.0f);
        job::TrainJob train{.product = job::TrainedAs::encoded};
        train.start = tensor::Model::of(trainer->layout(), std::move(start));
        train.codec = codec::find_codec(codec).value()->traits().wire_id;
        train.encoded = out;
        job::Job any = std::move(train);
        return perform(any, {});
    }
    Result<job::JobDone> train(job::TrainJob& train) {
        train.start = train.out = tensor::Model::promise(trainer->layout());
        train.round = 7;
        job::Job any = train;
        return perform(any, {});
    }
};

}  // namespace

TEST_CASE("a trainer of the user's own that throws has failed its job, no more") {
    Bench bench;
    bench.trainer->weights = {1, 2, 3, 4};
    job::TrainJob job;
    bench.trainer->first = [] { throw std::runtime_error("of the user's own"); };
    auto done = bench.train(job);
    REQUIRE(!done);
    CHECK(done.error().code == ErrorCode::kInternal);
    CHECK(done.error().what == "a job failed: of the user's own");
    bench.trainer->first = [] { throw 7; };
    CHECK(!bench.train(job));
    bench.trainer->first = [] {};
    CHECK(bench.train(job));
}

TEST_CASE("training that gives NaN or infinite values fails by name, and fills nothing") {
    for (float bad : {kNaN, kInfinity, -kInfinity}) {
        Bench bench;
        bench.trainer->weights = {1, 2, bad, 4};
        job::TrainJob job;
        auto done = bench.train(job);
        REQUIRE(!done);
        CHECK(done.error().code == ErrorCode::kModelNotFinite);
        CHECK(done.error().what.find("round 7 on peer abab") != std::string::npos);
        CHECK_FALSE(job.out.filled());
    }
    Bench bench;
    bench.trainer->weights = {1, 2, 3, 4};
    bench.trainer->loss = kNaN;
    job::TrainJob job;
    CHECK(bench.train(job).error().code == ErrorCode::kModelNotFinite);
}

TEST_CASE("training that gives finite values passes, and so does what a trainer checks itself") {
    Bench bench;
    bench.trainer->weights = {1, 2, 3, 4};
    job::TrainJob job;
    CHECK(bench.train(job).has_value());
    CHECK(job.out.filled());
    bench.trainer->weights = {1, 2, kNaN, 4};
    bench.trainer->checks = true;  // a lie, and believed: nothing looks through them again
    job::TrainJob other;
    CHECK(bench.train(other).has_value());
}

TEST_CASE("arithmetic whose models must be finite fails when they are not") {
    Bench bench;
    job::ComputeJob job;
    job.name = "mine";
    job.run = [](job::ComputeInput& in) -> Result<job::ComputeOutput> {
        job::ComputeOutput out;
        out.models.push_back(in.pool->take_floats(4));
        std::ranges::fill(out.models[0].floats(), kNaN);
        return out;
    };
    for (bool finite : {false, true}) {
        job.finite = finite;
        job.out_models = {tensor::Model::promise(bench.trainer->layout())};
        job::Job any = job;
        auto done = bench.perform(any, {});
        CHECK(done.has_value() == !finite);
        CHECK(job.out_models[0].filled() == !finite);
        if (!done) CHECK(done.error().code == ErrorCode::kModelNotFinite);
        if (!done) CHECK(done.error().what.starts_with("mine made a model that is not finite"));
    }
}

TEST_CASE("a train job that asks for an encoded update gives the codec's bytes of the difference") {
    for (const char* name : {"f32", "f16", "bf16"}) {
        CAPTURE(name);
        Bench bench;
        bench.trainer->weights = {1.5, 0.25, -3, 1};
        tensor::Payload out;
        const auto done = bench.train_encoded(name, out);
        REQUIRE(done);
        CHECK(bench.trainer->asked == training::Product::encoded);
        const auto expected = codec::encode_all(*codec::find_codec(name).value(),
                                                std::vector<float>{0.5, -0.75, -4, 0})
                                  .value();
        CHECK(Bytes(out.bytes().begin(), out.bytes().end()) == expected);
        CHECK(std::get<job::TrainDone>(*done).byte_count == expected.size());
    }
}

TEST_CASE("what an update leaves unsent comes out of its job, and goes into the next one's") {
    Bench bench;
    bench.trainer->weights = {1.5, 0.25, -3, 1};
    const auto codec = codec::find_codec("sign").value();
    const std::vector<float> delta{0.5, -0.75, -4, 0};
    job::State left;
    for (std::uint64_t round = 1; round < 4; ++round) {
        const auto expected = codec::encode_update(*codec, delta, left, {}, *bench.pool).value();
        // Of a train job, whose trainer gives weights, and of an encode job.
        auto out = tensor::Payload::promise(), other = tensor::Payload::promise();
        auto start = bench.pool->take_floats(4), model = bench.pool->take_floats(4);
        std::ranges::fill(start.floats(), 1.0f);
        std::ranges::copy(bench.trainer->weights, model.floats().begin());
        job::TrainJob train{.product = job::TrainedAs::encoded};
        train.start = tensor::Model::of(bench.trainer->layout(), std::move(start));
        train.codec = codec->traits().wire_id, train.residual = left, train.encoded = out;
        train.round = round;
        job::EncodeJob encode;
        encode.model = tensor::Model::of(bench.trainer->layout(), std::move(model));
        encode.base = train.start, encode.codec = train.codec, encode.round = round;
        encode.state = left, encode.out = other;
        job::Job first = std::move(train), second = std::move(encode);
        const auto trained = bench.perform(first, {}), encoded = bench.perform(second, {});
        REQUIRE(trained);
        REQUIRE(encoded);
        CHECK(std::ranges::equal(out.bytes(), expected.bytes.bytes()));
        CHECK(std::ranges::equal(other.bytes(), expected.bytes.bytes()));
        left = std::get<job::TrainDone>(*trained).residual;
        REQUIRE(left);
        CHECK(left->digest() == expected.residual->digest());
        CHECK(std::get<job::EncodeDone>(*encoded).state->digest() == left->digest());
    }
}

TEST_CASE("what a trainer has encoded itself is passed on as it is") {
    Bench bench;
    bench.trainer->bytes = "made elsewhere";
    tensor::Payload out;
    const auto done = bench.train_encoded("f16", out);
    REQUIRE(done);
    CHECK(std::get<job::TrainDone>(*done).byte_count == 14);
    CHECK(std::ranges::equal(out.bytes(), std::as_bytes(std::span(bench.trainer->bytes))));
    job::TrainJob weights;  // where weights were asked for, nothing else will do
    CHECK(bench.train(weights).error().code == ErrorCode::kTrainingFailed);
}

TEST_CASE("an update that is not finite, or beyond its codec, is not sent") {
    Bench bench;
    tensor::Payload out;
    bench.trainer->weights = {1, 2, kInfinity, 4};
    CHECK(bench.train_encoded("f32", out).error().code == ErrorCode::kModelNotFinite);
    bench.trainer->weights = {1, 2, 1e9f, 4};
    CHECK(bench.train_encoded("f16", out).error().code == ErrorCode::kUpdateTooLarge);
    CHECK_FALSE(out.filled());
    CHECK(bench.train_encoded("f32", out));
}

TEST_CASE("a sum has the same bits when threads add at the same time, each to a part of its own") {
    constexpr std::size_t kCount = 3000;
    constexpr int kUpdates = 40;
    auto draws = stream(RunSeed{12}, Purpose::data);
    const auto pool = tensor::BufferPool::create(1 << 20);
    work::Tools tools;
    tools.pool = pool;
    tools.codecs = std::make_shared<const codec::CodecTable>();
    const auto scale = tensor::ExactScale::choose(9, 9 * kUpdates, 100);
    std::vector<job::AccumulateJob> jobs;
    for (int k = 0; k < kUpdates; ++k) {
        auto buffer = pool->take_floats(kCount);
        for (auto& v : buffer.floats()) v = static_cast<float>(draws.normal());
        if (k % 7 == 3) buffer.floats()[kCount - 1 - draws.below(kCount)] = 1e9f;  // refused
        jobs.push_back({.scale = scale,
                        .from = PeerId::of_number(1 + k),
                        .update = tensor::Payload::of(std::move(buffer)),
                        .codec = codec::find_codec("f32").value()->traits().wire_id,
                        .weight = static_cast<float>(1 + k % 9)});
    }
    const auto sum_of = [&](unsigned thread_count) {
        const auto sum = job::Sum::fresh(kCount);
        std::atomic<int> next{0}, refused{0};
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < thread_count; ++t)
            threads.emplace_back([&] {
                const auto perform = work::make_perform(tools);
                for (int k = next++; k < kUpdates; k = next++) {
                    auto add = jobs[static_cast<std::size_t>(k)];
                    add.sum = sum;
                    job::Job any = std::move(add);
                    const auto done = perform(any, [] { return true; });
                    CHECK((done || done.error().code == ErrorCode::kUpdateTooLarge));
                    refused += !done;
                }
            });
        for (auto& thread : threads) thread.join();
        CHECK(refused == 6);
        const auto total = sum.parts().total();
        return std::vector<std::int64_t>(total.begin(), total.end());
    };
    const auto alone = sum_of(1);
    for (int again = 0; again < 5; ++again) CHECK(sum_of(4) == alone);
}

TEST_CASE("the parts of a sum are merged when it is read, and once") {
    const auto pool = tensor::BufferPool::create(1 << 20);
    const auto sum = job::Sum::fresh(3);
    auto a = sum.parts().lend(*pool), b = sum.parts().lend(*pool), c = sum.parts().lend(*pool);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(a.words()[i] == 0);
        const auto at = static_cast<std::int64_t>(i);
        a.words()[i] += 1 + at, b.words()[i] += 10, c.words()[i] -= 200 * at;
    }
    sum.parts().give_back(std::move(b));
    sum.parts().give_back(std::move(c));
    sum.parts().give_back(std::move(a));
    const std::vector<std::int64_t> wanted{11, -188, -387};
    for (int again = 0; again < 2; ++again) {
        const auto total = sum.parts().total();
        CHECK(std::vector<std::int64_t>(total.begin(), total.end()) == wanted);
    }
}
