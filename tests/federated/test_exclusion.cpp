// Who is left out of a round, why, and what becomes of the round.
#include <algorithm>
#include <cmath>
#include <limits>

#include "round_checks.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::federated::testing;
using message::MemberState;

TEST_CASE("an over-provisioned round takes the first and tells the others to forget it") {
    auto o = star(4, 1);
    o.config.fraction = 0.5;
    o.config.over_provision = 2;
    StarWorld world(o);
    world.train_time = [](std::size_t client, std::uint64_t) {
        return client < 2 ? Duration(20ms) : Duration(600s);
    };
    world.start();
    world.run([&] { return world.accepted.count(1) > 0; });
    CHECK(world.accepted.at(1) == std::vector{world.id_of(0), world.id_of(1)});
    CHECK(count_sent(world, "round_closed 1 to 2") == 1);
    CHECK(count_sent(world, "round_closed 1 to 3") == 1);
    CHECK(count_sent(world, "commit 1 to 0") == 1);
    CHECK(count_sent(world, "commit 1 to 2") == 0);
    world.run();
    CHECK(world.finished());
    check_every_round_follows_from_its_accepted_set(world);
}

TEST_CASE("what a lossy codec left unsent is carried on from the last update that counted") {
    for (std::uint64_t seed : {1u, 2u, 3u, 4u}) {
        auto o = star(5, 8);
        o.seed = seed;
        o.config.fraction = 0.6;
        o.config.over_provision = 1.7;
        StarWorld world(o);
        world.start();
        world.run();
        REQUIRE(world.finished());
        std::size_t after_one_lost = 0;
        for (const auto& [client, rounds] : world.residual_of)
            for (const auto& [round, given] : rounds) {
                std::uint64_t counted = 0, last = 0;
                for (const auto& [r, peers] : world.accepted)
                    if (r < round && std::ranges::count(peers, world.id_of(client)) > 0)
                        counted = r;
                for (auto r : world.trained[client])
                    if (r < round) last = r;
                CAPTURE(client);
                CAPTURE(round);
                CHECK(given == counted);
                after_one_lost += last > counted;
            }
        CHECK(after_one_lost > 0);  // else nothing was shown
    }
}

TEST_CASE("late updates are dropped and counted") {
    auto o = star(3, 3);
    o.config.patience_min = 100ms;
    StarWorld world(o);
    // Slow once it is known how long a round takes: it is given up, and offers its update later.
    world.train_time = [](std::size_t client, std::uint64_t round) {
        return client == 2 && round == 2 ? Duration(20s) : Duration(40ms);
    };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(1).size() == 3);
    CHECK(world.accepted.at(2) == std::vector{world.id_of(0), world.id_of(1)});
    check_every_round_follows_from_its_accepted_set(world);
    bool named = false;
    for (const auto& w : world.noticed<message::Warning>())
        named |= w.error.what.find(world.id_of(2).short_string()) != std::string::npos;
    CHECK(named);
}

TEST_CASE("a slow client is waited for while nothing has been measured") {
    auto o = star(2, 1);
    o.config.patience_min = 10ms;
    StarWorld world(o);
    world.train_time = [](std::size_t, std::uint64_t) {
        return Duration(std::chrono::minutes(10));
    };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(1).size() == 2);
}

TEST_CASE("a dead client is left out at once, and takes part again when it rejoins") {
    auto o = star(3, 10);
    StarWorld world(o);
    world.start();
    world.run([&] { return world.accepted.size() == 1; });
    world.cut(2);
    auto cut_at = world.now;
    world.declare(2, MemberState::dead);
    world.run([&] { return world.accepted.size() == 2; });
    CHECK(world.now - cut_at < Duration(3s));  // virtual time: nobody waited for a deadline
    CHECK(world.accepted.at(2).size() == 2);
    world.restart_client(2);
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(10).size() == 3);
    check_every_round_follows_from_its_accepted_set(world);
}

TEST_CASE("a client that restarts in mid-round trains again and is not missed") {
    auto o = star(3, 2);
    o.config.quorum = 1;
    StarWorld world(o);
    world.start();
    world.run([&] { return world.train_jobs == 2; });
    world.restart_client(0);
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(1).size() == 3);
    check_every_round_follows_from_its_accepted_set(world);
}

TEST_CASE("an update with NaN or a too large element is refused by name, the model untouched") {
    for (float poison : {std::numeric_limits<float>::quiet_NaN(), 5000.0F}) {
        StarWorld world(star(3, 2));
        world.tamper = [&](std::size_t client, std::uint64_t, std::span<float> update) {
            if (client == 1) update[7] = poison;
        };
        world.start();
        world.run();
        REQUIRE(world.finished());
        auto refused = world.noticed<message::UpdateRefused>();
        REQUIRE(refused.size() == 2);
        CHECK(refused[0].peer == world.id_of(1));
        CHECK(refused[0].error.code ==
              (std::isnan(poison) ? ErrorCode::kUpdateNotFinite : ErrorCode::kUpdateTooLarge));
        CHECK(world.accepted.at(1) == std::vector{world.id_of(0), world.id_of(2)});
        CHECK(world.noticed<message::RoundFinished>()[0].refused == 1);
        check_every_round_follows_from_its_accepted_set(world);
    }
}

