// The run slot of each link: whether both sides take part in the same run.
//
// Both sides of a new link send Join: run, mode, layout, digest of the settings they must share.
// Each compares the other's with its own and answers. Open is the slot once we accepted them and
// they accepted us; only then does anything of the run pass. A refusal names the difference, closes
// the link and ends the dialling: what keeps them apart is configuration.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/job/turn.hpp"

namespace gossamer::node {

// "seed = 42", one a line; the same for all nodes of a run, and shared by those of one process.
using SettingLines = std::shared_ptr<const std::vector<std::string>>;

// What this node says of itself; round and phase are those of the moment.
struct RunIdentity {
    std::string name;
    message::Mode mode{};
    tensor::LayoutRef layout;
    Digest128 settings;
    SettingLines setting_lines;  // for the hint when they differ
    std::uint64_t sample_count = 0;
};

class RunSlots {
public:
    explicit RunSlots(RunIdentity own);

    message::RunId run() const { return run_; }
    const Digest128& layout_digest() const { return layout_digest_; }

    void on_up(job::Turn& turn, const PeerId& peer, const message::Progress& own);
    // True when the slot was open.
    bool on_down(const PeerId& peer);
    // What came of it: nothing yet, open now, or the refusal (ours or theirs).
    struct Outcome {
        bool opened = false;
        std::optional<Error> refused;
    };
    Outcome on_join(job::Turn& turn, const PeerId& peer, const message::Join& join);
    Outcome on_reply(const PeerId& peer, const message::JoinReply& reply);

    bool open(const PeerId& peer) const;
    const message::Join& join_of(const PeerId& peer) const;  // REQUIRES open(peer)
    Digest128 digest() const;

private:
    struct Slot {
        bool told = false;                    // that it is open
        bool accepted = false;                // we, by them
        std::optional<message::Join> theirs;  // accepted by us; without what was only compared
    };
    Outcome settle(Slot& slot);

    RunIdentity own_;
    message::RunId run_;
    Digest128 layout_digest_;
    std::map<PeerId, Slot> slots_;  // of linked peers
};

// Why the two cannot work together; empty when they can. Codes: kLinkRun, kModelLayout,
// kConfigConflict.
std::optional<Error> incompatibility(const RunIdentity& own, const message::Join& theirs);

}  // namespace gossamer::node
