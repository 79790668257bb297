// The plugin's functions on the processor, thread by thread: slow, and the same bits as a card's.
#pragma once

#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

const gossamer_cuda_interface& emulation();
// Threads between two barriers and blocks of a kernel run from the last to the first, and branches
// of a graph as late as they may. Results must not change.
void emulate_backwards(bool backwards);

}  // namespace gossamer::cuda
