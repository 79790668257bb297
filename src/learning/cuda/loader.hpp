// Finds and loads the CUDA plugin, and says in words which card there is or why there is none.
//
// Nothing here needs CUDA to build. The plugin is looked for beside the program, in the library
// folder of an installation, and where the build puts it; once a process, at the first call.
#pragma once

#include <memory>
#include <string>

#include "gossamer/base/result.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

// Why a card is not used: no plugin or one of another version; no driver or an old one; no card
// that is supported; too little memory; a network it does not run; a failure of the card.
inline constexpr auto kGpuPlugin = ErrorCode::kGpuPlugin;
inline constexpr auto kGpuDriver = ErrorCode::kGpuDriver;
inline constexpr auto kGpuDevice = ErrorCode::kGpuDevice;
inline constexpr auto kGpuMemory = ErrorCode::kGpuMemory;
inline constexpr auto kGpuModel = ErrorCode::kGpuModel;
inline constexpr auto kGpuFailed = ErrorCode::kGpuFailed;

class Plugin {
public:
    // The one found, or why there is none: kGpuPlugin (not there, or of another version).
    static const Result<const gossamer_cuda_interface*>& find();
    // From a file. It stays loaded.
    static Result<const gossamer_cuda_interface*> load(const std::string& path);
};

// kGpuDriver, kGpuDevice: no driver, an old one, no card, or one that is not supported.
Result<gossamer_cuda_device> describe(const gossamer_cuda_interface& api, int device);

// An error the plugin gave, with one of the codes kGpu….
Error error_of(const gossamer_cuda_error& error);

// For people: "NVIDIA H200, 139 GiB", or "none: " and why.
std::string device_line();

}  // namespace gossamer::cuda
