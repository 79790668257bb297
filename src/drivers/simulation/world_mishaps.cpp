// What befalls packets, offers and trainers: worse than going away, because whoever meets it must
// tell it from what is right.
#include <algorithm>
#include <cstring>

#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

namespace {

std::vector<bool> flags(const std::vector<std::uint32_t>& who, std::size_t count) {
    std::vector<bool> in(count);
    for (auto p : who) in[p] = true;
    return in;
}

bool of_a_transfer(const wire::Frame& frame) {
    const auto& body = frame.body;
    return std::holds_alternative<wire::Chunk>(body) || std::holds_alternative<wire::Grant>(body) ||
           std::holds_alternative<wire::TransferEnd>(body) ||
           std::holds_alternative<wire::Delivered>(body);
}

// Somebody else's memory did it: the sender's checksum is of what it sent.
void flip_a_bit(wire::TransferEnd& end, std::uint64_t where) {
    const auto bytes = end.handle.bytes();
    if (bytes.empty() || end.checksum != Digest128{}) return;
    auto copy = tensor::BufferPool::create(0)->take(bytes.size());
    std::memcpy(copy.bytes().data(), bytes.data(), bytes.size());
    copy.bytes()[where % bytes.size()] ^= std::byte{1} << (where >> 32) % 8;
    end.checksum = digest128(bytes);
    end.handle = tensor::Payload::of(std::move(copy));
}

}  // namespace

// ---- packets ----

void World::bring(const Fault& fault, bool begins) {
    const auto name = static_cast<std::uint64_t>(&fault - setup_.faults.data()) + 1;
    if (!begins) {
        std::erase_if(mishaps_, [&](const Mishap& m) { return m.id == name; });
        return;
    }
    mishaps_.push_back(
        {name, fault.kind, flags(fault.who, size()), flags(fault.other, size()), fault.value});
}

// Drawn by channel, time and size, so that nothing else moves the draws.
void World::befall(Channel& channel, std::size_t side, Packet& packet) {
    const PlaceIndex from = channel.end[side].place, to = channel.end[1 - side].place;
    for (const auto& m : mishaps_) {
        if (!(m.a[from] && m.b[to]) && !(m.a[to] && m.b[from])) continue;
        const auto at = static_cast<std::uint64_t>(now_.ns) ^ packet.bytes << 44 ^ m.id << 58;
        auto draws = stream(setup_.seed, Purpose::scenario, at, 2 * channel.id + side);
        if (m.kind == FaultKind::damage) {
            for (auto& frame : packet.frames)
                if (auto* end = std::get_if<wire::TransferEnd>(&frame.body))
                    if (draws.uniform() < m.part) flip_a_bit(*end, draws.next_u64());
            continue;
        }
        if (packet.frames.empty() || packet.last || packet.altered) continue;
        if (m.kind == FaultKind::cut && std::ranges::none_of(packet.frames, of_a_transfer))
            continue;
        if (draws.uniform() >= m.part) continue;
        if (m.kind == FaultKind::corrupt)
            packet.altered = true;
        else
            cut_amid(channel, side, packet, draws.below(packet.frames.size() + 1));
    }
}

// So many frames arrive, then a reset. The sender hears of it at once, and cannot know how many.
void World::cut_amid(Channel& channel, std::size_t side, Packet& packet, std::uint64_t after) {
    packet.frames.resize(after);
    packet.last = packet.abrupt = true;
    soon_.push_back([this, id = channel.id, side] {
        auto* found = channels_.find(id);
        if (!found || !found->end[side].link) return;
        const Error error{
            ErrorCode::kNetReset, std::string(describe(ErrorCode::kNetReset).meaning), {}};
        found->end[side].link->on_broken(now_, error);
        touch(id, side);
    });
}

// ---- trainers ----

void World::let_hang(PlaceIndex p, bool begins) {
    if (begins) {
        hanging_.try_emplace(p);
        return;
    }
    const auto held = hanging_.extract(p);
    if (held.empty()) return;
    for (auto number : held.mapped())
        push(p, p, now_, {.kind = EventKind::job_done, .life = places_[p].life, .a = number});
}

// Training that should have ended now; not even cancelling reaches it.
bool World::hangs(PlaceIndex p, const Task& task) {
    const auto held = hanging_.find(p);
    if (held == hanging_.end() || !task.begun || task.order.priority != job::JobClass::train)
        return false;
    held->second.push_back(task.number);
    return true;
}

// ---- offers ----

void World::repeat_offer(PlaceIndex p, const job::Offer& offer) {
    const auto found = echoing_.find(p);
    if (found == echoing_.end()) return;
    auto draws = stream(setup_.seed, Purpose::scenario, offer.id.value ^ kEchoes, p);
    const double after = draws.uniform() < 0.5 ? 0 : draws.uniform() * found->second;
    const auto id = kEchoes | offer.id.value;
    auto& again = echoes_[{p, id}] = offer;
    again.id.value = id;
    push(p, p, now_ + Duration{static_cast<std::int64_t>(after * 1e9)},
         {.kind = EventKind::echo, .life = places_[p].life, .a = id});
}

void World::on_echo(PlaceIndex p, std::uint64_t id, std::uint32_t life) {
    auto kept = echoes_.extract({p, id});
    if (kept.empty() || life != places_[p].life) return;
    auto& offer = kept.mapped();
    if (auto* link = link_to(p, offer.to))
        link->offer(now_, offer.id, std::move(offer.manifest), std::move(offer.payload));
}

}  // namespace gossamer::simulation
