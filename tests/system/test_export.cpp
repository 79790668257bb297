// What the simulator says of a run is what real daemons do.
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "fleet.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

namespace fs = std::filesystem;
const std::string kSim = std::string(GOSSAMER_BUILD_FOLDER) + "/simulations/gossamer-sim";

const char* const kScenario =
    "[run]\nname = \"twin\"\nmode = \"federated\"\npeers = 4\nrounds = 6\nseed = 11\n"
    "[federated]\nquorum = 1.0\nlocal_epochs = 2\n"
    "[data]\nformat = \"synthetic\"\npartition = \"dirichlet\"\nalpha = 0.5\n"
    "[model]\nname = \"softmax-regression\"\n[training]\nlearning_rate = 0.05\n"
    "[membership]\nprofile = \"local\"\n";

std::string only_file(const std::string& folder, const std::string& name) {
    std::string found;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().filename() == name) {
            CHECK(found.empty());
            found = entry.path().string();
        }
    return found;
}

int run_to_end(std::vector<std::string> arguments, const std::string& output,
               std::vector<std::string> environment = {}) {
    auto process = cli::Process::start({std::move(arguments), output, std::move(environment)});
    REQUIRE(process);
    return process->wait(120s).value_or(-1);
}

}  // namespace

TEST_CASE("an exported federation trains the very model that the simulator trained") {
    const auto folder = fresh_folder("export");
    const auto scenario = folder + "/twin.toml", fleet = folder + "/fleet", log = folder + "/log";
    std::ofstream(scenario) << kScenario;
    REQUIRE_MESSAGE(run_to_end({kSim, "export", scenario, "--out", fleet, "--port",
                                std::to_string(cli::free_ports(1).front())},
                               log) == 0,
                    text_of(log));
    const std::string built = GOSSAMER_BUILD_FOLDER;
    REQUIRE_MESSAGE(run_to_end({fleet + "/start.sh"}, log,
                               {"PEER=" + built + "/peers/gossamer-peer",
                                "AGGREGATOR=" + built + "/aggregator/gossamer-aggregator"}) == 0,
                    text_of(fleet + "/aggregator/log"));
    const auto real = tensors_of(only_file(fleet + "/aggregator", "final.safetensors"));
    REQUIRE(real.size() > 100);

    REQUIRE_MESSAGE(
        run_to_end({kSim, "run", fleet + "/scenario.toml", "--out", folder + "/sim"}, log) == 0,
        text_of(log));
    const auto simulated = tensors_of(only_file(folder + "/sim", "final.safetensors"));
    CHECK(simulated.size() == real.size());
    CHECK((simulated == real));

    // Not because every run ends like this one.
    REQUIRE(run_to_end({kSim, "run", fleet + "/scenario.toml", "--set", "run.seed=12", "--out",
                        folder + "/other"},
                       log) == 0);
    CHECK(tensors_of(only_file(folder + "/other", "final.safetensors")) != real);
}