TEST_CASE("a round without quorum is repeated, and ends the run when it goes on like that") {
    auto o = star(3, 2);
    o.config.quorum = 1;
    StarWorld world(o);
    world.tamper = [](std::size_t client, std::uint64_t, std::span<float> update) {
        if (client == 0) update[0] = std::numeric_limits<float>::infinity();
    };
    world.start();
    world.run();
    REQUIRE(world.engine->finished());
    auto ended = world.noticed<message::RunEnded>();
    REQUIRE(ended.size() == 1);
    CHECK_FALSE(ended[0].reached);
    CHECK(world.noticed<message::UpdateRefused>().size() == 3);
    bool quorum = false;
    for (const auto& w : world.noticed<message::Warning>())
        quorum |= w.error.code == ErrorCode::kQuorum;
    CHECK(quorum);
    CHECK(world.accepted.empty());
    CHECK(world.models.size() == 1);  // the first model, and nothing else
    CHECK(world.trained.at(1).size() == 1);
    CHECK(world.train_jobs == 5);  // the honest ones resent what they had
}

TEST_CASE("a run that was given up goes on with the next start") {
    for (const bool clients_stay : {false, true}) {  // with run.exit_when_finished = false
        CAPTURE(clients_stay);
        auto o = star(3, 8);
        o.config.quorum = 1;
        StarWorld world(o);
        bool poisoned = true;
        world.tamper = [&](std::size_t client, std::uint64_t round, std::span<float> update) {
            if (poisoned && client == 0 && round == 2)
                update[0] = std::numeric_limits<float>::infinity();
        };
        world.start();
        world.run();
        REQUIRE(world.engine->finished());
        CHECK_FALSE(world.noticed<message::RunEnded>().at(0).reached);
        CHECK(world.models.rbegin()->first == 1);
        CHECK(world.final_models.empty());  // it has no last model
        poisoned = false;
        world.kill_aggregator(true);
        for (std::size_t client = 0; !clients_stay && client < 3; ++client)
            world.restart_client(client);
        world.restart_aggregator();
        world.run();
        REQUIRE(world.engine->finished());
        CHECK(world.noticed<message::RunEnded>().back().reached);
        CHECK(world.models.rbegin()->first == 8);
        CHECK(world.accepted.at(8).size() == 3);
        CHECK(world.final_models.size() == 3);
        check_every_round_follows_from_its_accepted_set(world);
    }
}

TEST_CASE("a round whose peers die goes on with those alive") {
    auto o = star(4, 2);
    o.config.quorum = 0.75;
    StarWorld world(o);
    world.start();
    world.run([&] { return world.train_jobs >= 1; });
    for (std::size_t k : {2, 3}) world.cut(k), world.declare(k, MemberState::dead);
    world.run();
    CHECK(world.engine->finished());
    CHECK(world.accepted.at(1) == std::vector{world.id_of(0), world.id_of(1)});
    check_every_round_follows_from_its_accepted_set(world);
}

TEST_CASE("a client whose training fails says so, is named, and takes part in the next round") {
    auto o = star(3, 2);
    StarWorld world(o);
    world.training_fails = [](std::size_t client, std::uint64_t round) {
        return client == 1 && round == 1;
    };
    world.start();
    world.run([&] { return world.accepted.size() == 1; });
    CHECK(world.now < Instant{5'000'000'000});  // nobody waited for a deadline
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(1).size() == 2);
    CHECK(world.accepted.at(2).size() == 3);
    auto refused = world.noticed<message::UpdateRefused>();
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].peer == world.id_of(1));
    CHECK(refused[0].error.code == ErrorCode::kTrainingFailed);
}

TEST_CASE("a transfer that stalls on a live link is sent again") {
    for (std::size_t lost = 1; lost <= 8; ++lost) {
        CAPTURE(lost);
        auto o = star(3, 1, lost);
        o.config.quorum = 1;
        StarWorld world(o);
        world.transfers_to_lose = lost;
        world.start();
        world.run();
        REQUIRE(world.finished());
        CHECK(world.accepted.at(1).size() == 3);
        CHECK(world.train_jobs == 3);
        check_every_round_follows_from_its_accepted_set(world);
    }
}

TEST_CASE("clients that hand in again what they had kept need not be that quick the next time") {
    auto o = star(3, 3);
    o.config.quorum = 1;
    o.config.attempts = 100;
    o.config.patience_min = 100ms;
    StarWorld world(o);
    world.train_time = [](std::size_t, std::uint64_t) { return Duration(5s); };
    int failures = 30;
    world.training_fails = [&](std::size_t client, std::uint64_t round) {
        return client == 2 && round == 2 && failures-- > 0;
    };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(failures < 0);
    for (std::uint64_t round : {1, 2, 3}) CHECK(world.accepted.at(round).size() == 3);
    for (const auto& w : world.noticed<message::Warning>())
        CHECK(w.error.what.find("it was not done with its work") == std::string::npos);
}

