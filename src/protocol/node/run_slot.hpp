// The run slot of each link: whether both sides take part in the same run.
//
// Both sides of a new link send Join: run, mode, layout, digest of the settings they must share.
// Each compares the other's with its own and answers, once a link. Open is the slot once we
// accepted them and they accepted us; only then does anything of the run pass. A refusal names the
// difference, closes the link and ends the dialling: what keeps them apart is configuration.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/job/turn.hpp"

namespace gossamer::node {

// What a node says of itself, but for its number of samples and what changes: the same for all
// nodes of a run, and shared by those of one process.
struct RunIdentity {
    std::string name;
    message::Mode mode{};
    tensor::LayoutRef layout;
    Digest128 settings;
    std::vector<std::string> setting_lines;  // "seed = 42"; for the hint when they differ
    message::RunId run() const { return message::run_id(name); }
};
using RunIdentityRef = std::shared_ptr<const RunIdentity>;

// One per linked peer.
struct RunSlot {
    bool answered = false;  // theirs has come; another is not looked at
    bool said = false;      // and we accepted it
    bool accepted = false;  // we, by them
    bool open = false;
    // What they said of themselves.
    message::Phase phase{};
    std::uint64_t sample_count = 0, round = 0;
};

class RunSlots {
public:
    RunSlots(RunIdentityRef own, std::uint64_t sample_count);

    message::RunId run() const { return run_; }
    message::Mode mode() const { return own_->mode; }
    const Digest128& layout_digest() const { return own_->layout->digest(); }

    // A link is up, and its slot is fresh.
    void greet(job::Turn& turn, const PeerId& peer, const message::Progress& own) const;
    // What came of it: nothing yet, open now, or the refusal (ours or theirs).
    struct Outcome {
        bool opened = false;
        std::optional<Error> refused;
    };
    Outcome on_join(job::Turn& turn, const PeerId& peer, RunSlot& slot,
                    const message::Join& join) const;
    Outcome on_reply(RunSlot& slot, const message::JoinReply& reply) const;
    // What an open slot knows of the other side, as its Join said it.
    message::Join join_of(const RunSlot& slot) const;

private:
    RunIdentityRef own_;
    std::uint64_t sample_count_;
    message::RunId run_;
};

// Why the two cannot work together; empty when they can. Codes: kLinkRun, kModelLayout,
// kConfigConflict.
std::optional<Error> incompatibility(const RunIdentity& own, const message::Join& theirs);

}  // namespace gossamer::node
