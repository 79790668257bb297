// Mixtures that are made later and together: which are, and when, shows in no bit.
#include <algorithm>
#include <random>
#include <thread>

#include "gossamer/codec/accumulate.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

constexpr std::size_t kNever = ~std::size_t{0};

// A neighbourhood of models as peers hold them: each its own, and those of whom it hears.
class Neighbourhood {
public:
    Neighbourhood(std::size_t peers, std::size_t count, std::uint64_t seed)
        : count_(count), draws_(seed) {
        for (std::size_t p = 0; p < peers; ++p) {
            auto buffer = pool->take_floats(count);
            for (auto& x : buffer.floats())
                x = static_cast<float>(static_cast<double>(draws_() >> 11) * 0x1p-53 - 0.5);
            models.push_back(tensor::Model::promise(vector_layout(count)));
            models.back().fill(std::move(buffer), tensor::Values::finite);
        }
    }
    job::MixJob job(std::size_t p) {
        job::MixJob mix;
        mix.self = models[p];
        mix.self_id = PeerId::of_number(static_cast<std::uint32_t>(p));
        mix.self_weight = 1;
        for (std::size_t k = draws_() % 5; k > 0; --k) {
            const auto q = draws_() % models.size();
            if (q == p) continue;
            const double weight = static_cast<double>(draws_() % 1000) * 0x1p-14;
            mix.self_weight -= weight;
            mix.inputs.push_back({PeerId::of_number(static_cast<std::uint32_t>(q)),
                                  tensor::Payload::view_of(models[q]), 1, weight});
        }
        mix.out = tensor::Model::promise(vector_layout(count_));
        return mix;
    }
    // What it must give.
    std::vector<float> wanted(job::MixJob mix) const {
        std::ranges::sort(mix.inputs, {}, &job::MixInput::from);
        std::vector<tensor::Weighted> rows;
        bool own = false;
        const auto add_own = [&] {
            if (!std::exchange(own, true))
                rows.push_back({mix.self.values().data(), mix.self_weight});
        };
        for (const auto& input : mix.inputs) {
            if (mix.self_id < input.from) add_own();
            rows.push_back(
                {reinterpret_cast<const float*>(input.payload.bytes().data()), input.weight});
        }
        add_own();
        std::vector<float> out(count_);
        tensor::weighted_mean(out, rows);
        return out;
    }

    tensor::PoolRef pool = tensor::BufferPool::create(std::size_t{1} << 26);
    std::vector<tensor::Model> models;

private:
    std::size_t count_;
    std::mt19937_64 draws_;
};

std::vector<float> values(const tensor::Model& model) {
    return {model.values().begin(), model.values().end()};
}

Outcome run_with(const std::string& text, const std::vector<std::string>& sets, unsigned threads,
                 std::size_t together_from, Mixtures::Counts& counts) {
    auto simulation =
        make(load(text, sets),
             {.threads = threads, .shared_from = 2, .mixed_together_from = together_from});
    auto outcome = simulation->run();
    REQUIRE_MESSAGE(outcome, (outcome ? "" : outcome.error().to_string()));
    counts = simulation->mixtures().counts();
    return *outcome;
}

// One by one and at once, or later and together: the same run. Returns how they were made.
Mixtures::Counts same_however_mixed(const std::string& text, const std::vector<std::string>& sets) {
    Mixtures::Counts counts, first;
    const auto one_by_one = run_with(text, sets, 1, kNever, counts);
    CHECK(counts.promised == 0);
    CHECK(one_by_one.broken.empty());
    for (const unsigned threads : {1u, 2u, 3u}) {
        CAPTURE(threads);
        const auto together = run_with(text, sets, threads, 0, counts);
        CHECK(together.trace_hash == one_by_one.trace_hash);
        CHECK(together.events == one_by_one.events);
        CHECK(together.consensus == one_by_one.consensus);
        CHECK(together.loss == one_by_one.loss);
        CHECK(together.broken == one_by_one.broken);
        CHECK(together.failures == one_by_one.failures);
        CHECK(together.end == one_by_one.end);
        if (threads == 1) first = counts;
        CHECK(counts.promised == first.promised);
    }
    return first;
}

}  // namespace

