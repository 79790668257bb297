// CudaTrainer over the emulated card, beside CpuTrainer on the same requests.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gossamer/codec/update.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "gossamer/training/make_trainer.hpp"
#include "gossamer/training/options.hpp"
#include "learning/cuda/emulation.hpp"
#include "learning/cuda/loader.hpp"
#include "learning/training/cuda_stack.hpp"
#include "learning/training/cuda_trainer.hpp"
#include "tests/training/option_values.hpp"

using namespace gossamer;
using namespace gossamer::training;

namespace {

constexpr RunSeed kSeed{21};

data::View images(std::size_t count, std::uint64_t which, bool bad = false) {
    auto r = stream(kSeed, Purpose::user, which);
    data::Dataset::Parts parts{.name = "images", .shape = {6, 6}};
    for (std::size_t i = 0; i < count; ++i) {
        const auto label = r.below(3);
        parts.labels.push_back(std::int32_t(label));
        for (int f = 0; f < 36; ++f)
            parts.floats.push_back(
                float((std::uint64_t(f) % 3 == label ? 0.5 : 0.0) + 0.3 * r.normal()) *
                (bad ? 1e30f : 1.0f));
    }
    parts.class_count = 3;
    return data::View::all(data::Dataset::make(std::move(parts)).value());
}

struct Pair {
    tensor::PoolRef pool = tensor::BufferPool::create(1 << 24);
    std::shared_ptr<PlanStock> plans;
    std::shared_ptr<CpuTrainer> processor;
    std::shared_ptr<CudaTrainer> card;

    Pair(std::vector<const char*> layers, TrainingConfig config, bool bad = false) {
        model::NetworkSpec spec{.name = "test", .input = {6, 6}};
        for (auto text : layers) spec.layers.push_back(model::parse_layer(text).value());
        auto network = model::Network::create(spec).value();
        plans = std::make_shared<PlanStock>(network, config.batch_size, pool);
        const auto train = images(47, 1, bad), test = images(100, 2);
        processor = CpuTrainer::create(plans, train, test, config).value();
        card = CudaTrainer::create(cuda::emulation(), 0, processor, network, train, test).value();
    }
    tensor::Model initial() const {
        auto buffer = pool->take_floats(processor->layout()->parameter_count());
        processor->initialise(buffer.floats(), kSeed);
        return tensor::Model::of(processor->layout(), std::move(buffer));
    }
    Result<TrainProduct> train(Trainer& trainer, std::uint64_t round, tensor::State state = {},
                               Product product = Product::weights, double mu = 0) const {
        TrainRequest r;
        r.start = initial(), r.round = round, r.who = PeerId::of_number(4), r.seed = kSeed;
        r.epochs = 2, r.state = std::move(state), r.product = product, r.proximal_mu = mu;
        return trainer.train(std::move(r), *pool);
    }
};

double apart(std::span<const float> a, std::span<const float> b) {
    double sum = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += std::pow(double(a[i]) - b[i], 2), size += std::pow(double(b[i]), 2);
    return std::sqrt(sum / size);
}

TrainingConfig with(OptimiserSpec optimiser) {
    TrainingConfig config;
    config.optimiser = optimiser, config.schedule.rate = 0.05;
    return config;
}

}  // namespace

