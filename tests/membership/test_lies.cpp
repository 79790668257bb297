// A member with a good certificate and bad intentions: what it says of others is bounded.
#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "connection/wire/wire.hpp"
#include "membership/lone.hpp"

using namespace gossamer;
using namespace gossamer::testing;
using message::MemberRecord;
using message::MemberState;

namespace {

constexpr std::uint64_t kFirst = std::uint64_t{1} << membership::kEpochShift;
const auto liar = PeerId::of_number(9);

membership::MembershipConfig with_local_view() {
    auto config = seeded({});
    config.local_view = true;
    return config;
}

// A core with one link, to the liar.
struct LiedTo : Lone {
    explicit LiedTo(membership::MembershipConfig config = seeded({})) : Lone(std::move(config)) {
        start();
        link(liar, job::LinkUp{Role::peer, "from x", false});
    }
    job::Turn hear(std::vector<MemberRecord> news, std::uint64_t incarnation = kFirst) {
        auto t = turn();
        core.on_heartbeat(
            t, liar, {.sequence = ++sequence, .incarnation = incarnation, .news = std::move(news)});
        return t;
    }
    std::uint64_t sequence = 0;
};

template <class N>
std::size_t count_of(const job::Turn& turn) {
    return static_cast<std::size_t>(std::ranges::count_if(
        turn.notices, [](const auto& n) { return std::holds_alternative<N>(n); }));
}

}  // namespace

TEST_CASE("Nonsense from a member is bounded and changes nothing") {
    const auto other = PeerId::of_number(9);
    Lone me(seeded({}));
    me.start();
    me.link(other, job::LinkUp{Role::peer, "from x", false});
    message::Heartbeat beat{.sequence = 1, .incarnation = 1u << 20};
    beat.news.push_back({PeerId::of_number(5), Role::peer, MemberState::dead, ~0ull, {}});
    beat.news.push_back({PeerId::of_number(6), Role::operator_, MemberState::alive, 1, {}});
    beat.news.push_back({PeerId::of_number(7), Role::peer, MemberState::alive, 1,
                         std::vector<std::string>(9, "z:1")});
    beat.news.push_back({PeerId{}, Role::peer, MemberState::alive, 1, {}});
    auto t = me.turn();
    me.core.on_heartbeat(t, other, beat);
    CHECK(me.core.views().size() == 1);
    CHECK(me.core.self().incarnation == std::uint64_t{1} << 20);

    for (std::uint64_t n = 0; n < 6000; n += 32) {
        message::Heartbeat flood{.sequence = n, .incarnation = 1u << 20};
        for (std::uint64_t k = 0; k < 40; ++k)  // more than a message may carry
            flood.news.push_back(
                {PeerId::of_number(1000 + n + k), Role::peer, MemberState::alive, 1, {}});
        auto turn = me.turn();
        me.core.on_heartbeat(turn, other, flood);
        for (const auto& send : turn.sends)
            if (auto* sent = std::get_if<message::Heartbeat>(&send.message))
                CHECK(sent->news.size() <= membership::kNewsMax);
    }
    CHECK(me.core.views().size() == membership::kMembersMax);
}

