// Which gossamer this is: what --version prints, and `gossamer version`.
#pragma once

#include <string>

namespace gossamer::program {

struct Version {
    std::string number;         // "0.1.0"
    std::string protocol;       // "gossamer/1"
    std::string maths;          // the instruction set its maths library runs with: "x86-64-v3"
    std::string graphics_card;  // which there is, or why none
    std::string text() const;   // all of it, in two lines
};
Version version();  // looks for a graphics card

std::string version_number();
std::string version_text();

}  // namespace gossamer::program