TEST_CASE("the card learns what the processor learns, to the last digits") {
    const std::vector<OptimiserSpec> optimisers = {{},
                                                   {.momentum = 0.9, .weight_decay = 0.01},
                                                   {.kind = OptimiserKind::adamw},
                                                   {.clip_norm = 0.5}};
    const std::vector<std::vector<const char*>> networks = {
        {"dense 20 relu", "dropout 0.3", "dense 3"},
        {"conv 4 3x3 same relu", "maxpool 2x2", "tanh", "conv 5 2x2 valid sigmoid", "globalpool",
         "dense 3"}};
    for (const auto& layers : networks)
        for (const auto& optimiser : optimisers) {
            CAPTURE(layers.size());
            CAPTURE(int(optimiser.kind));
            CAPTURE(optimiser.momentum);
            const Pair pair(layers, with(optimiser));
            for (auto product : {Product::weights, Product::delta}) {
                auto a = pair.train(*pair.processor, 1, {}, product, 0.1);
                auto b = pair.train(*pair.card, 1, {}, product, 0.1);
                REQUIRE_MESSAGE(a, (a ? "" : a.error().to_string()));
                REQUIRE_MESSAGE(b, (b ? "" : b.error().to_string()));
                CHECK(apart(b->weights.floats(), a->weights.floats()) < 2e-4);
                CHECK(b->loss == doctest::Approx(a->loss).epsilon(1e-4));
                CHECK(b->step_count == a->step_count);
                CHECK(b->sample_count == a->sample_count);
                // On with the state, on either.
                REQUIRE(bool(a->state) == bool(b->state));
                auto c = pair.train(*pair.processor, 2, b->state, product);
                auto d = pair.train(*pair.card, 2, b->state, product);
                REQUIRE(c);
                REQUIRE(d);
                CHECK(apart(d->weights.floats(), c->weights.floats()) < 2e-4);
            }
            const auto model = pair.initial();
            for (auto set : {EvaluationSet::test, EvaluationSet::train}) {
                const auto a = pair.processor->evaluate(model.values(), set, {});
                const auto b = pair.card->evaluate(model.values(), set, {});
                REQUIRE(b);
                CHECK(b->accuracy == a->accuracy);
                CHECK(b->loss == doctest::Approx(a->loss).epsilon(1e-5));
                CHECK(b->sample_count == a->sample_count);
            }
        }
}

TEST_CASE("a request repeated on the card gives the same bits") {
    const Pair pair({"dense 20 relu", "dense 3"}, with({}));
    const auto a = pair.train(*pair.card, 3), b = pair.train(*pair.card, 3);
    REQUIRE(a);
    REQUIRE(b);
    CHECK(std::ranges::equal(a->weights.floats(), b->weights.floats()));
}

TEST_CASE("a loss that is not finite ends the request, naming round and peer") {
    const Pair pair({"dense 20 relu", "dense 3"}, with({}), true);
    const auto refused = pair.train(*pair.card, 3);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kModelNotFinite);
    CHECK(refused.error().what.find("in round 3 on peer") != std::string::npos);
}

TEST_CASE("a cancelled request is answered as cancelled") {
    const Pair pair({"dense 3"}, with({}));
    const Pause never = [] { return false; };
    TrainRequest r;
    r.start = pair.initial(), r.seed = kSeed, r.pause = &never;
    const auto cancelled = pair.card->train(std::move(r), *pair.pool);
    REQUIRE_FALSE(cancelled);
    CHECK(cancelled.error().code == ErrorCode::kCancelled);
}

TEST_CASE("the configuration chooses the device") {
    OptionValues options(training_options());
    CHECK(training_config(options)->device == Device::cpu);
    options.set("training.device", std::string("auto"));
    CHECK(training_config(options)->device == Device::automatic);
    options.set("training.device", std::string("cuda"));
    options.set("training.device_number", std::int64_t{3});
    CHECK(training_config(options)->device == Device::cuda);
    CHECK(training_config(options)->device_number == 3);
}

TEST_CASE("training.device says where, and what becomes of it without a card") {
    const auto network = [] {
        model::NetworkSpec spec{.name = "test", .input = {6, 6}};
        spec.layers.push_back(model::parse_layer("dense 3").value());
        return model::Network::create(spec).value();
    }();
    auto pool = tensor::BufferPool::create(1 << 20);
    auto plans = std::make_shared<PlanStock>(network, 10, pool);
    TrainingConfig config;
    const auto plain = make_trainer(plans, images(20, 1), {}, config);
    REQUIRE(plain);
    CHECK(plain->remark.empty());
    config.device = Device::automatic;
    const auto either = make_trainer(plans, images(20, 1), {}, config);
    REQUIRE(either);
    config.device = Device::cuda;
    const auto card = make_trainer(plans, images(20, 1), {}, config);
    if (device_line().starts_with("none: ")) {
        CHECK(either->remark.starts_with("trains on the processor: "));
        REQUIRE_FALSE(card);
        CHECK((card.error().code == cuda::kGpuPlugin || card.error().code == cuda::kGpuDriver ||
               card.error().code == cuda::kGpuDevice));
    } else {
        CHECK(either->remark.starts_with("trains on "));
        CHECK(card);
    }
}

