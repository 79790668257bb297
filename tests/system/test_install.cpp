// `meson install`: what it puts where, and that the programs run from there.
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "fleet.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

namespace fs = std::filesystem;

struct Output {
    std::optional<int> code;
    std::string text;
};

Output output_of(const std::vector<std::string>& arguments, const std::string& file) {
    fs::remove(file);
    auto process = cli::Process::start({arguments, file, {}});
    REQUIRE(process);
    auto code = process->wait(60s);
    return {code, text_of(file)};
}

bool finds(const std::string& program) {
    for (std::string path : {"/usr/bin/", "/bin/"})
        if (fs::exists(path + program)) return true;
    return false;
}

}  // namespace

TEST_CASE("installed programs find their maths library, samples and units lie where they belong") {
    const auto folder = fresh_folder("install"), root = folder + "/root", file = folder + "/output";
    const auto installed = output_of(
        {"meson", "install", "--no-rebuild", "-C", GOSSAMER_BUILD_FOLDER, "--destdir", root}, file);
    REQUIRE_MESSAGE(installed.code == 0, installed.text);
    const std::string prefix = root + GOSSAMER_PREFIX;
    for (std::string path :
         {"/bin/gossamer", "/bin/gossamer-peer", "/bin/gossamer-aggregator",
          "/" GOSSAMER_MATHS_FOLDER "/libgossamer_maths.so", "/share/gossamer/peer.toml",
          "/share/gossamer/federated-peer.toml", "/share/gossamer/aggregator.toml",
          "/lib/systemd/system/gossamer-peer.service",
          "/lib/systemd/system/gossamer-aggregator.service"})
        CHECK_MESSAGE(fs::exists(prefix + path), path);

    // The installed ones run the same build of the maths library as those of the build folder.
    const auto built = output_of({GOSSAMER_BUILD_FOLDER "/peers/gossamer-peer", "--version"}, file);
    CHECK(built.text.find("maths for ") != std::string::npos);
    for (const char* program : {"gossamer-peer", "gossamer-aggregator"}) {
        const auto version = output_of({prefix + "/bin/" + program, "--version"}, file);
        CHECK_MESSAGE(version.code == 0, version.text);
        CHECK(version.text == built.text);
    }
    const auto version = output_of({prefix + "/bin/gossamer", "version"}, file);
    CHECK_MESSAGE(version.code == 0, version.text);
    CHECK(version.text == built.text);

    // A world made by the installed programs alone.
    CHECK(cli::program_in(prefix, "peers/gossamer-peer") == prefix + "/bin/gossamer-peer");
    auto id = cli::make_identity(prefix, GOSSAMER_BUILD_FOLDER, folder + "/identity", "peer");
    CHECK_FALSE(id);  // no federation there; but the command ran and said so
    CHECK(id.error().what.find("KEY-01") != std::string::npos);
}

TEST_CASE("a program outside the tree builds on what is installed, and runs") {
    const auto folder = fresh_folder("outside"), root = folder + "/root", file = folder + "/output";
    const auto installed = output_of(
        {"meson", "install", "--no-rebuild", "-C", GOSSAMER_BUILD_FOLDER, "--destdir", root}, file);
    REQUIRE_MESSAGE(installed.code == 0, installed.text);
    const std::string prefix = root + GOSSAMER_PREFIX;
    const auto packages = prefix + "/" GOSSAMER_LIBRARY_FOLDER "/pkgconfig";
    if (!fs::exists(packages + "/gossamer.pc")) {
        MESSAGE("SKIPPED: built without -Dlibrary=true");
        return;
    }
    for (const char* name : {"heavy_ball.cpp", "heavy_ball.hpp", "simulate.cpp", "simulate.toml"})
        fs::copy_file(std::string(GOSSAMER_EXAMPLE "/") + name, folder + "/" + name);
    const auto built = output_of({"sh", "-c",
                                  "cd '" + folder + "' && flags=$(PKG_CONFIG_PATH='" + packages +
                                      "' pkg-config --define-variable=prefix='" + prefix +
                                      "' --cflags --libs gossamer) && " GOSSAMER_COMPILER
                                      " heavy_ball.cpp simulate.cpp -o mine $flags"},
                                 file);
    REQUIRE_MESSAGE(built.code == 0, built.text);
    const auto ran = output_of(
        {folder + "/mine", "run", folder + "/simulate.toml", "--out", folder + "/runs"}, file);
    CHECK_MESSAGE(ran.code == 0, ran.text);
    CHECK_MESSAGE(ran.text.find("trace hash") != std::string::npos, ran.text);
}

TEST_CASE("systemd has nothing to say against the units") {
    if (!finds("systemd-analyze")) {
        MESSAGE("SKIPPED: no systemd-analyze here");
        return;
    }
    const auto folder = fresh_folder("units"), file = folder + "/output";
    for (std::string role : {"peer", "aggregator"}) {
        const auto name = "gossamer-" + role;
        auto unit = text_of(GOSSAMER_BUILD_FOLDER "/" + (role == "peer" ? "peers/" : role + "/") +
                            name + ".service");
        const std::string there = GOSSAMER_PREFIX "/bin/" + name;
        const auto here =
            cli::program_in(GOSSAMER_BUILD_FOLDER, (role == "peer" ? "peers/" : role + "/") + name);
        REQUIRE(unit.find(there) != unit.npos);
        unit.replace(unit.find(there), there.size(), here);  // it must be there to be verified
        const auto path = folder + "/" + name + ".service";
        std::ofstream(path) << unit;
        const auto verdict = output_of({"systemd-analyze", "verify", "--man=no", path}, file);
        CHECK_MESSAGE(verdict.code == 0, verdict.text);
        CHECK_MESSAGE(verdict.text.find(name) == verdict.text.npos, verdict.text);
    }
}