TEST_CASE("mixtures made together have the bits of each by itself, in place where nobody reads") {
    for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
        CAPTURE(seed);
        Neighbourhood all(40, 30'000, seed);
        auto mixtures = std::make_shared<Mixtures>(0);
        const codec::CodecTable codecs;
        std::vector<std::vector<float>> wanted;
        std::vector<tensor::Model> out;
        std::vector<const float*> places;
        for (std::size_t p = 0; p < 40; ++p) {
            auto job = all.job(p);
            wanted.push_back(all.wanted(job));
            out.push_back(job.out);
            places.push_back(all.models[p].values().data());
            const auto done = mixtures->promise(job, codecs, all.pool);
            REQUIRE(done);
            CHECK(out[p].filled());
            CHECK_FALSE(out[p].is_made());
            CHECK(out[p].size_bytes() == 120'000);
        }
        std::vector<float> some(100);
        out[7].read(1000, some);  // some of its values, which makes nothing
        CHECK(std::equal(some.begin(), some.end(), wanted[7].begin() + 1000));
        CHECK(mixtures->counts().made == 0);
        // One model is still read by somebody else: it stays, and with it what is made of it.
        const auto kept = all.models[seed];
        const auto before = values(kept);
        all.models.clear();
        out[11] = {};  // nobody needs it any more
        for (const std::size_t p : {3, 20, 5}) CHECK(values(out[p]) == wanted[p]);
        for (std::size_t p = 0; p < 40; ++p)
            if (p != 11) CHECK(values(out[p]) == wanted[p]);
        CHECK(values(kept) == before);
        CHECK(out[seed].values().data() != places[seed]);
        const auto counts = mixtures->counts();
        CHECK(counts.made == 39);
        CHECK(counts.in_place >= 20);
        CHECK(counts.in_place < 39);
    }
}

TEST_CASE("threads that need mixtures make them together") {
    for (const std::uint64_t seed : {1, 2, 3}) {
        Neighbourhood all(30, 100'000, seed);
        auto mixtures = std::make_shared<Mixtures>(0);
        const codec::CodecTable codecs;
        std::vector<std::vector<float>> wanted;
        std::vector<tensor::Model> out;
        for (std::size_t p = 0; p < 30; ++p) {
            auto job = all.job(p);
            wanted.push_back(all.wanted(job));
            out.push_back(job.out);
            REQUIRE(mixtures->promise(job, codecs, all.pool));
        }
        all.models.clear();
        std::vector<int> right(30);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                std::vector<float> some(10);
                for (std::size_t p = t; p < 30; p += 4) {
                    out[(p + 7) % 30].read(500, some);
                    const auto& other = wanted[(p + 7) % 30];
                    right[p] = values(out[p]) == wanted[p] &&
                               std::equal(some.begin(), some.end(), other.begin() + 500);
                }
            });
        for (auto& thread : threads) thread.join();
        CHECK(std::ranges::count(right, 1) == 30);
        CHECK(mixtures->counts().sets == 1);
        CHECK(mixtures->counts().in_place == 30);
    }
}

TEST_CASE("what is encoded, or not known to be finite, is mixed at once") {
    Neighbourhood all(3, 1000, 1);
    auto mixtures = std::make_shared<Mixtures>(0);
    const codec::CodecTable codecs;
    job::MixJob mix;
    mix.self = all.models[0];
    mix.self_weight = 0.5;
    mix.out = tensor::Model::promise(vector_layout(1000));
    mix.inputs.push_back({PeerId::of_number(1), tensor::Payload::view_of(all.models[1]), 2, 0.5});
    CHECK_FALSE(mixtures->promise(mix, codecs, all.pool));  // f16
    auto buffer = all.pool->take_floats(1000);
    std::ranges::fill(buffer.floats(), 0.0f);
    mix.inputs[0] = {PeerId::of_number(1), tensor::Payload::of(std::move(buffer)), 1, 0.5};
    CHECK_FALSE(mixtures->promise(mix, codecs, all.pool));
    CHECK(mix.inputs[0].payload.exists());
    CHECK_FALSE(mix.out.filled());
    mix.inputs[0].payload = tensor::Payload::view_of(all.models[1]);
    CHECK_FALSE(std::make_shared<Mixtures>(4001)->promise(mix, codecs, all.pool));
    CHECK(std::make_shared<Mixtures>(4000)->promise(mix, codecs, all.pool));
}

TEST_CASE(
    "peers that are roughly in step mix all together, each in the place of the model it replaces") {
    const auto counts = same_however_mixed(
        gossip_run(60, 8), {"data.synthetic_train=1200", "topology.graph=random-regular",
                            "simulation.samples_per_second=100", "gossip.evaluate_every=3",
                            "gossip.final_averaging_steps=0"});
    CHECK(counts.promised == 60 * 8);
    CHECK(counts.made == counts.promised);
    CHECK(counts.in_place == counts.made);
    CHECK(counts.sets == 8);
}

TEST_CASE("peers out of step, algorithms that need the start, and other codecs mix as ever") {
    const auto text = gossip_run(30, 8);
    const std::vector<std::string> base = {"data.synthetic_train=600",
                                           "topology.graph=random-regular"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.end(), base.begin(), base.end());
        return more;
    };
    CHECK(same_however_mixed(text, with({"simulation.speed_spread=0.8", "simulation.jitter=0.5"}))
              .promised > 100);
    CHECK(same_however_mixed(text, with({"gossip.algorithm=d-psgd-awc"})).promised > 100);
    CHECK(same_however_mixed(text, with({"gossip.codec=f16"})).promised == 0);
    same_however_mixed(text, with({"training.learning_rate=1000"}));  // some lose their way
    CHECK(same_however_mixed(text, with({"simulation.latency=1us"})).promised > 100);
}

TEST_CASE("among faults and churn mixtures are the same however they are made") {
    const auto counts = same_however_mixed(
        gossip_run(40, 60),
        {"data.synthetic_train=800", "topology.graph=random-regular",
         "simulation.samples_per_second=100", "simulation.loss=0.01", "simulation.speed_spread=0.5",
         "simulation.up=200KB", "simulation.down=400KB", "simulation.start_spread=2s",
         "simulation.availability=churn", "simulation.churn_up=20s", "simulation.churn_down=2s",
         "simulation.time_max=40s", "simulation.disks=all", "gossip.checkpoint_every=2",
         "simulation.faults=[\"5s partition 0-19 | 20-39 for 5s\", \"8s reset all | all\", "
         "\"12s kill 10% for 2s\", \"15s power 5,17,33 for 4s\", \"18s leave 7,8 for 1s\", "
         "\"20s cut 20% | all by 0.2 for 5s\", \"20s echo 10% by 2 for 9s\", "
         "\"22s sleep 5% for 4s\", \"24s hang 3,4 for 5s\", \"26s damage 20% | all by 0.1 for "
         "5s\"]"});
    CHECK(counts.promised > 100);
}
