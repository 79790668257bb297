#include "protocol/federated/round_record.hpp"

namespace gossamer::federated {
namespace {

constexpr std::uint8_t kVersion = 2;

void put_peers(ByteWriter& out, const std::vector<PeerId>& peers) {
    out.put(static_cast<std::uint32_t>(peers.size()));
    for (const auto& peer : peers) out.put(peer.bytes);
}

// A count read from disk never makes us reserve more than the bytes that are there.
std::vector<PeerId> get_peers(ByteReader& in) {
    std::vector<PeerId> peers;
    auto count = in.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i)
        peers.push_back({in.get<std::array<std::byte, 32>>()});
    return peers;
}

void put_counted(ByteWriter& out, const std::vector<Counted>& counted) {
    out.put(static_cast<std::uint32_t>(counted.size()));
    for (const auto& c : counted) out.put(c.peer.bytes), out.put(c.round);
}

std::vector<Counted> get_counted(ByteReader& in) {
    std::vector<Counted> counted;
    auto count = in.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        PeerId peer{in.get<std::array<std::byte, 32>>()};
        counted.push_back({peer, in.get<std::uint64_t>()});
    }
    return counted;
}

void put_plan(ByteWriter& out, const RoundPlan& plan) {
    out.put(plan.round), out.put(plan.attempt), out.put(plan.base.bytes);
    out.put(plan.wanted), out.put(plan.quorum);
    out.put(std::int32_t{plan.scale.exponent}), out.put(plan.scale.bound);
    out.put(static_cast<std::uint32_t>(plan.cohort.size()));
    for (const auto& invited : plan.cohort) out.put(invited.peer.bytes), out.put(invited.weight);
}

RoundPlan get_plan(ByteReader& in) {
    RoundPlan plan;
    plan.round = in.get<std::uint64_t>();
    plan.attempt = in.get<std::uint32_t>();
    plan.base.bytes = in.get<std::array<std::byte, 32>>();
    plan.wanted = in.get<std::uint64_t>(), plan.quorum = in.get<std::uint64_t>();
    plan.scale.exponent = in.get<std::int32_t>();
    plan.scale.bound = in.get<double>();
    auto count = in.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        Invited invited;
        invited.peer.bytes = in.get<std::array<std::byte, 32>>();
        invited.weight = in.get<float>();
        plan.cohort.push_back(invited);
    }
    return plan;
}

bool sound(const RoundPlan& plan) {
    if (plan.cohort.empty() || plan.wanted == 0 || plan.wanted > plan.cohort.size() ||
        plan.quorum == 0 || plan.quorum > plan.wanted || !(plan.scale.bound > 0))
        return false;
    for (std::size_t i = 0; i < plan.cohort.size(); ++i) {
        if (!(plan.cohort[i].weight > 0)) return false;
        if (i > 0 && !(plan.cohort[i - 1].peer < plan.cohort[i].peer)) return false;
    }
    return true;
}

}  // namespace

Bytes save(const RoundRecord& record) {
    ByteWriter out;
    out.put(kVersion), out.put(record.run.value), out.put_text(record.strategy);
    out.put(record.seed.value), out.put(record.completed), out.put(record.identity.bytes);
    put_counted(out, record.counted);
    out.put(record.evaluated), out.put_blob(record.stop);
    out.put(record.stage), out.put_text(record.reason);
    out.put(static_cast<std::uint8_t>(record.reached));
    put_peers(out, record.owed);
    out.put(static_cast<std::uint8_t>(record.plan.has_value()));
    if (record.plan) put_plan(out, *record.plan);
    return out.take();
}

Result<RoundRecord> load_round_record(ByteView saved) {
    ByteReader in(saved);
    RoundRecord r;
    if (in.get<std::uint8_t>() != kVersion)
        return fail(ErrorCode::kCheckpointFormat, "the round's record has another version");
    r.run.value = in.get<std::uint64_t>();
    r.strategy = in.get_text(256);
    r.seed.value = in.get<std::uint64_t>(), r.completed = in.get<std::uint64_t>();
    r.identity.bytes = in.get<std::array<std::byte, 32>>();
    r.counted = get_counted(in);
    r.evaluated = in.get<std::uint64_t>();
    auto stop = in.get_blob(1024);
    r.stop.assign(stop.begin(), stop.end());
    auto stage = in.get<std::uint8_t>();
    r.stage = static_cast<RunStage>(stage);
    r.reason = in.get_text(kReasonMost);
    r.reached = in.get<std::uint8_t>() != 0;
    r.owed = get_peers(in);
    if (in.get<std::uint8_t>() != 0) r.plan = get_plan(in);
    bool plan_ok = !r.plan || (sound(*r.plan) && r.plan->round == r.completed + 1);
    if (!in.at_end() || stage > 2 || !plan_ok)
        return fail(ErrorCode::kCheckpointFormat, "the round's record is damaged");
    return r;
}

}  // namespace gossamer::federated
