#include <doctest/doctest.h>

#include "protocol/federated/round_record.hpp"
#include "protocol/federated/stage_time.hpp"

using namespace gossamer;
using namespace gossamer::federated;

namespace {

RoundRecord sample() {
    RoundRecord r;
    r.run = {77}, r.strategy = "fed_avg", r.seed = {3}, r.completed = 4;
    r.identity = digest256(as_bytes("model"));
    r.counted = {{PeerId::of_number(1), 4}, {PeerId::of_number(3), 2}};
    r.evaluated = 3, r.stop = Bytes(8);
    r.plan = RoundPlan{5,
                       1,
                       r.identity,
                       {{PeerId::of_number(1), 10}, {PeerId::of_number(2), 2.5F}},
                       2,
                       1,
                       tensor::ExactScale::choose(10, 12.5, 100)};
    r.reason = "because", r.reached = false, r.owed = {PeerId::of_number(9)};
    return r;
}

}  // namespace

TEST_CASE("a record comes back as it was written") {
    auto r = sample();
    CHECK(load_round_record(save(r)).value() == r);
    r.plan.reset();
    CHECK(load_round_record(save(r)).value() == r);
}

TEST_CASE("the longest reason that a run may end with is read again") {
    auto r = sample();
    r.reason = std::string(kReasonMost, 'x');
    CHECK(load_round_record(save(r)).value() == r);
}

TEST_CASE("a record that is cut short or longer is refused") {
    auto bytes = save(sample());
    for (std::size_t n = 0; n < bytes.size(); ++n)
        CHECK_FALSE(load_round_record(ByteView(bytes).first(n)));
    bytes.push_back({});
    CHECK_FALSE(load_round_record(bytes));
}

TEST_CASE("a record with any byte changed is refused or a sound plan") {
    auto bytes = save(sample());
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        auto broken = bytes;
        broken[n] ^= std::byte{0x80};
        auto r = load_round_record(broken);
        if (!r || !r->plan) continue;
        CHECK(r->plan->wanted <= r->plan->cohort.size());
        CHECK(r->plan->quorum >= 1);
        CHECK(r->plan->quorum <= r->plan->wanted);
        for (const auto& invited : r->plan->cohort) CHECK(invited.weight > 0);
    }
}

TEST_CASE("patience follows what was measured") {
    StageTime time;
    CHECK_FALSE(time.known());
    time.measured(100ms);
    CHECK(time.usual_most() == Duration(300ms));
    for (int n = 0; n < 100; ++n) time.measured(100ms);
    CHECK(time.usual_most() < Duration(101ms));
    time.measured(500ms);
    CHECK(time.usual_most() > Duration(500ms));
}
