// A libgossamer-cuda.so whose card is the processor, for tests of what loads one.
#include "learning/cuda/emulation.hpp"

extern "C" __attribute__((visibility("default"))) const gossamer_cuda_interface*
gossamer_cuda_plugin(uint32_t version) {
    return version == GOSSAMER_CUDA_VERSION ? &gossamer::cuda::emulation() : nullptr;
}

extern "C" __attribute__((visibility("default"))) uint32_t gossamer_cuda_plugin_version(void) {
    return GOSSAMER_CUDA_VERSION;
}
