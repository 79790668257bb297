// Faults of a scenario: what goes wrong, when, with whom, for how long.
//
//   "10s kill 3 for 5s"              "30s partition 0-49 | 50-99 for 30s"
//   "1m sleep 25% for 2m"            "5s oneway 0-9 > aggregator for 20s"
//
// Who: indices "3", ranges "0-49", "aggregator", "all", a part "25%" (drawn from the seed); several
// joined by commas.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/base/rng.hpp"

namespace gossamer::simulation {

enum class FaultKind : std::uint8_t {
    kill,       // the process, as kill -9; it starts again after `lasting`
    power,      // the machine: nobody is told
    leave,      // an orderly end
    sleep,      // the machine, as a closed lid
    freeze,     // the process, as SIGSTOP
    partition,  // between the first and the second group, both ways
    oneway,     // from the first to the second group
    clog,       // data between them is held back, new connections are not
    reset,      // the connections between them
    slow,       // computes `value` times slower
    clock,      // the wall clock jumps by `value` seconds
    disk_full,
    disk_lost,
    hang,     // a trainer that never answers
    echo,     // what it offers it offers again, at once or up to some `value` seconds later
    cut,      // connections between them break while a model is on its way
    corrupt,  // packets between them are altered: TLS must tell
    damage,   // models between them are altered behind TLS: the checksum must tell
};
inline constexpr std::size_t kFaultKinds = 18;
std::string_view to_string(FaultKind kind);
std::string_view meaning_of(FaultKind kind);  // one line, with an example

struct Fault {
    Duration at{};
    FaultKind kind{};
    std::vector<std::uint32_t> who, other;  // sorted; other: of those between two
    Duration lasting{};                     // zero: for good (reset, clock: at once)
    double value = 0;                       // after "by"; cut, corrupt, damage: the part struck
    std::string text;                       // as it was written
};

// `places`: peers first, the aggregator last when there is one. Errors: kConfigType, with the text
// and what is wrong in it.
Result<Fault> parse_fault(std::string_view text, std::uint32_t peers, bool aggregator,
                          RunSeed seed);

}  // namespace gossamer::simulation
