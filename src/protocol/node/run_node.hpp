// A node: membership says who is here, the run slots who takes part, the core what is learned.
//
// Every event goes to membership first, then through the slot to the core, and what membership
// found out meanwhile follows. The core hears only of peers that matter to it (in gossip the other
// peers, in federated runs aggregator and clients mutually), and only once their slot is open;
// nobody else is granted anything.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/peer_map.hpp"
#include "protocol/membership/membership.hpp"
#include "protocol/node/make_node.hpp"
#include "protocol/node/run_slot.hpp"

namespace gossamer::node {

// Clients are many; the others are large.
using Core =
    std::variant<Boxed<gossip::Gossip>, federated::FederatedClient, Boxed<federated::RoundEngine>>;

// A value: copy it to replay.
class RunNode final : public Node {
public:
    RunNode(NodeSetup setup, Core core);

    void on_start(job::Turn& turn) override;
    void on_message(job::Turn& turn, const PeerId& from, const message::Message& m) override;
    void on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event) override;
    void on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                     message::TransferEvent event) override;
    void on_sign_of_life(job::Turn& turn, const PeerId& peer) override;
    void on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done,
                     Duration elapsed) override;
    void on_resume(job::Turn& turn, Duration asleep) override;
    void on_deadline(job::Turn& turn) override;
    Instant next_deadline() const override;
    void on_stop(job::Turn& turn, const std::string& reason) override;
    bool stopped() const override;
    bool finished() const override;
    NodeStatus status(Instant now) const override;
    Digest128 digest() const override;
    void fetch(unsigned which, const PeerId* peer, bool beat) const override;

    // f(the core), whichever it is.
    template <class F>
    decltype(auto) with_core(F&& f) const {
        return std::visit([&](const auto& core) -> decltype(auto) { return f(unboxed(core)); },
                          core_);
    }
    template <class T>
    const T* core_as() const {  // null when it is another
        return with_core([](const auto& core) -> const T* {
            if constexpr (std::is_same_v<std::decay_t<decltype(core)>, T>) return &core;
            return nullptr;
        });
    }
    const membership::Membership& membership() const { return membership_; }

private:
    using Bulk = std::vector<std::pair<bool, std::uint64_t>>;  // transfers: incoming, id
    struct Peer {
        bool linked = false;  // with a slot: somebody who matters here
        RunSlot slot;
        bool told = false;  // the core was, of its progress over this link
        bool joined_once = false;
        bool held = false;           // alive, but not yet known to take part: the core waits
        message::Progress progress;  // last heard
        Boxed<std::string> refused;  // not of this run, and why
        Boxed<Bulk> bulk;            // under way on its link; the load makes round trips useless
    };

    template <class T>
    static const T& unboxed(const T& core) {
        return core;
    }
    template <class T>
    static const T& unboxed(const Boxed<T>& core) {
        return *core;
    }
    template <class F>
    decltype(auto) with_core(F&& f) {
        return std::as_const(*this).with_core([&](const auto& core) -> decltype(auto) {
            return f(const_cast<std::decay_t<decltype(core)>&>(core));
        });
    }

    bool matters(Role role) const;
    bool matters(const PeerId& peer) const;
    void settle(job::Turn& turn);  // after every event: what one part learned, the others hear
    void tell_core(job::Turn& turn, const PeerId& peer, message::MemberState state);
    bool comes_by_itself() const;
    void hold(Peer& peer, bool held);
    void tell_held(job::Turn& turn);
    void hear_progress(job::Turn& turn, const PeerId& from, const message::Progress& progress);
    void pass_on(job::Turn& turn, const PeerId& from, const message::Message& message);
    void take(job::Turn& turn, const PeerId& id, Peer& peer, RunSlots::Outcome outcome);
    void close_slot(job::Turn& turn, const PeerId& peer);
    bool open(const PeerId& peer) const;
    void answer_offer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                      message::TransferEvent event);
    void note_traffic(const job::Turn& turn);
    void begin_transfer(const PeerId& peer, bool incoming, job::TransferId id);
    void end_transfer(const PeerId& peer, bool incoming, job::TransferId id);
    message::Progress progress() const;

    membership::Membership membership_;
    RunSlots slots_;
    Core core_;
    Role role_;
    bool stopping_ = false, wants_told_ = false;
    std::size_t held_count_ = 0;
    PeerMap<Peer> peers_;
};

}  // namespace gossamer::node
