#include <cmath>
#include <limits>

#include "round_checks.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::federated::testing;
using message::MemberState;

TEST_CASE("every round's model is the mean of the deltas, weighted by samples") {
    StarWorld world(star(4, 3));
    world.start();
    world.run();
    REQUIRE(world.finished());
    for (std::uint64_t round = 1; round <= 3; ++round) {
        const auto& before = world.models.at(round - 1);
        for (std::size_t i = 0; i < before.size(); ++i) {
            double sum = 0, total = 0;
            for (std::size_t k = 0; k < 4; ++k) {
                auto weight = 10.0 * static_cast<double>(k + 1);
                sum += weight * (double{trained_by(k, round, before)[i]} - before[i]);
                total += weight;
            }
            CHECK(world.models.at(round)[i] ==
                  doctest::Approx(before[i] + sum / total).epsilon(1e-6));
        }
    }
}

TEST_CASE("a run ends with the final model at every client and says so once") {
    StarWorld world(star(3, 2));
    world.start();
    world.run();
    REQUIRE(world.finished());
    for (std::size_t k = 0; k < 3; ++k)
        CHECK(bits_equal(world.final_models.at(k), world.models.at(2)));
    auto ended = world.noticed<message::RunEnded>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].reached);
    CHECK(ended[0].reason == "2 rounds are complete");
    CHECK(world.noticed<message::RoundFinished>().size() == 2);
    bool clients_evaluated = false;
    for (const auto& e : world.noticed<message::Evaluated>())
        if (e.where == "clients") clients_evaluated = e.round == 2 && e.sample_count == 300;
    CHECK(clients_evaluated);
    CHECK(world.train_jobs == 6);
}

TEST_CASE("a checkpoint's score is the training loss behind it; the untrained model has none") {
    StarWorld world(star(3, 3));
    world.start();
    world.run();
    REQUIRE(world.finished());
    REQUIRE(world.scores.size() == 4);
    CHECK(std::isnan(world.scores.at(0)));  // ranks below all others
    for (const auto& finished : world.noticed<message::RoundFinished>())
        CHECK(world.scores.at(finished.round) == -finished.loss);
}

TEST_CASE("the same bits come out for every order of arrival") {
    std::optional<Digest256> first;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        StarWorld world(star(5, 3, seed));
        world.start();
        world.run();
        REQUIRE(world.finished());
        auto last = world.identities.at(3);
        if (!first) first = last;
        CHECK(last == *first);
    }
}

TEST_CASE("with links that fail at random a round is still a function of who was accepted") {
    std::size_t smaller = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        auto o = star(6, 4, seed);
        o.config.over_provision = 2;
        o.config.fraction = 0.5;
        o.config.rejoin_wait = 1s;
        o.config.attempts = 1000;
        o.config.wait_peers = std::chrono::hours(100'000);
        o.run.peers = 4;
        StarWorld world(o);
        world.start();
        auto draw = stream({seed}, Purpose::scenario, 1, 0);
        std::vector<std::size_t> down;
        for (int n = 0; n < 400 && !world.finished(); ++n) {
            world.run({}, 1 + draw.below(25));
            if (draw.below(2) == 0) continue;
            down.push_back(static_cast<std::size_t>(draw.below(6)));
            world.cut(down.back());
            if (down.size() > 2) world.connect(down.front()), down.erase(down.begin());
        }
        for (std::size_t k = 0; k < 6; ++k) world.connect(k);
        world.run();
        REQUIRE(world.engine->finished());
        CHECK(world.accepted.size() == 4);
        for (const auto& [round, accepted] : world.accepted) smaller += accepted.size() < 6;
        check_every_round_follows_from_its_accepted_set(world);
        CHECK(world.staged_most <= 2);
    }
    CHECK(smaller > 0);
}

TEST_CASE("an update counts once, however often its link fails and it is offered again") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        auto o = star(3, 2, seed);
        o.config.quorum = 1;
        StarWorld world(o);
        world.start();
        auto draw = stream({seed}, Purpose::scenario, 2, 0);
        for (int n = 0; n < 60; ++n) {
            world.run({}, 5 + draw.below(20));
            auto client = static_cast<std::size_t>(draw.below(3));
            world.cut(client);
            world.connect(client);
        }
        world.run();
        REQUIRE(world.finished());
        CHECK(world.accepted.at(1).size() == 3);
        check_every_round_follows_from_its_accepted_set(world);
        CHECK(world.train_jobs == 6);  // resent, never trained again
    }
}

