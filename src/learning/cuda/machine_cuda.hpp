// A card: a stream, its memory, and a ring of pinned buffers through which everything crosses the
// bus, so that the copy of one part runs while the processor fills or empties another. A second
// stream takes what graphs may do beside the main line. The first failure is kept; what is asked
// after it does nothing.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "learning/cuda/platform.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

struct Failure {
    int code = GOSSAMER_CUDA_OK;
    std::string what;
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads)
    run_kernel(const __grid_constant__ typename Kernel::Args args) {
    extern __shared__ __align__(16) unsigned char shared[];
    Block block{shared, static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y),
                static_cast<int>(blockIdx.z)};
    Kernel::run(block, args);
}

class Machine {
public:
    using Graph = cudaGraphExec_t;
    static constexpr bool kEmulated = false;

    static Failure count(int& devices) {
        devices = 0;
        int driver = 0, runtime = 0;
        cudaRuntimeGetVersion(&runtime);
        if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
            return {GOSSAMER_CUDA_NO_DRIVER, "no NVIDIA driver is installed"};
        const cudaError_t error = cudaGetDeviceCount(&devices);
        if (error == cudaErrorInsufficientDriver)
            return {GOSSAMER_CUDA_NO_DRIVER, "the NVIDIA driver knows CUDA " + version(driver) +
                                                 ", the plugin needs " + version(runtime)};
        if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
            return {GOSSAMER_CUDA_NO_DEVICE, "the NVIDIA driver sees no card"};
        if (error != cudaSuccess) return {GOSSAMER_CUDA_FAILED, cudaGetErrorString(error)};
        return {};
    }
    static Failure describe(int device, gossamer_cuda_device& d) {
        int devices = 0;
        if (Failure f = count(devices); f.code != GOSSAMER_CUDA_OK) return f;
        if (device < 0 || device >= devices)
            return {GOSSAMER_CUDA_NO_DEVICE, "there are " + std::to_string(devices) +
                                                 " cards, counted from 0, not " +
                                                 std::to_string(device)};
        cudaDeviceProp p;
        cudaError_t error = cudaGetDeviceProperties(&p, device);
        if (error != cudaSuccess) return {GOSSAMER_CUDA_FAILED, cudaGetErrorString(error)};
        std::copy_n(p.name, std::min(sizeof d.name, sizeof p.name) - 1, d.name);
        d.name[sizeof d.name - 1] = 0;
        d.major = p.major, d.minor = p.minor, d.multiprocessors = p.multiProcessorCount;
        cudaDriverGetVersion(&d.driver), cudaRuntimeGetVersion(&d.runtime);
        d.shared_bytes = p.sharedMemPerBlockOptin;
        d.emulated = 0;
        if (p.major * 10 + p.minor < 75)
            return {GOSSAMER_CUDA_NO_DEVICE,
                    std::string(d.name) + " has compute capability " + std::to_string(p.major) +
                        "." + std::to_string(p.minor) + ", the plugin needs 7.5"};
        std::size_t free_bytes = 0, all = 0;
        error = cudaSetDevice(device);
        if (error == cudaSuccess) error = cudaMemGetInfo(&free_bytes, &all);
        if (error != cudaSuccess)
            return {GOSSAMER_CUDA_FAILED, std::string(d.name) + ": " + cudaGetErrorString(error)};
        d.memory_bytes = all, d.free_bytes = free_bytes;
        return {};
    }