TEST_CASE("Nobody can be silenced by an incarnation that no clock has given yet") {
    LiedTo me;
    const auto self = me.core.self().id;
    const auto year = std::uint64_t{366 * 86400};
    for (std::uint64_t absurd : {~std::uint64_t{0} >> 2, std::uint64_t{1} << 61, year << 20}) {
        me.hear({{self, Role::peer, MemberState::dead, absurd, {}}});
        CHECK(me.core.self().incarnation == kFirst);
        me.hear({{PeerId::of_number(7), Role::peer, MemberState::dead, absurd, {}}});
        CHECK(!me.core.role_of(PeerId::of_number(7)).has_value());
    }
    // The largest that is heeded leaves room above it.
    me.hear({{self, Role::peer, MemberState::dead, (year << 20) - 1, {}}});
    CHECK(me.core.self().incarnation == year << 20);
    auto t = me.turn();
    t.wall = WallTime{1'000'000'000};  // a second later others heed it too
    me.core.on_heartbeat(t, liar,
                         {.sequence = 99,
                          .incarnation = kFirst,
                          .news = {{PeerId::of_number(8), Role::peer, {}, year << 20, {}}}});
    CHECK(me.core.state_of(PeerId::of_number(8)) == MemberState::alive);
}

TEST_CASE("Members that die and rise all day long are told so often, and then no more") {
    LiedTo me;
    const auto victim = PeerId::of_number(3);
    std::size_t told = 0, warned = 0;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
        const auto state = i % 2 ? MemberState::left : MemberState::alive;
        const auto t = me.hear({{victim, Role::peer, state, kFirst + i, {}}});
        told += count_of<message::MemberChanged>(t);
        warned += count_of<message::Warning>(t);
    }
    CHECK(told <= membership::kBudgetMax);
    CHECK(told >= membership::kBudgetMax / 2);
    CHECK(warned == 1);
    me.now = me.now + 1s;  // and the budget fills again, slowly
    told = 0;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
        const auto state = i % 2 ? MemberState::alive : MemberState::left;
        told += count_of<message::MemberChanged>(
            me.hear({{victim, Role::peer, state, 2 * kFirst + i, {}}}));
    }
    CHECK(told <= 4 * membership::kBudgetRefill);
    CHECK(told > 0);
}

TEST_CASE("A member that leaves and comes back at every message fills no log") {
    LiedTo me;
    std::size_t told = 0;
    for (std::uint64_t i = 1; i < 20'000; ++i) {
        auto t = me.turn();
        me.core.on_leave(t, liar, {kFirst + i, "bye"});
        told += count_of<message::MemberChanged>(t);
        told += count_of<message::MemberChanged>(me.hear({}, kFirst + i + 1));
    }
    CHECK(told <= membership::kBudgetMax);
}

TEST_CASE("A table full of members that nobody met has room for whoever comes") {
    LiedTo me;
    for (std::uint64_t n = 0; n < membership::kMembersMax; n += 32) {
        std::vector<MemberRecord> flood;
        for (std::uint64_t k = 0; k < 32; ++k)
            flood.push_back({PeerId::of_number(1000 + n + k), Role::peer, {}, kFirst, {}});
        me.hear(std::move(flood));
        me.now = me.now + 1s;
    }
    REQUIRE(me.core.views().size() == membership::kMembersMax);
    me.core.take_changes();
    for (std::uint64_t n = 1; n <= 3; ++n) {
        const auto honest = PeerId::of_number(100 + n);
        auto t = me.link(honest, job::LinkUp{Role::peer, "from y", false});
        CHECK(me.core.linked(honest));
        CHECK(me.core.views().size() == membership::kMembersMax);
        const auto changes = me.core.take_changes();
        REQUIRE(changes.size() == 2);
        CHECK(changes[0].state == MemberState::dead);
        CHECK(changes[1].peer == honest);
    }
    CHECK(me.core.linked(liar));
}

TEST_CASE("A local view, told of aggregators that nobody met, remembers few of them") {
    LiedTo me(with_local_view());
    std::size_t warned = 0;
    const auto flood = [&](std::uint64_t from) {
        for (std::uint64_t n = from; n < from + 1024; n += 32) {
            std::vector<MemberRecord> phantoms;
            for (std::uint64_t k = 0; k < 32; ++k)
                phantoms.push_back({PeerId::of_number(n + k), Role::aggregator, {}, kFirst, {}});
            warned += count_of<message::Warning>(me.hear(std::move(phantoms)));
            me.now = me.now + 1s;
        }
    };
    flood(1000);
    CHECK(me.core.views().size() == 1 + membership::kLocalHearsayMax);
    CHECK(warned == 1);
    const auto honest = PeerId::of_number(100);
    me.link(honest, job::LinkUp{Role::aggregator, "from y", false});
    CHECK(me.core.linked(honest));
    CHECK(me.core.views().size() == 2 + membership::kLocalHearsayMax);
    // One of whom others spoke, and who came, leaves its place to another.
    me.link(PeerId::of_number(1000), job::LinkUp{Role::aggregator, "from z", false});
    flood(3000);
    CHECK(me.core.views().size() == 3 + membership::kLocalHearsayMax);
    CHECK(me.core.linked(liar));
}

