// Rows of cells for a terminal.
#pragma once

#include <string>
#include <vector>

namespace gossamer::program {

// Columns padded to their widest cell, two spaces between, two before; the last one is not padded.
// Rows may be shorter than the first, which is the heading.
std::string text_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace gossamer::program
