// What benchmarks of the simulator share: shipped scenarios, and an end when something fails.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/program/shipped_scenarios.hpp"
#include "drivers/simulation/simulation.hpp"

namespace gossamer::bench {

using Clock = std::chrono::steady_clock;

inline double since(Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
}

template <class T>
T need(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
        std::exit(1);
    }
    return std::move(*result);
}

inline std::shared_ptr<const simulation::Scenario> scenario(std::string_view name,
                                                            std::vector<std::string> sets) {
    static const Extensions none;
    for (const auto& shipped : program::shipped_scenarios())
        if (shipped.name == name)
            return need(simulation::Scenario::load(std::string(name), std::string(shipped.text),
                                                   std::move(sets), none));
    std::fprintf(stderr, "no scenario %s\n", std::string(name).c_str());
    std::exit(1);
}

}  // namespace gossamer::bench
