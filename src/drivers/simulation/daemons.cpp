#include "drivers/simulation/daemons.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "drivers/assembly/federation_folder.hpp"
#include "records/config/value.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::simulation {
namespace {

using Values = std::map<std::string, std::string>;  // by key, as TOML writes them

std::string replaced(std::string text, std::string_view what, const std::string& by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

bool listens(const Scenario& scenario, std::uint32_t place) {
    return !scenario.federated() || scenario.role(place) == Role::aggregator;
}

std::string name_of(const Scenario& scenario, std::uint32_t place) {
    return place < scenario.peers() ? fmt::format("peer-{}", place) : "aggregator";
}

// Of all places; "" of those that only dial out.
Result<std::vector<std::string>> addresses_of(const Scenario& scenario, const DaemonExport& how) {
    std::vector<std::string> addresses(scenario.places());
    unsigned port = how.first_port;
    for (std::uint32_t place = 0; place < scenario.places(); ++place) {
        if (!listens(scenario, place)) continue;
        if (port > 65535)
            return fail(ErrorCode::kUsage,
                        fmt::format("{} peers need more ports than there are above {}",
                                    scenario.places(), how.first_port),
                        "give each machine an address of its own: --address node-{n}.example:7400");
        const bool aggregator = scenario.role(place) == Role::aggregator;
        const auto n = aggregator ? std::string("aggregator") : std::to_string(place);
        const bool counts = how.address.find("{port}") != how.address.npos;
        addresses[place] =
            replaced(replaced(how.address, "{port}", std::to_string(port)), "{n}", n);
        port += counts;
    }
    auto sorted = addresses;
    std::erase(sorted, "");
    std::ranges::sort(sorted);
    if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
        return fail(ErrorCode::kUsage, "two daemons would listen at " + *twice,
                    "write {port} or {n} into --address");
    for (const auto& address : sorted)
        if (address.rfind(':') == address.npos)
            return fail(ErrorCode::kUsage, "\"" + address + "\" names no port",
                        "write --address host:port, such as 10.0.0.{n}:7400");
    return addresses;
}

// The settings as they are, but for files: what they name from here is not there seen from the new
// folder. Files of data lie in data.folder; Fashion-MNIST has a folder of its own, made-up data
// none.
Result<config::Config> located(const Scenario& scenario) {
    auto config = scenario.config();
    const auto set_path = [&](const char* key, const std::string& path) {
        return config.set(key, std::filesystem::absolute(path).lexically_normal().string(),
                          "gossamer-sim export");
    };
    const auto& format = config.text("data.format");
    if (const auto& folder = config.text("data.folder"); !folder.empty()) {
        GOSSAMER_CHECK(set_path("data.folder", folder));
    } else if (format != "fashion-mnist" && format != "synthetic") {
        GOSSAMER_CHECK(set_path("data.folder", "."));
    }
    for (const char* key : {"model.base", "simulation.trace"})
        if (const auto& path = config.text(key); !path.empty()) {
            GOSSAMER_CHECK(set_path(key, path));
        }
    return config;
}

// Whatever the scenario sets; what it leaves out has the same default in the daemon.
Values shared_values(const Scenario& scenario, const config::Config& config) {
    Values values;
    for (const auto& option : config.schema().options())
        if (config.is_set(option.key) && !option.key.starts_with("simulation."))
            values[option.key] = config::value_to_toml(option, config.get(option.key));
    // Defaults that follow from the number of peers are written out.
    values["run.peers"] = std::to_string(scenario.run().peers);
    values["run.seed"] = std::to_string(scenario.run().seed.value);
    return values;
}

Values values_of(const Scenario& scenario, const config::Config& config, std::uint32_t place,
                 const std::vector<std::string>& addresses) {
    auto values = shared_values(scenario, config);
    const auto name = name_of(scenario, place);
    values["run.folder"] = config::toml_string(name + "/runs");
    values["identity.folder"] = config::toml_string(name + "/identity");
    values["listen.address"] = config::toml_string(addresses[place]);
    if (!scenario.config().is_set("work.threads")) values["work.threads"] = "1";
    if (scenario.role(place) == Role::aggregator) return values;
    values["data.part"] = std::to_string(place);
    values["data.parts"] = std::to_string(scenario.peers());
    std::vector<std::string> seeds;
    if (scenario.federated()) seeds.push_back(config::toml_string(addresses[scenario.peers()]));
    for (std::uint32_t other = 0; !scenario.federated() && other < scenario.peers(); ++other)
        if (other != place && seeds.size() < 3)
            seeds.push_back(config::toml_string(addresses[other]));
    values["membership.seeds"] = fmt::format("[{}]", fmt::join(seeds, ", "));
    return values;
}

std::string toml_of(const Values& values, const std::string& title) {
    std::map<std::string, std::string> sections;
    for (const auto& [key, value] : values)
        sections[std::string(config::section_of(key))] +=
            std::string(config::name_in_section(key)) + " = " + value + "\n";
    std::string text = "# " + title + "\n";
    for (const auto& [section, lines] : sections) text += "\n[" + section + "]\n" + lines;
    return text;
}

Status write(const std::string& path, const std::string& text) {
    const std::array parts{as_bytes(text)};
    return storage::RealDisk().replace_file(path, parts);
}

std::string start_script(const Scenario& scenario) {
    std::string text =
        "#!/bin/sh\n"
        "# Starts all daemons on this host and waits for their end; Ctrl-C stops them.\n"
        "# PEER and AGGREGATOR name other programs than those on the PATH.\n"
        "cd \"$(dirname \"$0\")\" || exit 1\n"
        ": \"${PEER:=gossamer-peer}\" \"${AGGREGATOR:=gossamer-aggregator}\"\n"
        "pids=\n"
        "trap 'kill $pids 2>/dev/null' INT TERM\n"
        "start() {\n"
        "    \"$1\" --config \"$2/config.toml\" > \"$2/log\" 2>&1 &\n"
        "    pids=\"$pids $!\"\n"
        "}\n";
    if (scenario.federated()) text += "start \"$AGGREGATOR\" aggregator\n";
    text += fmt::format(
        "i=0\n"
        "while [ $i -lt {} ]; do\n"
        "    start \"$PEER\" peer-$i\n"
        "    i=$((i + 1))\n"
        "done\n"
        "failed=0\n"
        "for pid in $pids; do\n"
        "    wait \"$pid\" || failed=1\n"
        "done\n"
        "exit $failed\n",
        scenario.peers());
    return text;
}

std::string readme(const Scenario& scenario, const std::vector<std::string>& addresses) {
    std::string text = fmt::format(
        "The scenario {} as {} real daemons.\n\n"
        "All on this host, and wait until the run is over:\n\n"
        "    ./start.sh\n\n"
        "Or each by itself, from this folder:\n\n",
        scenario.name(), scenario.places());
    if (scenario.federated()) text += "    gossamer-aggregator --config aggregator/config.toml\n";
    text += "    gossamer-peer --config peer-0/config.toml\n";
    if (scenario.peers() > 1) text += fmt::format("    ... up to peer-{}\n", scenario.peers() - 1);
    text +=
        "\nOn several machines: copy to each its own folder (peer-0, ...), keep this layout, and "
        "let no key\nleave its machine. Who listens:\n\n";
    std::size_t shown = 0;
    for (std::uint32_t place = scenario.places(); place-- > 0;)
        if (!addresses[place].empty() && ++shown <= 20)
            text += fmt::format("    {:<12} {}\n", name_of(scenario, place), addresses[place]);
    if (shown > 20) text += fmt::format("    and {} more\n", shown - 20);
    text +=
        "\nThe same run in the simulator, with the same PeerIds:\n\n"
        "    gossamer-sim run scenario.toml\n\n"
        "Not carried over: simulated networks, devices and faults; real ones take their place.\n"
        "Files of data and of a base model are named by their full path, where this was made; on\n"
        "another machine set data.folder and model.base to where they lie there.\n\n"
        "All keys, the federation's and the daemons', were made on one machine: for trials.\n"
        "In earnest each machine makes its own key, and federation/root-key.pem belongs in a safe\n"
        "place offline.\n";
    return text;
}

}  // namespace

Result<std::vector<ExportedDaemon>> export_daemons(const Scenario& scenario,
                                                   const DaemonExport& how) {
    if (scenario.world().compute != ComputeMode::real)
        return fail(ErrorCode::kUsage,
                    "simulation.compute is not \"real\": daemons train on real data",
                    "set simulation.compute to \"real\"");
    GOSSAMER_TRY(const auto addresses, addresses_of(scenario, how));
    GOSSAMER_TRY(auto config, located(scenario));
    const auto federation = how.folder + "/federation";
    GOSSAMER_CHECK(assembly::create_federation_folder(
        {.folder = federation, .name = scenario.run().name, .now = how.now}));
    std::vector<ExportedDaemon> daemons;
    std::vector<std::string> ids;
    for (std::uint32_t place = 0; place < scenario.places(); ++place) {
        const auto name = name_of(scenario, place), at = how.folder + "/" + name;
        GOSSAMER_TRY(const auto id, assembly::create_identity_folder(at + "/identity"));
        GOSSAMER_CHECK(assembly::sign_identity({.request = at + "/identity/request.pem",
                                                .federation = federation,
                                                .role = scenario.role(place),
                                                .days = how.certificate_days,
                                                .now = how.now}));
        const auto text = toml_of(values_of(scenario, config, place, addresses),
                                  fmt::format("{} of {}", name, scenario.name()));
        GOSSAMER_CHECK(write(at + "/config.toml", text));
        daemons.push_back({name, id, addresses[place]});
        ids.push_back(id.to_string());
    }
    GOSSAMER_CHECK(config.set("simulation.ids", ids, "gossamer-sim export"));
    GOSSAMER_CHECK(write(how.folder + "/scenario.toml", config.to_toml()));
    GOSSAMER_CHECK(write(how.folder + "/README.txt", readme(scenario, addresses)));
    storage::RealDisk disk;
    GOSSAMER_TRY(const auto script,
                 disk.create(how.folder + "/start.sh", storage::Create::replace, 0755));
    GOSSAMER_CHECK(script->append(as_bytes(start_script(scenario))));
    if (scenario.federated()) std::ranges::rotate(daemons, daemons.end() - 1);
    return daemons;
}

}  // namespace gossamer::simulation
