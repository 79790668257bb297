// Long because all cases stand on one small trainer.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "gossamer/codec/update.hpp"
#include "gossamer/data/readers.hpp"
#include "gossamer/training/cpu_trainer.hpp"

using namespace gossamer;
using namespace gossamer::training;

namespace {

constexpr RunSeed kSeed{11};

// Three clouds of points in the plane of two features, around far corners.
data::View clouds(std::size_t count, std::uint64_t which) {
    auto r = stream(kSeed, Purpose::user, which);
    data::Dataset::Parts parts{.name = "clouds", .shape = {2}};
    for (std::size_t i = 0; i < count; ++i) {
        const auto label = r.below(3);
        parts.labels.push_back(std::int32_t(label));
        parts.floats.push_back(float((label == 0 ? 2.0 : -1.0) + 0.4 * r.normal()));
        parts.floats.push_back(float((label == 1 ? 2.0 : -1.0) + 0.4 * r.normal()));
    }
    parts.class_count = 3;
    return data::View::all(data::Dataset::make(std::move(parts)).value());
}

model::Network network_of(std::vector<const char*> layers) {
    model::NetworkSpec spec{.name = "test", .input = {2}};
    for (auto text : layers) spec.layers.push_back(model::parse_layer(text).value());
    return model::Network::create(spec).value();
}

// A state as a checkpoint gives it back.
struct Saved final : tensor::StateValue {
    explicit Saved(Bytes b) : bytes(std::move(b)) {}
    Bytes save() const override { return bytes; }
    Bytes bytes;
};

struct Setup {
    tensor::PoolRef pool = tensor::BufferPool::create(1 << 20);
    std::shared_ptr<CpuTrainer> trainer;

    explicit Setup(TrainingConfig config = {}, std::vector<const char*> layers = {"dense 3"}) {
        auto plans = std::make_shared<PlanStock>(network_of(std::move(layers)), 10, pool);
        trainer =
            CpuTrainer::create(plans, clouds(205, 1), clouds(400, 2), std::move(config)).value();
    }
    tensor::Model initial() const {
        auto buffer = pool->take_floats(trainer->layout()->parameter_count());
        trainer->initialise(buffer.floats(), kSeed);
        return tensor::Model::of(trainer->layout(), std::move(buffer));
    }
    TrainRequest request(tensor::Model start, std::uint64_t round = 0) const {
        TrainRequest r;
        r.start = std::move(start), r.round = round;
        r.who = PeerId::of_number(3), r.seed = kSeed;
        return r;
    }
    std::vector<float> train(TrainRequest request) const {
        auto product = trainer->train(std::move(request), *pool);
        REQUIRE(product);
        const auto w = product->weights.floats();
        return {w.begin(), w.end()};
    }
};

TrainingConfig with(OptimiserSpec optimiser, double rate = 0.1) {
    TrainingConfig config;
    config.optimiser = optimiser, config.schedule.rate = rate;
    return config;
}

}  // namespace

TEST_CASE("Every optimiser learns to tell three clouds apart") {
    const std::vector<TrainingConfig> configs = {with({}),
                                                 with({.momentum = 0.9}, 0.02),
                                                 with({.momentum = 0.9, .nesterov = true}, 0.02),
                                                 with({.kind = OptimiserKind::adam}, 0.05),
                                                 with({.kind = OptimiserKind::adamw}, 0.05),
                                                 with({.weight_decay = 1e-4, .clip_norm = 1})};
    for (std::size_t i = 0; i < configs.size(); ++i) {
        CAPTURE(i);
        const Setup s(configs[i], {"dense 8 tanh", "dense 3"});
        auto before = s.trainer->evaluate(s.initial().values(), EvaluationSet::test, {}).value();
        auto request = s.request(s.initial());
        request.epochs = 5;
        auto product = s.trainer->train(std::move(request), *s.pool).value();
        CHECK(product.sample_count == 205);
        CHECK(product.step_count == 5 * 21);
        CHECK(product.loss < before.loss);
        auto after = s.trainer->evaluate(product.weights.floats(), EvaluationSet::test, {}).value();
        CHECK(after.sample_count == 400);
        CHECK(after.loss < 0.3);
        CHECK(after.accuracy > 0.97);
        CHECK(before.accuracy < 0.9);
    }
}

