#include "records/telemetry/event.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "gossamer/base/options.hpp"

namespace gossamer::telemetry {
namespace {

using namespace message;

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

std::string names_of(const std::vector<PeerId>& peers) {
    constexpr std::size_t kShown = 8;
    std::string out;
    for (std::size_t i = 0; i < std::min(peers.size(), kShown); ++i)
        out += (i == 0 ? "" : ", ") + peers[i].short_string();
    if (peers.size() > kShown) out += fmt::format(" and {} more", peers.size() - kShown);
    return out;
}

std::string who(const LinkChanged& link) {
    if (link.peer.is_zero()) return harmless(link.address);
    auto name = link.peer.short_string();
    return link.address.empty() ? name : name + " (" + harmless(link.address) + ")";
}

std::string_view mode_name(Mode mode) { return mode == Mode::gossip ? "gossip" : "federated"; }

void add_error(Event& event, const Error& error) {
    event.fields.push_back({"code", std::string(gossamer::describe(error.code).id)});
}

struct Describer {
    Event& out;

    void operator()(const RunStarted& n) {
        out.text = fmt::format("run {} started ({}, from round {}){}{}", harmless(n.run),
                               mode_name(n.mode), n.round, n.detail.empty() ? "" : ": ",
                               harmless(n.detail));
        out.fields = {{"run", harmless(n.run)},
                      {"mode", std::string(mode_name(n.mode))},
                      {"round", integer(n.round)}};
    }
    void operator()(const RunEnded& n) {
        out.level = n.reached ? Level::info : Level::warning;
        out.text = fmt::format("run ended at round {}: {}", n.round, harmless(n.reason));
        out.fields = {
            {"round", integer(n.round)}, {"reached", n.reached}, {"reason", harmless(n.reason)}};
    }
    void operator()(const Waiting& n) {
        auto limit = n.until.is_never() ? std::string("without limit")
                                        : "for at most " + format_duration(n.until - n.since);
        out.text = fmt::format("waiting for {}{}{}, {}", harmless(n.what),
                               n.whom.empty() ? "" : " of ", names_of(n.whom), limit);
        out.fields = {{"what", harmless(n.what)}, {"peers", integer(n.whom.size())}};
        if (!n.until.is_never())
            out.fields.push_back({"limit_seconds", seconds(n.until - n.since)});
        out.repeat_key = n.what;
    }
    void operator()(const MemberChanged& n) {
        bool bad = n.to == MemberState::suspect || n.to == MemberState::dead;
        out.level = bad ? Level::warning : Level::info;
        out.text = fmt::format("peer {} is {}: {}", n.peer.short_string(), to_string(n.to),
                               harmless(n.reason));
        out.fields = {{"peer", n.peer.to_string()},
                      {"from", std::string(to_string(n.from))},
                      {"to", std::string(to_string(n.to))},
                      {"reason", harmless(n.reason)}};
    }
    void operator()(const LinkChanged& n) {
        if (n.up) {
            out.text = "link up: " + who(n);
        } else {
            out.level = Level::warning;
            // With an address it never was up: a dial came to nothing.
            out.text = fmt::format("{}: {}: {}", n.address.empty() ? "link down" : "no link",
                                   who(n), harmless(n.error.to_string()));
            out.repeat_key = fmt::format("{} {}", who(n), static_cast<int>(n.error.code));
        }
        out.fields = {{"peer", n.peer.is_zero() ? std::string{} : n.peer.to_string()},
                      {"address", harmless(n.address)},
                      {"up", n.up}};
        if (!n.up) add_error(out, n.error);
    }
    void operator()(const Trained& n) {
        out.level = Level::debug;
        if (n.sample_count == 0) {  // a mean over simulated peers: nothing else is known
            out.text = fmt::format("round {}: trained, loss {:.4f}", n.round, n.loss);
            out.fields = {{"round", integer(n.round)}, {"loss", n.loss}};
            out.metrics = {{"loss/train", n.round, n.loss}};
            return;
        }
        out.text = fmt::format("round {}: trained on {} samples in {}, loss {:.4f}", n.round,
                               n.sample_count, format_duration(n.elapsed), n.loss);
        out.fields = {{"round", integer(n.round)},
                      {"loss", n.loss},
                      {"samples", integer(n.sample_count)},
                      {"seconds", seconds(n.elapsed)}};
        out.metrics = {{"loss/train", n.round, n.loss},
                       {"round/train_seconds", n.round, seconds(n.elapsed)}};
    }
    void operator()(const Evaluated& n) {
        out.text = fmt::format("round {}: accuracy {:.4f}, loss {:.4f} ({}, {} samples)", n.round,
                               n.accuracy, n.loss, harmless(n.where), n.sample_count);
        out.fields = {{"round", integer(n.round)},
                      {"where", harmless(n.where)},
                      {"accuracy", n.accuracy},
                      {"loss", n.loss},
                      {"samples", integer(n.sample_count)}};
        std::string set = n.where == "clients" ? "clients" : "test";
        out.metrics = {{"accuracy/" + set, n.round, n.accuracy}, {"loss/" + set, n.round, n.loss}};
    }
    void operator()(const Mixed& n) {
        out.level = n.left_out.empty() ? Level::debug : Level::info;
        if (n.mixed.empty() && n.left_out.empty()) {  // likewise, or a step without neighbours
            out.text = fmt::format("round {}: mixed, distance {:.3g}", n.step, n.distance);
            out.fields = {{"round", integer(n.step)}, {"distance", n.distance}};
            out.metrics = {{"consensus/distance", n.step, n.distance}};
            return;
        }
        out.text = fmt::format("round {}: mixed with {} neighbours, distance {:.3g}", n.step,
                               n.mixed.size(), n.distance);
        if (!n.left_out.empty()) out.text += ", left out: " + names_of(n.left_out);
        out.fields = {{"round", integer(n.step)},
                      {"distance", n.distance},
                      {"received_bytes", integer(n.received_bytes)},
                      {"mixed", integer(n.mixed.size())},
                      {"left_out", names_of(n.left_out)}};
        out.metrics = {{"consensus/distance", n.step, n.distance},
                       {"round/rx_bytes", n.step, static_cast<double>(n.received_bytes)},
                       {"peers/mixed", n.step, static_cast<double>(n.mixed.size())},
                       {"peers/left_out", n.step, static_cast<double>(n.left_out.size())}};
    }
    void operator()(const RoundFinished& n) {
        out.text = fmt::format("round {}: {} updates, loss {:.4f}, {} in {}", n.round,
                               n.accepted.size(), n.loss, format_bytes(integer(n.received_bytes)),
                               format_duration(n.elapsed));
        if (n.late + n.refused > 0)
            out.text += fmt::format(" ({} late, {} refused)", n.late, n.refused);
        out.fields = {{"round", integer(n.round)},
                      {"loss", n.loss},
                      {"accepted", integer(n.accepted.size())},
                      {"late", integer(n.late)},
                      {"refused", integer(n.refused)},
                      {"received_bytes", integer(n.received_bytes)},
                      {"seconds", seconds(n.elapsed)},
                      {"model", n.model.to_string()}};
        out.metrics = {{"loss/train", n.round, n.loss},
                       {"round/seconds", n.round, seconds(n.elapsed)},
                       {"round/accepted", n.round, static_cast<double>(n.accepted.size())},
                       {"round/late", n.round, static_cast<double>(n.late)},
                       {"round/refused", n.round, static_cast<double>(n.refused)},
                       {"round/rx_bytes", n.round, static_cast<double>(n.received_bytes)}};
    }
    void operator()(const UpdateRefused& n) {
        out.level = Level::warning;
        out.text = fmt::format("round {}: update of {} refused: {}", n.round, n.peer.short_string(),
                               harmless(n.error.to_string()));
        out.fields = {{"round", integer(n.round)}, {"peer", n.peer.to_string()}};
        add_error(out, n.error);
    }
    void operator()(const CheckpointWritten& n) {
        out.level = Level::debug;
        out.text = fmt::format("round {}: checkpoint {}", n.round, harmless(n.path));
        out.fields = {{"round", integer(n.round)}, {"path", harmless(n.path)}};
    }
    void operator()(const CaughtUp& n) {
        out.text = fmt::format("caught up from round {} to {} with the model of {}", n.from_round,
                               n.to_round, n.from.short_string());
        out.fields = {{"round", integer(n.to_round)},
                      {"from_round", integer(n.from_round)},
                      {"peer", n.from.to_string()}};
    }
    void operator()(const Resumed& n) {
        out.level = Level::warning;
        out.text = "this machine slept or stalled for " + format_duration(n.asleep);
        out.fields = {{"seconds", seconds(n.asleep)}};
    }
    void operator()(const Warning& n) {
        out.level = Level::warning;
        out.text = harmless(n.error.to_string());
        out.repeat_key = fmt::format("{} {}", static_cast<int>(n.error.code), n.error.what);
        add_error(out, n.error);
    }
};

// Length of the well-formed and harmless character at the start, 0 when there is none.
std::size_t plain_length(std::string_view text) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
    std::size_t length = byte(0) >> 5 == 6    ? 2
                         : byte(0) >> 4 == 14 ? 3
                         : byte(0) >> 3 == 30 ? 4
                                              : 0;
    if (length == 0 || text.size() < length) return 0;
    std::uint32_t point = byte(0) & (0x7fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if (byte(i) >> 6 != 2) return 0;
        point = point << 6 | (byte(i) & 0x3fu);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool direction = (point >= 0x200e && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
                     (point >= 0x2066 && point <= 0x2069);
    bool surrogate = point >= 0xd800 && point < 0xe000;
    bool control = point < 0xa0;
    if (point < least[length] || point > 0x10ffff || direction || surrogate || control) return 0;
    return length;
}

}  // namespace

std::string_view to_string(Level level) {
    constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
    return names[static_cast<std::size_t>(level)];
}

bool parse_level(std::string_view text, Level& level) {
    for (auto candidate : {Level::debug, Level::info, Level::warning, Level::error})
        if (to_string(candidate) == text) return level = candidate, true;
    return false;
}

Event describe(const Notice& notice) {
    Event event{.name = std::string(name_of(notice))};
    std::visit(Describer{event}, notice);
    return event;
}

std::string harmless(std::string_view text, std::size_t bytes_max) {
    std::string out;
    while (!text.empty()) {
        if (out.size() >= bytes_max) return out + "…";
        if (auto length = plain_length(text)) {
            out += text.substr(0, length);
            text.remove_prefix(length);
        } else {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
            text.remove_prefix(1);
        }
    }
    return out;
}

std::string field_text(const FieldValue& value) {
    if (auto flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (auto whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
    if (auto real = std::get_if<double>(&value)) return fmt::format("{:.6g}", *real);
    return std::get<std::string>(value);
}

std::string rfc3339(WallTime time) {
    auto seconds_part = time.ns / 1'000'000'000, rest = time.ns % 1'000'000'000;
    if (rest < 0) rest += 1'000'000'000, --seconds_part;
    std::time_t clock = seconds_part;
    std::tm utc{};
    ::gmtime_r(&clock, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                       rest / 1000);
}

}  // namespace gossamer::telemetry
