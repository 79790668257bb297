// `gossamer status` and `gossamer members`: what a running daemon says over its control socket.
#include <cmath>
#include <limits>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/table.hpp"
#include "drivers/runtime/control.hpp"
#include "gossamer/base/options.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::cli {
namespace {

using program::ExitCode;
using Json = nlohmann::ordered_json;

// Where daemons listen when nobody said otherwise: beside their runs, or under systemd.
constexpr const char* kSockets[] = {"runs/gossamer-peer.sock", "runs/gossamer-aggregator.sock",
                                    "/run/gossamer-peer/control.sock",
                                    "/run/gossamer-aggregator/control.sock"};
constexpr Duration kPatience = 3s;

double number(const Json& value) {
    return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}
double number_in(const Json& object, const char* key) {
    return object.is_object() && object.contains(key) ? number(object[key])
                                                      : std::numeric_limits<double>::quiet_NaN();
}
std::string text_in(const Json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_string()
               ? object[key].get<std::string>()
               : std::string();
}
std::uint64_t count_in(const Json& object, const char* key) {
    const double value = number_in(object, key);
    return value > 0 && value < 9e18 ? static_cast<std::uint64_t>(value) : 0;
}
const Json& list_in(const Json& object, const char* key) {
    static const Json kNone = Json::array();
    return object.contains(key) && object[key].is_array() ? object[key] : kNone;
}

// Names, addresses and reasons may be what other peers chose.
void make_harmless(Json& json) {
    if (json.is_string())
        json = telemetry::harmless(json.get_ref<const std::string&>());
    else if (json.is_structured())
        for (auto& part : json) make_harmless(part);
}

Result<std::string> ask_any(const std::string& socket) {
    constexpr std::string_view kQuestion = R"({"command":"status"})";
    if (!socket.empty()) return runtime::ask_daemon(socket, kQuestion, kPatience);
    std::string tried;
    for (const char* path : kSockets) {
        auto answer = runtime::ask_daemon(path, kQuestion, kPatience);
        if (answer || answer.error().code != ErrorCode::kControlUnreachable) return answer;
        tried += (tried.empty() ? "" : ", ") + std::string(path);
    }
    return fail(ErrorCode::kControlUnreachable, "no daemon answers at " + tried,
                "start the daemon, name its socket with --socket (control.socket, or "
                "gossamer-<role>.sock in run.folder), and ask as the daemon's user or root");
}

// What the daemon answered, harmless, with wall times beside the relative ones.
Result<Json> ask(Console& console, const std::string& socket) {
    GOSSAMER_TRY(const auto answer, ask_any(socket));
    auto json = Json::parse(answer, nullptr, false);
    if (!json.is_object())
        return fail(ErrorCode::kControlUnreachable, "what listens there is no Gossamer daemon",
                    "name the daemon's socket with --socket");
    make_harmless(json);
    if (json.contains("error")) {
        const ErrorInfo* info = find_error(text_in(json["error"], "code"));
        return fail(info ? info->code : ErrorCode::kInternal, text_in(json["error"], "what"),
                    text_in(json["error"], "hint"));
    }
    const auto at = [&](double from_now) {
        return telemetry::rfc3339(console.now() +
                                  Duration(static_cast<std::int64_t>(from_now * 1e9)));
    };
    if (json.contains("waiting") && json["waiting"].is_array())
        for (auto& waiting : json["waiting"]) {
            if (!waiting.is_object()) continue;
            const double since = number_in(waiting, "for"), left = number_in(waiting, "left");
            waiting["since"] = std::abs(since) < 1e9 ? Json(at(-since)) : Json(nullptr);
            waiting["until"] = std::abs(left) < 1e9 ? Json(at(left)) : Json(nullptr);
        }
    return json;
}

std::string short_id(const std::string& id) { return id.substr(0, 8); }
std::string clock_of(const std::string& rfc3339) {  // "12:00:00"
    return rfc3339.size() < 19 ? rfc3339 : rfc3339.substr(11, 8);
}

std::string waiting_text(const Json& waiting) {
    std::string text = "  waits for   " + text_in(waiting, "what");
    std::string whom;
    for (const auto& id : list_in(waiting, "whom"))
        if (id.is_string()) whom += (whom.empty() ? "" : ", ") + short_id(id.get<std::string>());
    if (!whom.empty()) text += ": " + whom;
    text += fmt::format("\n              since {} UTC ({}), ", clock_of(text_in(waiting, "since")),
                        short_time(number_in(waiting, "for")));
    const double left = number_in(waiting, "left");
    text += std::isnan(left)
                ? std::string("without a limit")
                : fmt::format("until {} UTC ({} left)", clock_of(text_in(waiting, "until")),
                              short_time(std::max(left, 0.0)));
    return text + "\n";
}

std::string members_line(const Json& members) {
    std::vector<std::pair<std::string, int>> counts;  // in the order seen
    for (const auto& member : members) {
        const auto state = text_in(member, "state");
        auto found = std::ranges::find(counts, state, &std::pair<std::string, int>::first);
        if (found == counts.end()) found = counts.insert(counts.end(), {state, 0});
        ++found->second;
    }
    std::string text;
    for (const auto& [state, count] : counts)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, state);
    return text.empty() ? "no other member is known" : text;
}