TEST_CASE("The same request gives the same bits, on one thread or on many") {
    const Setup s(with({.momentum = 0.5}), {"dense 8 relu", "dense 3"});
    const auto start = s.initial();
    std::vector<std::vector<float>> alone, together(4);
    for (std::uint64_t r = 0; r < 4; ++r) alone.push_back(s.train(s.request(start, r)));
    std::vector<std::thread> threads;
    for (std::uint64_t r = 0; r < 4; ++r)
        threads.emplace_back([&, r] {
            auto product = s.trainer->train(s.request(start, r), *s.pool);
            const auto w = product->weights.floats();
            together[r] = {w.begin(), w.end()};
        });
    for (auto& t : threads) t.join();
    for (std::size_t r = 0; r < 4; ++r) CHECK(alone[r] == together[r]);
    CHECK(alone[0] != alone[1]);  // other rounds see the samples in another order
    auto other = s.request(start);
    other.who = PeerId::of_number(4);
    CHECK(s.train(std::move(other)) != alone[0]);
}

TEST_CASE("Fused and separate updates train to the same weights up to rounding") {
    auto config = with({.weight_decay = 0.01});
    const Setup fused(config, {"dense 8 relu", "dense 3"});
    config.fused = false;
    const Setup separate(config, {"dense 8 relu", "dense 3"});
    const auto a = fused.train(fused.request(fused.initial()));
    const auto b = separate.train(separate.request(separate.initial()));
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
}

TEST_CASE("A sole handle is trained in place and a shared one left alone") {
    const Setup s;
    auto start = s.initial();
    const std::vector<float> before(start.values().begin(), start.values().end());
    const auto trained = s.train(s.request(start));
    CHECK(std::equal(before.begin(), before.end(), start.values().begin()));
    const float* place = start.values().data();
    auto product = s.trainer->train(s.request(std::move(start)), *s.pool).value();
    CHECK(product.weights.floats().data() == place);
    CHECK(std::equal(trained.begin(), trained.end(), product.weights.floats().begin()));
}

TEST_CASE("A delta is the difference to the start") {
    const Setup s;
    const auto start = s.initial();
    const auto weights = s.train(s.request(start));
    auto request = s.request(s.initial());  // sole, and still not lost
    request.product = Product::delta;
    const auto delta = s.train(std::move(request));
    for (std::size_t i = 0; i < delta.size(); ++i)
        CHECK(delta[i] == weights[i] - start.values()[i]);
    // Encoded, with what is left unsent from one update to the next.
    for (const auto& name : codec::CodecTable().names()) {
        CAPTURE(name);
        const auto codec = codec::find_codec(name).value();
        tensor::State left;
        for (int update = 0; update < 2; ++update) {
            request = s.request(start);
            request.product = Product::encoded, request.codec = codec.get();
            request.residual = left;
            const codec::UpdateName named{request.seed, request.round, request.who};
            const auto expected = codec::encode_update(*codec, delta, left, named, *s.pool).value();
            const auto product = s.trainer->train(std::move(request), *s.pool).value();
            CHECK(product.product == Product::encoded);
            CHECK(std::ranges::equal(product.weights.bytes(), expected.bytes.bytes()));
            REQUIRE((product.residual != nullptr) == codec->traits().error_feedback);
            if (product.residual) CHECK(product.residual->digest() == expected.residual->digest());
            left = product.residual;
        }
    }
}

