#include <doctest/doctest.h>

#include <limits>

#include "drivers/runtime/control.hpp"
#include "drivers/runtime/status_json.hpp"
#include "tests/cli/command.hpp"

using namespace gossamer;
using namespace gossamer::cli_test;
using Json = nlohmann::json;

namespace {

PeerId peer(unsigned char number) {
    PeerId id;
    id.bytes.fill(std::byte{number});
    return id;
}

constexpr Instant kNow{100'000'000'000};

node::NodeStatus some_status() {
    node::NodeStatus status;
    status.mode = message::Mode::gossip;
    status.phase = message::Phase::training;
    status.round = 12;
    status.round_max = 40;
    status.loss = std::numeric_limits<double>::quiet_NaN();
    status.accuracy = 0.8125;
    status.waiting.push_back(
        {"the models of step 13", {peer(0x22), peer(0x33)}, kNow - 3s, kNow + 12s});
    status.waiting.push_back({"a seed", {}, kNow - 90s, Instant::never()});
    node::MemberView alive;
    alive.record.id = peer(0x22);
    alive.linked = true;
    alive.round_trip = 1500us;
    alive.silent_for = 200ms;
    alive.progress.round = 11;
    node::MemberView dead;
    dead.record.id = peer(0x33);
    dead.record.role = Role::aggregator;
    dead.record.state = message::MemberState::dead;
    dead.silent_for = 75s;
    dead.reason = "said \x1b[31mred\xe2\x80\xae and went";
    status.members = {alive, dead};
    return status;
}

// A daemon's control socket with this answer.
class Answering {
public:
    Answering(const std::string& path, std::string answer)
        : socket_(runtime::ControlSocket::open(path, [answer = std::move(answer)](
                                                         std::string_view question) {
                      return runtime::command_of(question) == "status" ? answer : std::string("{}");
                  }).value()) {}

private:
    std::unique_ptr<runtime::ControlSocket> socket_;
};

std::string some_answer() {
    return runtime::status_json({.self = peer(0x11),
                                 .role = Role::peer,
                                 .run = "meadow",
                                 .folder = "runs/meadow-1",
                                 .version = "0.1.0"},
                                some_status(), {.received_bytes = 2000, .sent_bytes = 1000}, kNow);
}

}  // namespace

TEST_CASE("status says what the daemon does, and names who waits for whom, since and until when") {
    const Folder f;
    const auto path = f / "s";
    const Answering daemon(path, some_answer());
    const auto text = gossamer_command({"status", "--socket", path});
    REQUIRE(text.code == 0);
    CHECK(text.out.starts_with("peer 11111111 of run \"meadow\" (gossip), Gossamer 0.1.0\n"));
    for (const auto* part :
         {"round       12 of 40, training\n", "loss        -\n", "accuracy    0.8125\n",
          "1 alive, 1 dead\n", "records     runs/meadow-1\n",
          "waits for   the models of step 13: 22222222, 33333333\n", " UTC (3.0s), until ",
          " UTC (12.0s left)\n", "waits for   a seed\n", "(1m30s), without a limit\n"})
        CHECK_MESSAGE(text.out.find(part) != std::string::npos, part, " in ", text.out);

    const auto json = as_json({"status", "--socket", path}).json();
    CHECK(json["round"] == 12);
    CHECK(json["loss"].is_null());
    CHECK(json["waiting"][0]["whom"][1] == peer(0x33).to_string());
    CHECK(json["waiting"][0]["left"] == 12.0);
    CHECK(json["waiting"][0]["since"].get<std::string>().ends_with("Z"));
    CHECK(json["waiting"][1]["until"].is_null());
}

TEST_CASE("members are a table, and what a peer said cannot reach the terminal") {
    const Folder f;
    const auto path = f / "s";
    const Answering daemon(path, some_answer());
    const auto text = gossamer_command({"members", "--socket", path});
    REQUIRE(text.code == 0);
    std::istringstream lines(text.out);
    std::string heading, first, second, word;
    std::getline(lines, heading), std::getline(lines, first), std::getline(lines, second);
    const auto words = [&](const std::string& line) {
        std::vector<std::string> all;
        for (std::istringstream in(line); in >> word;) all.push_back(word);
        return all;
    };
    CHECK(words(first) == std::vector<std::string>{"22222222", "peer", "alive", "yes", "1.5ms",
                                                   "200ms", "11", "waiting"});
    const auto dead = words(second);
    REQUIRE(dead.size() > 8);
    CHECK(dead[1] == "aggregator");
    CHECK(dead[2] == "dead");
    CHECK(dead[3] == "no");
    CHECK(dead[4] == "-");
    CHECK(dead[5] == "1m15s");
    CHECK(heading.find("reason") == second.find("said"));

    const auto json = gossamer_command({"members", "--socket", path, "--format", "json"});
    for (const auto& out : {text.out, json.out}) {
        CHECK(out.find('\x1b') == std::string::npos);
        CHECK(out.find("\\u001b") == std::string::npos);
        CHECK(out.find("\xe2\x80\xae") == std::string::npos);
        CHECK(out.find("red") != std::string::npos);
    }
    CHECK(json.json()["members"].size() == 2);
}

TEST_CASE("without a daemon status and members exit with 3 and say what they tried") {
    const Folder f;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(f.path);
    for (const auto* command : {"status", "members"}) {
        const auto named = as_json({command, "--socket", f / "nobody"});
        CHECK(named.code == 3);
        CHECK(named.error_code() == "CTL-01");
        const auto text = gossamer_command({command});
        CHECK(text.code == 3);
        CHECK(text.err.find("runs/gossamer-aggregator.sock") != std::string::npos);
    }
    // Without --socket the daemon of this folder is found, an aggregator too.
    std::filesystem::create_directory("runs");
    {
        const Answering daemon("runs/gossamer-aggregator.sock", some_answer());
        CHECK(gossamer_command({"status"}).code == 0);
    }
    std::filesystem::current_path(before);
}

TEST_CASE("an error of the daemon is told as one, and nonsense is not believed") {
    const Folder f;
    const auto path = f / "s";
    {
        const Answering busy(
            path, runtime::error_json({ErrorCode::kLinkTimeout, "the daemon is busy", {}}));
        const auto answer = as_json({"status", "--socket", path});
        CHECK(answer.code == 4);
        CHECK(answer.error_code() == "LNK-04");
    }
    {
        const Answering other(path, "220 mail.example ESMTP");
        CHECK(as_json({"status", "--socket", path}).error_code() == "CTL-01");
    }
    {
        const Answering strange(path, R"({"members":[1,{"id":2}],"waiting":["x",{}],"round":-1})");
        CHECK(gossamer_command({"status", "--socket", path}).code == 0);
        CHECK(gossamer_command({"members", "--socket", path}).code == 0);
    }
}