    explicit Machine(int device) : device_(device) {
        enter();
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "make a stream");
        check(cudaEventCreate(&begin_), "make an event");
        check(cudaEventCreate(&end_), "make an event");
        check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), "make a stream");
        check(cudaEventCreateWithFlags(&branch_, cudaEventDisableTiming), "make an event");
        for (auto& slot : slots_)
            check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "make an event");
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() {
        cudaSetDevice(device_);
        if (stream_ != nullptr) cudaStreamSynchronize(stream_);
        for (void* p : owned_) cudaFree(p);
        for (auto& slot : slots_) {
            if (slot.data != nullptr) cudaFreeHost(slot.data);
            if (slot.done != nullptr) cudaEventDestroy(slot.done);
        }
        if (begin_ != nullptr) cudaEventDestroy(begin_);
        if (end_ != nullptr) cudaEventDestroy(end_);
        if (branch_ != nullptr) cudaEventDestroy(branch_);
        if (side_ != nullptr) cudaStreamDestroy(side_);
        if (stream_ != nullptr) cudaStreamDestroy(stream_);
        cudaGetLastError();
    }

    const Failure& failure() const { return failure_; }
    bool failed() const { return failure_.code != GOSSAMER_CUDA_OK; }
    // The current card is a property of the calling thread.
    void enter() { check(cudaSetDevice(device_), "choose the card"); }
    std::uint64_t bytes() const { return bytes_; }

    void* allocate(std::size_t bytes, const char* purpose) {
        if (failed()) return nullptr;
        void* p = nullptr;
        const std::size_t whole = (std::max<std::size_t>(bytes, 1) + 255) / 256 * 256;
        const cudaError_t error = cudaMalloc(&p, whole);
        if (error == cudaErrorMemoryAllocation) {
            cudaGetLastError();
            std::size_t free_bytes = 0, all = 0;
            cudaMemGetInfo(&free_bytes, &all);
            failure_ = {GOSSAMER_CUDA_MEMORY,
                        std::to_string(whole >> 20) + " MiB for " + purpose +
                            " do not fit the card: " + std::to_string(free_bytes >> 20) +
                            " MiB of " + std::to_string(all >> 20) + " are free"};
            return nullptr;
        }
        if (!check(error, "allocate memory")) return nullptr;
        owned_.push_back(p), bytes_ += whole;
        return p;
    }
    void release(void* p) {
        const auto at = std::find(owned_.begin(), owned_.end(), p);
        if (p == nullptr || at == owned_.end()) return;
        owned_.erase(at);
        check(cudaStreamSynchronize(stream_), "finish before memory is freed");
        cudaFree(p);
    }
    void upload(void* to, const void* from, std::size_t bytes) {
        for (std::size_t at = 0; at < bytes && !failed(); at += kSlotBytes) {
            Slot& slot = slots_[turn_++ % kSlots];
            const std::size_t part = std::min(kSlotBytes, bytes - at);
            if (!ready(slot, part)) return;
            std::memcpy(slot.data, static_cast<const char*>(from) + at, part);
            check(cudaMemcpyAsync(static_cast<char*>(to) + at, slot.data, part,
                                  cudaMemcpyHostToDevice, stream_),
                  "copy to the card");
            check(cudaEventRecord(slot.done, stream_), "record an event");
        }
    }
    void download(void* to, const void* from, std::size_t bytes) {
        std::size_t asked = 0, taken = 0;
        const std::size_t first = turn_;
        while (taken < bytes && !failed()) {
            while (asked < bytes && asked - taken < kSlots * kSlotBytes && !failed()) {
                Slot& slot = slots_[turn_++ % kSlots];
                const std::size_t part = std::min(kSlotBytes, bytes - asked);
                if (!ready(slot, part)) return;
                check(cudaMemcpyAsync(slot.data, static_cast<const char*>(from) + asked, part,
                                      cudaMemcpyDeviceToHost, stream_),
                      "copy from the card");
                check(cudaEventRecord(slot.done, stream_), "record an event");
                asked += part;
            }
            if (failed()) return;
            Slot& slot = slots_[(first + taken / kSlotBytes) % kSlots];
            const std::size_t part = std::min(kSlotBytes, bytes - taken);
            if (!check(cudaEventSynchronize(slot.done), "wait for a copy")) return;
            std::memcpy(static_cast<char*>(to) + taken, slot.data, part);
            taken += part;
        }
    }
    void copy(void* to, const void* from, std::size_t bytes) {
        if (!failed() && bytes > 0)
            check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_),
                  "copy on the card");
    }
    void clear(void* to, std::size_t bytes) {
        if (!failed() && bytes > 0) check(cudaMemsetAsync(to, 0, bytes, stream_), "clear memory");
    }
    void wait() {
        if (!failed()) check(cudaStreamSynchronize(stream_), "run kernels");
    }

    template <class Kernel>
    void launch(const Grid& grid, const typename Kernel::Args& args) {
        static_assert(sizeof(typename Kernel::Args) <= 4096, "what a kernel may be given");
        if (failed() || grid.x == 0 || grid.y == 0 || grid.z == 0) return;
        if (rehearsing_) {
            cudaFuncAttributes attributes;
            check(cudaFuncGetAttributes(&attributes, run_kernel<Kernel>), "load a kernel");
            return;
        }
        if (grid.shared_bytes > 48 * 1024)
            check(cudaFuncSetAttribute(run_kernel<Kernel>,
                                       cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       static_cast<int>(grid.shared_bytes)),
                  "take so much shared memory");
        if (failed()) return;
        run_kernel<Kernel><<<dim3(grid.x, grid.y, grid.z), grid.threads, grid.shared_bytes,
                             aside_ ? side_ : stream_>>>(args);
        check(cudaGetLastError(), "launch a kernel");
    }

    // Kernels are loaded, not run: loading may not happen while a graph is captured.
    void rehearse(bool on) { rehearsing_ = on; }
    // What is launched after fork() may run beside what is launched after main_line(); it begins
    // after all that was launched before. join(): the main line waits for it. In graphs alone.
    void fork() {
        if (failed() || rehearsing_) return;
        aside_ = forked_ = true;
        if (check(cudaEventRecord(branch_, stream_), "branch off"))
            check(cudaStreamWaitEvent(side_, branch_, 0), "branch off");
    }
    void main_line() { aside_ = false; }
    void join() {
        aside_ = false;
        if (failed() || !forked_) return;
        forked_ = false;
        if (check(cudaEventRecord(branch_, side_), "join"))
            check(cudaStreamWaitEvent(stream_, branch_, 0), "join");
    }

    void begin_graph() {
        if (!failed())
            check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                  "capture a graph");
    }
    Graph end_graph() {
        cudaGraph_t graph = nullptr;
        Graph ready = nullptr;
        // Ends the capture even after a failure in it, so that the stream can be used again.
        const cudaError_t ended = cudaStreamEndCapture(stream_, &graph);
        if (!failed() && check(ended, "capture a graph"))
            check(cudaGraphInstantiate(&ready, graph, 0), "make a graph");
        if (graph != nullptr) cudaGraphDestroy(graph);
        return ready;
    }
    void play(const Graph& graph) {
        if (!failed()) check(cudaGraphLaunch(graph, stream_), "launch a graph");
    }
    void destroy(Graph& graph) {
        if (graph != nullptr) {
            if (stream_ != nullptr) cudaStreamSynchronize(stream_);
            cudaGraphExecDestroy(graph);
        }
        graph = nullptr;
    }

    void begin_timing() {
        if (!failed()) check(cudaEventRecord(begin_, stream_), "record an event");
    }
    double end_timing() {  // seconds; waits
        float milliseconds = 0;
        if (failed() || !check(cudaEventRecord(end_, stream_), "record an event") ||
            !check(cudaEventSynchronize(end_), "run kernels") ||
            !check(cudaEventElapsedTime(&milliseconds, begin_, end_), "read the card's clock"))
            return 0;
        return milliseconds * 1e-3;
    }