TEST_CASE("Steps in several rounds continue where the round before ended") {
    const Setup s;
    auto all = s.request(s.initial());
    all.steps = 30;
    const auto at_once = s.train(std::move(all));
    auto model = s.initial();
    for (std::uint64_t round = 0; round < 3; ++round) {
        auto part = s.request(std::move(model), round);
        part.steps = 10;
        auto product = s.trainer->train(std::move(part), *s.pool).value();
        CHECK(product.step_count == 10);
        model = tensor::Model::of(s.trainer->layout(), std::move(product.weights));
    }
    CHECK(std::equal(at_once.begin(), at_once.end(), model.values().begin()));
}

TEST_CASE("Momentum survives between rounds, also through a checkpoint") {
    const Setup s(with({.momentum = 0.9}, 0.02));
    auto all = s.request(s.initial());
    all.steps = 20;
    const auto at_once = s.train(std::move(all));
    for (const bool saved : {false, true}) {
        auto first = s.request(s.initial());
        first.steps = 10;
        auto half = s.trainer->train(std::move(first), *s.pool).value();
        REQUIRE(half.state);
        auto second = s.request(tensor::Model::of(s.trainer->layout(), std::move(half.weights)), 1);
        second.steps = 10;
        second.state = half.state;
        if (saved) second.state = std::make_shared<Saved>(half.state->save());
        CHECK(s.train(std::move(second)) == at_once);
    }
    auto foreign = s.request(s.initial());
    foreign.state = std::make_shared<Saved>(Bytes(7));
    CHECK(s.trainer->train(std::move(foreign), *s.pool).error().code ==
          ErrorCode::kCheckpointFormat);
}

TEST_CASE("A saved state of another optimiser is let go, and training goes on") {
    const Setup momentum(with({.momentum = 0.9}, 0.02)), adam(with({.kind = OptimiserKind::adam}));
    auto half = momentum.trainer->train(momentum.request(momentum.initial()), *momentum.pool);
    REQUIRE(half);
    auto fresh = adam.request(adam.initial()), resumed = adam.request(adam.initial());
    resumed.state = std::make_shared<Saved>(half->state->save());
    CHECK(adam.train(std::move(resumed)) == adam.train(std::move(fresh)));
}

TEST_CASE("The schedule begins with the first batch of the first round") {
    TrainingConfig warm = with({}, 0.1), half = with({}, 0.05);
    warm.schedule.warmup = 2;
    const Setup s(warm), slow(half), fast(with({}, 0.1));
    auto one = s.request(s.initial(), 1), as_slow = slow.request(slow.initial(), 1);
    one.steps = as_slow.steps = 1;
    CHECK(s.train(std::move(one)) == slow.train(std::move(as_slow)));
    auto second = s.request(s.initial(), 2), full = fast.request(fast.initial(), 2);
    second.steps = full.steps = 1;
    CHECK(s.train(std::move(second)) == fast.train(std::move(full)));
}

TEST_CASE("Where nothing is right or wrong there is no accuracy") {
    model::NetworkSpec spec{.name = "test", .input = {2}};
    spec.layers.push_back(model::parse_layer("dense 2").value());
    spec.loss = model::Loss::reconstruction;
    auto pool = tensor::BufferPool::create(1 << 20);
    auto plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10, pool);
    auto trainer = CpuTrainer::create(plans, clouds(20, 1), clouds(20, 2), {}).value();
    auto weights = pool->take_floats(trainer->layout()->parameter_count());
    trainer->initialise(weights.floats(), kSeed);
    const auto evaluated = trainer->evaluate(weights.floats(), EvaluationSet::test, {});
    REQUIRE(evaluated);
    CHECK(std::isnan(evaluated->accuracy));
    CHECK(evaluated->loss > 0);
}

