#include <doctest/doctest.h>

#include "protocol/membership/detector.hpp"

using namespace gossamer;
using namespace gossamer::membership;

namespace {
const Timings& lan = timings(Profile::lan);
Instant after(Duration d) { return Instant{0} + d; }
}  // namespace

TEST_CASE("Before the rhythm is known the limit is the profile's largest") {
    Detector detector;
    detector.reset(after(5s));
    CHECK(detector.suspect_at(lan) == after(5s) + lan.limit_cap);
}

TEST_CASE("A steady rhythm brings the limit to its floor, a ragged one lifts it to the cap") {
    Detector steady, ragged;
    Instant t = after(0s);
    for (int i = 0; i < 50; ++i) steady.on_heartbeat(t = t + 1s);
    CHECK(steady.limit(lan) == lan.limit_floor);
    for (int i = 0; i < 50; ++i) ragged.on_heartbeat(t = t + (i % 3 == 0 ? 3s : 200ms));
    CHECK(ragged.limit(lan) > 5s);
    CHECK(ragged.limit(lan) <= lan.limit_cap);
}

TEST_CASE("Any sign of life moves the suspicion, but teaches nothing about the rhythm") {
    Detector detector;
    Instant t = after(0s);
    for (int i = 0; i < 20; ++i) detector.on_heartbeat(t = t + 1s);
    const Duration before = detector.limit(lan);
    detector.on_sign_of_life(t + 700ms);
    CHECK(detector.limit(lan) == before);
    CHECK(detector.suspect_at(lan) == t + 700ms + before);
    detector.on_sign_of_life(t);  // the past changes nothing
    CHECK(detector.heard() == t + 700ms);
}

TEST_CASE("Round trips are measured once a heartbeat, and not under bulk load") {
    Detector detector;
    CHECK(detector.on_sent(after(1s), false) == 1);
    detector.on_answer(1, after(1s) + 20ms, false);
    REQUIRE(detector.round_trip().known());
    CHECK(detector.round_trip().mean() == 20ms);
    detector.on_answer(1, after(9s), false);  // said twice
    CHECK(detector.on_sent(after(2s), true) == 2);
    detector.on_answer(2, after(8s), false);  // bulk when it was sent
    CHECK(detector.on_sent(after(3s), false) == 3);
    detector.on_answer(3, after(8s), true);    // bulk when it was answered
    detector.on_answer(77, after(8s), false);  // never sent
    CHECK(detector.round_trip().mean() == 20ms);
    detector.on_sent(after(4s), false);
    detector.on_answer(4, after(4s) + 28ms, false);
    CHECK(detector.round_trip().mean() == 21ms);
    for (int i = 0; i < 5; ++i) detector.on_sent(after(5s), false);  // the fifth to the ninth
    detector.on_answer(5, after(8s), false);                         // too many others since
    detector.reset(after(9s));  // numbers go on: what was sent before says nothing
    detector.on_answer(9, after(9s), false);
    CHECK_FALSE(detector.round_trip().known());
    CHECK(detector.on_sent(after(9s), false) == 10);
}
