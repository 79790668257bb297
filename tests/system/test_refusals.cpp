// What a program says and how it ends when it cannot begin.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "fleet.hpp"
#include "strangers.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

namespace fs = std::filesystem;

struct Ended {
    std::optional<int> code;
    std::string said;
};

Ended start_in_vain(cli::World& world, cli::Daemon& daemon) {
    fs::remove(daemon.log);
    REQUIRE(world.start(daemon));
    auto code = daemon.process.wait(30s);
    return {code, text_of(daemon.log)};
}

// What a program says that does its work and ends.
Ended ask(const cli::World& world, const std::vector<std::string>& words) {
    const auto log = world.folder + "/answer";
    fs::remove(log);
    auto process = cli::Process::start({words, log, {}});
    REQUIRE(process);
    const auto code = process->wait(30s);
    return {code, text_of(log)};
}

// One line says: the stable code, what is wrong, and what to do about it.
void check_refused(const Ended& ended, int code, ErrorCode error, std::string_view what,
                   std::string_view hint = {}) {
    CAPTURE(ended.said);
    CAPTURE(what);
    CHECK(ended.code == code);
    const auto& info = describe(error);
    CHECK(ended.said.find(std::string(info.id) + ": ") != std::string::npos);
    CHECK(ended.said.find(what) != std::string::npos);
    CHECK(ended.said.find(hint.empty() ? info.advice : hint) != std::string::npos);
}

// "12:1", where the key stands in the configuration that was written.
std::string place_of(const cli::Daemon& daemon, const std::string& key) {
    auto text = text_of(daemon.config);
    auto at = text.find(key + " = ");
    REQUIRE(at != std::string::npos);
    auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(at), '\n');
    return std::to_string(line) + ":";
}

void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

std::string idx(unsigned char rank, std::initializer_list<std::uint32_t> shape,
                const std::string& values) {
    std::string bytes{'\0', '\0', '\x08', static_cast<char>(rank)};
    for (auto n : shape)
        for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(n >> shift);
    return bytes + values;
}

cli::World lone_peer(const std::string& name) {
    return make_world(name, "gossip", 1, {{"run.rounds", "1000000"}});
}

}  // namespace

TEST_CASE("a configuration with mistakes is refused with line, column and what was meant") {
    auto world = lone_peer("refused-config");
    auto& peer = world.daemons.front();
    const auto good = peer.options;

    peer.options["gossip.local_step"] = "5";
    auto ended = start_in_vain(world, peer);
    check_refused(ended, 2, ErrorCode::kConfigUnknownKey, "unknown key \"gossip.local_step\"",
                  "did you mean \"gossip.local_steps\"?");
    CHECK(ended.said.find("config.toml:" + place_of(peer, "gossip.local_step")) !=
          std::string::npos);

    peer.options = good;
    peer.options["run.rounds"] = "\"many\"";
    ended = start_in_vain(world, peer);
    check_refused(ended, 2, ErrorCode::kConfigType, "run.rounds");
    CHECK(ended.said.find("config.toml:" + place_of(peer, "run.rounds")) != std::string::npos);

    peer.options["run.rounds"] = "-3";
    peer.options["transport.hello_deadline"] = "\"2 fortnights\"";
    ended = start_in_vain(world, peer);  // both are told at once
    check_refused(ended, 2, ErrorCode::kConfigRange, "run.rounds");
    check_refused(ended, 2, ErrorCode::kConfigType, "transport.hello_deadline");

    peer.options = good;
    peer.options["run.rounds"] = "[";
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kConfigSyntax, "config.toml:");
}

TEST_CASE("a missing configuration file and a wrong flag end with code 2") {
    auto folder = fresh_folder("refused-flags");
    const auto run = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), GOSSAMER_BUILD_FOLDER "/peers/gossamer-peer");
        auto process = cli::Process::start({arguments, folder + "/log", {}});
        REQUIRE(process);
        auto code = process->wait(30s);
        return Ended{code, text_of(folder + "/log")};
    };
    check_refused(run({"--config", folder + "/nowhere.toml"}), 2, ErrorCode::kConfigUnreadable,
                  "nowhere.toml");
    auto ended = run({"--confg", "x"});
    CHECK(ended.code == 2);
    CHECK(ended.said.find("--help") != std::string::npos);
}

