// How a run begins, and how it ends.
#include <doctest/doctest.h>

#include "world.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::gossip::testing;

TEST_CASE("when one peer's stop rule fires, all end at the same step soon after") {
    auto o = options("ring", 6, 1000);
    o.gossip.evaluate_every = 1;
    o.target_accuracy = 0.9;
    World world(o);
    add_each_step(world, 6);
    world.of(4).accuracy = [](std::span<const float> x) { return Result<double>(x[0] / 100); };
    world.start();
    REQUIRE(world.run_to_end());
    auto end = world.core(4).progress().round;
    CHECK(end >= 36);  // 2.5 a step: 90 after 36
    CHECK(end <= 46);
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(world.core(i).progress().round == end);
        auto ended = world.told<message::RunEnded>(i);
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].second.reached);
    }
    CHECK(world.told<message::RunEnded>(4)[0].second.reason.find("0.9") != std::string::npos);
}

TEST_CASE("runs end without progress and when the wall time is used up") {
    auto o = options("complete", 3, 1000);
    o.gossip.evaluate_every = 1;
    o.patience = 5;
    World bored(o);
    bored.start();
    REQUIRE(bored.run_to_end());
    CHECK(bored.core(0).progress().round < 20);
    CHECK(bored.core(0).progress().round == bored.core(2).progress().round);

    o.patience = 0;
    o.wall_time = 2s;
    World timed(o);
    timed.start();
    auto begun = timed.now();
    REQUIRE(timed.run_to_end());
    CHECK(timed.told<message::RunEnded>(0)[0].first.at - begun < 2500ms);
    CHECK(timed.told<message::RunEnded>(0)[0].first.at - begun >= 2s);
    for (std::size_t i : {1, 2})
        CHECK(timed.core(i).progress().round == timed.core(0).progress().round);
}

TEST_CASE("the end: the last model is evaluated, written as final, and then the peers may leave") {
    auto o = options("ring", 4, 10);
    o.gossip.evaluate_every = 3;
    o.gossip.checkpoint_every = 4;
    o.gossip.final_averaging_steps = 2;
    World world(o);
    world.of(1).accuracy = [](std::span<const float>) { return Result<double>(0.5); };
    world.start();
    REQUIRE(world.run_to_end());
    auto evaluated = world.told<message::Evaluated>(1);
    REQUIRE(evaluated.size() == 4);  // 3, 6, 9 and the last
    CHECK(evaluated[3].second.round == 12);
    CHECK(evaluated[3].second.where == "local");
    CHECK(world.told<message::CheckpointWritten>(1).size() == 3);  // 4, 8, final
    CHECK(world.finals.size() == 4);
    CHECK(world.told<message::RunEnded>(2)[0].second.reason == "10 rounds are complete");
}

TEST_CASE("a checkpoint's score is the last accuracy; before one is measured it has none") {
    auto o = options("ring", 3, 10);
    o.gossip.evaluate_every = 5;
    o.gossip.checkpoint_every = 3;
    World world(o);
    world.of(1).accuracy = [](std::span<const float>) { return Result<double>(0.5); };
    world.start();
    REQUIRE(world.run_to_end());
    const auto& scores = world.scores.at(1);
    REQUIRE(scores.size() == 4);  // 3, 6, 9 and the last
    CHECK(std::isnan(scores[0]));
    CHECK(scores[1] == 0.5);
    CHECK(scores[3] == 0.5);
}

TEST_CASE("peers wait for the members of the run and say so") {
    auto o = options("ring", 4, 5);
    World world(o);
    auto turn = world.turn_of(0);
    world.core(0).on_start(turn);
    CHECK(turn.jobs.size() == 1);
    REQUIRE(turn.notices.size() == 1);
    auto waiting = std::get<message::Waiting>(turn.notices[0]);
    CHECK(waiting.what == "4 peers of run \"test\"; here: 1");
    CHECK(world.core(0).status(world.now()).phase == message::Phase::waiting);
    CHECK(world.core(0).status(world.now()).waiting.size() == 1);
}

TEST_CASE("a stopped peer cancels its work, keeps its model, and answers no more") {
    auto o = options("complete", 3, 1000);
    World world(o);
    world.start();
    world.run_until([&] { return world.core(0).progress().round >= 5; });
    auto turn = world.turn_of(0);
    world.core(0).on_stop(turn, "SIGTERM");
    CHECK(turn.cancels.size() >= 1);
    world.carry_out(0, turn);
    world.run_until([&] { return world.core(0).stopped(); }, 1s);
    CHECK(world.core(0).stopped());
    CHECK(world.checkpoint_of->round >= 5);
    CHECK(world.core(0).next_deadline().is_never());
}

