// Several members in one world: what all must come to believe, whatever the network does.
#include <doctest/doctest.h>

#include "membership/member_node.hpp"

using namespace gossamer;
using namespace gossamer::testing;
using message::MemberState;

namespace {

// Detection of a crash at the local profile: a full limit, a suspicion, and the news of it.
constexpr Duration kCrashBound = 1700ms;

bool everybody_linked(Members& m) {
    for (std::size_t a = 0; a < m.world.size(); ++a)
        for (std::size_t b = a + 1; b < m.world.size(); ++b)
            if (!m.world.linked(a, b) || !m.at(a).linked(m.world.id(b))) return false;
    return true;
}

std::size_t deaths(Members& m) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < m.world.size(); ++i) count += m.verdicts(MemberState::dead, i);
    return count;
}

}  // namespace

TEST_CASE("One seed is enough for everybody to learn of everybody, in any order of starting") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Members m({.count = 8, .seed = seed});
        auto rng = stream(RunSeed{seed}, Purpose::scenario, 1, 1);
        std::vector<std::size_t> order{0, 1, 2, 3, 4, 5, 6, 7};
        rng.shuffle(std::span(order));
        for (std::size_t place : order) {
            m.world.start(place);
            m.world.run_for(Duration{static_cast<std::int64_t>(rng.below(2'000'000'000))});
        }
        m.world.run_for(4s);
        CHECK(everybody_linked(m));
        for (std::size_t i = 0; i < 8; ++i) CHECK(m.all_see(i, MemberState::alive));
        CHECK(deaths(m) == 0);
    }
}

TEST_CASE("A process killed is known dead everywhere within one detection time") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Members m({.count = 6, .seed = seed});
        m.start_all();
        m.world.run_for(3s);
        m.world.kill(seed % 6);
        // The port answers "refused" at once, so only the suspicion has to pass.
        CHECK(m.world.run_while([&] { return !m.all_see(seed % 6, MemberState::dead); }, 800ms));
        m.world.run_for(10s);
        CHECK(deaths(m) == 5);
    }
}

TEST_CASE("A machine that vanishes without a word is known dead everywhere in bounded time") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Members m({.count = 6, .seed = seed});
        m.start_all();
        m.world.run_for(3s);
        m.world.vanish(2);
        CHECK(m.world.run_while([&] { return !m.all_see(2, MemberState::dead); }, kCrashBound));
        m.world.run_for(20s);
        CHECK(m.all_see(2, MemberState::dead));
        CHECK(deaths(m) == 5);
    }
}

TEST_CASE("A member that restarts is alive again everywhere, with a higher incarnation") {
    Members m({.count = 5});
    m.start_all();
    m.world.run_for(3s);
    m.world.kill(3);
    m.world.run_for(5s);
    REQUIRE(m.all_see(3, MemberState::dead));
    m.world.start(3);
    CHECK(m.world.run_while([&] { return !m.all_see(3, MemberState::alive); }, 1s));
    for (const auto& view : m.at(0).views())
        if (view.record.id == m.world.id(3))
            CHECK(view.record.incarnation >= std::uint64_t{2} << 20);
}

TEST_CASE("A restart quicker than the detection is alive at the end, and never lost for good") {
    for (auto pause : {10ms, 100ms, 400ms, 600ms}) {
        Members m({.count = 5});
        m.start_all();
        m.world.run_for(3s);
        m.world.kill(1);
        m.world.run_for(pause);
        m.world.start(1);
        m.world.run_for(3s);
        CHECK(m.all_see(1, MemberState::alive));
        CHECK(everybody_linked(m));
    }
}

TEST_CASE("The seed itself may die and come back") {
    Members m({.count = 5});
    m.start_all();
    m.world.run_for(3s);
    m.world.kill(0);
    m.world.run_for(10s);
    CHECK(m.all_see(0, MemberState::dead));
    m.world.start(0);
    m.world.run_for(5s);
    CHECK(m.all_see(0, MemberState::alive));
    CHECK(everybody_linked(m));
}

