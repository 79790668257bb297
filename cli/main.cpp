#include <iostream>

#include "cli/command_line.hpp"

int main(int argc, char** argv) {
    return gossamer::cli::run_command_line({argv + 1, argv + argc}, std::cout, std::cerr);
}
