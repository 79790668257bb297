// `gossamer-sim campaign`: random worlds, one a seed, and what broke in them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "drivers/program/exit_code.hpp"
#include "gossamer/assembly/extensions.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::program {

struct CampaignFlags {
    std::uint64_t seeds = 100, from = 1;
    unsigned threads = 0;          // worlds at once; 0: one a core
    std::string real_time;         // no world begins after it; empty: no limit
    std::string out = "campaign";  // where worlds that broke are written as scenarios
    std::string format = "text";
};
// Failed when anything broke. Stops between worlds once `interrupted`.
Result<ExitCode> run_campaign(const CampaignFlags& flags, const Extensions& extensions,
                              const std::atomic<bool>& interrupted);

}  // namespace gossamer::program
