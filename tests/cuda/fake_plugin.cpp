// A plugin of a version nobody knows.
#include "learning/cuda/plugin.h"

extern "C" const gossamer_cuda_interface* gossamer_cuda_plugin(uint32_t) { return nullptr; }
extern "C" uint32_t gossamer_cuda_plugin_version(void) { return 99; }
