#include "protocol/gossip/inbox.hpp"

#include <algorithm>

namespace gossamer::gossip {

namespace {
// An honest sender has two steps under way; one more may cross a withdrawal.
constexpr std::size_t kHeldPerPeerMax = 3;
}  // namespace

void Inbox::offered(job::Turn& turn, const PeerId& from, job::TransferId id,
                    const message::Manifest& manifest) {
    const auto step = manifest.round;
    if (step < open_) return turn.refuse(from, id, message::RefuseReason::stale);
    if (auto it = entries_.find({step, from}); it != entries_.end()) {
        if (it->second.state != State::held)
            return turn.refuse(from, id, message::RefuseReason::duplicate);
        turn.refuse(from, it->second.id, message::RefuseReason::duplicate);  // the newer one stands
        entries_.erase(it);
    }
    if (open_ != 0 && grantable(step)) {
        entries_[{step, from}] = {id, State::granted, manifest, {}, {}};
        return turn.grant(from, id);
    }
    auto held = std::count_if(entries_.begin(), entries_.end(), [&](const auto& e) {
        return e.first.second == from && e.second.state == State::held;
    });
    if (static_cast<std::size_t>(held) >= kHeldPerPeerMax)
        return turn.refuse(from, id, message::RefuseReason::early);
    entries_[{step, from}] = {id, State::held, manifest, {}, {}};
}

bool Inbox::arrived(const PeerId& from, job::TransferId id, const message::Manifest& manifest,
                    tensor::Payload payload, Instant now) {
    auto it = entries_.find({manifest.round, from});
    if (it == entries_.end() || it->second.id != id || it->second.state != State::granted)
        return false;
    it->second.state = State::arrived;
    it->second.payload = std::move(payload);
    it->second.at = now;
    return true;
}

void Inbox::lost(const PeerId& from, job::TransferId id) {
    std::erase_if(entries_, [&](const auto& e) {
        return e.first.second == from && e.second.id == id && e.second.state != State::arrived;
    });
}

void Inbox::link_down(const PeerId& from) {
    std::erase_if(entries_, [&](const auto& e) {
        return e.first.second == from && e.second.state != State::arrived;
    });
}

void Inbox::open(job::Turn& turn, std::uint64_t step) {
    open_ = step;
    std::erase_if(entries_, [&](const auto& e) {
        if (e.first.first >= step) return false;
        if (e.second.state == State::held)
            turn.refuse(e.first.second, e.second.id, message::RefuseReason::stale);
        return true;
    });
    for (auto& [key, entry] : entries_) {
        if (!grantable(key.first) || entry.state != State::held) continue;
        entry.state = State::granted;
        turn.grant(key.second, entry.id);
    }
}

bool Inbox::has(std::uint64_t step, const PeerId& from) const {
    auto it = entries_.find({step, from});
    return it != entries_.end() && it->second.state == State::arrived;
}

std::vector<Arrival> Inbox::take(std::uint64_t step) {
    std::vector<Arrival> out;
    std::erase_if(entries_, [&](auto& e) {
        if (e.first.first != step) return false;
        if (e.second.state == State::arrived)
            out.push_back({e.first.second, std::move(e.second.manifest),
                           std::move(e.second.payload), e.second.at});
        return true;
    });
    open_ = step + 1;
    return out;
}

void Inbox::digest_into(ByteWriter& out) const {
    out.put(open_);
    for (const auto& [key, entry] : entries_) {
        out.put(key.first), out.put(key.second.bytes);
        out.put(entry.id.value), out.put(entry.state);
    }
}

}  // namespace gossamer::gossip
