#include <doctest/doctest.h>

#include "membership/lone.hpp"
#include "support/transcript.hpp"

using namespace gossamer;
using namespace gossamer::testing;
using message::MemberState;

TEST_CASE("Seeds are dialled at once, and for ever, ever more slowly up to a cap") {
    Lone me(seeded({"a:1"}));
    CHECK(describe(me.start()) == "dial ? a:1 (seed)\n");
    Duration longest{};
    for (int i = 0; i < 50; ++i) {
        me.fail("a:1", ErrorCode::kNetRefused);
        const Instant before = me.now;
        REQUIRE(me.until_dial(3s).has_value());
        longest = std::max(longest, me.now - before);
        CHECK(me.now - before >= 50ms);
        if (i > 10) CHECK(me.now - before >= 1s);
    }
    CHECK(longest <= 2s);
}

TEST_CASE("One's own address among the seeds is not dialled") {
    Lone me(seeded({"me:1", "b:1"}));
    CHECK(describe(me.start()) == "dial ? b:1 (seed)\n");
    // Known by another name it is dialled once: then it shows who it is.
    auto t = me.link(PeerId::of_number(5), job::LinkUp{Role::peer, "b:1", true});
    CHECK(describe(t) == "close p5 (this is our own address)\n");
    CHECK(!me.until_dial(60s).has_value());
}

TEST_CASE("Failures that cannot heal end the retries with a warning, others do not") {
    Lone me(seeded({"a:1"}));
    me.start();
    auto t = me.fail("a:1", ErrorCode::kTlsUntrusted, true);
    REQUIRE(t.notices.size() == 2);
    auto* warning = std::get_if<message::Warning>(&t.notices[1]);
    REQUIRE(warning);
    CHECK(warning->error.code == ErrorCode::kTlsUntrusted);
    CHECK(warning->error.what == "a:1 is not dialled again for 10min: no");
    CHECK(!me.until_dial(9min).has_value());
    CHECK(me.until_dial(2min).has_value());  // a seed's certificate may have been mended
}

TEST_CASE("A member whose link cannot be is left alone until it comes by itself") {
    const auto other = PeerId::of_number(9);
    Lone me(seeded({}), {{other, Role::peer, MemberState::alive, 7, {"x:1"}}});
    CHECK(describe(me.start()) == "dial p9 x:1 (member alive)\n");
    auto t = me.fail("x:1", ErrorCode::kLinkVersion, true, other);
    auto* warning = std::get_if<message::Warning>(&t.notices.back());
    REQUIRE(warning);
    CHECK(warning->error.what == "x:1 is not dialled again unless it comes by itself: no");
    CHECK(!me.until_dial(1h).has_value());
    me.link(other, job::LinkUp{Role::peer, "from x", false});
    CHECK(me.core.linked(other));
    me.link(other, job::LinkDown{{ErrorCode::kNetReset, "reset", {}}});
    CHECK(me.until_dial(1s).has_value());
}

TEST_CASE("A failing address is told once, and again when the reason changes") {
    Lone me(seeded({"a:1"}));
    me.start();
    std::size_t told = 0;
    for (auto code : {ErrorCode::kNetRefused, ErrorCode::kNetRefused, ErrorCode::kNetRefused,
                      ErrorCode::kNetTimeout, ErrorCode::kNetTimeout, ErrorCode::kNetRefused}) {
        for (const auto& n : me.fail("a:1", code).notices)
            told += std::holds_alternative<message::LinkChanged>(n);
        me.until_dial(3s);
    }
    CHECK(told == 3);
}

