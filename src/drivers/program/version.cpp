#include "drivers/program/version.hpp"

#include "gossamer/model/plan.hpp"
#include "gossamer/training/make_trainer.hpp"

namespace gossamer::program {

std::string version_number() { return GOSSAMER_VERSION; }
std::string version_text() {
    return std::string("gossamer " GOSSAMER_VERSION " (protocol gossamer/1, maths for ") +
           model::maths_instruction_set() + ")\ngraphics card: " + training::device_line();
}

}  // namespace gossamer::program
