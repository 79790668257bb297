// The limit of training the 784-200-200-10 net at a small batch: one step in hand-placed AVX-512
// registers for exactly these shapes, samples in a row as floats, and nothing around it.
#pragma once

#include <cstdint>
#include <memory>

namespace gossamer::bench {

class BareStep {
public:
    virtual ~BareStep() = default;
    // One step of plain SGD on a batch; the mean loss before it.
    virtual float step(const float* x, const std::int32_t* labels, float rate) = 0;
};
// batch: 10 or 32. Null on a machine without AVX-512, or for another batch.
std::unique_ptr<BareStep> make_bare_step(int batch);

// Multiply-adds in registers alone, `millions` of vectors of 16 floats of them; false on a machine
// without AVX-512.
bool multiply_adds(int millions);

}  // namespace gossamer::bench
