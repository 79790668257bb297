// write_example_report FILE [full|small|large|empty]: a page for a browser to open.
#include <cstdio>
#include <string_view>

#include "tests/telemetry/example_report.hpp"

using namespace gossamer;
using namespace gossamer::telemetry;

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const std::string_view kind = argc > 2 ? argv[2] : "full";
    storage::RealDisk disk;
    Report report{.title = "nothing yet"};
    if (kind == "full") report = example_report();
    if (kind == "small") report = example_report({.peer_count = 8, .round_count = 20});
    if (kind == "large") report = example_report({.peer_count = 5'000, .round_count = 300});
    const auto written = write_report(disk, argv[1], report);
    if (!written) std::fprintf(stderr, "%s\n", written.error().to_string().c_str());
    return written ? 0 : 1;
}
