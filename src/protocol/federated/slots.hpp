// The clients of a round, or of the hand-out of the final model, and where each of them stands.
//
// A round of thousands of clients asks after every event how many are where and whose time runs out
// first, so stages and limits change through `Slots` alone, which keep both answers at hand.
#pragma once

#include <array>
#include <set>
#include <string>

#include "gossamer/base/peer_map.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::federated {

enum class Stage : std::uint8_t {
    absent,     // no link
    receiving,  // the model is on its way
    working,    // it trains or evaluates
    asking,     // it offered its update and waits for a grant
    uploading,
    adding,   // its update is being added
    counted,  // done
    excluded,
    count_
};

class Slots;

class Slot {
public:
    Stage stage() const { return stage_; }
    Instant limit() const { return limit_; }  // when it is given up; often never

    float weight = 0;
    Instant since;
    job::TransferId offer;
    double loss = 0;
    std::uint64_t byte_count = 0;
    bool fresh = true;         // what it hands in was made since it was asked
    bool barred = false;       // excluded for good: not again in this round
    std::uint8_t returns = 0;  // how often its limits began anew: links and uploads that were lost
    tensor::Payload payload;   // counted, when the strategy needs the set
    std::string why;           // excluded

private:
    friend class Slots;
    Stage stage_ = Stage::absent;
    Instant limit_ = Instant::never();
};

// A value. Iterates in the order of ids.
class Slots {
public:
    Slot& operator[](const PeerId& peer) {  // a new one is absent and has no limit
        auto [it, fresh] = slots_.try_emplace(peer);
        if (fresh) ++at(Stage::absent);
        return it->second;
    }
    Slot& at(const PeerId& peer) { return slots_.at(peer); }
    Slot* find(const PeerId& peer) { return slots_.get(peer); }
    auto begin() { return slots_.begin(); }
    auto end() { return slots_.end(); }
    auto begin() const { return slots_.begin(); }
    auto end() const { return slots_.end(); }
    void clear() { *this = {}; }

    void move(Slot& slot, Stage stage) {
        --at(slot.stage_);
        ++at(slot.stage_ = stage);
    }
    void limit(Slot& slot, Instant limit) {
        if (!slot.limit_.is_never()) limits_.erase(limits_.find(slot.limit_));
        slot.limit_ = limit;
        if (!limit.is_never()) limits_.insert(limit);
    }
    std::size_t count(Stage stage) const { return counts_[static_cast<std::size_t>(stage)]; }
    std::size_t outstanding() const {  // who may still answer
        std::size_t n = 0;
        for (auto s = Stage::absent; s < Stage::adding;
             s = Stage{std::uint8_t(std::uint8_t(s) + 1)})
            n += count(s);
        return n;
    }
    Instant earliest_limit() const { return limits_.empty() ? Instant::never() : *limits_.begin(); }

private:
    std::size_t& at(Stage stage) { return counts_[static_cast<std::size_t>(stage)]; }
    PeerMap<Slot> slots_;
    std::array<std::size_t, static_cast<std::size_t>(Stage::count_)> counts_{};
    std::multiset<Instant> limits_;
};

}  // namespace gossamer::federated
