#include "bench_trainer.hpp"
#include "gossamer/program.hpp"

int main(int argc, char** argv) {
    return gossamer::run_aggregator(argc, argv, gossamer::bench::bench_extensions());
}
