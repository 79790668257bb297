#include "protocol/node/run_slot.hpp"

#include <utility>

#include "gossamer/base/assert.hpp"

namespace gossamer::node {

namespace {

constexpr std::size_t kDifferencesMax = 8;

std::string mode_name(message::Mode mode) {
    return mode == message::Mode::gossip ? "gossip" : "federated";
}

std::string joined(const std::vector<std::string>& lines, const char* separator) {
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : separator) + line;
    return text;
}

// Theirs is a list that they made up: it is compared, never made into a layout.
std::optional<Error> other_layout(const std::vector<tensor::TensorSpec>& own,
                                  const std::vector<tensor::TensorSpec>& theirs) {
    if (tensor::same_tensors(own, theirs)) return std::nullopt;
    const auto refuse = [](std::string what) {
        return Error{ErrorCode::kModelLayout, std::move(what), {}};
    };
    if (tensor::names_one_twice(theirs)) return refuse("their list of tensors names one twice");
    const auto different = tensor::differences(own, theirs, kDifferencesMax);
    if (different.empty()) return refuse("the same tensors in another order");
    return refuse(joined(different, "; "));
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
    if (auto refused = other_layout(own.layout->tensors(), theirs.tensors)) return refused;
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
    if (std::exchange(slot.answered, true)) return {};  // once a link, whatever came of it
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