TEST_CASE("It says whom it waits for, ever more rarely, and stops when they answer") {
    Lone me(seeded({"a:1", "b:1"}));
    me.start();
    std::vector<Instant> told;
    auto wait = [&](Duration d) {
        const Instant end = me.now + d;
        while (me.core.next_deadline() <= end) {
            me.now = me.core.next_deadline();
            auto t = me.turn();
            me.core.on_deadline(t);
            for (const auto& n : t.notices)
                if (auto* waiting = std::get_if<message::Waiting>(&n)) {
                    told.push_back(me.now);
                    CHECK(waiting->what == "an answer at a:1 (NET-02), b:1 (NET-02)");
                }
            for (const auto& order : t.links) me.fail(order.address, ErrorCode::kNetRefused);
        }
        me.now = end;
    };
    me.fail("a:1", ErrorCode::kNetRefused);
    me.fail("b:1", ErrorCode::kNetRefused);
    wait(2min);
    CHECK(told.size() >= 4);
    CHECK(told.size() <= 8);
    CHECK(told[0] - Instant{1'000'000'000} <= 1s);
    me.link(PeerId::of_number(1), job::LinkUp{Role::peer, "a:1", true});
    me.link(PeerId::of_number(2), job::LinkUp{Role::peer, "b:1", true});
    CHECK(me.core.waiting().empty());
}

TEST_CASE("A member that moved is found again by the seed when another lives at its address") {
    const auto old = PeerId::of_number(9), fresh = PeerId::of_number(8);
    Lone me(seeded({"x:1"}));
    me.start();
    me.link(old, job::LinkUp{Role::peer, "x:1", true});
    me.link(old, job::LinkDown{{ErrorCode::kNetReset, "reset", {}}});
    auto t = me.until_dial(1s);
    REQUIRE(t.has_value());
    CHECK(t->links[0].peer == old);
    me.fail("x:1", ErrorCode::kTlsPeerId, false, old);
    t = me.until_dial(3s);
    REQUIRE(t.has_value());
    CHECK(!t->links[0].peer.has_value());
    me.link(fresh, job::LinkUp{Role::peer, "x:1", true});
    CHECK(me.core.linked(fresh));
}

TEST_CASE("A blocked member's link is closed and it is not accused when it goes") {
    const auto other = PeerId::of_number(9);
    Lone me(seeded({"x:1"}));
    me.start();
    me.link(other, job::LinkUp{Role::peer, "x:1", true});
    auto t = me.turn();
    me.core.block(t, other, {ErrorCode::kModelLayout, "fc1.weight differs", {}});
    CHECK(describe(t) == "close p9 (fc1.weight differs)\n");
    t = me.link(other, job::LinkDown{{ErrorCode::kLinkClosed, "closed", {}}});
    auto* down = std::get_if<message::LinkChanged>(&t.notices.at(0));
    REQUIRE(down);
    CHECK(down->error.hint.starts_with("It is not dialled again"));
    CHECK(!me.until_dial(5min).has_value());
    CHECK(me.core.state_of(other) == MemberState::alive);
}

TEST_CASE("Operators are served but are no members") {
    Lone me(seeded({}));
    me.start();
    me.link(PeerId::of_number(70), job::LinkUp{Role::operator_, "from y", false});
    CHECK(me.core.views().empty());
}

TEST_CASE("Messages of peers without a link are ignored") {
    Lone me(seeded({}));
    me.start();
    auto t = me.turn();
    me.core.on_heartbeat(t, PeerId::of_number(9), {.sequence = 1});
    me.core.on_leave(t, PeerId::of_number(9), {.incarnation = 1});
    CHECK(describe(t).empty());
}

TEST_CASE("Who comes back without its book is told again what it told us in an earlier life") {
    const auto teller = PeerId::of_number(9), third = PeerId::of_number(7);
    Lone me(seeded({}));
    me.start();
    const auto told_of_third = [&] {
        me.now = me.now + 1s;
        const auto t = me.link(teller, job::LinkUp{Role::peer, "from x", false});
        for (const auto& send : t.sends)
            if (const auto* beat = std::get_if<message::Heartbeat>(&send.message))
                for (const auto& record : beat->news)
                    if (record.id == third) return true;
        return false;
    };
    CHECK_FALSE(told_of_third());
    auto t = me.turn();
    me.core.on_heartbeat(
        t, teller,
        {.sequence = 1,
         .incarnation = 1u << 20,
         .news = {{third, Role::peer, MemberState::alive, 1u << 20, {"third:1"}}}});
    REQUIRE(me.core.state_of(third) == MemberState::alive);
    me.link(teller, job::LinkDown{{ErrorCode::kLinkClosed, "gone", {}}});
    CHECK(told_of_third());
}

TEST_CASE("Who is heard to be back is dialled at once") {
    const auto teller = PeerId::of_number(9), third = PeerId::of_number(7);
    Lone me(seeded({}));
    me.start();
    me.link(teller, job::LinkUp{Role::peer, "from x", false});
    std::uint64_t sequence = 0;
    const auto hear = [&](MemberState state, std::uint64_t incarnation) {
        auto t = me.turn();
        me.core.on_heartbeat(t, teller,
                             {.sequence = ++sequence,
                              .incarnation = 1u << 20,
                              .news = {{third, Role::peer, state, incarnation, {"third:1"}}}});
    };
    hear(MemberState::left, 1u << 20);
    REQUIRE(me.core.state_of(third) == MemberState::left);
    (void)me.until_dial(2s);  // the timer of its first mention is over then
    hear(MemberState::alive, 2u << 20);
    const auto dialled = me.until_dial(1s);
    REQUIRE(dialled);
    CHECK(dialled->links.at(0).address == "third:1");
}
