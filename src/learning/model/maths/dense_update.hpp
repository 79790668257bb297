// Private to libgossamer_maths: the weight gradient of a dense layer's batch.
#pragma once

#include "learning/model/maths/maths.hpp"

namespace gossamer::model::maths {

// w[k, n] = keep · w + scale · xᵀ · dy[rows, n], x's rows of k floats `stride` apart.
void dense_update(float* w, const float* x, Index stride, const float* dy, Index rows, Index k,
                  Index n, float keep, float scale);

}  // namespace gossamer::model::maths
