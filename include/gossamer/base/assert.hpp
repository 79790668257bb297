// Invariants of our own code, on in release builds too. Never reachable from a peer's bytes or a
// file: those give an Error.
#pragma once

namespace gossamer {

[[noreturn]] void assertion_failed(const char* expression, const char* message, const char* file,
                                   int line);

}  // namespace gossamer

#define GOSSAMER_ASSERT(expression, message) \
    ((expression) ? void() : ::gossamer::assertion_failed(#expression, message, __FILE__, __LINE__))
