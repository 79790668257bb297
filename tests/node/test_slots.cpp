// Who takes part in a run, and what those who do not are told.
#include <doctest/doctest.h>

#include <algorithm>

#include "node/learning_world.hpp"

using namespace gossamer;
using namespace gossamer::testing;

namespace {

std::size_t warned(const LearningWorld& w, std::size_t place, ErrorCode code,
                   const std::string& words) {
    const auto warnings = w.warnings(place);
    return static_cast<std::size_t>(std::ranges::count_if(warnings, [&](const Error& error) {
        return error.code == code && error.what.find(words) != std::string::npos;
    }));
}

// What a node answers to an offer that a test makes up.
std::optional<message::RefuseReason> answer(LearningWorld& w, std::size_t place, const PeerId& from,
                                            std::uint64_t id, const message::Manifest& manifest) {
    std::optional<message::RefuseReason> refused;
    bool answered = false;
    job::TurnIds ids{100'000, 100'000};
    job::Turn t(w.world.now(), WallTime{0}, RunSeed{1}, ids);
    w.node(place).on_transfer(t, from, {id}, message::TransferOffered{manifest});
    for (const auto& grant : t.grants)
        if (grant.from == from && grant.id.value == id) answered = true, refused = grant.refused;
    REQUIRE(answered);
    return refused;
}

}  // namespace

TEST_CASE("A peer with another layout is refused with the tensors that differ, and left alone") {
    LearningWorld w({.peers = 5, .rounds = 10, .wait_for = 4, .odd_layout = {{4, 9}}});
    w.start_all();
    w.world.run_for(30s);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(w.world.node(i).finished());
        CHECK(warned(w, i, ErrorCode::kModelLayout, "dense.weight: here 12, there 9") == 1);
        CHECK(!w.world.linked(i, 4));
    }
    CHECK(warned(w, 4, ErrorCode::kModelLayout, "dense.weight: here 9, there 12") == 4);
    CHECK(!w.world.node(4).finished());
    const std::size_t dials = w.world.dial_count(4);
    w.world.run_for(5min);
    CHECK(w.world.dial_count(4) == dials);  // retrying cannot help
}

TEST_CASE("A client with another layout never counts among the federated") {
    LearningWorld w(
        {.peers = 4, .aggregator = true, .rounds = 5, .wait_for = 3, .odd_layout = {{2, 9}}});
    w.start_all();
    w.world.run_for(20s);
    CHECK(w.world.node(w.aggregator()).finished());
    CHECK(warned(w, w.aggregator(), ErrorCode::kModelLayout, "dense.weight") == 1);
    for (const auto& [at, round] : w.noted<message::RoundFinished>(w.aggregator()))
        for (const auto& peer : round.accepted) CHECK(peer != w.world.id(2));
}

TEST_CASE("Peers of another run, or with other settings, are refused with the difference") {
    LearningWorld w({.peers = 4,
                     .rounds = 10,
                     .wait_for = 2,
                     .odd_run = {{2, "other"}},
                     .odd_codec = {{3, "f16"}}});
    w.start_all();
    w.world.run_for(20s);
    CHECK(w.world.node(0).finished());
    CHECK(w.world.node(1).finished());
    CHECK(warned(w, 0, ErrorCode::kLinkRun, "\"test\", they in \"other\"") == 1);
    CHECK(warned(w, 2, ErrorCode::kLinkRun, "other") == 3);
    CHECK(warned(w, 0, ErrorCode::kConfigConflict, "settings") == 1);
    bool shown = false;
    for (const auto& error : w.warnings(3))
        shown = shown || error.hint.find("gossip.codec = f16") != std::string::npos;
    CHECK(shown);
}

TEST_CASE("Nothing is granted to strangers, to other runs, or to other layouts") {
    LearningWorld w({.peers = 3, .aggregator = true, .rounds = 50});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(w.aggregator()) < 5; }, 60s));
    message::Manifest manifest;
    manifest.run = message::run_id("test");
    manifest.kind = message::TransferKind::update;
    manifest.round = 6;
    manifest.byte_count = 48;
    tensor::Layout layout;
    layout.add("dense.weight", {12});
    manifest.layout = layout.digest();
    const auto stranger = PeerId::of_number(77);
    using message::RefuseReason;
    CHECK(answer(w, w.aggregator(), stranger, 900, manifest) == RefuseReason::run);
    auto other = manifest;
    other.run = message::run_id("other");
    CHECK(answer(w, w.aggregator(), w.world.id(0), 901, other) == RefuseReason::run);
    other = manifest;
    other.layout = Digest128{1, 2};
    CHECK(answer(w, w.aggregator(), w.world.id(0), 902, other) == RefuseReason::layout);
    // A client is no aggregator: other clients cannot hand it a model.
    manifest.kind = message::TransferKind::global_model;
    CHECK(answer(w, 0, w.world.id(1), 903, manifest) == RefuseReason::run);
}

