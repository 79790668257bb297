#include "drivers/simulation/trace.hpp"

namespace gossamer::simulation {

namespace {

struct NoticeTrace {
    Trace& trace;
    void peer(const PeerId& id) { trace.add(ByteView(id.bytes)); }
    void operator()(const message::RunStarted& n) { trace.add(n.round); }
    void operator()(const message::RunEnded& n) {
        trace.add(n.round), trace.add(std::uint64_t{n.reached});
    }
    void operator()(const message::Waiting& n) { trace.add(n.whom.size()); }
    void operator()(const message::MemberChanged& n) {
        peer(n.peer),
            trace.add(static_cast<std::uint64_t>(n.from) << 8 | static_cast<std::uint64_t>(n.to));
    }
    void operator()(const message::LinkChanged& n) { peer(n.peer), trace.add(std::uint64_t{n.up}); }
    void operator()(const message::Trained& n) {
        trace.add(n.round), trace.add(n.loss), trace.add(n.sample_count);
    }
    void operator()(const message::Evaluated& n) {
        trace.add(n.round), trace.add(n.loss), trace.add(n.accuracy);
    }
    void operator()(const message::Mixed& n) {
        trace.add(n.step), trace.add(n.distance), trace.add(n.received_bytes);
        for (const auto& id : n.left_out) peer(id);
    }
    void operator()(const message::RoundFinished& n) {
        trace.add(n.round), trace.add(n.loss), trace.add(ByteView(n.model.bytes));
        for (const auto& id : n.accepted) peer(id);
    }
    void operator()(const message::UpdateRefused& n) { peer(n.peer), trace.add(n.round); }
    void operator()(const message::CheckpointWritten& n) { trace.add(n.round); }
    void operator()(const message::CaughtUp& n) { peer(n.from), trace.add(n.to_round); }
    void operator()(const message::Resumed& n) {
        trace.add(static_cast<std::uint64_t>(n.asleep.count()));
    }
    void operator()(const message::Warning& n) {
        trace.add(ByteView(as_bytes(describe(n.error.code).id)));
    }
};

}  // namespace

void add(Trace& trace, const message::Notice& notice) {
    trace.add(notice.index());
    std::visit(NoticeTrace{trace}, notice);
}

}  // namespace gossamer::simulation