TEST_CASE("an update encoded on the card has the bytes of the host's codec") {
    const Pair pair({"dense 20 relu", "dense 3"}, with({.momentum = 0.9}));
    auto weights = pair.train(*pair.card, 1);
    REQUIRE(weights);
    CHECK(weights->product == Product::weights);
    const auto start = pair.initial();
    std::vector<float> delta(start.values().size());
    tensor::subtract(delta, std::as_const(weights->weights).floats(), start.values());
    for (const auto& name : codec::CodecTable().names()) {
        CAPTURE(name);
        const auto codec = codec::find_codec(name).value();
        tensor::State left;  // what error feedback keeps
        for (int update = 0; update < 3; ++update) {
            const auto who = PeerId::of_number(4);
            TrainRequest r;
            r.start = pair.initial(), r.round = 1, r.who = who, r.seed = kSeed;
            r.epochs = 2, r.product = Product::encoded, r.codec = codec.get(), r.residual = left;
            auto encoded = pair.card->train(std::move(r), *pair.pool);
            REQUIRE_MESSAGE(encoded, (encoded ? "" : encoded.error().to_string()));
            CHECK(encoded->product == Product::encoded);
            CHECK(encoded->state);
            auto host = codec::encode_update(*codec, delta, left, {kSeed, 1, who}, *pair.pool);
            REQUIRE(host);
            CHECK(std::ranges::equal(std::as_const(encoded->weights).bytes(),
                                     std::as_const(host->bytes).bytes()));
            CHECK((encoded->residual != nullptr) == codec->traits().error_feedback);
            if (encoded->residual) CHECK(encoded->residual->digest() == host->residual->digest());
            left = encoded->residual;
        }
    }
}

TEST_CASE("an update beyond a codec's range is told, and not sent") {
    auto config = with({});
    config.schedule.rate = 1e9;
    const Pair pair({"dense 3"}, config);
    const auto half = codec::find_codec("f16").value();
    TrainRequest r;
    r.start = pair.initial(), r.seed = kSeed, r.steps = 1;
    r.product = Product::encoded, r.codec = half.get();
    const auto refused = pair.card->train(std::move(r), *pair.pool);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kUpdateTooLarge);
}

TEST_CASE("a change that is no longer finite is the training's fault, not the codec's") {
    auto config = with({.weight_decay = 0.5});
    config.schedule.rate = 4;  // each value changes its sign
    const Pair pair({"dense 3"}, config);
    auto values = pair.pool->take_floats(pair.processor->layout()->parameter_count());
    pair.processor->initialise(values.floats(), kSeed);
    values.floats().back() = 3e38f;  // a bias: outputs stay finite, and twice it is not
    const auto start = tensor::Model::of(pair.processor->layout(), std::move(values));
    for (const char* name : {"f16", "bf16", "int8"}) {
        CAPTURE(std::string(name));
        const auto codec = codec::find_codec(name).value();
        TrainRequest r;
        r.start = start, r.seed = kSeed, r.steps = 1;
        r.product = Product::encoded, r.codec = codec.get();
        const auto refused = pair.card->train(std::move(r), *pair.pool);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::kModelNotFinite);
    }
}

namespace {

unsigned launches = 0, replicas = 0;

// The emulation, with its launches counted.
const gossamer_cuda_interface& counted() {
    static const gossamer_cuda_interface table = [] {
        auto t = cuda::emulation();
        t.train = [](gossamer_cuda_plan* plan, gossamer_cuda_job* job, gossamer_cuda_error* error) {
            ++launches, replicas += job->replica_count;
            return cuda::emulation().train(plan, job, error);
        };
        return t;
    }();
    return table;
}

// Peers of one process: the samples lie on the card once, a peer's part is a list of rows.
struct Peers {
    static constexpr std::size_t kCount = 5;
    tensor::PoolRef pool = tensor::BufferPool::create(1 << 24);
    std::vector<std::shared_ptr<CudaTrainer>> trainers;
    tensor::Model first;

