// Runs gossamer-sim as a process, in a folder of its own.
#pragma once

#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

namespace gossamer::program_test {

inline std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Folder {
    std::filesystem::path path;
    Folder() {
        auto name = (std::filesystem::temp_directory_path() / "gossamer-sim-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string operator/(const std::string& name) const { return (path / name).string(); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path / name) << text;
        return *this / name;
    }
};

struct Answer {
    int code;
    std::string out, err;
    nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

inline Answer sim(const Folder& folder, const std::string& arguments,
                  const std::string& program = GOSSAMER_SIM) {
    const auto out = folder / "out.txt", err = folder / "err.txt";
    const auto command = "cd '" + folder.path.string() + "' && '" + program + "' " + arguments +
                         " > '" + out + "' 2> '" + err + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, text_of(out), text_of(err)};
}

// Half a second of real time at most.
inline const char* const kSmallRun =
    "[run]\nmode = \"federated\"\npeers = 4\nrounds = 2\nseed = 5\n"
    "[data]\nformat = \"synthetic\"\nsynthetic_train = 400\nsynthetic_test = 100\n"
    "[model]\nname = \"softmax-regression\"\n[training]\nlearning_rate = 0.05\n"
    "[simulation]\nlatency = \"10ms\"\n";

// Breaks its promise: see faulty_sim.cpp.
inline const char* const kDriftingRun =
    "[run]\nmode = \"gossip\"\npeers = 4\nrounds = 3\n[gossip]\nalgorithm = \"drifting\"\n"
    "[topology]\ngraph = \"ring\"\n[data]\nformat = \"synthetic\"\nsynthetic_train = 400\n"
    "[model]\nname = \"softmax-regression\"\n[simulation]\nlatency = \"10ms\"\n";

}  // namespace gossamer::program_test
