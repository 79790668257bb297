// The plugin without a card: the same kernels on the processor. For tests.
#include "learning/cuda/emulation.hpp"

#include "learning/cuda/machine_host.hpp"
#include "learning/cuda/plugin_body.hpp"

namespace gossamer::cuda {

const gossamer_cuda_interface& emulation() {
    static const gossamer_cuda_interface table = Functions<Machine>::table();
    return table;
}

void emulate_backwards(bool backwards) { Machine::backwards() = backwards; }

}  // namespace gossamer::cuda
