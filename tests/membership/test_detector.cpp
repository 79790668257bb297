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
    for (int i = 0; i < 50; ++i) steady.on_heartbeat(t = t + 1s, {});
    CHECK(steady.limit(lan) == lan.limit_floor);
    for (int i = 0; i < 50; ++i) ragged.on_heartbeat(t = t + (i % 3 == 0 ? 3s : 200ms), {});
    CHECK(ragged.limit(lan) > 5s);
    CHECK(ragged.limit(lan) <= lan.limit_cap);
}

TEST_CASE("Any sign of life moves the suspicion, but teaches nothing about the rhythm") {
    Detector detector;
    Instant t = after(0s);
    for (int i = 0; i < 20; ++i) detector.on_heartbeat(t = t + 1s, {});
    const Duration before = detector.limit(lan);
    detector.on_sign_of_life(t + 700ms);
    CHECK(detector.limit(lan) == before);
    CHECK(detector.suspect_at(lan) == t + 700ms + before);
    detector.on_sign_of_life(t);  // the past changes nothing
    CHECK(detector.heard() == t + 700ms);
}

TEST_CASE("Round trips are measured once a heartbeat, and not under bulk load") {
    using message::Heartbeat;
    Detector detector;
    std::uint64_t theirs = 0;
    const auto send = [&](Instant at, bool busy = false) {
        Heartbeat beat{.busy = busy};
        detector.on_sent(at, beat);
        return beat;
    };
    // Theirs comes, with an echo of ours that they held for `held`.
    const auto hear = [&](Instant at, std::uint64_t echo, Duration held, bool busy = false) {
        detector.on_heartbeat(at, {.sequence = ++theirs,
                                   .busy = busy,
                                   .echo = echo,
                                   .echo_age_ns = static_cast<std::uint64_t>(held.count())});
    };
    CHECK(send(after(1s)).sequence == 1);
    hear(after(2s), 1, 980ms);
    REQUIRE(detector.round_trip().known());
    CHECK(detector.round_trip().mean() == 20ms);
    hear(after(9s), 1, 5s);  // said twice
    CHECK(send(after(12s), true).sequence == 2);
    hear(after(13s), 2, 1ms);  // bulk when ours was sent
    send(after(13s));
    hear(after(18s), 3, 4s, true);  // bulk when theirs was
    detector.on_heartbeat(after(18s), {.sequence = ++theirs, .echo = 3}, true);  // bulk is here now
    hear(after(18s), 77, 1ms);                                                   // never sent
    send(after(19s));
    hear(after(20s), 4, 3h);  // longer than we waited
    CHECK(detector.round_trip().mean() == 20ms);
    send(after(24s));
    hear(after(25s), 5, 972ms);
    CHECK(detector.round_trip().mean() == 21ms);
    for (int i = 0; i < 5; ++i) send(after(30s));  // the sixth to the tenth
    hear(after(38s), 6, 1ms);                      // too many others since
    detector.reset(after(39s));  // numbers go on: what was sent before says nothing
    hear(after(39s), 10, 1ms);
    CHECK_FALSE(detector.round_trip().known());
    CHECK(send(after(39s)).sequence == 11);
}

TEST_CASE("Heartbeats echo the last one that came, once, with its age, and none that was busy") {
    Detector detector;
    message::Heartbeat beat;
    detector.on_sent(after(1s), beat);
    CHECK(beat.echo == 0);
    detector.on_heartbeat(after(2s), {.sequence = 8});
    detector.on_sent(after(2s) + 30ms, beat);
    CHECK(beat.echo == 8);
    CHECK(beat.echo_age_ns == 30'000'000);
    beat = {};
    detector.on_sent(after(3s), beat);
    CHECK(beat.echo == 0);
    detector.on_heartbeat(after(4s), {.sequence = 9, .busy = true});
    detector.on_sent(after(5s), beat);
    CHECK(beat.echo == 0);
}
