#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "records/storage/history.hpp"
#include "records/storage/memory_disk.hpp"
#include "records/storage/peer_book.hpp"
#include "records/storage/run_folder.hpp"
#include "temporary_folder.hpp"

using namespace gossamer;
using namespace gossamer::storage;

TEST_CASE("runs of one name are numbered, and the newest is found again") {
    MemoryDisk disk;
    auto first = RunFolder::create(disk, "runs", "de mo/..");
    REQUIRE(first);
    CHECK(first->path() == "runs/de-mo-..-1");
    for (int i = 2; i <= 11; ++i) REQUIRE(RunFolder::create(disk, "runs", "gossip"));
    CHECK(RunFolder::newest(disk, "runs", "gossip")->name() == "gossip-10");
    const auto all = RunFolder::all(disk, "runs", "gossip");
    REQUIRE(all.size() == 10);
    CHECK(all.front().path() == "runs/gossip-10");
    CHECK(all.back().path() == "runs/gossip-1");
    CHECK(RunFolder::all(disk, "nowhere", "gossip").empty());
    CHECK(RunFolder::create(disk, "runs", "gossip")->name() == "gossip-11");
    CHECK(RunFolder::newest(disk, "runs", "other").error().code == ErrorCode::kRunFolder);
    CHECK(RunFolder::open(disk, "runs/gossip-1").error().code == ErrorCode::kRunFolder);
    CHECK(first->events({1'700'000'000'000'000'000}, "my host") ==
          "runs/de-mo-..-1/events.out.tfevents.1700000000.my-host");
}

TEST_CASE("a folder that cannot be written is an error with advice") {
    MemoryDisk disk;
    disk.read_only = true;
    auto made = RunFolder::create(disk, "runs", "demo");
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ErrorCode::kDiskPermission);
    CHECK(made.error().hint.find("run.folder") != std::string::npos);
}

TEST_CASE("runs are listed in the order of their numbers, with the facts of their summaries") {
    MemoryDisk disk;
    for (int i = 1; i <= 10; ++i) {
        auto folder = *RunFolder::create(disk, "runs", "demo");
        auto text = R"({"state":"finished","rounds":)" + std::to_string(i) + R"(,"peers":[1,2]})";
        ByteView parts[] = {as_bytes(text)};
        if (i != 3)
            REQUIRE(disk.replace_file(folder.summary(), parts));
        else
            REQUIRE(disk.replace_file(folder.config(), parts));
    }
    REQUIRE(disk.make_folder("runs/not-a-run", 0755));
    auto runs = list_runs(disk, "runs");
    REQUIRE(runs);
    REQUIRE(runs->size() == 10);
    CHECK((*runs)[1].name == "demo-2");
    CHECK((*runs)[9].name == "demo-10");
    CHECK((*runs)[9].state == "finished");
    CHECK((*runs)[9].facts.at("rounds") == "10");
    CHECK((*runs)[9].facts.count("peers") == 0);
    CHECK((*runs)[2].state == "unknown");
}

TEST_CASE("records that cannot be written are counted, and lines stay whole afterwards") {
    MemoryDisk disk;
    {
        RecordFile file(disk, "metrics.jsonl");
        file.append_line("{\"a\":1}");
        disk.room_bytes = 12;
        file.append_line("{\"a\":2}");
        file.append_line("{\"a\":3}");
        CHECK(file.lost_count() == 2);
        CHECK(file.first_error().code == ErrorCode::kDiskFull);
        disk.room_bytes.reset();
        file.append_line("{\"a\":4}");
        CHECK(file.lost_count() == 2);
    }
    CHECK(as_text(*disk.read("metrics.jsonl", 1000)).ends_with("\n{\"a\":4}\n"));
    ByteView torn[] = {as_bytes("{\"a\":1}\n{\"a\"")};
    REQUIRE(disk.replace_file("torn", torn));
    RecordFile again(disk, "torn");
    again.append_line("{\"a\":2}");
    CHECK(as_text(*disk.read("torn", 1000)) == "{\"a\":1}\n{\"a\"\n{\"a\":2}\n");
}

