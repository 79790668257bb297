#include <doctest/doctest.h>

#include "drivers/assembly/known_peers.hpp"
#include "records/storage/memory_disk.hpp"

using namespace gossamer;
using namespace gossamer::assembly;
using message::MemberState;
using storage::KnownPeer;

namespace {

constexpr WallTime kNoon{1'772'366'400'000'000'000};

node::MemberView member(std::uint64_t number, MemberState state = MemberState::alive) {
    return {.record = {.id = PeerId::of_number(number),
                       .state = state,
                       .incarnation = 1,
                       .addresses = {"host:" + std::to_string(number)}},
            .silent_for = 2s};
}

KnownPeer peer(std::uint64_t number, std::string address = "host:1") {
    return {PeerId::of_number(number), Role::peer, {std::move(address)}, kNoon};
}

std::vector<KnownPeer> in_book(const storage::Disk& disk) {
    auto book = storage::PeerBook::load(disk, "book");
    REQUIRE(book);
    return book->peers;
}

}  // namespace

TEST_CASE("worth knowing is who is here and can be dialled") {
    auto silent = member(5), unheard = member(6), told_of = member(7);
    told_of.hearsay = true;  // it may not exist
    silent.record.addresses = {};
    unheard.record.incarnation = 0;  // of the book alone
    auto known =
        worth_knowing({member(2, MemberState::suspect), member(1), member(3, MemberState::dead),
                       member(4, MemberState::left), silent, unheard, told_of},
                      kNoon);
    REQUIRE(known.size() == 2);
    CHECK(known[0] == KnownPeer{PeerId::of_number(1), Role::peer, {"host:1"}, kNoon + -2s});
    CHECK(known[1].id == PeerId::of_number(2));
}

TEST_CASE("of too many, aggregators and those heard last are known") {
    std::vector<node::MemberView> members;
    for (std::uint64_t i = 0; i < kKnownMax + 2; ++i) members.push_back(member(i + 1));
    members[7].silent_for = 1h;
    members[8].silent_for = 2h;
    members[8].record.role = Role::aggregator;
    members[9].silent_for = 1h;
    auto known = worth_knowing(members, kNoon);
    CHECK(known.size() == kKnownMax);
    CHECK(std::ranges::is_sorted(known, {}, &KnownPeer::id));
    for (auto [place, kept] : {std::pair{7, false}, {8, true}, {9, false}, {10, true}}) {
        const auto& id = members[static_cast<std::size_t>(place)].record.id;
        CHECK((std::ranges::find(known, id, &KnownPeer::id) != known.end()) == kept);
    }
}

TEST_CASE("what was in the book is dialled, and counts as dead until it is heard of") {
    auto records = to_be_found({peer(1)});
    REQUIRE(records.size() == 1);
    CHECK(records[0].state == MemberState::dead);
    CHECK(records[0].incarnation == 0);  // so that nobody is told of it
    CHECK(records[0].addresses == message::Addresses{"host:1"});
}

TEST_CASE("each identity has a book of its own") {
    CHECK(peer_book_path("runs", PeerId::of_number(1)) !=
          peer_book_path("runs", PeerId::of_number(2)));
}

TEST_CASE("the book is written when somebody else is known, now and then and at the end") {
    storage::MemoryDisk disk;
    PeerBookWriter::Time now{};
    PeerBookWriter writer(disk, "book", now);
    writer.know({7, {peer(1)}});
    REQUIRE(writer.write(now + 1s, false));
    CHECK_FALSE(disk.exists("book"));
    REQUIRE(writer.write(now + 5s, false));
    CHECK(in_book(disk) == std::vector{peer(1)});
    CHECK(storage::PeerBook::load(disk, "book")->boot_epoch == 7);

    const auto before = disk.operation_count();
    auto heard = peer(1);
    heard.seen = kNoon + 1min;
    writer.know({7, {heard}});  // nobody else, and heard again: no news
    REQUIRE(writer.write(now + 10s, false));
    CHECK(disk.operation_count() == before);

    writer.know({7, {peer(1, "elsewhere:1")}});
    REQUIRE(writer.write(now + 15s, false));
    CHECK(in_book(disk)[0].addresses[0] == "elsewhere:1");
    writer.know({7, {peer(1), peer(2)}});
    REQUIRE(writer.write(now + 16s, false));
    CHECK(in_book(disk).size() == 1);
    REQUIRE(writer.write(now + 16s, true));
    CHECK(in_book(disk).size() == 2);
}

TEST_CASE("who is left alone keeps the book") {
    storage::MemoryDisk disk;
    PeerBookWriter writer(disk, "book", {});
    writer.know({1, {peer(1)}});
    writer.know({1, {}});
    REQUIRE(writer.write({}, true));
    CHECK(in_book(disk).size() == 1);
}

TEST_CASE("a book that could not be written is written when there is room") {
    storage::MemoryDisk disk;
    PeerBookWriter writer(disk, "book", {});
    disk.room_bytes = 3;
    writer.know({1, {peer(1)}});
    auto full = writer.write({}, true);
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ErrorCode::kDiskFull);
    disk.room_bytes.reset();
    writer.know({1, {peer(1)}});  // the daemon says so each second
    REQUIRE(writer.write({}, true));
    CHECK(in_book(disk).size() == 1);
}
