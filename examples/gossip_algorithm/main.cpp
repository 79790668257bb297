// gossamer-peer with one more algorithm: gossip.algorithm = "heavy-ball" in its configuration.
#include "gossamer/program.hpp"
#include "heavy_ball.hpp"

int main(int argc, char** argv) {
    gossamer::Extensions mine;
    mine.algorithms.push_back(heavy_ball_entry());
    return gossamer::run_peer(argc, argv, mine);
}
