// Models that neighbours offered or delivered for the steps that matter: the one being done and the
// next. Later ones are held, without a grant and so without memory, until their step comes.
//
// At most one model counts per (step, peer). The core checks who may offer what; the inbox only
// keeps order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gossamer/base/prefetch.hpp"
#include "gossamer/gossip/algorithm.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::gossip {

struct Arrival {
    PeerId from;
    message::Manifest manifest;
    tensor::Payload payload;
    Instant at;
};

class Inbox {
public:
    // Grants, holds or refuses an offer for manifest.round, already found acceptable.
    void offered(job::Turn& turn, const PeerId& from, job::TransferId id,
                 const message::Manifest& manifest);
    // True when it was granted here and its step is not over.
    bool arrived(const PeerId& from, job::TransferId id, const message::Manifest& manifest,
                 tensor::Payload payload, Instant now);
    void lost(const PeerId& from, job::TransferId id);
    void link_down(const PeerId& from);  // what had not arrived will not

    // Step `step` is being done now: forgets older ones, grants what was held for it and the next.
    void open(job::Turn& turn, std::uint64_t step);
    // f(peer) for those of `in` whose model of that step has not arrived; `in` is in PeerId order.
    template <class F>
    void each_missing(std::uint64_t step, const std::vector<Edge>& in, F&& f) const {
        auto it =
            std::ranges::partition_point(entries_, [&](const Entry& e) { return e.step < step; });
        for (const auto& edge : in) {
            while (it != entries_.end() && it->step == step && it->from < edge.peer) ++it;
            const bool there = it != entries_.end() && it->step == step && it->from == edge.peer;
            if (!there || it->state != State::arrived) f(edge.peer);
        }
    }
    std::vector<Arrival> take(std::uint64_t step);  // in PeerId order; the step takes no more
    void digest_into(ByteWriter& out) const;
    void fetch() const {  // a hint to the processor, see node.hpp
        prefetch(entries_.data(), std::min(entries_.size(), kFetched) * sizeof(Entry));
    }

private:
    enum class State : std::uint8_t { held, granted, arrived };
    struct Entry {
        std::uint64_t step = 0;
        PeerId from;
        job::TransferId id;
        State state = State::held;
        message::Manifest manifest;
        tensor::Payload payload;
        Instant at;
    };
    using Entries = std::vector<Entry>;
    static constexpr std::size_t kFetched = 8;
    Entries::iterator place(std::uint64_t step, const PeerId& from);  // where it is or would be
    Entry* find(std::uint64_t step, const PeerId& from);
    bool grantable(std::uint64_t step) const { return step >= open_ && step <= open_ + 1; }

    std::uint64_t open_ = 0;  // the oldest step that still takes models; 0 = none yet
    Entries entries_;         // in the order of (step, from)
};

}  // namespace gossamer::gossip
