#include "gossamer/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace gossamer {

void assertion_failed(const char* expression, const char* message, const char* file, int line) {
    std::fprintf(stderr, "gossamer: broken invariant: %s (%s) at %s:%d\n", message, expression,
                 file, line);
    std::abort();
}

}  // namespace gossamer
