// gossamer-sim with one more strategy: see simulate.toml.
#include "fed_adagrad.hpp"
#include "gossamer/program.hpp"

int main(int argc, char** argv) {
    gossamer::Extensions mine;
    mine.strategies.push_back(fed_adagrad_entry());
    return gossamer::run_simulation(argc, argv, mine);
}
