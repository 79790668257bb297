#include "drivers/runtime/status_json.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

namespace gossamer::runtime {
namespace {

using Json = nlohmann::json;

std::string_view name_of(message::Phase phase) {
    switch (phase) {
        case message::Phase::waiting: return "waiting";
        case message::Phase::training: return "training";
        case message::Phase::finishing: return "finishing";
        case message::Phase::finished: return "finished";
    }
    return "unknown";
}

Json known(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json member_json(const node::MemberView& member) {
    return {{"id", member.record.id.to_string()},
            {"role", to_string(member.record.role)},
            {"state", to_string(member.record.state)},
            {"addresses", std::vector<std::string>(member.record.addresses.begin(),
                                                   member.record.addresses.end())},
            {"linked", member.linked},
            {"round_trip", seconds(member.round_trip)},
            {"silent_for", seconds(member.silent_for)},
            {"round", member.progress.round},
            {"phase", name_of(member.progress.phase)},
            {"reason", member.reason}};
}

Json waiting_json(const message::Waiting& waiting, Instant now) {
    Json whom = Json::array();
    for (const auto& peer : waiting.whom) whom.push_back(peer.to_string());
    return {
        {"what", waiting.what},
        {"whom", whom},
        {"for", seconds(now - waiting.since)},
        {"left", waiting.until.is_never() ? Json(nullptr) : Json(seconds(waiting.until - now))}};
}

}  // namespace

std::string status_json(const Nameplate& plate, const node::NodeStatus& status, Traffic traffic,
                        Instant now) {
    Json json{{"schema_version", 1},
              {"peer", plate.self.to_string()},
              {"role", to_string(plate.role)},
              {"run", plate.run},
              {"folder", plate.folder},
              {"version", plate.version},
              {"mode", status.mode == message::Mode::gossip ? "gossip" : "federated"},
              {"phase", name_of(status.phase)},
              {"round", status.round},
              {"round_max", status.round_max},
              {"loss", known(status.loss)},
              {"accuracy", known(status.accuracy)},
              {"sent_bytes", traffic.sent_bytes},
              {"received_bytes", traffic.received_bytes},
              {"waiting", Json::array()},
              {"members", Json::array()}};
    for (const auto& waiting : status.waiting)
        json["waiting"].push_back(waiting_json(waiting, now));
    for (const auto& member : status.members) json["members"].push_back(member_json(member));
    // Reasons may quote what a peer sent: bytes that are no UTF-8 become the replacement character.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string error_json(const Error& error) {
    return Json{
        {"schema_version", 1},
        {"error", {{"code", describe(error.code).id}, {"what", error.what}, {"hint", error.hint}}}}
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string command_of(std::string_view question) {
    auto json = Json::parse(question, nullptr, false);
    if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) return {};
    return json["command"].get<std::string>();
}

}  // namespace gossamer::runtime
