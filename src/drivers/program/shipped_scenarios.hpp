// The scenarios of simulations/, inside the program.
#pragma once

#include <span>
#include <string_view>

namespace gossamer::program {

struct ShippedScenario {
    std::string_view name, text;
};
std::span<const ShippedScenario> shipped_scenarios();

}  // namespace gossamer::program
