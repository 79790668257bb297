// The machine that is no card: kernels run block after block on the processor, memory is plain
// memory. For tests, and as the reference that a card's results are compared with, bit by bit.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
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

class Machine {
public:
    using Graph = std::vector<std::function<void()>>;
    static constexpr bool kEmulated = true;
    // Threads of a phase and blocks of a kernel from the last to the first, branches of a graph as
    // late as may be; results must not change.
    static bool& backwards() {
        static bool value = false;
        return value;
    }
    static Failure count(int& devices) {
        devices = 1;
        return {};
    }
    static Failure describe(int device, gossamer_cuda_device& d) {
        if (device != 0) return {GOSSAMER_CUDA_NO_DEVICE, "there is one emulated device, 0"};
        const char name[] = "emulation on the processor";
        std::memcpy(d.name, name, sizeof name);
        d.major = 9, d.minor = 0, d.multiprocessors = 1;
        d.memory_bytes = d.free_bytes = kMemory;
        d.shared_bytes = 227 * 1024;
        d.emulated = 1;
        return {};
    }

    explicit Machine(int) {}
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() {
        for (void* p : owned_) std::free(p);
    }

    const Failure& failure() const { return failure_; }
    bool failed() const { return failure_.code != GOSSAMER_CUDA_OK; }
    void enter() {}
    std::uint64_t bytes() const { return bytes_; }

    void* allocate(std::size_t bytes, const char* purpose) {
        if (failed()) return nullptr;
        const std::size_t whole = (bytes + 255) / 256 * 256;
        if (whole > kMemory - bytes_) {
            failure_ = {GOSSAMER_CUDA_MEMORY, std::to_string(whole >> 20) + " MiB for " + purpose +
                                                  " do not fit the emulated card of " +
                                                  std::to_string(kMemory >> 20) + " MiB"};
            return nullptr;
        }
        void* p = std::aligned_alloc(256, whole);
        std::memset(p, 0xff, whole);  // NaN, wherever something is read that nobody wrote
        owned_.push_back(p), bytes_ += whole;
        return p;
    }
    void release(void* p) {
        for (auto& owned : owned_)
            if (owned == p) {
                std::free(p);
                std::swap(owned, owned_.back());
                owned_.pop_back();
                return;
            }
    }
    void upload(void* to, const void* from, std::size_t bytes) {
        if (bytes > 0) std::memcpy(to, from, bytes);
    }
    void download(void* to, const void* from, std::size_t bytes) { upload(to, from, bytes); }
    void copy(void* to, const void* from, std::size_t bytes) { upload(to, from, bytes); }
    void clear(void* to, std::size_t bytes) { std::memset(to, 0, bytes); }
    void wait() {}

    template <class Kernel>
    void launch(const Grid& grid, const typename Kernel::Args& args) {
        if (rehearsing_) return;
        auto work = [this, grid, args] { run<Kernel>(grid, args); };
        // As late as may be, if all runs backwards: what the main line does must not mind.
        if (aside_ && backwards())
            deferred_.push_back(std::move(work));
        else if (recording_)
            recorded_.push_back(std::move(work));
        else
            work();
    }

    void rehearse(bool on) { rehearsing_ = on; }
    void fork() { aside_ = true; }
    void main_line() { aside_ = false; }
    void join() {
        aside_ = false;
        for (auto& work : deferred_) {
            if (recording_)
                recorded_.push_back(std::move(work));
            else
                work();
        }
        deferred_.clear();
    }
    void begin_graph() { recording_ = true, recorded_.clear(); }
    Graph end_graph() {
        recording_ = false;
        return std::move(recorded_);
    }
    void play(const Graph& graph) {
        for (const auto& step : graph) step();
    }
    void destroy(Graph& graph) { graph.clear(); }

    void begin_timing() { since_ = std::chrono::steady_clock::now(); }
    double end_timing() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
    }

private:
    struct Poison {  // NaN, as a float of any kind
        std::uint64_t bits[2];
    };
    static constexpr Poison kPoison{{~std::uint64_t{0}, ~std::uint64_t{0}}};
    static constexpr std::uint64_t kMemory = std::uint64_t{1} << 33;
    template <class Kernel>
    void run(const Grid& grid, const typename Kernel::Args& args) {
        std::vector<Four> shared((grid.shared_bytes + sizeof(Four) - 1) / sizeof(Four));
        const unsigned blocks = grid.x * grid.y * grid.z;
        for (unsigned i = 0; i < blocks; ++i) {
            const unsigned at = backwards() ? blocks - 1 - i : i;
            std::fill(shared.begin(), shared.end(), bits_of<Four>(kPoison));
            Block block;
            block.shared = reinterpret_cast<unsigned char*>(shared.data());
            block.x = static_cast<int>(at % grid.x);
            block.y = static_cast<int>(at / grid.x % grid.y);
            block.z = static_cast<int>(at / grid.x / grid.y);
            block.threads = static_cast<int>(grid.threads);
            block.backwards = backwards();
            Kernel::run(block, args);
        }
    }

    Failure failure_;
    std::vector<void*> owned_;
    std::uint64_t bytes_ = 0;
    bool recording_ = false, rehearsing_ = false, aside_ = false;
    Graph recorded_, deferred_;
    std::chrono::steady_clock::time_point since_;
};

}  // namespace gossamer::cuda