TEST_CASE("Who leaves has left everywhere, is not mourned, and stale news does not raise it") {
    Members m({.count = 5});
    m.start_all();
    m.world.run_for(3s);
    const auto stale = m.at(4).views();  // somebody's old opinion of everybody
    m.world.stop(2);
    m.world.run_for(50ms);
    CHECK(m.all_see(2, MemberState::left));
    message::Heartbeat old_news{.sequence = 999};
    for (const auto& view : stale) old_news.news.push_back(view.record);
    m.world.turn(0, [&](job::Turn& t) { m.at(0).on_heartbeat(t, m.world.id(4), old_news); });
    m.world.run_for(20s);
    CHECK(m.all_see(2, MemberState::left));
    CHECK(m.verdicts(MemberState::suspect, 2) == 0);
    m.world.start(2);
    m.world.run_for(2s);
    CHECK(m.all_see(2, MemberState::alive));
}

TEST_CASE("Who slept accuses nobody, and is taken back by all") {
    Members m({.count = 5});
    m.start_all();
    m.world.run_for(3s);
    m.world.suspend(1, 30s);
    m.world.run_for(29s);
    CHECK(m.all_see(1, MemberState::dead));
    const std::size_t before = m.world.notices().size();
    m.world.run_for(5s);
    for (std::size_t i = before; i < m.world.notices().size(); ++i) {
        const auto& noted = m.world.notices()[i];
        if (auto* n = std::get_if<message::MemberChanged>(&noted.notice); n && noted.place == 1)
            CHECK(n->to == MemberState::alive);
    }
    CHECK(m.all_see(1, MemberState::alive));
    for (std::size_t i = 0; i < 5; ++i) CHECK(m.all_see(i, MemberState::alive));
    CHECK(everybody_linked(m));
}

TEST_CASE("A late timer is our own fault: a stalled process accuses nobody either") {
    Members m({.count = 4});
    m.start_all();
    m.world.run_for(3s);
    m.world.freeze(2, 5s);
    m.world.run_for(10s);
    for (const auto& noted : m.world.notices())
        if (auto* n = std::get_if<message::MemberChanged>(&noted.notice); n && noted.place == 2)
            CHECK(n->to == MemberState::alive);
    CHECK(m.all_see(2, MemberState::alive));
}

TEST_CASE("Stalls of single messages accuse nobody wrongly for long") {
    Members m({.count = 8, .seed = 5, .network = {.delay = 20ms, .jitter = 2, .stall = 0.05}});
    m.start_all();
    m.world.run_for(120s);
    CHECK(everybody_linked(m));
    CHECK(deaths(m) == 0);
}

TEST_CASE("When one pair cannot hear each other, the others' word keeps both alive") {
    Members m({.count = 5});
    m.start_all();
    m.world.run_for(3s);
    m.world.cut(3, 4);
    m.world.run_for(30s);
    CHECK(m.seen(3, 4) < MemberState::dead);
    CHECK(m.seen(4, 3) < MemberState::dead);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(m.seen(i, 3) == MemberState::alive);
        CHECK(m.seen(i, 4) == MemberState::alive);
    }
    CHECK(m.verdicts(MemberState::dead, 3) + m.verdicts(MemberState::dead, 4) == 0);
    // Who refutes is given the whole limit again, 0.75 s.
    CHECK(m.verdicts(MemberState::suspect, 3) <= 40);
    CHECK(m.verdicts(MemberState::suspect, 4) <= 40);
    m.world.heal(3, 4);
    m.world.run_for(5s);
    CHECK(everybody_linked(m));
}

