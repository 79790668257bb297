// How the command ends when it is asked for what cannot be, whatever the words.
#include <doctest/doctest.h>

#include <unistd.h>

#include <stdexcept>

#include "tests/cli/command.hpp"

using namespace gossamer;
using namespace gossamer::cli_test;
namespace fs = std::filesystem;

namespace {

// While it lives this process may not look everywhere, not even when it is root's.
class Nobody {
public:
    Nobody() {
        if (root_) REQUIRE(::seteuid(65534) == 0);
    }
    ~Nobody() {
        if (root_) REQUIRE(::seteuid(0) == 0);
    }
    Nobody(const Nobody&) = delete;
    Nobody& operator=(const Nobody&) = delete;

private:
    const bool root_ = ::geteuid() == 0;
};

}  // namespace

TEST_CASE("what an action throws is told as our own fault, with code and hint, and gives 70") {
    const cli::Action throws = [](cli::Console&) -> Result<program::ExitCode> {
        throw std::runtime_error("nobody thought of this");
    };
    std::ostringstream out, err;
    cli::Console console(out, err);
    CHECK(cli::carry_out(throws, console) == 70);
    CHECK(err.str() ==
          "gossamer: INT-01: nobody thought of this; Please report it with the log.\n");
    err.str({});
    console.json = true;
    CHECK(cli::carry_out(throws, console) == 70);
    CHECK(nlohmann::json::parse(err.str())["error"]["code"] == "INT-01");
    CHECK(out.str().empty());
}

TEST_CASE("a path that no system takes is an error like any other") {
    const std::string name(300, 'x');
    const Folder f;
    const auto refused = [](const std::vector<std::string>& words, int code, const char* id) {
        const auto answer = as_json(words);
        CAPTURE(words[0]);
        CHECK(answer.code == code);
        REQUIRE_FALSE(answer.err.empty());
        CHECK(answer.error_code() == id);
        CHECK(answer.err.find("File name too long") != std::string::npos);
    };
    refused({"identity", "show", name}, 2, "KEY-01");
    refused({"identity", "show", f / name.c_str()}, 2, "KEY-01");
    refused({"run", "list", "--folder", name}, 1, "DSK-06");
    refused({"identity", "create", name}, 1, "DSK-03");
    CHECK(gossamer_command({"run", "show", name}).code == 1);
    CHECK(gossamer_command({"run", "show", "demo", "--folder", name}).code == 1);
    CHECK(gossamer_command({"config", "check", name}).code == 2);
}

TEST_CASE("a folder that may not be looked into is an error like any other") {
    const Folder f;
    fs::create_directories(f / "closed/runs");
    fs::permissions(f / "closed", fs::perms::none);
    {
        const Nobody nobody;
        CHECK(gossamer_command({"run", "list", "--folder", f / "closed/runs"})
                  .err.find("Permission denied") != std::string::npos);
        CHECK(gossamer_command({"identity", "show", f / "closed/runs"}).code == 2);
    }
    fs::permissions(f / "closed", fs::perms::owner_all);
}

TEST_CASE("a word that nobody knows is named, whatever else is missing") {
    for (const auto& words : std::vector<std::vector<std::string>>{{"config", "check", "--nosuch"},
                                                                   {"run", "show", "--nosuch"},
                                                                   {"identity", "--nosuch"},
                                                                   {"--nosuch", "identity"},
                                                                   {"--nosuch"}}) {
        const auto answer = gossamer_command(words);
        CHECK(answer.code == 2);
        CHECK_MESSAGE(answer.err.find("--nosuch") != std::string::npos, answer.err);
    }
    CHECK(gossamer_command({"config", "check"}).err.find("FILE is required") != std::string::npos);
    CHECK(gossamer_command({"config", "check", "--help"}).code == 0);
}
