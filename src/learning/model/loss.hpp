// Losses of a batch: value, gradient with respect to the outputs, and correct answers.
#pragma once

#include "gossamer/model/plan.hpp"

namespace gossamer::model {

// z: batch.size x outputs. dz (null: not wanted) may be z; it is the gradient of the *mean* loss.
// scratch: `outputs` floats.
Score loss_of(Loss loss, const float* z, const Batch& batch, std::size_t outputs, float* dz,
              float* scratch);

}  // namespace gossamer::model
