#include <doctest/doctest.h>

#include "tests/cli/command.hpp"

using namespace gossamer;
using namespace gossamer::cli_test;
using Json = nlohmann::json;

namespace {

const std::string kSource = GOSSAMER_SOURCE_FOLDER;

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

Json option_of(const Json& shown, const std::string& key) {
    for (const auto& option : shown["options"])
        if (option["key"] == key) return option;
    return nullptr;
}

}  // namespace

TEST_CASE("all errors of a configuration are told, each with its place and a suggestion") {
    const Folder f;
    const auto file = f.write("peer.toml",
                              "[run]\n"
                              "rounds = \"many\"\n"
                              "moode = \"gossip\"\n"
                              "[training]\n"
                              "  momentum = 7.0\n");
    const auto text = gossamer_command({"config", "check", file, "--set", "run.seeed=3"});
    CHECK(text.code == 2);
    CHECK(text.out.empty());
    CHECK(text.err.find("CFG-03: " + file + ":2:") != std::string::npos);
    CHECK(text.err.find("CFG-02: " + file + ":3:") != std::string::npos);
    CHECK(text.err.find("did you mean \"run.mode\"?") != std::string::npos);
    CHECK(text.err.find("CFG-04: " + file + ":5:") != std::string::npos);
    CHECK(text.err.find("did you mean \"run.seed\"?") != std::string::npos);

    const auto answer = as_json({"config", "check", file});
    CHECK(answer.code == 2);
    CHECK(answer.json()["ok"] == false);
    const auto errors = answer.json()["errors"];
    REQUIRE(errors.size() == 3);
    CHECK(errors[1]["code"] == "CFG-02");
    CHECK(errors[1]["line"] == 3);
    CHECK(errors[1]["column"] == 1);
    CHECK(errors[1]["hint"] == "did you mean \"run.mode\"?");
    CHECK(errors[2]["line"] == 5);
    CHECK(errors[2]["column"] == 3);
    CHECK(as_json({"config", "show", file}).code == 2);  // cannot be shown either
}

TEST_CASE("a file that is no TOML or not there is an error with its place and exit code 2") {
    const Folder f;
    const auto broken = as_json({"config", "check", f.write("a.toml", "[run]\nrounds = = 3\n")});
    CHECK(broken.code == 2);
    CHECK(broken.json()["errors"][0]["code"] == "CFG-01");
    CHECK(broken.json()["errors"][0]["line"] == 2);
    const auto missing = as_json({"config", "check", f / "nothing.toml"});
    CHECK(missing.code == 2);
    CHECK(missing.json()["errors"][0]["code"] == "CFG-07");
    CHECK(gossamer_command({"config", "check"}).code == 2);
}

TEST_CASE("values that are right alone and wrong together are found") {
    const Folder f;
    const auto file = f.write("peer.toml", "[run]\nmode = \"gossip\"\npeers = 6\n");
    CHECK(gossamer_command({"config", "check", file}).code == 0);
    const auto code_of = [&](const std::string& set) {
        const auto answer = as_json({"config", "check", file, "--set", set});
        CHECK(answer.code == 2);
        return answer.json()["errors"][0]["code"].get<std::string>();
    };
    CHECK(code_of("run.rounds=0") == "CFG-06");
    CHECK(code_of("topology.graph=hypercube") == "TOP-01");
    CHECK(code_of("gossip.algorithm=telepathy") == "ALG-01");
    CHECK(code_of("gossip.codec=morse") == "UPD-06");
    CHECK(code_of("training.nesterov=true") == "CFG-06");
    CHECK(code_of("membership.seeds=nowhere") == "NET-08");
}

