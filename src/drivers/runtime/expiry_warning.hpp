// When to say that our own certificate runs out: nobody links with us after that, and a new one
// takes an operator. Once a day, from when less than a fifth of its time is left.
#pragma once

#include <optional>

#include "gossamer/base/error.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::runtime {

class ExpiryWarning {
public:
    ExpiryWarning(WallTime not_before, WallTime not_after);
    // What is to be said now, if anything. Ask as often as you like.
    std::optional<Error> due(WallTime now);

private:
    WallTime not_after_, next_;
};

}  // namespace gossamer::runtime
