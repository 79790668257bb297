// libgossamer-cuda.so. Built alone with nvcc and a C++ compiler; see docs/gpu.md.
#include "learning/cuda/machine_cuda.hpp"

#include "learning/cuda/plugin_body.hpp"

extern "C" __attribute__((visibility("default"))) const gossamer_cuda_interface*
gossamer_cuda_plugin(uint32_t version) {
    static const gossamer_cuda_interface table =
        gossamer::cuda::Functions<gossamer::cuda::Machine>::table();
    return version == GOSSAMER_CUDA_VERSION ? &table : nullptr;
}

extern "C" __attribute__((visibility("default"))) uint32_t gossamer_cuda_plugin_version(void) {
    return GOSSAMER_CUDA_VERSION;
}
