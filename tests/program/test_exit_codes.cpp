// One number a kind of failure: what systemd and scripts go by.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "drivers/program/exit_code.hpp"

using namespace gossamer;
using program::exit_code_of;
using program::ExitCode;

namespace {

// Only another command line, configuration, key or file of data helps.
constexpr const char* kUsage =
    "CFG-01 CFG-02 CFG-03 CFG-04 CFG-05 CFG-06 CFG-07 USE-01 "
    "DAT-01 DAT-02 DAT-03 DAT-04 DAT-05 DAT-06 MOD-01 MOD-02 MOD-03 MOD-05 MOD-06 GPU-01 GPU-05 "
    "UPD-06 NET-08 TLS-04 TLS-05 TLS-07 TLS-08 TLS-10 TLS-12 KEY-01 KEY-02 KEY-03 KEY-04 KEY-05 "
    "TOP-01 TOP-02 TOP-03 ALG-01";
// Another time, or another state of the other side or of the network, may help.
constexpr const char* kUnreachable =
    "LNK-01 LNK-02 LNK-03 LNK-05 LNK-06 LNK-07 LNK-08 LNK-09 NET-01 NET-02 NET-04 NET-05 NET-09 "
    "TLS-01 TLS-02 TLS-03 TLS-06 TLS-09 TLS-11 TLS-13 TLS-14 TLS-15 TLS-16 CTL-01";
constexpr const char* kTimedOut = "NET-03 LNK-04 RND-01 RND-03";

bool lists(const char* ids, std::string_view id) {
    std::istringstream words(ids);
    for (std::string word; words >> word;)
        if (word == id) return true;
    return false;
}

ExitCode expected(std::string_view id) {
    if (lists(kUsage, id)) return ExitCode::usage;
    if (lists(kUnreachable, id)) return ExitCode::unreachable;
    if (lists(kTimedOut, id)) return ExitCode::timed_out;
    return id == "INT-01" ? ExitCode::internal : ExitCode::failed;
}

}  // namespace

TEST_CASE("every error has the exit code that the operator's guide promises") {
    for (const auto& info : error_table()) {
        CAPTURE(info.id);
        CHECK(static_cast<int>(exit_code_of(info.code)) == static_cast<int>(expected(info.id)));
    }
}
