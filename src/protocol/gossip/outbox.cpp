#include "protocol/gossip/outbox.hpp"

#include <algorithm>

namespace gossamer::gossip {

using message::RefuseReason;
using message::TransferKind;

template <class Which>
void Outbox::withdraw_if(job::Turn& turn, Which which) {
    std::erase_if(entries_, [&](const Entry& e) {
        if (!which(e)) return false;
        if (e.state == State::offered) turn.withdraw(e.to, e.id);
        return true;
    });
}

void Outbox::offer(job::Turn& turn, Entry& entry) {
    entry.id = turn.offer(entry.to, entry.manifest, entry.payload);
    entry.state = State::offered;
    entry.again = Instant::never();
    ++entry.attempts;
}

void Outbox::post(job::Turn& turn, const PeerId& to, message::Manifest manifest,
                  tensor::Payload payload, bool linked) {
    withdraw_if(turn, [&](const Entry& e) {
        return e.to == to && e.manifest.kind == manifest.kind &&
               (e.manifest.round == manifest.round || manifest.kind == TransferKind::catch_up);
    });
    entries_.push_back({.to = to, .manifest = std::move(manifest), .payload = std::move(payload)});
    if (linked) offer(turn, entries_.back());
}

bool Outbox::refused(const PeerId& to, job::TransferId id, RefuseReason reason, Instant now,
                     Duration pause_first) {
    auto* entry = find(to, id);
    if (!entry) return true;
    switch (reason) {
        case RefuseReason::busy:
        case RefuseReason::early: pause(*entry, now, pause_first); return true;
        case RefuseReason::stale:
        case RefuseReason::duplicate:
        case RefuseReason::stopping: drop(to, id); return true;
        case RefuseReason::layout:
        case RefuseReason::base:
        case RefuseReason::run:
        case RefuseReason::size: drop(to, id); return false;
    }
    return true;
}

void Outbox::lost(const PeerId& to, job::TransferId id, Instant now, Duration pause_first) {
    if (auto* entry = find(to, id)) pause(*entry, now, pause_first);
}

void Outbox::pause(Entry& entry, Instant now, Duration first) {
    entry.state = State::waiting;
    entry.again = now + first * (std::int64_t{1} << std::min(entry.attempts, 10u));
}

void Outbox::link_up(job::Turn& turn, const PeerId& to) {
    for (auto& entry : entries_)
        if (entry.to == to && entry.state != State::offered) offer(turn, entry);
}

void Outbox::link_down(const PeerId& to) {
    for (auto& entry : entries_)
        if (entry.to == to) entry.state = State::posted, entry.again = Instant::never();
}

void Outbox::receiver_at(job::Turn& turn, const PeerId& to, std::uint64_t step) {
    for (auto& entry : entries_)
        if (entry.to == to && entry.state == State::waiting && entry.manifest.round <= step + 1)
            offer(turn, entry);
}

void Outbox::withdraw_before(job::Turn& turn, std::uint64_t step) {
    withdraw_if(turn, [&](const Entry& e) {
        return e.manifest.kind == TransferKind::gossip_model && e.manifest.round < step;
    });
}

void Outbox::withdraw_to(job::Turn& turn, const PeerId& to) {
    withdraw_if(turn, [&](const Entry& e) { return e.to == to; });
}

void Outbox::offer_waiting(job::Turn& turn) {
    for (auto& entry : entries_)
        if (entry.state == State::waiting && entry.again <= turn.now) offer(turn, entry);
}

Instant Outbox::next_offer() const {
    auto next = Instant::never();
    for (const auto& entry : entries_) next = std::min(next, entry.again);
    return next;
}

std::vector<PeerId> Outbox::receivers() const {
    std::vector<PeerId> out;
    for (const auto& entry : entries_) out.push_back(entry.to);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

bool Outbox::offered(const PeerId& to, TransferKind kind, std::uint64_t step) const {
    return std::ranges::any_of(entries_, [&](const Entry& e) {
        return e.to == to && e.state == State::offered && e.manifest.kind == kind &&
               e.manifest.round == step;
    });
}

const Outbox::Entry* Outbox::find(const PeerId& to, job::TransferId id) const {
    for (const auto& entry : entries_)
        if (entry.to == to && entry.id == id && entry.state == State::offered) return &entry;
    return nullptr;
}

Outbox::Entry* Outbox::find(const PeerId& to, job::TransferId id) {
    return const_cast<Entry*>(std::as_const(*this).find(to, id));
}

void Outbox::drop(const PeerId& to, job::TransferId id) {
    std::erase_if(entries_, [&](const Entry& e) {
        return e.to == to && e.id == id && e.state == State::offered;
    });
}

void Outbox::digest_into(ByteWriter& out) const {
    for (const auto& e : entries_) {
        out.put(e.to.bytes), out.put(e.id.value), out.put(e.state);
        out.put(e.manifest.kind), out.put(e.manifest.round), out.put(e.again.ns);
        out.put(e.attempts);
    }
}

}  // namespace gossamer::gossip
