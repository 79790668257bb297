#include "protocol/gossip/inbox.hpp"

#include <algorithm>

namespace gossamer::gossip {

namespace {
// An honest sender has two steps under way; one more may cross a withdrawal.
constexpr std::size_t kHeldPerPeerMax = 3;
}  // namespace

Inbox::Entries::iterator Inbox::place(std::uint64_t step, const PeerId& from) {
    return std::ranges::partition_point(
        entries_, [&](const Entry& e) { return e.step != step ? e.step < step : e.from < from; });
}

Inbox::Entry* Inbox::find(std::uint64_t step, const PeerId& from) {
    const auto it = place(step, from);
    return it != entries_.end() && it->step == step && it->from == from ? &*it : nullptr;
}

void Inbox::offered(job::Turn& turn, const PeerId& from, job::TransferId id,
                    const message::Manifest& manifest) {
    const auto step = manifest.round;
    if (step < open_) return turn.refuse(from, id, message::RefuseReason::stale);
    if (const auto* there = find(step, from)) {
        if (there->state != State::held)
            return turn.refuse(from, id, message::RefuseReason::duplicate);
        turn.refuse(from, there->id, message::RefuseReason::duplicate);  // the newer one stands
        entries_.erase(place(step, from));
    }
    if (open_ != 0 && grantable(step)) {
        entries_.insert(place(step, from), {step, from, id, State::granted, manifest, {}, {}});
        return turn.grant(from, id);
    }
    const auto held = std::ranges::count_if(
        entries_, [&](const Entry& e) { return e.from == from && e.state == State::held; });
    if (static_cast<std::size_t>(held) >= kHeldPerPeerMax)
        return turn.refuse(from, id, message::RefuseReason::early);
    entries_.insert(place(step, from), {step, from, id, State::held, manifest, {}, {}});
}

bool Inbox::arrived(const PeerId& from, job::TransferId id, const message::Manifest& manifest,
                    tensor::Payload payload, Instant now) {
    auto* entry = find(manifest.round, from);
    if (!entry || entry->id != id || entry->state != State::granted) return false;
    entry->state = State::arrived;
    entry->payload = std::move(payload);
    entry->at = now;
    return true;
}

void Inbox::lost(const PeerId& from, job::TransferId id) {
    std::erase_if(entries_, [&](const Entry& e) {
        return e.from == from && e.id == id && e.state != State::arrived;
    });
}

void Inbox::link_down(const PeerId& from) {
    std::erase_if(entries_,
                  [&](const Entry& e) { return e.from == from && e.state != State::arrived; });
}

void Inbox::open(job::Turn& turn, std::uint64_t step) {
    open_ = step;
    std::erase_if(entries_, [&](const Entry& e) {
        if (e.step >= step) return false;
        if (e.state == State::held) turn.refuse(e.from, e.id, message::RefuseReason::stale);
        return true;
    });
    for (auto& entry : entries_) {
        if (!grantable(entry.step) || entry.state != State::held) continue;
        entry.state = State::granted;
        turn.grant(entry.from, entry.id);
    }
}

std::vector<Arrival> Inbox::take(std::uint64_t step) {
    std::vector<Arrival> out;
    std::erase_if(entries_, [&](Entry& e) {
        if (e.step != step) return false;
        if (e.state == State::arrived)
            out.push_back({e.from, std::move(e.manifest), std::move(e.payload), e.at});
        return true;
    });
    open_ = step + 1;
    return out;
}

void Inbox::digest_into(ByteWriter& out) const {
    out.put(open_);
    for (const auto& entry : entries_) {
        out.put(entry.step), out.put(entry.from.bytes);
        out.put(entry.id.value), out.put(entry.state);
    }
}

}  // namespace gossamer::gossip