TEST_CASE("data files that are missing, cut short, of another form or wrongly labelled") {
    auto world = make_world("refused-data", "federated", 1, {{"run.rounds", "1000000"}});
    auto& aggregator = world.daemons.at(0);
    auto& peer = world.daemons.at(1);
    fs::path folder = world.folder + "/data";
    fs::create_directories(folder);
    for (auto* daemon : {&aggregator, &peer}) {
        daemon->options["data.format"] = "\"idx\"";
        daemon->options["data.folder"] = cli::toml_text(folder.string());
        daemon->options["data.classes"] = "3";
        for (std::string set : {"train", "test"}) {
            daemon->options["data." + set] = cli::toml_text(set + "-images");
            daemon->options["data." + set + "_labels"] = cli::toml_text(set + "-labels");
        }
    }
    const std::string pixels(40 * 4, '\x11');
    std::string labels;
    for (int i = 0; i < 40; ++i) labels += static_cast<char>(i % 3);
    const auto whole = [&] {
        for (std::string set : {"train", "test"}) {
            write(folder / (set + "-images"), idx(3, {40, 2, 2}, pixels));
            write(folder / (set + "-labels"), idx(1, {40}, labels));
        }
    };
    for (auto* daemon : {&aggregator, &peer}) {
        CAPTURE(daemon->name);
        whole();
        fs::remove(folder / "train-images");
        check_refused(start_in_vain(world, *daemon), 2, ErrorCode::kDataMissing, "train-images");
        write(folder / "train-images", idx(3, {41, 2, 2}, pixels));
        check_refused(start_in_vain(world, *daemon), 2, ErrorCode::kDataTruncated, "train-images");
    }
    write(folder / "train-images", "P5 2 2 255 no IDX file");
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kDataFormat, "train-images");
    whole();
    labels[7] = 3;
    write(folder / "train-labels", idx(1, {40}, labels));
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kDataLabel, "3");
}

TEST_CASE("an identity that is missing, readable by others, or not its own") {
    auto world = lone_peer("refused-identity");
    auto& peer = world.daemons.front();
    const Forger forger(world.folder + "/federation");
    const fs::path folder = peer.folder + "/identity";

    auto good = forger.honest();
    write_identity(folder, good, forger.trust());
    REQUIRE(::chmod((folder / "key.pem").c_str(), 0640) == 0);
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kKeyPermissions, "key.pem",
                  "chmod 600 " + (folder / "key.pem").string());

    write(folder / "key.pem", "no key at all\n");
    REQUIRE(::chmod((folder / "key.pem").c_str(), 0600) == 0);
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kKeyFormat, "");

    good.key = security::IdentityKey::generate();  // not the one the certificate was signed for
    write_identity(folder, good, forger.trust());
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kTlsKeyMismatch, "");

    fs::remove_all(folder);
    check_refused(start_in_vain(world, peer), 2, ErrorCode::kKeyMissing, "key.pem");
}

TEST_CASE("an own certificate that is of no use is refused at the start, not on the wire") {
    auto world = make_world("refused-certificate", "federated", 1, {{"run.rounds", "1000000"}});
    auto& aggregator = world.daemons.at(0);
    auto& peer = world.daemons.at(1);
    const Forger forger(world.folder + "/federation");
    const auto start_with = [&](const Claim& claim) {
        write_identity(peer.folder + "/identity", claim, forger.trust());
        return start_in_vain(world, peer);
    };
    check_refused(start_with(forger.claim([](auto& f) {
                      f.not_before = wall_now() + -3 * security::kDay;
                      f.not_after = wall_now() + -2 * security::kDay;
                  })),
                  2, ErrorCode::kTlsExpired, "");
    check_refused(start_with(forger.claim([](auto& f) {
                      f.not_before = wall_now() + 2 * security::kDay;
                      f.not_after = wall_now() + 3 * security::kDay;
                  })),
                  3, ErrorCode::kTlsNotYetValid, "");  // time mends it

    const Forger elsewhere(*security::create_federation({.name = "elsewhere", .now = wall_now()}));
    check_refused(start_with(elsewhere.honest()), 2, ErrorCode::kTlsFederation, "");
    const auto own_name = [&](auto& f) {
        auto name = *security::CertificateName::parse(f.uri);
        name.federation = forger.trust().federation();
        f.uri = name.to_uri();
    };
    // It names this federation, but another authority signed it.
    auto impostor = elsewhere.claim(own_name);
    impostor.chain.back() = forger.honest().chain.back();
    check_refused(start_with(impostor), 2, ErrorCode::kTlsUntrusted, "");

    check_refused(start_with(forger.honest(Role::aggregator)), 2, ErrorCode::kTlsRole,
                  "role aggregator, and this program needs peer", "--role peer");
    write_identity(aggregator.folder + "/identity", forger.honest(), forger.trust());
    check_refused(start_in_vain(world, aggregator), 2, ErrorCode::kTlsRole,
                  "role peer, and this program needs aggregator", "--role aggregator");
}