TEST_CASE("The proximal term pulls back to the start") {
    const Setup s(with({}, 0.1));
    const auto start = s.initial();
    auto request = s.request(start);
    request.steps = 2;
    request.proximal_mu = 10;  // rate · mu = 1: the second step starts again from the start
    const auto held = s.train(std::move(request));
    auto one = s.request(start);
    one.steps = 1;
    const auto after_one = s.train(std::move(one));
    auto two = s.request(start);
    two.steps = 2;
    const auto free = s.train(std::move(two));
    for (std::size_t i = 0; i < held.size(); ++i)
        CHECK(held[i] ==
              doctest::Approx(free[i] - (after_one[i] - start.values()[i])).epsilon(1e-4));
}

TEST_CASE("Training that diverges is refused by name and the last good weights stay") {
    const Setup s(with({}, 1e30), {"dense 8 relu", "dense 3"});
    const auto start = s.initial();
    const std::vector<float> before(start.values().begin(), start.values().end());
    const auto product = s.trainer->train(s.request(start, 17), *s.pool);
    REQUIRE_FALSE(product);
    CHECK(product.error().code == ErrorCode::kModelNotFinite);
    CHECK(product.error().what.find("round 17") != std::string::npos);
    CHECK(product.error().what.find(PeerId::of_number(3).short_string()) != std::string::npos);
    CHECK(std::equal(before.begin(), before.end(), start.values().begin()));
}

TEST_CASE("A cancelled training stops at the next batch") {
    const Setup s;
    int calls = 0;
    const Pause pause = [&] { return ++calls < 4; };
    auto request = s.request(s.initial());
    request.pause = &pause;
    const auto product = s.trainer->train(std::move(request), *s.pool);
    REQUIRE_FALSE(product);
    CHECK(product.error().code == ErrorCode::kCancelled);
    CHECK(calls == 4);
    const Pause never = [] { return false; };
    CHECK(s.trainer->evaluate(s.initial().values(), EvaluationSet::test, never).error().code ==
          ErrorCode::kCancelled);
}

TEST_CASE("Data and models that do not fit are refused before anything runs") {
    auto pool = tensor::BufferPool::create(0);
    auto make = [&](std::uint32_t input, const char* layer, data::View train) {
        model::NetworkSpec spec{.name = "small", .input = {input}};
        spec.layers = {model::parse_layer(layer).value()};
        auto plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10, pool);
        return CpuTrainer::create(plans, std::move(train), {}, {});
    };
    CHECK(make(3, "dense 3", clouds(5, 1)).error().code == ErrorCode::kDataShape);
    CHECK(make(2, "dense 2", clouds(5, 1)).error().code == ErrorCode::kDataLabel);
    const auto trainer = make(2, "dense 3", {}).value();
    auto buffer = pool->take_floats(9);
    trainer->initialise(buffer.floats(), kSeed);
    CHECK(trainer->evaluate(buffer.floats(), EvaluationSet::test, {}).value().sample_count == 0);
    TrainRequest request;
    request.start = tensor::Model::of(trainer->layout(), std::move(buffer));
    CHECK(trainer->train(std::move(request), *pool).error().code == ErrorCode::kTrainingFailed);
    const Setup s;
    tensor::Layout other;
    other.add("dense1.weight", {2, 4});
    other.add("dense1.bias", {4});
    auto wrong = std::make_shared<const tensor::Layout>(other);
    const auto refused = s.trainer->train(
        s.request(tensor::Model::of(wrong, pool->take_floats(wrong->parameter_count()))), *pool);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kModelLayout);
    CHECK(refused.error().what.find("dense1.weight") != std::string::npos);
}

