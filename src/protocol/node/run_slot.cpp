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
        return Error{ErrorCode::kConfigConflict,
                     "settings that all members of a run must share differ",
                     "compare with ours: " + joined(own.setting_lines, ", ")};
    return std::nullopt;
}

RunSlots::RunSlots(RunIdentityRef own, std::uint64_t sample_count)
    : own_(std::move(own)), sample_count_(sample_count), run_(own_->run()) {}

void RunSlots::greet(job::Turn& turn, const PeerId& peer, const message::Progress& own) const {
    message::Join join;
    join.run = run_;
    join.run_name = own_->name;
    join.mode = own_->mode;
    join.tensors = own_->layout->tensors();
    join.settings = own_->settings;
    join.sample_count = sample_count_;
    join.round = own.round;
    join.phase = own.phase;
    turn.send(peer, std::move(join));
}

RunSlots::Outcome RunSlots::on_join(job::Turn& turn, const PeerId& peer, RunSlot& slot,
                                    const message::Join& join) const {
    if (slot.said) return {};  // twice
    message::JoinReply reply{join.run, true, {}, {}};
    auto refused = incompatibility(*own_, join);
    if (refused) {
        reply.accepted = false;
        reply.code = refused->code;
        reply.what = refused->what;
        turn.send(peer, std::move(reply));
        return {false, std::move(refused)};
    }
    turn.send(peer, std::move(reply));
    slot.said = true;
    slot.sample_count = join.sample_count;
    slot.round = join.round;
    slot.phase = join.phase;
    return {slot.accepted && !std::exchange(slot.open, slot.accepted), std::nullopt};
}

RunSlots::Outcome RunSlots::on_reply(RunSlot& slot, const message::JoinReply& reply) const {
    if (reply.run != run_) return {};
    if (!reply.accepted) return {false, Error{reply.code, reply.what, {}}};
    slot.accepted = true;
    return {slot.said && !std::exchange(slot.open, slot.said), std::nullopt};
}

message::Join RunSlots::join_of(const RunSlot& slot) const {
    GOSSAMER_ASSERT(slot.open, "the slot is open");
    message::Join join;
    join.run = run_;
    join.mode = own_->mode;
    join.settings = own_->settings;
    join.sample_count = slot.sample_count;
    join.round = slot.round;
    join.phase = slot.phase;
    return join;
}

}  // namespace gossamer::node
