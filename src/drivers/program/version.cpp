#include "drivers/program/version.hpp"

#include "gossamer/model/plan.hpp"
#include "gossamer/training/make_trainer.hpp"

namespace gossamer::program {

Version version() {
    return {version_number(), "gossamer/1", model::maths_instruction_set(),
            training::device_line()};
}

std::string Version::text() const {
    return "gossamer " + number + " (protocol " + protocol + ", maths for " + maths +
           ")\ngraphics card: " + graphics_card;
}

std::string version_number() { return GOSSAMER_VERSION; }
std::string version_text() { return version().text(); }

}  // namespace gossamer::program
