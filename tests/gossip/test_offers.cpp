// One core whose neighbours are played by the test: offers, time, copies.
#include <doctest/doctest.h>

#include "world.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::gossip::testing;
using message::RefuseReason;

namespace {

// One core whose two neighbours are played by the test. Roster {1, 2, 3}, complete graph.
struct Played {
    World world{options("complete", 3, 100)};
    Gossip& core = world.core(0);
    job::TurnIds theirs;
    Played() {
        for (std::size_t j : {1, 2}) {
            auto turn = world.turn_of(0);
            message::Join join;
            join.run = message::run_id("test");
            core.on_joined(turn, world.id(j), join);
            world.carry_out(0, turn);
        }
        auto turn = world.turn_of(0);
        core.on_start(turn);
        world.carry_out(0, turn);
    }
    message::Manifest manifest(std::uint64_t step) {
        message::Manifest m;
        tensor::Layout layout;
        layout.add("x", {3});
        m.run = message::run_id("test");
        m.round = step, m.epoch = 1, m.byte_count = 12, m.codec = 1;
        m.layout = layout.digest();
        return m;
    }
    // The answer to an offer: granted, refused with a reason, or held (empty).
    std::optional<job::Grant> offer(std::size_t from, std::uint64_t id, message::Manifest m) {
        auto turn = world.turn_of(0);
        core.on_transfer(turn, world.id(from), {id}, message::TransferOffered{m});
        auto grants = turn.grants;
        world.carry_out(0, turn);
        for (const auto& g : grants)
            if (g.id.value == id) return g;
        return std::nullopt;
    }
    void deliver(std::size_t from, std::uint64_t id, std::uint64_t step, float value) {
        auto pool = tensor::BufferPool::create(0);
        auto buffer = pool->take_floats(3);
        std::fill(buffer.floats().begin(), buffer.floats().end(), value);
        auto turn = world.turn_of(0);
        core.on_transfer(
            turn, world.id(from), {id},
            message::TransferArrived{manifest(step), tensor::Payload::of(std::move(buffer))});
        world.carry_out(0, turn);
    }
};

}  // namespace

TEST_CASE("this step and the next are granted, later ones held, old and second ones refused") {
    Played p;
    p.world.run_for(1ms);  // the first model is there
    auto granted = [](const std::optional<job::Grant>& g) { return g && !g->refused; };
    auto refused = [](const std::optional<job::Grant>& g) { return g ? g->refused : std::nullopt; };
    CHECK(granted(p.offer(1, 1, p.manifest(1))));
    CHECK(granted(p.offer(1, 2, p.manifest(2))));
    CHECK(!p.offer(1, 3, p.manifest(3)));  // held
    CHECK(refused(p.offer(1, 4, p.manifest(1))) == RefuseReason::duplicate);
    auto m = p.manifest(1);
    m.layout = {1, 2};
    CHECK(refused(p.offer(2, 5, m)) == RefuseReason::layout);
    m = p.manifest(1), m.byte_count = 16;
    CHECK(refused(p.offer(2, 6, m)) == RefuseReason::size);
    m = p.manifest(1), m.codec = 99;
    CHECK(refused(p.offer(2, 7, m)) == RefuseReason::size);
    m = p.manifest(1), m.epoch = 2;
    CHECK(refused(p.offer(2, 8, m)) == RefuseReason::stale);
    m = p.manifest(1), m.run = {5};
    CHECK(refused(p.offer(2, 9, m)) == RefuseReason::run);
    m = p.manifest(1), m.base = message::Base::edge;
    CHECK(refused(p.offer(2, 10, m)) == RefuseReason::base);
    m = p.manifest(1), m.kind = message::TransferKind::catch_up;
    CHECK(refused(p.offer(2, 11, m)) == RefuseReason::stale);  // nobody asked
    m = p.manifest(101);                                       // the run has 100 steps
    CHECK(refused(p.offer(2, 99, m)) == RefuseReason::run);
    m = p.manifest(0);
    CHECK(refused(p.offer(2, 12, m)) == RefuseReason::stale);

    CHECK(granted(p.offer(2, 13, p.manifest(1))));
    p.deliver(1, 1, 1, 1);
    p.deliver(2, 13, 1, 2);
    p.world.run_for(15ms);  // trained and mixed: step 2 now, and step 3 may come
    CHECK(p.core.progress().round == 1);
    CHECK(p.world.model(0)[0] == doctest::Approx(1));
    CHECK(refused(p.offer(1, 14, p.manifest(1))) == RefuseReason::stale);
    CHECK(refused(p.offer(1, 15, p.manifest(3))) == RefuseReason::duplicate);  // granted by then
    // What arrives for a step that is over, or was never granted, changes nothing.
    p.deliver(1, 1, 1, 100);
    p.deliver(2, 77, 2, 100);
    p.deliver(1, 2, 2, 4);
    CHECK(granted(p.offer(2, 16, p.manifest(2))));
    p.deliver(2, 16, 2, 7);
    p.world.run_for(15ms);
    CHECK(p.core.progress().round == 2);
    CHECK(p.world.model(0)[0] == doctest::Approx(4));
}