TEST_CASE("a peer stopped when all its steps are done leaves its final model all the same") {
    // Amid the last evaluation, and amid writing the final checkpoint.
    for (const bool evaluating : {true, false}) {
        CAPTURE(evaluating);
        World world(options("complete", 3, 10));
        add_each_step(world, 3);
        (evaluating ? world.of(0).evaluate_time : world.of(0).checkpoint_time) = 10s;
        world.start();
        REQUIRE(world.run_until(
            [&] { return world.core(1).progress().phase == message::Phase::finished; }));
        world.run_for(100ms);
        REQUIRE(world.core(0).progress().phase == message::Phase::finishing);
        REQUIRE(world.told<message::RunEnded>(0).empty());

        auto turn = world.turn_of(0);
        world.core(0).on_stop(turn, "SIGTERM");
        CHECK(turn.jobs.size() == (evaluating ? 1 : 0));
        CHECK(turn.cancels.size() == (evaluating ? 1 : 0));
        if (evaluating) {
            const auto& final_checkpoint = std::get<job::CheckpointJob>(turn.jobs.at(0).job);
            CHECK(final_checkpoint.round == 10);
            CHECK(final_checkpoint.final_);
            CHECK(final_checkpoint.model.filled());
        }
        world.carry_out(0, turn);
        CHECK(!world.core(0).stopped());
        REQUIRE(world.run_until([&] { return world.core(0).stopped(); }, 20s));
        CHECK(std::ranges::count(world.finals, 10u, &job::CheckpointJob::round) == 3);
        const auto ended = world.told<message::RunEnded>(0);
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].second.reached);
        CHECK(ended[0].second.round == 10);
        CHECK(world.core(0).next_deadline().is_never());
    }
}

TEST_CASE("a peer that comes back finds the members' roster, though one of them is dead") {
    World world(options("complete", 3, 50));
    Gossip core = world.core(0);  // as the world made it: nothing has happened yet
    auto turn = world.turn_of(0);
    core.on_start(turn);
    REQUIRE(turn.jobs.size() == 1);
    auto genesis = std::get<job::InitialModelJob>(turn.jobs[0].job);
    auto buffer = tensor::BufferPool::create(0)->take_floats(3);
    genesis.out.fill(std::move(buffer));
    core.on_job_done(turn, turn.jobs[0].id, job::InitialModelDone{}, 1ms);
    core.on_member(turn, world.id(1), message::MemberState::alive);
    core.on_member(turn, world.id(2), message::MemberState::dead);
    CHECK(core.roster().members.empty());  // two of three are here, and nobody knows better

    World others(options("complete", 3, 50));
    others.start();
    others.run_for(50ms);
    auto progress = others.core(1).progress();
    CHECK(progress.roster != 0);
    core.on_progress(turn, world.id(1), progress);
    CHECK(core.roster().members == others.core(1).roster().members);
    CHECK(core.progress().roster == progress.roster);
}

TEST_CASE("a peer outside the roster says so and ends") {
    World::Options o = options("complete", 3, 50);
    World world(o);
    GossipSetup setup;
    setup.run.name = "test";
    setup.run.rounds = 5, setup.run.peers = 3;
    setup.run.roster = {PeerId::of_number(1), PeerId::of_number(2), PeerId::of_number(3)};
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("x", {3});
    setup.layout = layout;
    setup.codec = codec::find_codec("f32").value();
    setup.algorithm = d_psgd();
    Gossip core(std::make_shared<const GossipSetup>(setup), PeerId::of_number(9), std::nullopt);
    auto turn = world.turn_of(0);
    core.on_start(turn);
    CHECK(core.finished());
    REQUIRE(turn.notices.size() == 2);
    CHECK(std::get<message::Warning>(turn.notices[0]).error.code == ErrorCode::kNoPeers);
    CHECK(!std::get<message::RunEnded>(turn.notices[1]).reached);
}

TEST_CASE("who stays for those behind says what it waits for, and until when") {
    auto o = options("ring", 3, 5);
    World world(o);
    world.of(2).train_time = [](std::uint64_t) { return Duration(20s); };
    world.start();
    bool stays = false;
    world.run_until([&] {
        for (const auto& wait : world.core(0).status(world.now()).waiting)
            stays |=
                wait.what.find("the last model") != std::string::npos && !wait.until.is_never();
        return stays;
    });
    CHECK(stays);
}

TEST_CASE("no step waits for models without a deadline, not even the first of pure averaging") {
    auto o = options("star", 6, 5);
    o.gossip.final_averaging_steps = 3;
    o.network_seed = 4;
    World world(o);
    world.of(4).train_time = [](std::uint64_t) { return Duration(300ms); };
    world.start();
    std::size_t waits = 0, without = 0;
    world.run_until([&] {
        for (std::size_t node = 0; node < o.nodes; ++node)
            for (const auto& wait : world.core(node).status(world.now()).waiting)
                if (wait.what.starts_with("models of step"))
                    ++waits, without += wait.until.is_never();
        return world.all_finished();
    });
    CHECK(waits > 0);
    CHECK(without == 0);
}