TEST_CASE("the peer book keeps peers, and its epoch only grows") {
    MemoryDisk disk;
    CHECK(PeerBook::load(disk, "book")->peers.empty());
    PeerBook book;
    book.boot_epoch = 5;
    book.peers = {{PeerId::of_number(1), Role::aggregator, {"host:1", "[::1]:2"}, {77}},
                  {PeerId::of_number(2), Role::peer, {}, {}}};
    REQUIRE(book.save(disk, "book"));
    CHECK(disk.mode_of("book") == kPrivateMode);
    CHECK(PeerBook::load(disk, "book")->peers == book.peers);
    CHECK(*PeerBook::begin_epoch(disk, "book", {0}) == 6);
    CHECK(*PeerBook::begin_epoch(disk, "book", {9'000'000'000}) == 9);
    CHECK(*PeerBook::begin_epoch(disk, "book", {1'000'000'000}) == 10);
    CHECK(PeerBook::load(disk, "book")->peers == book.peers);
    for (std::uint64_t byte = 0; byte < *disk.size_of("book"); ++byte) {
        disk.damage("book", byte);
        CHECK_FALSE(PeerBook::load(disk, "book"));
        disk.damage("book", byte);
    }
    disk.damage("book", 20);
    CHECK(*PeerBook::begin_epoch(disk, "book", {12'000'000'000}) == 12);
}

TEST_CASE("an epoch handed out survives a crash at any operation") {
    for (std::uint64_t crash = 1; crash < 16; ++crash) {
        CAPTURE(crash);
        MemoryDisk disk;
        REQUIRE(PeerBook::begin_epoch(disk, "book", {3'000'000'000}));
        std::uint64_t handed_out = 3;
        disk.crash_at(crash);
        for (int i = 0; i < 3; ++i)
            if (auto epoch = PeerBook::begin_epoch(disk, "book", {})) handed_out = *epoch;
        disk.restart({crash});
        auto next = PeerBook::begin_epoch(disk, "book", {});
        REQUIRE(next);
        CHECK(*next > handed_out);
    }
}

TEST_CASE("history is written in batches and read back") {
    TemporaryFolder folder;
    auto path = folder.path + "/history.sqlite";
    {
        auto history = HistoryWriter::open(path);
        REQUIRE(history);
        history->add(RoundRow{.round = 2,
                              .wall = {20},
                              .mode = "federated",
                              .loss = 0.5,
                              .accuracy = std::numeric_limits<double>::quiet_NaN(),
                              .accepted = 8,
                              .received_bytes = 1 << 20,
                              .model = "ab"});
        history->add(RoundRow{.round = 1, .wall = {10}, .mode = "federated", .loss = 0.7});
        history->add(MemberRow{{11}, "peer", "alive", "suspect", "no sign of life for 2s"});
        history->add(MetricRow{{12}, 1, "loss/train", 0.25});
        CHECK(read_rounds(path)->empty());
        REQUIRE(history->flush());
        CHECK(read_rounds(path)->size() == 2);
        history->add(RoundRow{.round = 1, .wall = {15}, .mode = "federated", .loss = 0.6});
    }
    auto rounds = read_rounds(path);
    REQUIRE(rounds);
    REQUIRE(rounds->size() == 2);
    CHECK((*rounds)[0].loss == 0.6);
    CHECK((*rounds)[1].accepted == 8);
    CHECK(std::isnan((*rounds)[1].accuracy));
    CHECK(read_members(path)->at(0).reason == "no sign of life for 2s");
    CHECK(read_metrics(path, "loss/train")->at(0).value == 0.25);
    CHECK(read_metrics(path, "other")->empty());
    CHECK(read_rounds(folder.path + "/none").error().code == ErrorCode::kRunFolder);
    CHECK_FALSE(HistoryWriter::open(folder.path + "/no/such/folder/h"));
}

TEST_CASE("history drops rows beyond its bound and counts them") {
    TemporaryFolder folder;
    auto history = HistoryWriter::open(folder.path + "/history.sqlite");
    REQUIRE(history);
    for (std::size_t i = 0; i < HistoryWriter::kRowsMax + 5; ++i)
        history->add(MetricRow{{1}, i, "m", 1});
    CHECK(history->lost_count() == 5);
    REQUIRE(history->flush());
    CHECK(history->waiting_count() == 0);
}