TEST_CASE("An update offered twice is counted once") {
    LearningWorld w({.peers = 3, .aggregator = true, .rounds = 4});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(w.aggregator()) < 2; }, 60s));
    message::Manifest manifest;
    manifest.run = message::run_id("test");
    manifest.kind = message::TransferKind::update;
    manifest.round = 1;  // long complete
    manifest.byte_count = 48;
    tensor::Layout layout;
    layout.add("dense.weight", {12});
    manifest.layout = layout.digest();
    CHECK(answer(w, w.aggregator(), w.world.id(0), 900, manifest).has_value());
    CHECK(w.run_to_end());
}

TEST_CASE("Who is stopping takes nothing more") {
    LearningWorld w({.peers = 3, .rounds = 50});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 5; }, 60s));
    job::TurnIds ids{100'000, 100'000};
    job::Turn t(w.world.now(), WallTime{0}, RunSeed{1}, ids);
    w.node(0).on_stop(t, "asked to");
    std::size_t leaves = 0;
    for (const auto& send : t.sends) leaves += std::holds_alternative<message::Leave>(send.message);
    CHECK(leaves == 2);
    message::Manifest manifest;
    manifest.run = message::run_id("test");
    CHECK(answer(w, 0, w.world.id(1), 900, manifest) == message::RefuseReason::stopping);
}

TEST_CASE("A Join is answered once a link, also when it was refused") {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("dense.weight", {12});
    const node::RunSlots slots(std::make_shared<node::RunIdentity>(node::RunIdentity{
                                   "run", message::Mode::gossip, layout, {1, 1}, {}}),
                               10);
    const auto liar = PeerId::of_number(9);
    message::Join odd{message::run_id("run"), "run", message::Mode::gossip, {}, {1, 1}, 10, 0, {}};
    for (std::size_t i = 0; i < 4096; ++i)
        odd.tensors.push_back({"odd" + std::to_string(i), {1}, i, 1});
    job::TurnIds ids;
    job::Turn t(Instant{1}, WallTime{0}, RunSeed{1}, ids);
    node::RunSlot slot;
    const auto refused = slots.on_join(t, liar, slot, odd).refused;
    REQUIRE(refused);
    CHECK(refused->code == ErrorCode::kModelLayout);
    CHECK(std::ranges::count(refused->what, ';') ==
          7);  // eight differences, however many there are
    CHECK(t.sends.size() == 1);
    for (int again = 0; again < 3; ++again) CHECK(!slots.on_join(t, liar, slot, odd).refused);
    odd.tensors = layout->tensors();  // nor is it taken back
    CHECK(!slots.on_join(t, liar, slot, odd).opened);
    CHECK(t.sends.size() == 1);
    CHECK(!slot.said);

    slot = {};  // the next link begins anew
    CHECK(!slots.on_join(t, liar, slot, odd).refused);
    CHECK(slot.said);
    CHECK(t.sends.size() == 2);
    CHECK(slots.on_reply(slot, {slots.run(), true, {}, {}}).opened);
}

TEST_CASE("Incompatibilities are named in the order in which they matter") {
    tensor::Layout layout;
    layout.add("a", {2, 3});
    layout.add("b", {3});
    node::RunIdentity own{"run",
                          message::Mode::gossip,
                          std::make_shared<tensor::Layout>(layout),
                          {1, 1},
                          {"seed = 42"}};
    message::Join same{
        message::run_id("run"), "run", message::Mode::gossip, layout.tensors(), {1, 1}, 10, 0, {}};
    CHECK(!node::incompatibility(own, same).has_value());
    auto other = same;
    other.settings = {2, 2};
    CHECK(node::incompatibility(own, other)->hint == "compare with ours: seed = 42");
    std::swap(other.tensors[0], other.tensors[1]);
    CHECK(node::incompatibility(own, other)->code == ErrorCode::kModelLayout);
    other.tensors[1] = other.tensors[0];  // a name twice: hostile, and no assertion
    CHECK(node::incompatibility(own, other)->code == ErrorCode::kModelLayout);
    other.mode = message::Mode::federated;
    CHECK(node::incompatibility(own, other)->code == ErrorCode::kLinkRun);
    other.run_name = "elsewhere";
    CHECK(node::incompatibility(own, other)->what ==
          "we take part in run \"run\", they in \"elsewhere\"");
}
