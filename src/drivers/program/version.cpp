#include "drivers/program/version.hpp"

#include "gossamer/model/plan.hpp"

namespace gossamer::program {

std::string version_number() { return GOSSAMER_VERSION; }
std::string version_text() {
    return std::string("gossamer " GOSSAMER_VERSION " (protocol gossamer/1, maths for ") +
           model::maths_instruction_set() + ")";
}

}  // namespace gossamer::program