TEST_CASE("what is wrong together is told all at once, each with line and column") {
    const Folder f;
    const auto file = f.write("peer.toml",
                              "[run]\n"
                              "mode = \"gossip\"\n"
                              "peers = 6\n"
                              "[gossip]\n"
                              "algorithm = \"telepathy\"\n"
                              "codec = \"int8\"\n"
                              "[topology]\n"
                              "  graph = \"hypercube\"\n"
                              "[listen]\n"
                              "address = \"nonsense\"\n"
                              "[membership]\n"
                              "seeds = [\"10.0.0.1:7400\", \"nowhere\", \"[ab]c:1\"]\n"
                              "[data]\n"
                              "csv_separator = \";;\"\n"
                              "[training]\n"
                              "optimizer = \"adam\"\n"
                              "momentum = 0.9\n");
    const auto answer = as_json({"config", "check", file});
    CHECK(answer.code == 2);
    std::string told;
    const auto errors = answer.json()["errors"];
    for (const auto& error : errors)
        told += error["code"].get<std::string>() + " " + error["line"].dump() + ":" +
                error["column"].dump() + "\n";
    CHECK(told ==
          "ALG-01 5:1\nCFG-06 6:1\nTOP-01 8:3\nNET-08 10:1\nNET-08 12:1\nNET-08 12:1\n"
          "CFG-03 14:1\nCFG-06 17:1\n");
    const auto text = gossamer_command({"config", "check", file});
    for (const auto& part :
         {"NET-08: " + file + ":10:1: listen.address: \"nonsense\"",
          "NET-08: " + file + ":12:1: membership.seeds: \"nowhere\"",
          "ALG-01: " + file + ":5:1: gossip.algorithm: gossip algorithm \"telepathy\"",
          "TOP-01: " + file + ":8:3: topology.graph: hypercube: 6 peers",
          "(training.optimizer: " + file + ":16:1)"})
        CHECK_MESSAGE(text.err.find(part) != std::string::npos, part, " in ", text.err);
}

TEST_CASE("layers, files and parts that cannot be are found before anything is read") {
    const Folder f;
    const auto file = f.write("peer.toml",
                              "[run]\n"
                              "peers = 2\n"
                              "[model]\n"
                              "layers = [\"dense 20 relu\", \"foo 3\"]\n"
                              "[data]\n"
                              "format = \"csv\"\n"
                              "part = 7\n"
                              "[membership]\n"
                              "banned = [\"nobody\"]\n"
                              "[listen]\n"
                              "advertise = \"a:b:c\"\n");
    const auto text = gossamer_command({"config", "check", file});
    CAPTURE(text.err);
    CHECK(text.code == 2);
    CHECK(text.err.find("MOD-01: " + file + ":4:") != std::string::npos);
    CHECK(text.err.find("data.train names no file") != std::string::npos);
    CHECK(text.err.find("CFG-04: " + file + ":7:") != std::string::npos);
    CHECK(text.err.find(":9:") != std::string::npos);
    CHECK(text.err.find(":11:") != std::string::npos);
}

TEST_CASE("a file without a role has to be right for peer and aggregator") {
    const Folder f;
    const auto file =
        f.write("any.toml", "[federated]\nstrategy = \"fed_best\"\ncodec = \"zip\"\n");
    const auto answer = as_json({"config", "check", file});
    CHECK(answer.code == 2);
    REQUIRE(answer.json()["errors"].size() == 2);
    CHECK(answer.json()["errors"][0]["code"] == "ALG-01");
    CHECK(answer.json()["errors"][0]["line"] == 2);
    CHECK(answer.json()["errors"][1]["code"] == "UPD-06");
    CHECK(answer.json()["errors"][1]["line"] == 3);
    CHECK(gossamer_command({"config", "check", file, "--set", "federated.strategy=fed_avg", "--set",
                            "federated.codec=int8"})
              .code == 0);
}

TEST_CASE("a section that nobody knows is an error, also without a key in it") {
    const Folder f;
    const auto answer = as_json({"config", "check", f.write("a.toml", "[run]\n[runn]\n")});
    CHECK(answer.code == 2);
    const auto errors = answer.json()["errors"];
    REQUIRE(errors.size() == 1);
    CHECK(errors[0]["code"] == "CFG-02");
    CHECK(errors[0]["line"] == 2);
    CHECK(errors[0]["what"].get<std::string>().ends_with("unknown section \"runn\""));
    CHECK(errors[0]["hint"] == "did you mean \"run\"?");
}

