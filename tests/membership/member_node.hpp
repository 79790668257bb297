// A node of membership alone, for the scripted world.
#pragma once

#include <memory>

#include "protocol/membership/membership.hpp"
#include "support/world.hpp"

namespace gossamer::testing {

class MemberNode final : public node::Node {
public:
    explicit MemberNode(membership::Membership m) : membership(std::move(m)) {}

    void on_start(job::Turn& t) override { membership.on_start(t); }
    void on_message(job::Turn& t, const PeerId& from, const message::Message& m) override {
        membership.on_sign_of_life(t.now, from);
        if (auto* beat = std::get_if<message::Heartbeat>(&m))
            membership.on_heartbeat(t, from, *beat);
        if (auto* leave = std::get_if<message::Leave>(&m)) membership.on_leave(t, from, *leave);
    }
    void on_link(job::Turn& t, const PeerId& peer, const job::LinkEvent& e) override {
        membership.on_link(t, peer, e);
    }
    void on_transfer(job::Turn&, const PeerId&, job::TransferId, message::TransferEvent) override {}
    void on_job_done(job::Turn&, job::JobId, Result<job::JobDone>, Duration) override {}
    void on_sign_of_life(job::Turn& t, const PeerId& peer) override {
        membership.on_sign_of_life(t.now, peer);
    }
    void on_resume(job::Turn& t, Duration) override { membership.on_resume(t); }
    void on_deadline(job::Turn& t) override { membership.on_deadline(t); }
    Instant next_deadline() const override { return membership.next_deadline(); }
    void on_stop(job::Turn& t, const std::string& why) override { membership.on_stop(t, why); }
    bool stopped() const override { return membership.stopped(); }
    bool finished() const override { return false; }
    node::NodeStatus status(Instant) const override { return {}; }
    Digest128 digest() const override { return membership.digest(); }

    membership::Membership membership;
};

// n members in a world of their own; place i is PeerId::of_number(i + 1) and listens at "hI:1".
class Members {
public:
    struct Options {
        std::size_t count = 5;
        std::uint64_t seed = 1;
        NetworkModel network = {};
        membership::Profile profile = membership::Profile::local;
        std::size_t seed_count = 1;  // everybody knows the addresses of the first few
        std::uint32_t mesh_max = 64;
    };
    explicit Members(Options options) : world(options.seed, options.network) {
        for (std::size_t i = 0; i < options.count; ++i) {
            const auto id = PeerId::of_number(i + 1);
            const auto address = address_of(i);
            world.add(id, Role::peer, address, [=](std::uint64_t boot_epoch) {
                membership::MembershipConfig config{.profile = options.profile,
                                                    .mesh_max = options.mesh_max};
                for (std::size_t s = 0; s < options.seed_count; ++s)
                    config.seeds.push_back({address_of(s), std::nullopt});
                message::MemberRecord self{
                    id, Role::peer, message::MemberState::alive, 0, {address}};
                return std::make_unique<MemberNode>(membership::Membership(
                    std::make_shared<const membership::MembershipConfig>(config), self, boot_epoch,
                    {}));
            });
        }
    }
    static std::string address_of(std::size_t place) { return "h" + std::to_string(place) + ":1"; }

    void start_all() {
        for (std::size_t i = 0; i < world.size(); ++i) world.start(i);
    }
    membership::Membership& at(std::size_t place) {
        return static_cast<MemberNode&>(world.node(place)).membership;
    }
    message::MemberState seen(std::size_t by, std::size_t whom) {
        return at(by).state_of(world.id(whom));
    }
    bool all_see(std::size_t whom, message::MemberState state) {
        for (std::size_t i = 0; i < world.size(); ++i)
            if (i != whom && world.running(i) && seen(i, whom) != state) return false;
        return true;
    }
    // How often one member was held to be `state` by another, according to the notices.
    std::size_t verdicts(message::MemberState state, std::size_t whom) const {
        std::size_t count = 0;
        for (const auto& noted : world.notices())
            if (auto* n = std::get_if<message::MemberChanged>(&noted.notice))
                count += n->to == state && n->from != state && n->peer == world.id(whom);
        return count;
    }

    World world;
};

}  // namespace gossamer::testing