TEST_CASE("Matrix factorisation finds the tastes behind ratings") {
    // 30 users and 20 items with two tastes each; half of the ratings are known.
    auto r = stream(kSeed, Purpose::user, 9);
    std::vector<double> tastes(2 * 50);
    for (auto& t : tastes) t = r.normal();
    data::Dataset::Parts train{.name = "ratings", .shape = {2}}, test = train;
    for (int user = 0; user < 30; ++user)
        for (int item = 0; item < 20; ++item) {
            auto& to = r.below(2) == 0 ? train : test;
            const double* u = &tastes[2 * std::size_t(user)];
            const double* i = &tastes[2 * std::size_t(30 + item)];
            to.floats.insert(to.floats.end(), {float(user), float(item)});
            to.targets.push_back(float(3 + u[0] * i[0] + u[1] * i[1]));
        }
    train.target_count = test.target_count = 1;
    const auto known = data::View::all(data::Dataset::make(std::move(train)).value());
    const auto unknown = data::View::all(data::Dataset::make(std::move(test)).value());
    model::NetworkSpec spec{.name = "factors", .input = {2}};
    spec.loss = model::Loss::mean_squared_error;
    spec.layers = {model::parse_layer("factors 30 20 2").value()};
    auto pool = tensor::BufferPool::create(1 << 20);
    auto plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10, pool);
    auto config = with({}, 0.3);
    auto trainer = CpuTrainer::create(plans, known, unknown, config).value();
    auto start = pool->take_floats(trainer->layout()->parameter_count());
    trainer->initialise(start.floats(), kSeed);
    const auto before = trainer->evaluate(start.floats(), EvaluationSet::test, {}).value();
    TrainRequest request;
    request.start = tensor::Model::of(trainer->layout(), std::move(start));
    request.seed = kSeed, request.epochs = 200;
    const auto product = trainer->train(std::move(request), *pool);
    REQUIRE(product);
    const auto after =
        trainer->evaluate(product->weights.floats(), EvaluationSet::test, {}).value();
    CHECK(before.loss > 5);
    CHECK(after.loss < 0.1);

    spec.layers = {model::parse_layer("factors 30 19 2").value()};
    plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10, pool);
    const auto refused = CpuTrainer::create(plans, known, unknown, config);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kDataShape);
    CHECK(refused.error().what.find("factors1 takes whole numbers from 0 to 18") !=
          std::string::npos);
}

TEST_CASE("A sequence model learns the character that follows at each position") {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "abcdbacd";
    const ByteView bytes(reinterpret_cast<const std::byte*>(text.data()), text.size());
    auto parts = data::parse_text(bytes, {.length = 8, .vocabulary = "abcd"}, "text").value();
    const auto view = data::View::all(data::Dataset::make(std::move(parts)).value());
    auto made = [&](std::vector<const char*> layers) {
        model::NetworkSpec spec{.name = "test", .input = {8}};
        for (auto layer : layers) spec.layers.push_back(model::parse_layer(layer).value());
        auto plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10,
                                                 tensor::BufferPool::create(1 << 20));
        return CpuTrainer::create(plans, view, view, with({}, 1.0));
    };
    const auto whole = made({"embedding 5 4", "gru 12", "last", "dense 5"});
    REQUIRE_FALSE(whole);
    CHECK(whole.error().what.find("8 labels a sample") != std::string::npos);
    const auto few = made({"embedding 3 4", "dense 5 each"});
    REQUIRE_FALSE(few);
    CHECK(few.error().what.find("embedding1 takes whole numbers from 0 to 2") != std::string::npos);
    auto trainer = made({"embedding 5 4", "gru 12", "dense 5 each"}).value();
    auto pool = tensor::BufferPool::create(1 << 20);
    auto start = pool->take_floats(trainer->layout()->parameter_count());
    trainer->initialise(start.floats(), kSeed);
    TrainRequest request;
    request.start = tensor::Model::of(trainer->layout(), std::move(start));
    request.seed = kSeed, request.epochs = 60;
    const auto product = trainer->train(std::move(request), *pool);
    REQUIRE(product);
    const auto score =
        trainer->evaluate(product->weights.floats(), EvaluationSet::train, {}).value();
    CHECK(score.accuracy > 0.85);  // the first characters of a sample tell too little
    CHECK(score.loss < 0.4);
    CHECK(score.sample_count == 59);
}
