"""Writes the scenario files as one C++ source, so that gossamer-sim carries them."""
import pathlib
import sys

out, files = sys.argv[1], sys.argv[2:]
lines = ['#include "drivers/program/shipped_scenarios.hpp"', "", "namespace gossamer::program {", "",
         "std::span<const ShippedScenario> shipped_scenarios() {",
         "    static constexpr ShippedScenario all[] = {"]
for file in sorted(files):
    path = pathlib.Path(file)
    lines.append(f'        {{"{path.stem}", R"toml({path.read_text()})toml"}},')
lines += ["    };", "    return all;", "}", "", "}  // namespace gossamer::program", ""]
pathlib.Path(out).write_text("\n".join(lines))
