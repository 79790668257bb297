// Asks the memory for what will be used soon; nothing changes but how long that takes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

inline void prefetch(const void* at, std::size_t bytes) {
    constexpr std::uintptr_t kLine = 64;
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    for (auto line = begin / kLine * kLine; line < begin + bytes; line += kLine)
        __builtin_prefetch(reinterpret_cast<const void*>(line), 0, 2);
    // GCC (12) holds a function that does nothing else for one without effects, and leaves out its
    // calls. What the asm does it cannot know.
    asm volatile("" : : "r"(at));
}

}  // namespace gossamer
