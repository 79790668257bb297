#include "drivers/program/version.hpp"

namespace gossamer::program {

std::string version_number() { return GOSSAMER_VERSION; }
std::string version_text() { return "gossamer " GOSSAMER_VERSION " (protocol gossamer/1)"; }

}  // namespace gossamer::program
