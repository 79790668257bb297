// Transfers in the scripted world: from offer to delivered, refused or lost.
#include "support/world.hpp"

namespace gossamer::testing {

namespace {

const Error kGone{ErrorCode::kLinkClosed, "the link is gone", {}};

}  // namespace

void World::lose_transfers(std::size_t a, std::size_t b) {
    for (auto it = sendings_.begin(); it != sendings_.end();) {
        const auto [from, id] = it->first;
        const Sending& s = it->second;
        if (pair(s.from, s.to) != pair(a, b)) {
            ++it;
            continue;
        }
        for (const bool incoming : {false, true})
            to_node(incoming ? s.to : s.from, [peer = places_[incoming ? s.from : s.to].id, id = id,
                                               incoming](node::Node& n, job::Turn& t) {
                n.on_transfer(t, peer, {id}, message::TransferLost{kGone, incoming});
            });
        it = sendings_.erase(it);
    }
}

void World::offer(std::size_t place, const job::Offer& o) {
    if (!o.payload.filled()) {
        places_[place].promised.push_back(o);
        return;
    }
    auto to = place_of(o.to);
    if (!to || !linked(place, *to)) {
        at(now_, [this, place, o] {
            to_node(place, [o](node::Node& n, job::Turn& t) {
                n.on_transfer(t, o.to, o.id, message::TransferLost{kGone});
            });
        });
        return;
    }
    message::Manifest manifest = o.manifest;
    manifest.byte_count = o.payload.bytes().size();
    sendings_[{place, o.id.value}] = {place, *to, links_[pair(place, *to)].generation, manifest,
                                      o.payload};
    deliver(place, *to,
            [this, place, to = *to, id = o.id] {
                auto found = sendings_.find({place, id.value});
                if (found == sendings_.end()) return;
                to_node(to, [peer = places_[place].id, id, m = found->second.manifest](
                                node::Node& n, job::Turn& t) {
                    n.on_transfer(t, peer, id, message::TransferOffered{m});
                });
            },
            {});
}

void World::grant(std::size_t place, const job::Grant& g) {
    auto from = place_of(g.from);
    auto found = from ? sendings_.find({*from, g.id.value}) : sendings_.end();
    if (found == sendings_.end() || found->second.to != place) return;
    const std::pair key{*from, g.id.value};
    if (g.refused) {
        deliver(place, *from,
                [this, key, me = places_[place].id, g] {
                    if (sendings_.erase(key) == 0) return;
                    to_node(key.first, [me, g](node::Node& n, job::Turn& t) {
                        n.on_transfer(t, me, g.id, message::TransferRefused{*g.refused});
                    });
                },
                {});
        return;
    }
    const double seconds_needed =
        static_cast<double>(found->second.manifest.byte_count) / network_.bytes_per_second;
    const Duration extra{static_cast<std::int64_t>(seconds_needed * 1e9)};
    // The bytes do not hold up what travels on the other lanes.
    const std::uint64_t generation = found->second.generation;
    at(now_ + 2 * some_delay() + extra, [this, key, place, generation] {
        pass_on(key.first, place, generation, [this, key, place] {
            auto it = sendings_.find(key);
            if (it == sendings_.end()) return;
            Sending s = std::move(it->second);
            sendings_.erase(it);
            const job::TransferId id{key.second};
            to_node(place, [peer = places_[s.from].id, id, s](node::Node& n, job::Turn& t) {
                n.on_transfer(t, peer, id, message::TransferArrived{s.manifest, s.payload});
            });
            to_node(s.from, [peer = places_[s.to].id, id](node::Node& n, job::Turn& t) {
                n.on_transfer(t, peer, id, message::TransferDelivered{});
            });
        });
    });
}

}  // namespace gossamer::testing
