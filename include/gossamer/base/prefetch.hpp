// Asks the memory for what will be used soon; nothing changes but how long that takes.
#pragma once

#include <cstddef>

namespace gossamer {

inline void prefetch(const void* at, std::size_t bytes) {
    const auto* line = static_cast<const char*>(at);
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(line + i, 0, 2);
    // GCC (12) holds a function that does nothing else for one without effects, and leaves out its
    // calls. What the asm does it cannot know.
    asm volatile("" : : "r"(at));
}

}  // namespace gossamer
