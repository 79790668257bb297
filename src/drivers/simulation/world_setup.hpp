// What a world is built from, and who listens to it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection/link/link.hpp"
#include "drivers/simulation/compute.hpp"
#include "drivers/simulation/faults.hpp"
#include "drivers/simulation/network.hpp"
#include "gossamer/node/node.hpp"

namespace gossamer::simulation {

class WireIdentities;

inline constexpr Instant kBeginning{1'000'000'000};
inline constexpr WallTime kWallBeginning{1'767'225'600'000'000'000};  // 2026-01-01, by right clocks

enum class PlaceState : std::uint8_t {
    off,   // its process does not run
    dark,  // nor does its machine: nothing answers
    running,
    asleep,  // machine or process stand still; links stay
};

// How places are brought to life and what they compute.
struct Factory {
    std::function<Result<std::unique_ptr<node::Node>>(PlaceIndex, WallTime)> node;
    std::function<Duration(PlaceIndex, const job::Job&)> cost;
    // Bound to the place; called on any thread. `later`: what there is to say after the window.
    std::function<Compute::Work(PlaceIndex, job::Job, std::function<void()>& later)> work;
    // Work that is done along with others like it, when the first of them is needed; may be empty.
    std::function<bool(const job::Job&)> stacks;
    // A fault of a disk; may be empty.
    std::function<void(PlaceIndex, const Fault&, bool begins)> disk;
};

struct WorldSetup {
    WorldConfig config;
    RunSeed seed;
    link::LinkLimits link;
    std::uint64_t staging_bytes = 512 << 20;
    std::vector<std::uint8_t> codecs;
    Directory directory;
    Factory factory;
    std::vector<Fault> faults;
    unsigned threads = 1;
    // Windows of fewer events do not pay for waking another thread.
    std::size_t shared_from = 48;
    // Make the real bytes, and check that they are as many as was counted; null: do not.
    std::shared_ptr<const WireIdentities> wire;
};

struct Counts {
    std::uint64_t events = 0, frames = 0, jobs = 0, train_jobs = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t links = 0;  // that came up
    std::uint64_t restarts = 0;
    std::uint64_t windows = 0, shared_windows = 0;  // of events; turned by more than one lane
    Counts& operator+=(const Counts& other) {
        events += other.events, frames += other.frames, jobs += other.jobs;
        train_jobs += other.train_jobs, sent_bytes += other.sent_bytes;
        links += other.links, restarts += other.restarts;
        return *this;
    }
};

// What a notice speaks of, as it was when it was said.
struct Moment {
    tensor::Model model;          // of the place, where the listener wants it,
    std::vector<float> sample;    // or some of its values
    std::shared_ptr<void> check;  // the listener's own
};

// Who listens to a world: records, invariants, the report. Told after each window, in the order of
// the events; only seize() is called at the moment itself, on the thread that turns the place, and
// may touch nothing but what belongs to that place.
struct Observer {
    virtual ~Observer() = default;
    virtual Moment seize(PlaceIndex, const message::Notice&) { return {}; }
    virtual void on_notice(Instant now, PlaceIndex place, const message::Notice& notice,
                           const Moment& moment) = 0;
    virtual bool follows(PlaceIndex) const { return true; }  // what it is busy with, and sends
    virtual void on_busy(PlaceIndex, Instant /*from*/, Instant /*until*/, bool /*training*/) {}
    // Parts of a model are on their way, until they are there.
    virtual void on_send(PlaceIndex, Instant /*from*/, Instant /*until*/) {}
    virtual void on_offer(PlaceIndex, const job::Offer&) {}  // its payload is there
    virtual void on_state(Instant, PlaceIndex, PlaceState) {}
    virtual void on_fault(Instant, const Fault&, bool /*begins*/) {}
};

}  // namespace gossamer::simulation