TEST_CASE("a model of no step is refused, also before the members are known") {
    Played p;  // the first model is not there yet: still gathering
    REQUIRE(!p.core.knows_neighbours());
    const auto grant = p.offer(1, 1, p.manifest(0));
    REQUIRE(grant);
    CHECK(grant->refused == RefuseReason::stale);
    p.world.run_for(1s);
    CHECK(p.core.status(p.world.now()).waiting.size() <= 1);  // nobody is far ahead
}

TEST_CASE("a model asked for again and again is offered once, until there is an answer") {
    Played p;
    p.world.run_for(1ms);
    for (std::size_t from : {1, 2}) {
        (void)p.offer(from, 1, p.manifest(1));
        p.deliver(from, 1, 1, 1);
    }
    REQUIRE(p.world.run_until([&] { return p.core.progress().round == 1; }, 1s));
    const auto ask = [&](int times) {
        std::vector<job::TransferId> offered;
        for (; times > 0; --times) {
            auto turn = p.world.turn_of(0);
            p.core.on_message(turn, p.world.id(1),
                              message::ModelRequest{message::run_id("test"), 0});
            for (const auto& offer : turn.offers)
                if (offer.manifest.kind == message::TransferKind::catch_up)
                    offered.push_back(offer.id);
            CHECK(turn.withdrawn.empty());
        }
        return offered;
    };
    const auto first = ask(1000);
    REQUIRE(first.size() == 1);
    auto turn = p.world.turn_of(0);
    p.core.on_transfer(turn, p.world.id(1), first[0],
                       message::TransferRefused{RefuseReason::stale});
    CHECK(ask(1000).size() == 1);  // it had asked another meanwhile, in vain
}

TEST_CASE("offers that come far too early are bounded") {
    Played p;
    p.world.run_for(1ms);
    for (std::uint64_t s = 10; s < 13; ++s) CHECK(!p.offer(1, s, p.manifest(s)));
    auto more = p.offer(1, 50, p.manifest(50));
    REQUIRE(more);
    CHECK(more->refused == RefuseReason::early);
    CHECK(!p.offer(2, 60, p.manifest(9)));  // another peer has its own bound
}

TEST_CASE("the same state and event give the same next state, also in a copy") {
    Played p;
    p.world.run_for(1ms);
    Gossip copy = p.core;
    CHECK(copy.digest() == p.core.digest());
    auto feed = [&](Gossip& g) {
        job::TurnIds ids{500, 500};
        job::Turn turn(p.world.now(), {}, RunSeed{7}, ids);
        g.on_transfer(turn, p.world.id(1), {1}, message::TransferOffered{p.manifest(1)});
        return turn.grants.size();
    };
    CHECK(feed(copy) == 1);
    CHECK(copy.digest() != p.core.digest());
    CHECK(feed(p.core) == 1);
    CHECK(copy.digest() == p.core.digest());
}

TEST_CASE("after a sleep the step goes on as if the time had not passed") {
    Played p;
    p.world.run_for(12ms);  // trained; waits for both neighbours
    REQUIRE(p.core.status(p.world.now()).waiting.size() == 1);
    auto before = p.core.next_deadline();
    auto turn = p.world.turn_of(0);
    p.core.on_resume(turn, 1h);
    CHECK(p.core.next_deadline() == before + 1h);
    CHECK(p.core.progress().round == 0);
}

TEST_CASE("a lost or busy transfer is offered again, a stale one is not") {
    Outbox box;
    job::TurnIds ids;
    job::Turn turn({1000}, {}, RunSeed{}, ids);
    auto peer = PeerId::of_number(2);
    message::Manifest m;
    m.round = 4;
    box.post(turn, peer, m, {}, true);
    REQUIRE(turn.offers.size() == 1);
    auto id = turn.offers[0].id;
    CHECK(box.refused(peer, id, RefuseReason::busy, turn.now, 10ms));
    CHECK(box.next_offer() == turn.now + 20ms);
    job::Turn later({30'000'000}, {}, RunSeed{}, ids);
    box.offer_waiting(later);
    REQUIRE(later.offers.size() == 1);
    CHECK(later.offers[0].id != id);
    box.lost(peer, later.offers[0].id, later.now, 10ms);
    CHECK(box.next_offer() == later.now + 40ms);
    box.receiver_at(later, peer, 3);
    REQUIRE(later.offers.size() == 2);
    CHECK(box.refused(peer, later.offers[1].id, RefuseReason::stale, later.now, 10ms));
    CHECK(box.empty());

    box.post(turn, peer, m, {}, false);  // no link yet
    CHECK(turn.offers.size() == 1);
    box.link_up(turn, peer);
    CHECK(turn.offers.size() == 2);
    CHECK(!box.refused(peer, turn.offers[1].id, RefuseReason::layout, turn.now, 10ms));
    CHECK(box.empty());
}
