#include <doctest/doctest.h>

#include "drivers/simulation/faults.hpp"
#include "drivers/simulation/queue.hpp"

using namespace gossamer;
using namespace gossamer::simulation;

namespace {
Result<Fault> parse(std::string_view text) { return parse_fault(text, 10, true, {1}); }
std::string wrong(std::string_view text) {
    auto fault = parse(text);
    REQUIRE_FALSE(fault);
    return fault.error().what;
}
}  // namespace

TEST_CASE("faults say when, what, with whom and for how long") {
    auto kill = parse("10s kill 3,5-7,aggregator for 500ms");
    REQUIRE(kill);
    CHECK(kill->at == 10s);
    CHECK(kill->kind == FaultKind::kill);
    CHECK(kill->who == std::vector<std::uint32_t>{3, 5, 6, 7, 10});
    CHECK(kill->lasting == 500ms);
    auto split = parse("1m partition 0-4|5-9 for 30s");
    REQUIRE(split);
    CHECK(split->who.size() == 5);
    CHECK(split->other.front() == 5);
    auto some = parse("1s sleep 40% for 1h");
    REQUIRE(some);
    CHECK(some->who.size() == 4);
    CHECK(parse("1s sleep 40% for 1h")->who == some->who);
    auto slow = parse("1s slow all by 2.5");
    REQUIRE(slow);
    CHECK(slow->value == 2.5);
    CHECK(slow->who.size() == 10);
}

TEST_CASE("what is wrong in a fault is named") {
    CHECK(wrong("soon kill 3").find("\"soon\" is no time") != std::string::npos);
    CHECK(wrong("1s explode 3").find("\"explode\"") != std::string::npos);
    CHECK(wrong("1s kill 10").find("beyond the 10 peers") != std::string::npos);
    CHECK(wrong("1s kill").find("with whom") != std::string::npos);
    CHECK(wrong("1s kill 7-3").find("\"7-3\"") != std::string::npos);
    CHECK(wrong("1s kill 120%").find("percent") != std::string::npos);
    CHECK(wrong("1s partition 0-3").find("two groups") != std::string::npos);
    CHECK(wrong("1s slow 3").find("by") != std::string::npos);
    CHECK(wrong("1s kill 3 for ever").find("\"ever\"") != std::string::npos);
    CHECK(wrong("1s kill 3 again").find("\"again\" is too much") != std::string::npos);
    CHECK(parse_fault("1s kill aggregator", 4, false, {1}).error().what.find("no aggregator") !=
          std::string::npos);
}

TEST_CASE("events come by time, receiver, sender and the sender's own counter") {
    EventQueue queue;
    const auto push = [&](std::int64_t at, std::uint32_t to, std::uint32_t from, std::uint64_t n) {
        queue.push({{at}, to, from, n}, {.kind = EventKind::packet, .a = n});
    };
    push(5, 1, 1, 0), push(3, 2, 9, 4), push(3, 2, 9, 3), push(3, 1, 9, 5), push(3, 2, 8, 7);
    std::vector<std::uint64_t> order;
    for (EventKey key; !queue.empty();) order.push_back(queue.pop(key).a);
    CHECK(order == std::vector<std::uint64_t>{5, 7, 3, 4, 0});
    CHECK(queue.largest() == 5);
}
