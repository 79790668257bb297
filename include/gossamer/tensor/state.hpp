// State that travels through jobs unseen: of an optimiser, a codec, a strategy. Immutable, so that
// a core can keep, repeat or drop a step; a job answers with the next one.
#pragma once

#include <memory>

#include "gossamer/base/bytes.hpp"

namespace gossamer::tensor {

class StateValue {
public:
    virtual ~StateValue() = default;
    virtual Bytes save() const = 0;  // what a checkpoint keeps
    Digest128 digest() const { return digest128(save()); }
};
using State = std::shared_ptr<const StateValue>;  // null = fresh

}  // namespace gossamer::tensor
