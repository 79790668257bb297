// What befalls packets, offers and trainers: worse than going away, because whoever meets it must
// tell it from what is right.
#include <algorithm>
#include <cstring>

#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/lane.hpp"

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

void Lane::bring(const Fault& fault, bool begins) {
    const auto name = static_cast<std::uint64_t>(&fault - setup_.faults.data()) + 1;
    if (!begins) {
        std::erase_if(ground_.mishaps, [&](const Mishap& m) { return m.id == name; });
        return;
    }
    ground_.mishaps.push_back({name, fault.kind, flags(fault.who, places_.size()),
                               flags(fault.other, places_.size()), fault.value});
}

// Drawn by channel, time and size, so that nothing else moves the draws; and by their count where
// packets of one size leave at one instant.
void Lane::befall(PlaceIndex from, End& end, Packet& packet) {
    const PlaceIndex to = end.other;
    const std::uint64_t side = end.dialled ? 0 : 1;
    const auto by = static_cast<std::uint64_t>(now_.ns) ^ packet.bytes << 44;
    auto& drawn = end.drawn.made();
    drawn.again = by == std::exchange(drawn.by, by) ? drawn.again + 1 : 0;
    const auto again = drawn.again * 0x9E3779B97F4A7C15ull;
    for (const auto& m : ground_.mishaps) {
        if (!(m.a[from] && m.b[to]) && !(m.a[to] && m.b[from])) continue;
        auto draws =
            stream(setup_.seed, Purpose::scenario, (by ^ m.id << 58) + again, 2 * end.id + side);
        if (m.kind == FaultKind::damage) {
            for (auto& frame : packet.frames)
                if (auto* model = std::get_if<wire::TransferEnd>(&frame.body))
                    if (draws.uniform() < m.part) flip_a_bit(*model, draws.next_u64());
            continue;
        }
        if (packet.frames.empty() || packet.last || packet.altered) continue;
        if (m.kind == FaultKind::cut && std::ranges::none_of(packet.frames, of_a_transfer))
            continue;
        if (draws.uniform() >= m.part) continue;
        if (m.kind == FaultKind::corrupt)
            packet.altered = true;
        else
            cut_amid(from, end, packet, draws.below(packet.frames.size() + 1));
    }
}

// So many frames arrive, then a reset. The sender hears of it at once, and cannot know how many.
void Lane::cut_amid(PlaceIndex p, End& end, Packet& packet, std::uint64_t after) {
    packet.frames.resize(after);
    packet.last = packet.abrupt = true;
    soon_.push_back([this, p, id = end.id] { break_link(p, id, ErrorCode::kNetReset); });
}

// ---- trainers ----

void Lane::let_hang(PlaceIndex p, bool begins) {
    if (begins) {
        ground_.hanging.try_emplace(p);
        return;
    }
    const auto held = ground_.hanging.extract(p);
    if (held.empty()) return;
    for (auto number : held.mapped())
        push(p, p, now_, {.kind = EventKind::job_done, .life = places_[p].life, .a = number});
}

// Training that should have ended now; not even cancelling reaches it.
bool Lane::hangs(PlaceIndex p, const Task& task) {
    const auto held = ground_.hanging.find(p);
    if (held == ground_.hanging.end() || !task.begun || task.order.priority != job::JobClass::train)
        return false;
    held->second.push_back(task.number);
    return true;
}

// ---- offers ----

void Lane::repeat_offer(PlaceIndex p, const job::Offer& offer) {
    const auto found = ground_.echoing.find(p);
    if (found == ground_.echoing.end()) return;
    auto& place = places_[p];
    auto draws = stream(setup_.seed, Purpose::scenario, offer.id.value ^ kEchoes, p);
    const double after = draws.uniform() < 0.5 ? 0 : draws.uniform() * found->second;
    const auto id = kEchoes | offer.id.value;
    auto& again = place.passed().echoes[id] = offer;
    again.id.value = id;
    push(p, p, now_ + of_seconds(after), {.kind = EventKind::echo, .life = place.life, .a = id});
}

void Lane::on_echo(PlaceIndex p, std::uint64_t id, std::uint32_t life) {
    if (!places_[p].passing) return;
    auto kept = places_[p].passing->echoes.extract(id);
    if (kept.empty() || life != places_[p].life) return;
    auto& offer = kept.mapped();
    if (auto* link = link_to(p, offer.to))
        link->offer(now_, offer.id, std::move(offer.manifest), std::move(offer.payload));
}

}  // namespace gossamer::simulation