TEST_CASE("Halves that were apart come together again") {
    Members m({.count = 6, .seed_count = 2});
    m.start_all();
    m.world.run_for(3s);
    for (std::size_t a = 0; a < 3; ++a)
        for (std::size_t b = 3; b < 6; ++b) m.world.cut(a, b);
    m.world.run_for(20s);
    CHECK(m.seen(0, 5) == MemberState::dead);
    CHECK(m.seen(5, 0) == MemberState::dead);
    CHECK(m.seen(0, 1) == MemberState::alive);
    for (std::size_t a = 0; a < 3; ++a)
        for (std::size_t b = 3; b < 6; ++b) m.world.heal(a, b);
    m.world.run_for(8s);
    for (std::size_t i = 0; i < 6; ++i) CHECK(m.all_see(i, MemberState::alive));
    CHECK(everybody_linked(m));
}

TEST_CASE("Whatever happened, all agree on who is here once it is quiet") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Members m({.count = 6, .seed = seed, .network = {.stall = 0.02}, .seed_count = 2});
        m.start_all();
        auto rng = stream(RunSeed{seed}, Purpose::scenario, 2, 2);
        std::vector<bool> here(6, true);
        for (int event = 0; event < 25; ++event) {
            m.world.run_for(Duration{static_cast<std::int64_t>(rng.below(1'500'000'000))});
            const auto a = static_cast<std::size_t>(rng.below(6));
            const auto b = (a + 1 + static_cast<std::size_t>(rng.below(5))) % 6;
            switch (rng.below(7)) {
                case 0: m.world.cut(a, b); break;
                case 1: m.world.heal(a, b); break;
                case 2: m.world.break_link(a, b, ErrorCode::kNetReset); break;
                case 3:
                    if (here[a]) m.world.freeze(a, 2s);
                    break;
                default:
                    if (!here[a])
                        m.world.start(a);
                    else
                        m.world.kill(a);
                    here[a] = !here[a];
            }
        }
        for (std::size_t a = 0; a < 6; ++a)
            for (std::size_t b = a + 1; b < 6; ++b) m.world.heal(a, b);
        if (!here[0]) m.world.start(0), here[0] = true;
        m.world.run_for(15s);
        for (std::size_t i = 0; i < 6; ++i)
            for (std::size_t j = 0; j < 6; ++j) {
                if (i == j || !here[i]) continue;
                CAPTURE(i);
                CAPTURE(j);
                if (here[j]) CHECK(m.seen(i, j) == MemberState::alive);
                if (!here[j]) CHECK(m.seen(i, j) == MemberState::dead);  // or never met
            }
    }
}

TEST_CASE("The same seed gives the same story, to the last digest") {
    auto run = [](std::uint64_t seed) {
        Members m({.count = 6, .seed = seed, .network = {.stall = 0.05}});
        m.start_all();
        m.world.run_for(5s);
        m.world.kill(2);
        m.world.run_for(5s);
        std::string digests = std::to_string(m.world.message_count());
        for (std::size_t i = 0; i < 6; ++i)
            if (m.world.running(i)) digests += m.at(i).digest().to_string();
        return digests;
    };
    CHECK(run(3) == run(3));
    CHECK(run(3) != run(4));
}

TEST_CASE("Above mesh_max only wanted links are kept, and still all learn of all") {
    Members m({.count = 20, .profile = membership::Profile::local, .mesh_max = 5});
    m.start_all();
    m.world.run_for(10s);
    for (std::size_t i = 0; i < 20; ++i) CHECK(m.all_see(i, MemberState::alive));
    CHECK(!m.world.linked(10, 15));
    m.world.turn(10, [&](job::Turn& t) { m.at(10).want(t, {m.world.id(15)}); });
    m.world.break_link(10, 0, ErrorCode::kNetReset);
    m.world.run_for(5s);
    CHECK(m.world.linked(10, 15));
}

TEST_CASE("A quiet mesh costs a message each way a heartbeat and no news") {
    Members m({.count = 4});
    m.start_all();
    m.world.run_for(10s);
    const std::size_t before = m.world.message_count();
    m.world.run_for(10s);
    const std::size_t messages = m.world.message_count() - before;
    // 12 directed links, 4 to 4.5 heartbeats a second, 10 s.
    CHECK(messages >= 12 * 40);
    CHECK(messages <= 12 * 46);
}
