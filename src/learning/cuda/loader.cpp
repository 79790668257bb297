#include "learning/cuda/loader.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <vector>

namespace gossamer::cuda {
namespace {

constexpr const char* kFile = "libgossamer-cuda.so";

std::vector<std::string> places() {
    char path[PATH_MAX];
    const auto length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return {};
    std::string folder(path, static_cast<std::size_t>(length));
    folder.resize(folder.rfind('/') + 1);
    return {folder + kFile, folder + "../" GOSSAMER_LIBRARY_FOLDER "/" + kFile,
            folder + "../src/learning/cuda/" + kFile, folder + "../../src/learning/cuda/" + kFile};
}

Result<const gossamer_cuda_interface*> search() {
    for (const auto& place : places()) {
        struct stat status {};
        if (stat(place.c_str(), &status) == 0) return Plugin::load(place);
    }
    return fail(kGpuPlugin,
                std::string(kFile) + " is neither beside the program nor in its library folder",
                "build with nvcc on the PATH, or set training.device = \"cpu\"");
}

ErrorCode code_of(int code) {
    switch (code) {
        case GOSSAMER_CUDA_NO_DRIVER: return kGpuDriver;
        case GOSSAMER_CUDA_NO_DEVICE: return kGpuDevice;
        case GOSSAMER_CUDA_MEMORY: return kGpuMemory;
        case GOSSAMER_CUDA_MODEL: return kGpuModel;
        case GOSSAMER_CUDA_NOT_FINITE: return ErrorCode::kUpdateNotFinite;
        default: return kGpuFailed;
    }
}

}  // namespace

Error error_of(const gossamer_cuda_error& error) { return {code_of(error.code), error.what, {}}; }

Result<const gossamer_cuda_interface*> Plugin::load(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* why = dlerror();
        return fail(kGpuPlugin, why != nullptr ? why : path);
    }
    using Version = std::uint32_t (*)();
    using Entry = const gossamer_cuda_interface* (*)(std::uint32_t);
    const auto version = reinterpret_cast<Version>(dlsym(library, GOSSAMER_CUDA_SYMBOL "_version"));
    const auto entry = reinterpret_cast<Entry>(dlsym(library, GOSSAMER_CUDA_SYMBOL));
    if (version == nullptr || entry == nullptr) {
        dlclose(library);
        return fail(kGpuPlugin, path + " is no plugin of Gossamer");
    }
    const gossamer_cuda_interface* api = entry(GOSSAMER_CUDA_VERSION);
    if (api == nullptr || api->version != GOSSAMER_CUDA_VERSION ||
        api->size < sizeof(gossamer_cuda_interface)) {
        auto refused = fail(kGpuPlugin,
                            path + " has version " + std::to_string(version()) +
                                " of the interface, this program needs " +
                                std::to_string(GOSSAMER_CUDA_VERSION),
                            "install the plugin and the programs from one build");
        dlclose(library);
        return refused;
    }
    return api;
}

const Result<const gossamer_cuda_interface*>& Plugin::find() {
    static const Result<const gossamer_cuda_interface*> found = search();
    return found;
}

Result<gossamer_cuda_device> describe(const gossamer_cuda_interface& api, int device) {
    gossamer_cuda_device d{};
    d.size = sizeof d;
    gossamer_cuda_error error{};
    if (api.describe(device, &d, &error) != GOSSAMER_CUDA_OK) return fail(error_of(error));
    return d;
}

std::string device_line() {
    const auto& api = Plugin::find();
    if (!api) return "none: " + api.error().what;
    const auto device = describe(**api, 0);
    if (!device) return "none: " + device.error().what;
    return std::string(device->name) + ", " + std::to_string(device->memory_bytes >> 30) + " GiB";
}

}  // namespace gossamer::cuda
