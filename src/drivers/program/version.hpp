// What --version prints.
#pragma once

#include <string>

namespace gossamer::program {

std::string version_number();  // "0.1.0"
std::string version_text();    // "gossamer 0.1.0 (protocol gossamer/1, maths for x86-64-v3)",
                               // and a line about the graphics card

}  // namespace gossamer::program
