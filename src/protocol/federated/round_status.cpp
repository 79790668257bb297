// What a round engine tells about itself: progress, waits, and a digest of its state.
#include <algorithm>

#include <fmt/format.h>

#include "protocol/federated/round_engine.hpp"

namespace gossamer::federated {

message::Progress RoundEngine::progress() const {
    auto phase = message::Phase::training;
    if (phase_ == Phase::initial || phase_ == Phase::waiting) phase = message::Phase::waiting;
    if (phase_ == Phase::finishing) phase = message::Phase::finishing;
    if (phase_ == Phase::finished) phase = message::Phase::finished;
    return {run_, completed_, phase};
}

job::CoreStatus RoundEngine::status(Instant now) const {
    job::CoreStatus s;
    s.phase = progress().phase;
    s.round = completed_, s.round_max = setup_.run.rounds;
    s.loss = loss_, s.accuracy = accuracy_;
    if (phase_ == Phase::waiting) {
        message::Waiting waiting{
            fmt::format("{} peers to join, {} are here", peers_needed(), trainable_),
            {},
            waiting_since_,
            waiting_since_ + setup_.config.wait_peers};
        for (const auto& peer : setup_.run.roster)
            if (auto c = clients_.find(peer); c == clients_.end() || !c->second.here)
                waiting.whom.push_back(peer);
        s.waiting.push_back(std::move(waiting));
    }
    static constexpr std::pair<Stage, const char*> kWaits[] = {
        {Stage::absent, "clients without a link"},
        {Stage::receiving, "the model to arrive"},
        {Stage::working, "the clients' work"},
        {Stage::uploading, "updates on their way"}};
    for (const auto& [stage, what] : kWaits) {
        message::Waiting waiting{what, {}, now, {}};
        for (const auto& [peer, slot] : slots_) {
            if (slot.stage() != stage) continue;
            waiting.whom.push_back(peer);
            waiting.since = std::min(waiting.since, slot.since);
            waiting.until = std::max(waiting.until, slot.limit());
        }
        if (!waiting.whom.empty()) s.waiting.push_back(std::move(waiting));
    }
    return s;
}

Digest128 RoundEngine::digest() const {
    ByteWriter out;
    out.put_blob(save(record({})));
    out.put(phase_), out.put(late_), out.put(refused_), out.put(failures_);
    for (const auto& [peer, slot] : slots_) {
        out.put(peer.bytes), out.put(slot.stage()), out.put(slot.since.ns),
            out.put(slot.limit().ns);
        out.put(slot.offer.value), out.put(slot.byte_count);
    }
    for (const auto& [peer, client] : clients_) {
        out.put(peer.bytes), out.put(client.here), out.put(client.state);
        out.put(client.sample_count);
        const auto copy = client.copy ? *client.copy : Copy{};
        out.put(copy.round), out.put(copy.id.value), out.put(copy.sending), out.put(copy.there);
    }
    for (const auto& peer : queue_) out.put(peer.bytes);
    return digest128(out.view());
}

}  // namespace gossamer::federated
