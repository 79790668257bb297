// What travels on a channel, and how channels end: packets on lines that all links of a place
// share.
#include <algorithm>

#include "drivers/simulation/wire_path.hpp"
#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

namespace {

// Packets share lines, so they are small where a line has a limit; where none has, what is ready
// leaves and comes at once, and more packets would only be more events.
constexpr std::uint64_t kPacketBytesMax = 256 * 1024, kPacketBytesFree = 4 << 20;
// After a barrier fell TCP sends again within the back-off it had reached by then.
constexpr Duration kResendMost = 2s;

Duration time_for(std::uint64_t bytes, double bytes_per_second) {
    if (bytes_per_second <= 0) return {};
    return Duration{static_cast<std::int64_t>(static_cast<double>(bytes) / bytes_per_second * 1e9)};
}

bool carries_model(const Packet& packet) {
    return std::ranges::any_of(packet.frames, [](const wire::Frame& frame) {
        return std::holds_alternative<wire::Chunk>(frame.body);
    });
}

}  // namespace

// ---- packets ----

double World::up_rate(PlaceIndex p) const {
    const auto& net = network_.config();
    return role(p) == Role::aggregator ? net.server_bytes_per_second : net.up_bytes_per_second;
}

double World::down_rate(PlaceIndex p) const {
    const auto& net = network_.config();
    return role(p) == Role::aggregator ? net.server_bytes_per_second : net.down_bytes_per_second;
}

void World::pump(Channel& channel, std::size_t side) {
    auto& end = channel.end[side];
    if (!end.link) return;
    const double up = up_rate(end.place), down = down_rate(channel.end[1 - side].place);
    const auto most = up <= 0 && down <= 0 ? kPacketBytesFree : kPacketBytesMax;
    std::unique_ptr<Packet> packet;
    while (true) {
        const std::uint64_t waiting = end.in_flight + (packet ? packet->bytes : 0);
        auto frame = end.link->next_frame(now_, up <= 0 || waiting < end.link->room_bytes());
        if (!frame) {
            if (packet) send(channel, side, std::move(packet));
            return;
        }
        if (!packet) packet = std::make_unique<Packet>();
        packet->bytes += wire_bytes(*frame, scale_);
        packet->frames.push_back(std::move(*frame));
        ++counts_.frames;
        if (packet->bytes >= most) send(channel, side, std::move(packet));
    }
}

// Onto the sender's line, which all its links share.
void World::send(Channel& channel, std::size_t side, std::unique_ptr<Packet> packet) {
    auto& end = channel.end[side];
    auto& place = places_[end.place];
    if (!mishaps_.empty()) befall(channel, side, *packet);
    if (channel.wire)
        if (auto status = channel.wire->carry(side, *packet); !status)
            return fail_world(std::move(status).error());
    place.sent_bytes += packet->bytes;
    counts_.sent_bytes += packet->bytes;
    const auto taken = time_for(packet->bytes, up_rate(end.place));
    place.line_up = std::max(place.line_up, now_) + taken;
    const Instant depart = place.line_up;
    if (end.link && packet->bytes > 0) {
        if (depart == now_) {
            end.link->note_sent(now_, packet->bytes);
        } else {
            end.in_flight += packet->bytes;
            push(end.place, end.place, depart,
                 {.kind = EventKind::departed,
                  .b = static_cast<std::uint8_t>(side),
                  .a = channel.id,
                  .c = packet->bytes});
        }
    }
    if (carries_model(*packet)) observer_.on_send(end.place, now_, depart + channel.latency);
    travel(channel, side, std::move(packet), depart);
}

void World::travel(Channel& channel, std::size_t side, std::unique_ptr<Packet> packet,
                   Instant depart) {
    auto& end = channel.end[side];
    const PlaceIndex to = channel.end[1 - side].place;
    if (!end.held.empty() || network_.blocked(end.place, to)) {
        if (end.held.empty()) end.held_since = now_;
        end.held.push_back(std::move(packet));
        return;
    }
    const auto extra = network_.extra(2 * channel.id + side, end.packets++, channel.latency);
    end.last_arrival = std::max(end.last_arrival, depart + channel.latency + extra);
    push(to, end.place, end.last_arrival,
         {.kind = EventKind::packet,
          .b = static_cast<std::uint8_t>(1 - side),
          .a = channel.id,
          .packet = std::move(packet)});
}