TEST_CASE("Members with the longest addresses there can be silence nobody's heartbeats") {
    LiedTo me;
    std::vector<PeerId> phantoms;
    for (std::uint64_t n = 0; n < 200; ++n) {
        phantoms.push_back(PeerId::of_number(1000 + n));
        std::vector<std::string> addresses;
        for (std::size_t k = 0; k < message::kAddressesMax; ++k) {
            addresses.push_back(std::to_string(1000 + n) + "-" + std::to_string(k) + ":1");
            addresses.back().insert(0, message::kAddressBytesMax - addresses.back().size(), 'x');
        }
        me.hear({{phantoms.back(), Role::peer, {}, kFirst, addresses}});
    }
    std::map<PeerId, std::size_t> told;
    std::size_t beats = 0;
    const auto listen = [&](const job::Turn& turn, const PeerId& to) {
        for (const auto& send : turn.sends) {
            const auto* beat = std::get_if<message::Heartbeat>(&send.message);
            if (!beat || send.to != to) continue;
            ++beats;
            CHECK(wire::check(send.message));
            for (const auto& record : beat->news) ++told[record.id];
        }
    };
    const auto other = PeerId::of_number(4000);
    listen(me.link(other, job::LinkUp{Role::peer, "f:1", false}), other);
    while (beats < 300) {
        me.now = me.core.next_deadline();
        me.core.on_sign_of_life(me.now, other);
        me.core.on_sign_of_life(me.now, liar);
        auto t = me.turn();
        me.core.on_deadline(t);
        listen(t, other);
    }
    for (const auto& phantom : phantoms) CHECK(told[phantom] == 1);
    CHECK(told[liar] == 1);
    CHECK(me.core.linked(other));
}

TEST_CASE("A peer book larger than a full mesh is dialled until somebody answers") {
    auto config = seeded({});
    config.mesh_max = 2;
    std::vector<MemberRecord> known;
    for (std::uint64_t n = 1; n <= 4; ++n)
        known.push_back({PeerId::of_number(10 + n),
                         Role::peer,
                         MemberState::dead,
                         0,
                         {"x" + std::to_string(n) + ":1"}});
    Lone me(std::move(config), std::move(known));
    auto t = me.start();
    std::size_t dialled = t.links.size();
    if (auto later = me.until_dial(1s)) dialled += later->links.size();
    CHECK(dialled == 4);
    me.link(PeerId::of_number(11), job::LinkUp{Role::peer, "x1:1", true});
    for (int n = 2; n <= 4; ++n) me.fail("x" + std::to_string(n) + ":1", ErrorCode::kNetRefused);
    CHECK(!me.until_dial(60s));  // who is linked says who else is here
    me.link(PeerId::of_number(11), job::LinkDown{{ErrorCode::kLinkClosed, "gone", {}}});
    CHECK(me.until_dial(60s));
}

TEST_CASE("Addresses where nobody answers do not keep a known member from being dialled") {
    LiedTo me;
    const auto friendly = PeerId::of_number(4000);
    me.link(friendly, job::LinkUp{Role::peer, "f:1", true});
    std::vector<MemberRecord> flood;
    for (std::uint64_t k = 0; k < 32; ++k) {
        const auto address = "black-hole-" + std::to_string(k) + ":1";
        flood.push_back({PeerId::of_number(1000 + k), Role::peer, {}, kFirst, {address}});
    }
    me.hear(std::move(flood));
    std::size_t dialled = 0;
    while (auto t = me.until_dial(10s))
        for (const auto& order : t->links) dialled += order.kind == job::LinkOrder::Kind::dial;
    CHECK(dialled == 8);
    me.link(friendly, job::LinkDown{{ErrorCode::kNetReset, "reset", {}}});
    auto t = me.until_dial(1s);
    REQUIRE(t.has_value());
    REQUIRE(t->links.size() == 1);
    CHECK(t->links[0].address == "f:1");
}
