// Answers for people: aligned columns, times and figures that read at a glance.
#pragma once

#include <string>
#include <vector>

#include "drivers/program/text_table.hpp"

namespace gossamer::cli {

using program::text_table;
using Row = std::vector<std::string>;

std::string short_time(double seconds);  // "12ms", "3.2s", "4m05s", "2h10m", "3d04h"; "-" for NaN
std::string short_number(double value, int decimals = 4);  // "0.8612"; "-" for NaN

}  // namespace gossamer::cli