TEST_CASE("a port in use and an address of another machine") {
    auto world = lone_peer("refused-port");
    auto& peer = world.daemons.front();
    int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port_of(peer)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(taken, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(taken, 1) == 0);
    check_refused(start_in_vain(world, peer), 1, ErrorCode::kNetAddressInUse,
                  std::to_string(port_of(peer)));
    ::close(taken);

    peer.options["listen.address"] = "\"192.0.2.1:7400\"";
    check_refused(start_in_vain(world, peer), 1, ErrorCode::kNetListen, "192.0.2.1");
}

TEST_CASE("config check, --check and a start refuse the same, with code 2 and the place") {
    auto world = lone_peer("refused-together");
    auto& peer = world.daemons.front();
    const auto good = peer.options;
    const auto all_refuse = [&](const std::string& key, const std::string& value, ErrorCode error,
                                std::string_view what, std::string_view hint = {}) {
        peer.options = good;
        peer.options[key] = value;
        const auto started = start_in_vain(world, peer);
        const auto place = "config.toml:" + place_of(peer, key);
        for (const auto& ended :
             {started, ask(world, {peer.program, "--config", peer.config, "--check"}),
              ask(world,
                  {GOSSAMER_BUILD_FOLDER "/cli/gossamer", "config", "check", peer.config})}) {
            check_refused(ended, 2, error, what, hint);
            CHECK(ended.said.find(place) != std::string::npos);
        }
    };
    all_refuse("listen.address", "\"here\"", ErrorCode::kNetAddress, "listen.address: \"here\"");
    all_refuse("membership.seeds", "[\"there\"]", ErrorCode::kNetAddress,
               "membership.seeds: \"there\"");
    all_refuse("gossip.algorithm", "\"telepathy\"", ErrorCode::kAlgorithmUnknown, "telepathy");
    all_refuse("gossip.codec", "\"int8\"", ErrorCode::kConfigConflict, "gossip.codec: codec int8",
               "set gossip.codec to f32, f16 or bf16");
    all_refuse("topology.graph", "\"torus\"", ErrorCode::kTopology,
               "topology.graph: torus: 1 peers", "use ring");
}

TEST_CASE("an aggregator of a gossip run is refused by --check as by its start") {
    auto world = make_world("refused-role", "federated", 1, {{"run.rounds", "1000000"}});
    auto& aggregator = world.daemons.at(0);
    aggregator.options["run.mode"] = "\"gossip\"";
    check_refused(start_in_vain(world, aggregator), 2, ErrorCode::kConfigConflict,
                  "a gossip run has no aggregator", "start gossamer-peer");
    check_refused(ask(world, {aggregator.program, "--config", aggregator.config, "--check"}), 2,
                  ErrorCode::kConfigConflict, "a gossip run has no aggregator",
                  "start gossamer-peer");
}

TEST_CASE("a base model that is missing or damaged is one of the configuration's faults") {
    auto world = lone_peer("refused-base");
    auto& peer = world.daemons.front();
    const auto base = world.folder + "/base.safetensors";
    peer.options["model.base"] = cli::toml_text(base);
    const auto refused = [&](std::string_view what) {
        const auto ended = start_in_vain(world, peer);
        check_refused(ended, 2, ErrorCode::kModelBase, what);
        CHECK(ended.said.find("config.toml:" + place_of(peer, "model.base")) != std::string::npos);
        CHECK(ended.said.find("model.base: ") != std::string::npos);
        check_refused(ask(world, {peer.program, "--config", peer.config, "--check"}), 2,
                      ErrorCode::kModelBase, what);
    };
    refused("base.safetensors: No such file or directory");
    write(base, "no safetensors at all");
    refused("base.safetensors: safetensors: ");
    fs::remove(base);
    fs::create_directory(base);
    refused("base.safetensors is not a regular file");
}