TEST_CASE("no more uploads are granted than the staging holds, for 4 and for 32 clients") {
    for (std::size_t clients : {4, 32}) {
        auto o = star(clients, 2);
        StarWorld world(o);
        world.train_time = [](std::size_t, std::uint64_t) { return Duration(50ms); };
        world.start();
        world.run();
        REQUIRE(world.finished());
        CHECK(world.staged_most == 2);
    }
}

TEST_CASE("one that claims samples beyond measure takes no part, and costs nobody precision") {
    auto o = star(5, 3);
    o.claimed_by_last = 1'000'000'000'000'000;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    for (std::uint64_t round = 1; round <= 3; ++round) {
        CHECK(world.accepted.at(round).size() == 4);
        const auto& before = world.models.at(round - 1);
        for (std::size_t i = 0; i < before.size(); ++i) {
            double sum = 0;
            for (std::size_t k = 0; k < 4; ++k)
                sum += static_cast<double>(k + 1) / 10 *
                       (double{trained_by(k, round, before)[i]} - before[i]);
            CHECK(world.models.at(round)[i] == doctest::Approx(before[i] + sum).epsilon(1e-6));
        }
    }
    const auto warnings = world.noticed<message::Warning>();
    const auto heavy = std::ranges::count_if(warnings, [](const message::Warning& w) {
        return w.error.what.find("says it has 1e+15 samples") != std::string::npos;
    });
    CHECK(heavy == 1);
}

TEST_CASE("a full disk is reported and the run goes on") {
    auto o = star(2, 3);
    StarWorld world(o);
    world.disk_fails = [](std::uint64_t round) { return round == 2; };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.size() == 3);
    bool told = false;
    for (const auto& w : world.noticed<message::Warning>())
        told |= w.error.code == ErrorCode::kDiskFull;
    CHECK(told);
}

TEST_CASE("one write a round: the plan of the next round rides with the checkpoint") {
    StarWorld world(star(2, 10));
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.disk_syncs == 1 + 1 + 10 + 1);  // first model, first plan, rounds, the end
}

TEST_CASE("offers that do not fit are refused for what they are") {
    StarWorld world(star(2, 1));
    world.start();
    world.run([&] { return world.train_jobs >= 1; });
    job::TurnIds ids;
    auto answer = [&](message::Manifest m, PeerId from) {
        auto engine = *world.engine;  // a copy: the core is a value
        job::Turn t(world.now, {}, {11}, ids);
        engine.on_transfer(t, from, job::TransferId{77}, message::TransferOffered{m});
        REQUIRE(t.grants.size() >= 1);
        return t.grants[0].refused;
    };
    message::Manifest good;
    good.run = message::run_id("run"), good.kind = message::TransferKind::update;
    good.round = 1, good.byte_count = 160,
    good.codec = codec::find_codec("f32").value()->traits().wire_id;
    good.base = message::Base::announced, good.layout = world.layout->digest();
    auto peer = world.id_of(0);
    CHECK_FALSE(answer(good, peer));
    using R = message::RefuseReason;
    auto m = good;
    m.round = 0;
    CHECK(answer(m, peer) == R::stale);
    m = good, m.round = 2;
    CHECK(answer(m, peer) == R::early);
    m = good, m.layout.low ^= 1;
    CHECK(answer(m, peer) == R::layout);
    m = good, m.byte_count = 161;
    CHECK(answer(m, peer) == R::size);
    m = good, m.base_version = 5;
    CHECK(answer(m, peer) == R::base);
    m = good, m.run.value ^= 1;
    CHECK(answer(m, peer) == R::run);
    CHECK(answer(good, PeerId::of_number(50)) == R::stale);
}

TEST_CASE("a copied engine goes on exactly like the original") {
    StarWorld world(star(3, 2));
    world.start();
    world.run([&] { return world.train_jobs >= 2; });
    auto copy = *world.engine;
    CHECK(copy.digest() == world.engine->digest());
    job::TurnIds one, two;
    job::Turn a(world.now, {}, {11}, one), b(world.now, {}, {11}, two);
    copy.on_member(a, world.id_of(1), MemberState::dead);
    CHECK(copy.digest() != world.engine->digest());
    world.engine->on_member(b, world.id_of(1), MemberState::dead);
    CHECK(copy.digest() == world.engine->digest());
}