TEST_CASE("show tells every value with its source and reason") {
    const Folder f;
    const auto file = f.write("peer.toml", "[run]\nname = \"meadow\"\nrounds = 7\n");
    const auto answer = as_json({"config", "show", file, "--set", "run.rounds=9"});
    REQUIRE(answer.code == 0);
    const auto shown = answer.json();
    CHECK(option_of(shown, "run.name")["source"] == "file " + file + ":2");
    CHECK(option_of(shown, "run.rounds")["value"] == 9);
    CHECK(option_of(shown, "run.rounds")["source"] == "--set");
    CHECK(option_of(shown, "listen.address")["source"] == "default");
    for (const auto& option : shown["options"])
        CHECK_MESSAGE(!option["reason"].get<std::string>().empty(), option["key"]);

    // What is shown as text is a configuration again, with the same values.
    const auto text = gossamer_command({"config", "show", file, "--set", "run.rounds=9"});
    REQUIRE(text.code == 0);
    const auto again = as_json({"config", "show", f.write("again.toml", text.out)}).json();
    for (const auto& option : shown["options"])
        CHECK(option_of(again, option["key"])["value"] == option["value"]);
    CHECK(gossamer_command({"config", "show"}).code == 0);  // the defaults alone
}

TEST_CASE("the sample configurations are right, and a peer's fits the aggregator's") {
    for (const auto* name :
         {"/peers/peer.toml", "/peers/federated-peer.toml", "/aggregator/aggregator.toml"}) {
        const auto answer = gossamer_command({"config", "check", kSource + name});
        CHECK_MESSAGE(answer.code == 0, name, ": ", answer.err);
        CHECK(answer.out.find("warning") == std::string::npos);
    }
    const auto peer = as_json({"config", "show", kSource + "/peers/federated-peer.toml"}).json();
    const auto hub = as_json({"config", "show", kSource + "/aggregator/aggregator.toml"}).json();
    for (const auto* key : {"run.name", "run.mode", "run.seed", "model.name", "federated.codec"})
        CHECK(option_of(peer, key)["value"] == option_of(hub, key)["value"]);
    CHECK(option_of(peer, "data.parts")["value"] == option_of(hub, "run.peers")["value"]);
}

TEST_CASE("what the samples keep as comments is right too, once it is uncommented") {
    const Folder f;
    std::istringstream lines(text_of(kSource + "/peers/peer.toml"));
    std::string line, section, together;  // lines that follow each other go together
    int tried = 0;
    while (std::getline(lines, line)) {
        if (line.starts_with("[")) section = line;
        const auto equals = line.find(" = ");
        if (line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) == equals) {
            together += line.substr(2) + "\n";
            ++tried;
            continue;
        }
        if (together.empty()) continue;
        const auto file = f.write("one.toml", section + "\n" + together);
        const auto answer = gossamer_command({"config", "check", file});
        CHECK_MESSAGE(answer.code == 0, together, ": ", answer.err);
        together.clear();
    }
    CHECK(tried >= 8);
}

TEST_CASE("the systemd units start the daemons with options there are") {
    for (const std::string role : {"peer", "aggregator"}) {
        const auto folder = role == "peer" ? "/peers/" : "/aggregator/";
        const auto unit = text_of(kSource + folder + "gossamer-" + role + ".service.in");
        CHECK(unit.find("\nType=notify\n") != std::string::npos);
        const auto start = unit.find("ExecStart=@bindir@/gossamer-" + role + " --config ");
        REQUIRE(start != std::string::npos);
        std::istringstream words(unit.substr(start, unit.find('\n', start) - start));
        std::string word;
        int sets = 0;
        while (words >> word) {
            if (word != "--set") continue;
            REQUIRE(static_cast<bool>(words >> word));
            ++sets;
            CHECK(gossamer_command({"config", "show", "--set", word}).code == 0);
        }
        CHECK(sets == 1);
    }
}
