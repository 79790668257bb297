// One mode of the demo from start to end: start the daemons, watch them, kill one half way, start
// it again, wait until all are done.
#pragma once

#include "cli/demo/show.hpp"

namespace gossamer::cli::demo {

struct Outcome {
    Duration wall{}, longest_pause{};
    std::optional<Duration> first_accuracy;
    std::optional<Duration> noticed_after;    // the others held the killed peer for gone
    std::optional<Duration> caught_up_after;  // from its second start
    double sent_bytes_per_peer = 0;
    bool complete = false;  // every daemon ended with exit code 0
};

// `patience` bounds the whole mode.
Result<Outcome> tell_story(World& world, Screen& screen, Duration patience);

}  // namespace gossamer::cli::demo