std::string status_text(const Json& json) {
    const auto round_max = count_in(json, "round_max");
    const auto bytes = [&](const char* key) {
        return format_bytes(static_cast<std::int64_t>(count_in(json, key)));
    };
    std::string text = fmt::format("{} {} of run \"{}\" ({}), Gossamer {}\n", text_in(json, "role"),
                                   short_id(text_in(json, "peer")), text_in(json, "run"),
                                   text_in(json, "mode"), text_in(json, "version"));
    text += fmt::format("  round       {}{}, {}\n", count_in(json, "round"),
                        round_max ? fmt::format(" of {}", round_max) : "", text_in(json, "phase"));
    text +=
        fmt::format("  loss        {}\n  accuracy    {}\n", short_number(number_in(json, "loss")),
                    short_number(number_in(json, "accuracy")));
    text += fmt::format("  traffic     {} sent, {} received\n", bytes("sent_bytes"),
                        bytes("received_bytes"));
    text += "  members     " + members_line(list_in(json, "members")) + "\n";
    const auto folder = text_in(json, "folder");
    text +=
        "  records     " + (folder.empty() ? std::string("none can be written") : folder) + "\n";
    for (const auto& waiting : list_in(json, "waiting")) text += waiting_text(waiting);
    if (list_in(json, "waiting").empty()) text += "  waits for   nobody\n";
    return text;
}

std::string members_text(const Json& json) {
    std::vector<Row> rows{{"peer", "role", "state", "linked", "round trip", "silent for", "round",
                           "phase", "reason"}};
    for (const auto& member : list_in(json, "members")) {
        const bool linked = member.is_object() && member.contains("linked") &&
                            member["linked"].is_boolean() && member["linked"].get<bool>();
        const double round_trip = number_in(member, "round_trip");
        rows.push_back(
            {short_id(text_in(member, "id")), text_in(member, "role"), text_in(member, "state"),
             linked ? "yes" : "no", round_trip > 0 ? short_time(round_trip) : "-",
             short_time(number_in(member, "silent_for")), std::to_string(count_in(member, "round")),
             text_in(member, "phase"), text_in(member, "reason")});
    }
    if (rows.size() == 1) return "no other member is known\n";
    return text_table(rows);
}

Result<ExitCode> status(Console& console, const std::string& socket) {
    GOSSAMER_TRY(const auto json, ask(console, socket));
    console.answer(json, status_text(json));
    return ExitCode::ok;
}

Result<ExitCode> members(Console& console, const std::string& socket) {
    GOSSAMER_TRY(const auto json, ask(console, socket));
    console.answer({{"schema_version", 1},
                    {"peer", text_in(json, "peer")},
                    {"run", text_in(json, "run")},
                    {"members", list_in(json, "members")}},
                   members_text(json));
    return ExitCode::ok;
}

void add_command(CLI::App& app, CommandLine& line, const std::string& name,
                 const std::string& description,
                 Result<ExitCode> (*run)(Console&, const std::string&)) {
    auto* command = app.add_subcommand(name, description);
    auto socket = std::make_shared<std::string>();
    command->fallthrough()->footer(
        fmt::format("  gossamer {0}\n"
                    "  gossamer {0} --socket /run/gossamer-peer/control.sock --format json",
                    name));
    command->add_option("--socket", *socket,
                        "the daemon's control socket; default: runs/gossamer-peer.sock, then "
                        "runs/gossamer-aggregator.sock, then those of the systemd units");
    command->callback([&line, socket, run] {
        line.chosen = [socket, run](Console& console) { return run(console, *socket); };
    });
}

}  // namespace

void add_status_commands(CLI::App& app, CommandLine& line) {
    add_command(app, line, "status", "What a running daemon does, and whom it waits for", status);
    add_command(app, line, "members", "Whom a running daemon knows, and how they are", members);
}

}  // namespace gossamer::cli