TEST_CASE("an upload that nobody wants any more is stopped on both sides") {
    auto o = star(4, 3);
    o.config.fraction = 0.5;
    o.config.over_provision = 2;  // four invited, two wanted
    StarWorld world(o);
    world.upload_time = [](std::size_t client) { return client < 2 ? 10ms : Duration(40s); };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(3).size() == 2);
    CHECK(world.refused_amid + world.withdrawn_by_clients >= 4);
    CHECK(world.staged_most <= o.config.staging);
    check_every_round_follows_from_its_accepted_set(world);
}

TEST_CASE("a client that hears that its round is over sends no more of its update") {
    for (const bool by_next_round : {false, true}) {
        CAPTURE(by_next_round);
        auto o = star(3, 2);
        o.config.staging = 3;
        StarWorld world(o);
        world.upload_time = [](std::size_t) { return Duration(1h); };
        world.start();
        world.run([&] { return world.staged_most == 3; });  // the updates are on their way
        FederatedClient client = *world.clients[1];
        job::TurnIds ids;
        job::Turn turn(world.now, WallTime{}, {11}, ids);
        const auto aggregator = PeerId::of_number(1000);
        const auto run = message::run_id(world.options.run.name);
        if (by_next_round)
            client.on_message(turn, aggregator, message::RoundStart{.run = run, .round = 2});
        else
            client.on_message(turn, aggregator,
                              message::RoundClosed{run, 1, ErrorCode::kUpdateStale, "too late"});
        REQUIRE(turn.withdrawn.size() == 1);
        CHECK(turn.withdrawn[0].to == aggregator);
    }
}

TEST_CASE("an upload that takes too long is stopped, and the round goes on without it") {
    auto o = star(3, 3);
    StarWorld world(o);
    world.upload_time = [&](std::size_t client) {
        return client == 2 && world.accepted.contains(1) ? Duration(2h) : 10ms;
    };
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(2) == std::vector{world.id_of(0), world.id_of(1)});
    CHECK(world.refused_amid >= 1);
}

TEST_CASE("a client whose uploads are always lost, or that always restarts, holds no round up") {
    for (const bool restarts : {false, true}) {
        CAPTURE(restarts);
        auto o = star(3, 2);
        o.config.local_epochs = 1;
        StarWorld world(o);
        world.train_time = [](std::size_t, std::uint64_t) { return Duration(1s); };
        if (!restarts) world.loses_uploads = [](std::size_t client) { return client == 0; };
        world.start();
        std::size_t seen = 0;
        for (int i = 0; restarts && i < 40 && !world.accepted.contains(1); ++i) {
            world.run([&] { return world.train_jobs > seen || world.accepted.contains(1); });
            seen = world.train_jobs;
            if (!world.accepted.contains(1)) world.restart_client(0);
        }
        world.run([&] { return world.accepted.contains(1); }, 20'000);
        REQUIRE(world.accepted.contains(1));
        CHECK(world.accepted.at(1) == std::vector{world.id_of(1), world.id_of(2)});
        CHECK(world.now - Instant{1'000'000'000} < 10min);
        world.run();
        CHECK(world.finished());
    }
}

TEST_CASE("one that always answers just in time cannot make rounds longer and longer") {
    auto o = star(3, 12);
    o.config.round_max = 20s;
    StarWorld world(o);
    world.train_time = [](std::size_t client, std::uint64_t round) {
        return client == 0 ? Duration(1s) * (1 << std::min<std::uint64_t>(round, 20))
                           : Duration(1s);
    };
    world.start();
    world.run([&] { return world.accepted.contains(12); });
    REQUIRE(world.accepted.contains(12));
    CHECK(world.accepted.at(12).size() == 2);
    CHECK(world.now - Instant{1'000'000'000} < 12 * 25s);
}

TEST_CASE("a link that breaks some times amid an upload leaves nobody out") {
    StarWorld world(star(3, 1));
    world.upload_time = [](std::size_t client) { return client == 0 ? Duration(5s) : 10ms; };
    world.start();
    for (int i = 0; i < 6; ++i) {
        const auto before = world.grants_of[0];
        world.run([&] { return world.grants_of[0] > before; });
        world.cut(0);
        world.connect(0);
    }
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.at(1).size() == 3);
}

TEST_CASE("one that restarts whenever it is handed the final model does not hold up the end") {
    StarWorld world(star(3, 1));
    world.start();
    for (int i = 0; i < 40 && !world.engine->finished(); ++i) {
        const auto told = count_sent(world, "round_start 2 to 0");
        world.run([&] {
            return count_sent(world, "round_start 2 to 0") > told || world.engine->finished();
        });
        if (!world.engine->finished()) world.restart_client(0);
    }
    CHECK(world.engine->finished());
    CHECK(world.noticed<message::RunEnded>().size() == 1);
}
