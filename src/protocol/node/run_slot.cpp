#include "protocol/node/run_slot.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"

namespace gossamer::node {

namespace {

constexpr std::size_t kDifferencesMax = 8;

std::string mode_name(message::Mode mode) {
    return mode == message::Mode::gossip ? "gossip" : "federated";
}

// Rebuilds the other side's layout; empty when no layout can be made of it.
std::optional<tensor::Layout> layout_of(const std::vector<tensor::TensorSpec>& tensors) {
    tensor::Layout layout;
    for (const auto& tensor : tensors) {
        if (layout.find(tensor.name) != nullptr) return std::nullopt;
        layout.add(tensor.name, tensor.shape);
    }
    return layout;
}

std::string joined(const std::vector<std::string>& lines, const char* separator) {
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : separator) + line;
    return text;
}

}  // namespace

std::optional<Error> incompatibility(const RunIdentity& own, const message::Join& theirs) {
    if (theirs.run != message::run_id(own.name) || theirs.run_name != own.name)
        return Error{
            ErrorCode::kLinkRun,
            "we take part in run \"" + own.name + "\", they in \"" + theirs.run_name + "\"",
            {}};
    if (theirs.mode != own.mode)
        return Error{ErrorCode::kLinkRun,
                     "run \"" + own.name + "\" is " + mode_name(own.mode) + " here, " +
                         mode_name(theirs.mode) + " there",
                     "give both sides the same run.mode"};
    const auto layout = layout_of(theirs.tensors);
    if (!layout) return Error{ErrorCode::kModelLayout, "their list of tensors names one twice", {}};
    const auto different = tensor::differences(*own.layout, *layout, kDifferencesMax);
    if (!different.empty()) return Error{ErrorCode::kModelLayout, joined(different, "; "), {}};
    if (layout->digest() != own.layout->digest())
        return Error{ErrorCode::kModelLayout, "the same tensors in another order", {}};
    if (theirs.settings != own.settings)
        return Error{
            ErrorCode::kConfigConflict, "settings that all members of a run must share differ",
            "compare with ours: " + (own.setting_lines ? joined(*own.setting_lines, ", ") : "")};
    return std::nullopt;
}

RunSlots::RunSlots(RunIdentity own)
    : own_(std::move(own)),
      run_(message::run_id(own_.name)),
      layout_digest_(own_.layout->digest()) {}

void RunSlots::on_up(job::Turn& turn, const PeerId& peer, const message::Progress& own) {
    slots_[peer] = {};
    message::Join join;
    join.run = run_;
    join.run_name = own_.name;
    join.mode = own_.mode;
    join.tensors = own_.layout->tensors();
    join.settings = own_.settings;
    join.sample_count = own_.sample_count;
    join.round = own.round;
    join.phase = own.phase;
    turn.send(peer, std::move(join));
}

bool RunSlots::on_down(const PeerId& peer) {
    const bool was_open = open(peer);
    slots_.erase(peer);
    return was_open;
}

RunSlots::Outcome RunSlots::on_join(job::Turn& turn, const PeerId& peer,
                                    const message::Join& join) {
    auto found = slots_.find(peer);
    if (found == slots_.end() || found->second.theirs) return {};  // no link, or said twice
    message::JoinReply reply{join.run, true, {}, {}};
    auto refused = incompatibility(own_, join);
    if (refused) {
        reply.accepted = false;
        reply.code = refused->code;
        reply.what = refused->what;
        turn.send(peer, std::move(reply));
        return {false, std::move(refused)};
    }
    turn.send(peer, std::move(reply));
    found->second.theirs = join;
    found->second.theirs->tensors = {};
    found->second.theirs->run_name = {};
    return settle(found->second);
}

RunSlots::Outcome RunSlots::on_reply(const PeerId& peer, const message::JoinReply& reply) {
    auto found = slots_.find(peer);
    if (found == slots_.end() || reply.run != run_) return {};
    if (!reply.accepted) return {false, Error{reply.code, reply.what, {}}};
    found->second.accepted = true;
    return settle(found->second);
}

RunSlots::Outcome RunSlots::settle(Slot& slot) {
    if (!slot.theirs || !slot.accepted || slot.told) return {};
    slot.told = true;
    return {true, std::nullopt};
}

bool RunSlots::open(const PeerId& peer) const {
    auto found = slots_.find(peer);
    return found != slots_.end() && found->second.told;
}

const message::Join& RunSlots::join_of(const PeerId& peer) const {
    GOSSAMER_ASSERT(open(peer), "the slot is open");
    return *slots_.at(peer).theirs;
}

Digest128 RunSlots::digest() const {
    ByteWriter out;
    for (const auto& [peer, slot] : slots_) {
        out.put(peer.bytes);
        out.put(slot.theirs.has_value());
        out.put(slot.accepted);
    }
    return digest128(out.view());
}

}  // namespace gossamer::node
