// The core keeps an algorithm's promises: hooks, payloads, kept models, state.
#include <doctest/doctest.h>

#include "world.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::gossip::testing;

namespace {

class Count final : public job::StateValue {
public:
    explicit Count(std::uint64_t n) : steps(n) {}
    Bytes save() const override {
        ByteWriter out;
        out.put(steps);
        return out.take();
    }
    std::uint64_t steps;
};

// Sends twice what was trained; counts only neighbours whose payload says their count is even;
// keeps a model, and adds 1 to the next model for each step that found one.
class Odd final : public Algorithm {
public:
    bool bad_weights = false;
    Contract contract() const override {
        return {.name = "odd", .sends = Sends::prepared, .kept_models = 1};
    }
    job::State fresh_state() const override { return std::make_shared<Count>(0); }
    Result<job::State> load_state(ByteView saved) const override {
        ByteReader in(saved);
        return std::make_shared<Count>(in.get<std::uint64_t>());
    }
    Bytes payload(const StepView&, const job::State& state) const override { return state->save(); }
    MixWeights weights(const StepView& view, std::span<const Received> heard,
                       const job::State&) const override {
        MixWeights out{.self = 1, .heard = {}};
        if (bad_weights) return {.self = 5, .heard = std::vector<double>(heard.size())};
        for (const auto& r : heard) {
            bool even = ByteReader(r.payload).get<std::uint64_t>() % 2 == 0;
            double w = even ? 0.5 / double(view.in.size()) : 0;
            out.heard.push_back(w), out.self -= w;
        }
        return out;
    }
    std::optional<Arithmetic> prepare(const StepView&) const override {
        return Arithmetic{"twice", [](job::ComputeInput& in) -> Result<job::ComputeOutput> {
                              return one(in, 2 * in.models[1].values()[0]);
                          }};
    }
    std::optional<Arithmetic> combine(const StepView&, std::span<const Received>) const override {
        return Arithmetic{"add", [](job::ComputeInput& in) -> Result<job::ComputeOutput> {
                              auto& count = static_cast<const Count&>(*in.state);
                              bool kept = in.models.size() > 3;
                              auto out = one(in, in.models[2].values()[0] + (kept ? 1 : 0));
                              out.models.push_back(std::move(one(in, 0).models[0]));
                              out.state = std::make_shared<Count>(count.steps + 1);
                              return out;
                          }};
    }

private:
    static job::ComputeOutput one(job::ComputeInput& in, float value) {
        job::ComputeOutput out;
        out.models.push_back(in.pool->take_floats(1));
        out.models[0].floats()[0] = value;
        return out;
    }
};

}  // namespace

TEST_CASE("an algorithm's hooks run in order, with its payload, kept models and state") {
    auto o = options("complete", 2, 3);
    o.parameters = 1;
    o.algorithm = std::make_shared<Odd>();
    World world(o);
    for (std::size_t i = 0; i < 2; ++i)
        world.of(i).train = [i](std::span<const float>, std::uint64_t) {
            return Result<Values>(Values{float(i)});
        };
    world.start();
    REQUIRE(world.run_to_end());
    // Step 3: outgoing 0 and 2, counts 2 are even, so half of each, and the kept model adds 1.
    CHECK(world.model(0)[0] == 0.5f * 0 + 0.5f * 2 + 1);
    CHECK(world.model(1)[0] == 0.5f * 2 + 0.5f * 0 + 1);
    REQUIRE(!world.finals.empty());
    CHECK(world.finals[0].states.at(0).name == "algorithm");
    CHECK(world.finals[0].states.at(0).state->save() == Count(3).save());
    // Step 2: counts 1 are odd, so nobody counted.
    auto mixed = world.told<message::Mixed>(0);
    CHECK(mixed.at(1).second.mixed.size() == 1);
}

TEST_CASE("weights that do not sum to 1 are not taken, and the algorithm is named") {
    auto o = options("complete", 2, 1);
    o.parameters = 1;
    auto odd = std::make_shared<Odd>();
    odd->bad_weights = true;
    o.algorithm = odd;
    World world(o);
    world.start();
    REQUIRE(world.run_to_end());
    auto warnings = world.told<message::Warning>(0);
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0].second.error.what.find("odd") != std::string::npos);
}

TEST_CASE("an unknown algorithm is refused with the names that exist, a user's own is found") {
    struct None : OptionSource {
        const OptionValue& get(std::string_view) const override {
            static OptionValue none;
            return none;
        }
    } none;
    auto unknown = make_algorithm("d-psdg", none);
    REQUIRE(!unknown);
    CHECK(unknown.error().code == ErrorCode::kAlgorithmUnknown);
    CHECK(unknown.error().what.find("d-psgd-awc") != std::string::npos);
    std::vector<AlgorithmEntry> mine{
        {"odd", "", {}, [](const OptionSource&) -> Result<AlgorithmRef> {
             return std::make_shared<Odd>();
         }}};
    REQUIRE(make_algorithm("odd", none, mine));
    CHECK((*make_algorithm("odd", none, mine))->contract().name == "odd");
    CHECK((*make_algorithm("d-psgd-awc", none))->contract().sends == Sends::start);
}
