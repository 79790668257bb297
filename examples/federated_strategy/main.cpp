// An aggregator that knows one strategy more: run it like gossamer-aggregator, with
//
//     [federated]
//     strategy = "fed_adagrad"
#include "fed_adagrad.hpp"
#include "gossamer/program.hpp"

int main(int argc, char** argv) {
    gossamer::Extensions mine;
    mine.strategies.push_back(fed_adagrad_entry());
    return gossamer::run_aggregator(argc, argv, mine);
}
