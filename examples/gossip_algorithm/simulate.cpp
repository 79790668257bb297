// gossamer-sim with one more algorithm: see simulate.toml.
#include "gossamer/program.hpp"
#include "heavy_ball.hpp"

int main(int argc, char** argv) {
    gossamer::Extensions mine;
    mine.algorithms.push_back(heavy_ball_entry());
    return gossamer::run_simulation(argc, argv, mine);
}
