// Answers for people: aligned columns, times and sizes that read at a glance.
#pragma once

#include <string>
#include <vector>

namespace gossamer::cli {

using Row = std::vector<std::string>;

// Columns padded to their widest cell, two spaces between, two before; the last one is not padded.
// Rows may be shorter than the first, which is the heading.
std::string table(const std::vector<Row>& rows);

std::string short_time(double seconds);  // "12ms", "3.2s", "4m05s", "2h10m", "3d04h"; "-" for NaN
std::string short_number(double value, int decimals = 4);  // "0.8612"; "-" for NaN

}  // namespace gossamer::cli
