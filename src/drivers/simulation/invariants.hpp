// What must hold in every world, whatever goes wrong in it. Always on: each notice is looked at,
// mixtures and sums are worked out again in a few coordinates, and the views of the members are
// compared now and then.
//
//   mixtures     weights sum to 1; the result lies within what was mixed and is its weighted mean;
//                over a step that nobody missed the mean of all models stays (arithmetic_checks)
//   updates      at most one of each client in a sum; what was counted is what was accepted; the
//                next model is the base plus their weighted mean; each is what a client learned
//                from that base (quadratics)
//   origins      what enters a sum, a mixture or a replica is the very payload that its sender
//                offered for that round, trained from that round's model (origin_checks)
//   rounds       rise within a life; what a checkpoint holds is there after a crash
//   members      after quiescence nobody who lives and can be reached is held dead or unknown, and
//                nobody who is gone alive; suspicions end; an incarnation never falls, and none is
//                known that its owner has not reached
//   waits        nobody has neither work nor a wait to show for long; no wait outlives the deadline
//                it names, and the aggregator's have one
//   bounds       the queue, each node's tasks and the staging stay small
//   protocol     honest peers never accuse each other of breaking it; models stay finite
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/simulation/arithmetic_checks.hpp"
#include "drivers/simulation/chronicle.hpp"
#include "drivers/simulation/origin_checks.hpp"
#include "drivers/simulation/scenario.hpp"
#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

// An Observer that looks and passes on to another.
class Invariants final : public Observer {
public:
    using Models = std::function<tensor::Model(PlaceIndex)>;  // a place's latest
    // REQUIRES that scenario and `next` outlive it.
    Invariants(const Scenario& scenario, Chronicle& next, Models models);
    void attach(const World& world) { world_ = &world; }

    Moment seize(PlaceIndex place, const message::Notice& notice) override;
    void on_notice(Instant now, PlaceIndex place, const message::Notice& notice,
                   const Moment& moment) override;
    bool follows(PlaceIndex place) const override { return next_.follows(place); }
    void on_busy(PlaceIndex place, Instant from, Instant until, bool training) override {
        next_.on_busy(place, from, until, training);
    }
    void on_send(PlaceIndex place, Instant from, Instant until) override {
        next_.on_send(place, from, until);
    }
    void on_offer(PlaceIndex place, const job::Offer& offer) override {
        origins_.on_offer(place, offer);
        next_.on_offer(place, offer);
    }
    void on_state(Instant now, PlaceIndex place, PlaceState state) override;
    void on_fault(Instant now, const Fault& fault, bool begins) override;

    // Before a job runs, on the thread that turns the place; call what it gives after it ran, on
    // any thread. Empty: nothing to check. `later`: what there is to say when the window is over.
    AfterJob before(PlaceIndex place, const job::Job& job, std::function<void()>& later);
    // After each window.
    void look(Instant now) {
        if (now >= next_look_) look_around(now);
    }
    // Once the world ended: by itself, or because it has `run_dry`.
    void at_end(bool run_dry);

    // One sentence each with place, round and seed; at most kToldMax.
    const std::vector<std::string>& broken() const { return broken_; }

    static constexpr std::size_t kToldMax = 20;

private:
    struct Place {
        std::uint64_t last = 0;             // step mixed or round finished, in this life
        std::uint64_t durable = 0;          // round of the last checkpoint
        Instant disturbed;                  // by a fault, a start or an end
        Instant silent = Instant::never();  // since when it neither works nor waits
        bool told_silent = false, told_overdue = false;
    };
    void tell(PlaceIndex place, std::uint64_t round, const std::string& what);
    void on_mixed(PlaceIndex place, const message::Mixed& notice, const Moment& moment);
    void on_round(PlaceIndex place, const message::RoundFinished& notice, const Moment& moment);
    void on_error(PlaceIndex place, const Error& error);
    void on_member(Instant now, PlaceIndex place, const message::MemberChanged& notice);
    std::string wrong_origin(PlaceIndex place, const job::Job& job, std::uint64_t round);
    void look_around(Instant now);
    void look_at_views(Instant now, PlaceIndex at);
    void look_at_gone(Instant now, PlaceIndex at);
    void look_at_incarnations(Instant now, PlaceIndex at);
    void look_at_waits(Instant now, PlaceIndex at);
    void look_at_deadlines(Instant now, PlaceIndex at);
    void look_at_bounds(PlaceIndex at);
    bool calm(Instant now, PlaceIndex place) const;
    bool introduced(Instant now, PlaceIndex a, PlaceIndex b) const;
    std::string name(PlaceIndex place) const;

    const Scenario& scenario_;
    Chronicle& next_;
    Models models_;
    const World* world_ = nullptr;
    MixChecks mixes_;
    SumChecks sums_;
    OriginChecks origins_;
    std::vector<Place> places_;
    using Pair = std::pair<PlaceIndex, PlaceIndex>;  // who knows of whom
    std::set<Pair> told_views_, told_suspects_;
    std::map<Pair, Instant> suspects_;            // since when
    std::map<Pair, std::uint64_t> incarnations_;  // known
    std::size_t mishaps_ = 0;                     // faults that alter or break links, under way
    Instant disturbed_, next_look_;
    Duration quiet_{}, every_{};
    std::vector<std::string> broken_;
};

}  // namespace gossamer::simulation
