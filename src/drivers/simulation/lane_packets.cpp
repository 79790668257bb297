// What travels on a channel, and how channels end: packets on lines that all links of a place
// share.
#include <algorithm>

#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/lane.hpp"
#include "drivers/simulation/wire_path.hpp"

namespace gossamer::simulation {

namespace {

// Packets share lines, so they are small where a line has a limit; where none has, what is ready
// leaves and comes at once, and more packets would only be more events.
constexpr std::uint64_t kPacketBytesMax = 256 * 1024, kPacketBytesFree = 4 << 20;
// After a barrier fell TCP sends again within the back-off it had reached by then.
constexpr Duration kResendMost = 2s;
constexpr std::size_t kPacketsKept = 4096, kFramesKept = 4;
constexpr Instant kNeverFree{2 * kLongest.count()};  // lines too thin for what waits for them

Duration time_for(std::uint64_t bytes, double bytes_per_second) {
    if (bytes_per_second <= 0) return {};
    return of_seconds(static_cast<double>(bytes) / bytes_per_second);
}

std::size_t side_of(const End& end) { return end.dialled ? 0 : 1; }

bool carries_model(const Packet& packet) {
    return std::ranges::any_of(packet.frames, [](const wire::Frame& frame) {
        return std::holds_alternative<wire::Chunk>(frame.body);
    });
}

}  // namespace

// ---- packets ----

double Lane::up_rate(PlaceIndex p) const {
    const auto& net = network_.config();
    return role(p) == Role::aggregator ? net.server_bytes_per_second : network_.up_rate(p);
}

double Lane::down_rate(PlaceIndex p) const {
    const auto& net = network_.config();
    return role(p) == Role::aggregator ? net.server_bytes_per_second : network_.down_rate(p);
}

std::unique_ptr<Packet> Lane::empty_packet() {
    if (packets_.empty()) return std::make_unique<Packet>();
    auto packet = std::move(packets_.back());
    packets_.pop_back();
    return packet;
}

void Lane::done_with(std::unique_ptr<Packet> packet) {
    if (packet->frames.capacity() > kFramesKept || packets_.size() >= kPacketsKept) return;
    auto frames = std::move(packet->frames);
    frames.clear();
    *packet = {.frames = std::move(frames)};
    packets_.push_back(std::move(packet));
}

void Lane::pump(PlaceIndex p, End& end) {
    if (!end.link) return;
    const double up = up_rate(p);
    const auto most = end.unlimited ? kPacketBytesFree : kPacketBytesMax;
    std::unique_ptr<Packet> packet;
    while (true) {
        const std::uint64_t waiting = end.in_flight + (packet ? packet->bytes : 0);
        auto frame = end.link->next_frame(now_, up <= 0 || waiting < end.link->room_bytes());
        if (!frame) {
            if (packet) send(p, end, std::move(packet));
            return;
        }
        if (!packet) packet = empty_packet();
        packet->bytes += wire_bytes(*frame, scale_);
        packet->frames.push_back(std::move(*frame));
        ++counts.frames;
        if (packet->bytes >= most) send(p, end, std::move(packet));
    }
}

// Onto the sender's line, which all its links share.
void Lane::send(PlaceIndex p, End& end, std::unique_ptr<Packet> packet) {
    auto& place = places_[p];
    if (!ground_.mishaps.empty()) befall(p, end, *packet);
    if (const auto wire = ground_.wires.find(end.id); wire != ground_.wires.end())
        if (auto status = wire->second->carry(side_of(end), *packet); !status)
            return fail_world(std::move(status).error());
    place.sent_bytes += packet->bytes;
    counts.sent_bytes += packet->bytes;
    const auto taken = time_for(packet->bytes, up_rate(p));
    place.line_up = std::min(std::max(place.line_up, now_) + taken, kNeverFree);
    const Instant depart = place.line_up;
    if (end.link && packet->bytes > 0) {
        if (depart == now_) {
            end.link->note_sent(now_, packet->bytes);
        } else {
            end.in_flight += packet->bytes;
            push(p, p, depart, {.kind = EventKind::departed, .a = end.id, .c = packet->bytes});
        }
    }
    if (observer_.follows(p) && carries_model(*packet)) tell(p, Sent{now_, depart + end.latency});
    travel(p, end, std::move(packet), depart);
}

void Lane::travel(PlaceIndex p, End& end, std::unique_ptr<Packet> packet, Instant depart) {
    if (end.held || network_.blocked(p, end.other)) {
        if (!end.held) end.held.emplace().since = now_;
        end.held->packets.push_back(std::move(packet));
        return;
    }
    const auto extra = network_.extra(2 * end.id + side_of(end), end.packets++, end.latency);
    end.last_arrival = std::max(end.last_arrival, depart + end.latency + extra);
    push(end.other, p, end.last_arrival,
         {.kind = EventKind::packet,
          .life = end.life_there,
          .a = end.id,
          .c = p,
          .packet = std::move(packet)});
}

void Lane::on_packet(const EventKey& key, Event event) {
    const PlaceIndex p = key.receiver - 1;
    auto& place = places_[p];
    auto& packet = *event.packet;
    // The receiver's line, shared by all its links: what finds it taken comes when it is free.
    const auto taken = time_for(packet.bytes, down_rate(p));
    if (!std::exchange(packet.queued, true)) {  // an empty one, an end, waits its turn too
        place.line_down = std::min(std::max(place.line_down, now_ - taken) + taken, kNeverFree);
        if (place.line_down > now_) {
            auto later = key;
            later.at = place.line_down;
            return push_again(later, std::move(event));
        }
    }
    place.trace.add(packet.bytes);
    auto* end = find(p, event.a);
    if (!end) {
        const bool opens = dialler_of(event.a) != p && event.life == place.life && place.node;
        if (!opens || packet.last || packet.altered) return on_stray(p, event);
        end = &add_end(p, event.a, static_cast<PlaceIndex>(event.c));
        end->link.emplace(link_config(p, false), now_);
    }
    end->fin_came |= packet.last;
    if (end->gone) {  // it said so already
        if (packet.last) erase(p, *end);
        return;
    }
    touch(p, *end);
    if (packet.altered)
        return end->link->on_broken({ErrorCode::kTlsIntegrity, "a record arrived altered", {}});
    for (auto& frame : packet.frames) end->link->on_frame(now_, std::move(frame));
    if (packet.last)
        end->link->on_broken(packet.abrupt ? Error{ErrorCode::kNetReset, "", {}}
                                           : Error{ErrorCode::kLinkClosed, "closed there", {}});
    done_with(std::move(event.packet));
}

// Of a channel that is not known here: its process is another one by now. The machine, if it is
// there, says so.
void Lane::on_stray(PlaceIndex p, const Event& event) {
    const auto other = static_cast<PlaceIndex>(event.c);
    if (places_[p].state == PlaceState::dark || event.packet->last || network_.blocked(p, other))
        return;
    auto packet = std::make_unique<Packet>();
    packet->last = packet->abrupt = true;
    push(other, p, now_ + network_.latency(p, other),
         {.kind = EventKind::packet, .a = event.a, .c = p, .packet = std::move(packet)});
}

// ---- ends ----

// This end is no more. `told`: its machine says so to the other, `abrupt`: as a reset.
void Lane::cut_off(PlaceIndex p, End& end, bool told, bool abrupt) {
    auto& place = places_[p];
    end.link.reset();
    end.gone = true;
    forget(place.up, end);
    if (place.passing) forget(place.passing->greeting, end);
    if (told && !std::exchange(end.fin_sent, true)) {
        auto packet = std::make_unique<Packet>();
        packet->last = true;
        packet->abrupt = abrupt;
        travel(p, end, std::move(packet), std::max(now_, place.line_up));
    }
    if (!told || end.fin_came) erase(p, end);
}

void Lane::erase(PlaceIndex p, End& end) {
    const auto id = end.id;
    if (setup_.wire) ground_.wires.erase(id);
    places_[p].ends.erase(id);
}

void Lane::break_link(PlaceIndex p, ChannelId id, ErrorCode code) {
    auto* end = find(p, id);
    if (!end || !end->link) return;
    end->link->on_broken({code, std::string(describe(code).meaning), {}});
    touch(p, *end);
}

void Lane::release_held() {
    for (PlaceIndex p = 0; p < places_.size(); ++p)
        for (const auto& [id, kept] : places_[p].ends) {
            auto& end = *kept;
            if (!end.held || network_.blocked(p, end.other)) continue;
            const auto outage = now_ - end.held->since;
            auto held = std::exchange(end.held, {});
            for (auto& packet : held->packets)
                travel(p, end, std::move(packet), now_ + std::min(outage / 2, kResendMost));
        }
}

}  // namespace gossamer::simulation