void World::on_packet(std::uint64_t id, std::size_t side, std::unique_ptr<Packet> packet,
                      const EventKey&) {
    auto* found = channels_.find(id);
    if (!found) return;
    auto& channel = *found;
    auto& end = channel.end[side];
    auto& place = places_[end.place];
    // The receiver's line, shared by all its links: what finds it taken comes when it is free.
    const auto taken = time_for(packet->bytes, down_rate(end.place));
    if (!std::exchange(packet->queued, true)) {  // an empty one, an end, waits its turn too
        place.line_down = std::max(place.line_down, now_ - taken) + taken;
        if (place.line_down > now_)
            return push(end.place, channel.end[1 - side].place, place.line_down,
                        {.kind = EventKind::packet,
                         .b = static_cast<std::uint8_t>(side),
                         .a = id,
                         .packet = std::move(packet)});
    }
    place.trace.add(packet->bytes);
    if (end.gone) {  // its process is another one by now: the machine, if it is there, says so
        if (place.state != PlaceState::dark && !packet->last) cut_off(channel, side, true, true);
        return;
    }
    if (!end.link) {  // a listener's, with the first bytes
        if (!place.node || packet->abrupt || packet->altered)
            return cut_off(channel, side, !packet->abrupt, true);
        end.link = std::make_unique<link::Link>(link_config(place, false), now_);
    }
    if (packet->altered) {
        end.link->on_broken(now_, {ErrorCode::kTlsIntegrity, "a record arrived altered", {}});
        return touch(id, side);
    }
    end.link->note_received(now_);
    for (auto& frame : packet->frames) end.link->on_frame(now_, std::move(frame));
    if (packet->last)
        end.link->on_broken(now_, packet->abrupt
                                      ? Error{ErrorCode::kNetReset, "", {}}
                                      : Error{ErrorCode::kLinkClosed, "closed there", {}});
    touch(id, side);
}

// ---- ends ----

// This end is no more. `told`: its machine says so to the other, `abrupt`: as a reset.
void World::cut_off(Channel& channel, std::size_t side, bool told, bool abrupt) {
    auto& end = channel.end[side];
    end.link.reset();
    end.gone = true;
    places_[end.place].channels.erase(channel.id);
    if (told && !std::exchange(end.fin_sent, true)) {
        auto packet = std::make_unique<Packet>();
        packet->last = true;
        packet->abrupt = abrupt;
        travel(channel, side, std::move(packet), std::max(now_, places_[end.place].line_up));
    }
    if (channel.end[1 - side].gone) channels_.erase(channel.id);
}

void World::break_link(std::uint64_t id, ErrorCode code) {
    auto* found = channels_.find(id);
    if (!found) return;
    for (const std::size_t side : {0, 1}) {
        auto& end = found->end[side];
        if (!end.link) continue;
        end.link->on_broken(now_, {code, std::string(describe(code).meaning), {}});
        touch(id, side);
    }
}

void World::release_held() {
    std::vector<std::uint64_t> waiting;
    channels_.each([&](const Channel& channel) {
        if (!channel.end[0].held.empty() || !channel.end[1].held.empty())
            waiting.push_back(channel.id);
    });
    for (auto id : waiting)
        for (const std::size_t side : {0, 1}) {
            auto& channel = *channels_.find(id);
            auto& end = channel.end[side];
            if (end.held.empty() || network_.blocked(end.place, channel.end[1 - side].place))
                continue;
            const auto outage = now_ - end.held_since;
            auto held = std::exchange(end.held, {});
            for (auto& packet : held)
                travel(channel, side, std::move(packet), now_ + std::min(outage / 2, kResendMost));
        }
}

}  // namespace gossamer::simulation
