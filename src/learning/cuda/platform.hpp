// One source for the graphics card and for the processor.
//
// A kernel body is a function of a Block: a sequence of phases, each a function of the thread's
// number, with a barrier after each. On the card a phase runs on all threads at once; here it is a
// loop over them. So every kernel's arithmetic, index by index, is tested without a card, and with
// the same bits: nothing is contracted (-fmad=false there, -ffp-contract=off here) but by name.
//
// Contract of a phase: no thread reads what another writes in the same phase. The processor can run
// the threads of a phase backwards; a body whose result changes then breaks the contract.
// Between phases the threads of a warp (32 neighbours) may exchange values, in pairs.
// Outside phases a body computes only what is the same for all threads. A value in shared memory
// that is read there must not be written by the phase that follows next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define GOSSAMER_BOTH __host__ __device__ inline
#define GOSSAMER_BODY __device__ __forceinline__
#define GOSSAMER_UNROLL _Pragma("unroll")
#define GOSSAMER_UNROLL_2 _Pragma("unroll 2")
#define GOSSAMER_UNROLL_4 _Pragma("unroll 4")
#else
#include <vector>
#define GOSSAMER_BOTH inline
#define GOSSAMER_BODY inline
#define GOSSAMER_UNROLL
#define GOSSAMER_UNROLL_2
#define GOSSAMER_UNROLL_4
#endif

namespace gossamer::cuda {

struct Grid {
    unsigned x = 1, y = 1, z = 1;
    unsigned threads = 128;
    std::size_t shared_bytes = 0;
};

// A variable of each thread that lives from one phase to the next; `Threads` of them in a block.
#if defined(__CUDACC__)

template <class T, int Threads>
struct PerThread {
    T value;
    __device__ __forceinline__ T& operator[](int) { return value; }
};

struct Block {
    unsigned char* shared;  // of this block, 16-byte aligned
    int x, y, z;

    template <class Phase>
    __device__ __forceinline__ void each(Phase&& phase) {
        phase(static_cast<int>(threadIdx.x));
        __syncthreads();
    }
    // Every thread joins its value with that of its partner, `distance` (1, 2, 4, 8, 16) away.
    template <class T, int Threads, class Join>
    __device__ __forceinline__ void exchange(PerThread<T, Threads>& v, int distance, Join&& join) {
        v.value = join(v.value, __shfl_xor_sync(0xffffffffu, v.value, distance));
    }
    // Adds, and returns what was there. The order of additions among threads is open.
    __device__ __forceinline__ static unsigned add(unsigned* to, unsigned value) {
        return atomicAdd(to, value);
    }
    // What this thread wrote before is seen by whoever sees what it writes next.
    __device__ __forceinline__ static void publish() { __threadfence(); }
    // Read past the first-level cache, which does not see what other blocks wrote meanwhile.
    __device__ __forceinline__ static float fresh(const float* from) { return __ldcg(from); }
};

#else

template <class T, int Threads>
struct PerThread {
    std::vector<T> values = std::vector<T>(Threads);
    T& operator[](int thread) { return values[static_cast<std::size_t>(thread)]; }
};

struct Block {
    unsigned char* shared = nullptr;
    int x = 0, y = 0, z = 0;
    int threads = 1;
    bool backwards = false;

    template <class Phase>
    void each(Phase&& phase) {
        for (int i = 0; i < threads; ++i) phase(backwards ? threads - 1 - i : i);
    }
    template <class T, int Threads, class Join>
    void exchange(PerThread<T, Threads>& v, int distance, Join&& join) {
        const auto before = v.values;
        for (int t = 0; t < Threads; ++t)
            v[t] = join(before[static_cast<std::size_t>(t)],
                        before[static_cast<std::size_t>(t ^ distance)]);
    }
    static unsigned add(unsigned* to, unsigned value) {
        const unsigned before = *to;
        *to += value;
        return before;
    }
    static void publish() {}
    static float fresh(const float* from) { return *from; }
};

#endif

template <class To, class From>
GOSSAMER_BOTH To bits_of(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

struct alignas(16) Four {
    float v[4];
};

}  // namespace gossamer::cuda
