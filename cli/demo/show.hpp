// What the demo shows: one block that is redrawn on a terminal, a plain line each second otherwise,
// events above it, and the table at the end.
#pragma once

#include <string>
#include <vector>

#include "cli/world.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::cli::demo {

struct Plan {
    std::string folder;    // of this demo's results
    std::string programs;  // the build folder
    unsigned peer_count = 8;
    std::uint64_t seed = 1;
    std::uint64_t gossip_steps = 0, federated_rounds = 0;
    std::uint32_t epochs = 0;
    double alpha = 0.5;
    // The same for all: the rate falls along half a cosine over the run, because with unequal data
    // a rate that stays high lets the peers drift apart until the last round.
    double learning_rate = 0.09, final_factor = 0.05;
    std::uint32_t batch_size = 10;
    std::uint64_t batches(std::size_t samples) const { return epochs * samples / batch_size; }
};

class Screen {
public:
    explicit Screen(bool json);
    // Something that happened, at `elapsed` since the processes started. Stays on the screen.
    void event(Duration elapsed, const std::string& text);
    // The state of all daemons; redrawn, or printed when a second has passed.
    void progress(Duration elapsed, World& world);
    void say(const std::string& text);
    void end_block();  // leaves the last state where it is

private:
    void clear();
    bool tty_, quiet_;
    unsigned lines_ = 0;
    Duration last_{-1s};
};

// One line of the table at the end.
struct Row {
    std::string name;
    double accuracy_mean = 0, accuracy_worst = 0;
    double sent_bytes_per_peer = 0;
    double wall_seconds = 0;
};
std::string table(const std::vector<Row>& rows);

// Over the daemons that train: mean progress, loss, accuracies.
struct Overview {
    std::uint64_t round = 0, round_max = 0;    // least and target
    double loss = 0, accuracy = 0, worst = 0;  // NaN until known
    unsigned alive = 0, total = 0;
    std::uint64_t sent_bytes = 0;
};
Overview overview(World& world);

}  // namespace gossamer::cli::demo
