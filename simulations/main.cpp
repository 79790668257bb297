#include "gossamer/program.hpp"

int main(int argc, char** argv) { return gossamer::run_simulation(argc, argv); }