TEST_CASE("a Commit that was lost with its link is told again") {
    StarWorld world(star(3, 3));
    world.start();
    world.run([&] { return count_sent(world, "commit 1 to 0") == 1; });
    REQUIRE(world.clients[0]->progress().round == 0);
    world.cut(0);
    world.connect(0);
    CHECK(count_sent(world, "commit 1 to 0") == 2);
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(2).size() == 3);
    CHECK(world.train_jobs == 9);
}

TEST_CASE("a Commit that was missed for some rounds is told when the client comes back") {
    for (const bool killed : {false, true}) {
        CAPTURE(killed);
        auto o = star(3, 6);
        o.codec = "top10";
        o.config.clients_min = 2;
        StarWorld world(o);
        world.start();
        world.run([&] { return count_sent(world, "commit 2 to 0") == 1; });
        REQUIRE(world.clients[0]->progress().round == 1);  // it is on its way
        world.cut(0);
        world.declare(0, MemberState::dead);
        world.run([&] { return count_sent(world, "commit 4 to 1") == 1; });
        if (killed) {
            world.kill_aggregator(true);
            world.restart_aggregator();
        } else {
            world.connect(0);
        }
        world.run();
        REQUIRE(world.finished());
        CHECK(count_sent(world, "commit 2 to 0") == 2);
        REQUIRE(!world.residual_of.at(0).empty());
        const auto& given = world.residual_of.at(0);
        const auto first_again =
            std::ranges::find_if(given, [](const auto& r) { return r.first > 3; });
        REQUIRE(first_again != given.end());
        CHECK(first_again->second == 2);  // not that of round 1, which is in the model already
    }
}

TEST_CASE("a round that is done again starts from what clients kept before it") {
    auto o = star(3, 4);
    o.codec = "top10";
    o.config.quorum = 1;
    StarWorld undisturbed(o), world(o);
    undisturbed.start();
    undisturbed.run();
    world.disk_fails = [](std::uint64_t round) { return round == 2; };
    world.start();
    world.run([&] { return count_sent(world, "commit 2 to 0") == 1; });
    world.run([&] {
        return std::ranges::all_of(world.clients,
                                   [](const auto& c) { return c->progress().round >= 2; });
    });
    world.disk_fails = {};
    world.kill_aggregator(false);  // the disk knows round 1
    world.restart_aggregator();
    world.run();
    REQUIRE(world.finished());
    for (std::size_t client = 0; client < 3; ++client) {
        CAPTURE(client);  // the residual that was given is that of the round before, in both
        CHECK(world.residual_of.at(client) == undisturbed.residual_of.at(client));
    }
}

TEST_CASE("a run that ends for many reasons can be started again") {
    auto o = star(120, 2);
    o.config.quorum = 1;
    o.config.attempts = 1;
    StarWorld world(o);
    world.training_fails = [](std::size_t, std::uint64_t) { return true; };
    world.start();
    world.run([&] { return !world.noticed<message::RunEnded>().empty(); });
    const auto ended = world.noticed<message::RunEnded>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].reason.size() <= kReasonMost);
    CHECK(ended[0].reason.find(" more") != std::string::npos);
    world.run();
    world.kill_aggregator(true);
    world.restart_aggregator();  // requires that the record is whole
}

TEST_CASE("a client that goes back twice in a row says that it begins anew") {
    auto o = star(3, 4);
    o.codec = "top10";
    StarWorld world(o);
    world.start();
    world.run([&] { return world.clients[0]->progress().round == 3; });
    FederatedClient client = *world.clients[0];
    const auto aggregator = PeerId::of_number(1000);
    job::TurnIds ids;
    std::vector<std::size_t> warnings;
    for (const std::uint64_t round : {3u, 2u}) {
        job::Turn turn(world.now, WallTime{}, {11}, ids);
        client.on_message(turn, aggregator,
                          message::RoundStart{.run = message::run_id(o.run.name), .round = round});
        warnings.push_back(
            static_cast<std::size_t>(std::ranges::count_if(turn.notices, [](const auto& n) {
                return std::holds_alternative<message::Warning>(n);
            })));
    }
    CHECK(warnings == std::vector<std::size_t>{0, 1});
}