private:
    static constexpr std::size_t kSlots = 4, kSlotBytes = std::size_t{8} << 20;
    struct Slot {
        void* data = nullptr;
        std::size_t room = 0;
        cudaEvent_t done = nullptr;
    };
    // Free, and large enough: pinned memory is taken as it is needed.
    bool ready(Slot& slot, std::size_t bytes) {
        if (failed() || !check(cudaEventSynchronize(slot.done), "wait for a copy")) return false;
        if (bytes <= slot.room) return true;
        const std::size_t room = std::max<std::size_t>(bytes, 64 * 1024);
        if (slot.data != nullptr) cudaFreeHost(slot.data);
        slot.data = nullptr, slot.room = 0;
        if (!check(cudaMallocHost(&slot.data, room), "allocate pinned memory")) return false;
        slot.room = room;
        return true;
    }
    static std::string version(int v) {
        return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10);
    }
    bool check(cudaError_t error, const char* what) {
        if (error == cudaSuccess || failed()) return !failed();
        cudaGetLastError();
        failure_ = {
            error == cudaErrorMemoryAllocation ? GOSSAMER_CUDA_MEMORY : GOSSAMER_CUDA_FAILED,
            std::string("the card could not ") + what + ": " + cudaGetErrorString(error)};
        return false;
    }

    int device_;
    cudaStream_t stream_ = nullptr, side_ = nullptr;
    cudaEvent_t begin_ = nullptr, end_ = nullptr, branch_ = nullptr;
    bool rehearsing_ = false, aside_ = false, forked_ = false;
    Slot slots_[kSlots];
    std::size_t turn_ = 0;
    Failure failure_;
    std::vector<void*> owned_;
    std::uint64_t bytes_ = 0;
};

}  // namespace gossamer::cuda