    explicit Peers(std::uint32_t replica_max) {
        model::NetworkSpec spec{.name = "test", .input = {6, 6}};
        for (auto text : {"dense 20 relu", "dense 3"})
            spec.layers.push_back(model::parse_layer(text).value());
        auto network = model::Network::create(spec).value();
        const auto config = with({});
        auto plans = std::make_shared<PlanStock>(network, config.batch_size, pool);
        const auto all = images(100, 1);
        auto stack =
            CudaStack::create(counted(), {.replica_max = replica_max}, network, config).value();
        const auto samples = CudaSamples::place(counted(), 0, all).value();
        for (std::uint32_t p = 0; p < kCount; ++p) {
            std::vector<std::uint32_t> rows;
            for (std::uint32_t i = p; i < 80; i += p + 2) rows.push_back(i);
            const auto view = data::View::of(all.data, rows);
            auto processor = CpuTrainer::create(plans, view, {}, config).value();
            trainers.push_back(std::make_shared<CudaTrainer>(
                stack, processor,
                CudaPart{samples, view.rows, static_cast<std::uint32_t>(view.size())}, CudaPart{}));
        }
        auto buffer = pool->take_floats(trainers[0]->layout()->parameter_count());
        trainers[0]->initialise(buffer.floats(), kSeed);
        first = tensor::Model::of(trainers[0]->layout(), std::move(buffer));
    }
    TrainRequest request(std::size_t p) const {
        TrainRequest r;
        r.start = first;  // one for all, as in a federated round
        r.round = p, r.who = PeerId::of_number(p), r.seed = kSeed, r.epochs = 1;
        return r;
    }
    std::vector<float> train(std::size_t p, TrainRequest request) const {
        auto trained = trainers[p]->train(std::move(request), *pool);
        REQUIRE(trained);
        const auto values = std::as_const(trained->weights).floats();
        return {values.begin(), values.end()};
    }
};

}  // namespace

TEST_CASE("requests that were foreseen are trained in one launch, to the bits they have alone") {
    const Peers alone(4);
    std::vector<std::vector<float>> expected;
    launches = 0;
    for (std::size_t p = 0; p < Peers::kCount; ++p)
        expected.push_back(alone.train(p, alone.request(p)));
    CHECK(launches == Peers::kCount);

    const Peers together(4);
    launches = replicas = 0;
    std::vector<TrainRequest> requests;
    std::vector<std::shared_ptr<const void>> foreseen;
    for (std::size_t p = 0; p < Peers::kCount; ++p) {
        requests.push_back(together.request(p));
        foreseen.push_back(together.trainers[p]->foresee(requests[p], *together.pool));
    }
    foreseen[2].reset();  // cancelled meanwhile
    for (std::size_t p : {3, 0, 1, 4}) CHECK(together.train(p, requests[p]) == expected[p]);
    CHECK(launches == 1);
    CHECK(replicas == 4);
    CHECK(together.train(2, requests[2]) == expected[2]);
    CHECK(launches == 2);
}

TEST_CASE("a launch holds no more replicas than the stack has room for") {
    const Peers peers(2);
    launches = replicas = 0;
    std::vector<TrainRequest> requests;
    std::vector<std::shared_ptr<const void>> foreseen;
    for (std::size_t p = 0; p < Peers::kCount; ++p) {
        requests.push_back(peers.request(p));
        foreseen.push_back(peers.trainers[p]->foresee(requests[p], *peers.pool));
    }
    for (std::size_t p = 0; p < Peers::kCount; ++p) peers.train(p, requests[p]);
    CHECK(launches == 3);
    CHECK(replicas == Peers::kCount);
}

TEST_CASE("a peer whose training fails does not take its companions down") {
    const Peers peers(4);
    std::vector<TrainRequest> requests;
    std::vector<std::shared_ptr<const void>> foreseen;
    for (std::size_t p = 0; p < 3; ++p) {
        requests.push_back(peers.request(p));
        if (p == 1) {
            auto buffer = peers.pool->take_floats(peers.trainers[0]->layout()->parameter_count());
            std::ranges::fill(buffer.floats(), std::nanf(""));
            requests[p].start = tensor::Model::of(peers.trainers[0]->layout(), std::move(buffer));
        }
        foreseen.push_back(peers.trainers[p]->foresee(requests[p], *peers.pool));
    }
    peers.train(0, requests[0]);
    const auto failed = peers.trainers[1]->train(requests[1], *peers.pool);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == ErrorCode::kModelNotFinite);
    peers.train(2, requests[2]);
}
