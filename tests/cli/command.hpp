// Runs the operator's command in process, in a folder of its own.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"

namespace gossamer::cli_test {

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "gossamer-cli-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string operator/(const char* name) const { return (path / name).string(); }
    std::string write(const char* name, const std::string& text) const {
        std::ofstream(path / name) << text;
        return *this / name;
    }
};

struct Answer {
    int code;
    std::string out, err;
    nlohmann::json json() const { return nlohmann::json::parse(out); }
    std::string error_code() const { return nlohmann::json::parse(err)["error"]["code"]; }
};

inline Answer gossamer_command(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    const int code = cli::run_command_line(arguments, out, err);
    return {code, out.str(), err.str()};
}

inline Answer as_json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--format", "json"});
    return gossamer_command(arguments);
}

}  // namespace gossamer::cli_test
