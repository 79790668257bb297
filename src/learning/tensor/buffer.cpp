// Sizes are rounded up to classes, sixteen to a doubling (small ones to whole lines), so that a
// buffer fits the next taker of about its size and at most a sixteenth is idle. A freed buffer's
// first word links it to the next of its class: giving back allocates nothing. From 2 MiB on memory
// is mapped on a huge-page boundary. Smaller ones of a class of which there are many, as models in
// a simulation, are pieces of large areas, so that huge pages hold them too: a copy into one that
// left the caches takes half the time, and a hundred of them fault 40 times, not 20,000.
#include "gossamer/tensor/buffer.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "gossamer/base/assert.hpp"
#include "learning/tensor/hold.hpp"

namespace gossamer::tensor {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLine = 64, kSmall = 1024;  // up to here classes are whole lines
constexpr unsigned kSmallBits = 10, kMostBits = 46, kStepBits = 4, kSteps = 1 << kStepBits;
constexpr unsigned kSmallCount = kSmall / kLine;
constexpr unsigned kClassCount = kSmallCount + (kMostBits - kSmallBits) * kSteps + 1;

// Of classes from here on, this many are allocated one by one before areas are.
constexpr std::size_t kPieceLeast = 64 << 10, kFew = 16;
constexpr std::size_t kAreaLeast = std::size_t{4} << 20, kAreaMost = std::size_t{64} << 20;
// Pieces lie a page and a line further apart than they are long, so that what is at the same place
// in many of them, as all models of a mixture are read, does not fall into one set of a cache.
constexpr std::size_t kApart = 4096 + 64;

// The smallest class that holds `bytes`: (16 + step) · 2^(doubling - 4), step in 0..15.
unsigned class_of(std::size_t bytes) {
    if (bytes <= kSmall) return static_cast<unsigned>((bytes + kLine - 1) / kLine) - 1;
    auto doubling = static_cast<unsigned>(std::bit_width(bytes - 1)) - 1;
    auto step = ((bytes - 1) >> (doubling - kStepBits)) - kSteps + 1;
    return kSmallCount + (doubling - kSmallBits) * kSteps + static_cast<unsigned>(step);
}

std::size_t capacity_of(unsigned size_class) {
    if (size_class < kSmallCount) return (size_class + 1) * kLine;
    size_class -= kSmallCount;
    auto doubling = size_class / kSteps + kSmallBits;
    return std::size_t{kSteps + size_class % kSteps} << (doubling - kStepBits);
}

std::byte* map_aligned(std::size_t bytes, std::size_t used_bytes) {
    auto length = bytes + kHugePage;
    void* area = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GOSSAMER_ASSERT(area != MAP_FAILED, "the machine has no memory for a large buffer");
    auto start = reinterpret_cast<std::uintptr_t>(area);
    auto aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
    if (aligned > start) munmap(area, aligned - start);
    if (auto tail = start + length - (aligned + bytes); tail > 0)
        munmap(reinterpret_cast<void*>(aligned + bytes), tail);
    // Only as far as huge pages are filled: the rest of the class is never touched, so it costs
    // nothing. Advice: may be refused.
    madvise(reinterpret_cast<void*>(aligned), used_bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return reinterpret_cast<std::byte*>(aligned);
}

std::byte* allocate(std::size_t bytes, std::size_t used_bytes) {
    if (bytes >= kHugePage) return map_aligned(bytes, used_bytes);
    auto* data = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
    GOSSAMER_ASSERT(data != nullptr, "the machine has no memory for a buffer");
    return data;
}

void release(std::byte* data, std::size_t bytes) {
    if (bytes >= kHugePage)
        munmap(data, bytes);
    else
        std::free(data);
}

}  // namespace

struct BufferPool::Shelf {
    explicit Shelf(std::size_t most) : kept_bytes_max(most) {}
    ~Shelf() {
        for (const auto& area : areas) munmap(area.data(), area.size());
    }

    const std::size_t kept_bytes_max;
    mutable std::atomic_flag busy = ATOMIC_FLAG_INIT;
    std::array<std::byte*, kClassCount> freed{};  // the first of each class, linked
    std::size_t live_bytes = 0, kept_bytes = 0, peak_bytes = 0;

    struct Pieces {                    // of a class
        std::size_t count = 0;         // of buffers that there are, pieces or not
        std::byte* vacated = nullptr;  // pieces without memory, linked
        std::span<std::byte> uncut;
    };
    std::map<unsigned, Pieces> pieces;
    std::vector<std::span<std::byte>> areas;

    static void push(std::byte*& first, std::byte* data) {
        std::memcpy(data, &first, sizeof(std::byte*));
        first = data;
    }
    static std::byte* pop(std::byte*& first) {
        auto* data = first;
        if (data) std::memcpy(&first, data, sizeof(std::byte*));
        return data;
    }
    std::byte* cut(unsigned size_class);  // null: not of this size, or not yet
    bool is_piece(const std::byte* data) const {
        return std::ranges::any_of(areas, [&](const auto& area) {
            return data >= area.data() && data < area.data() + area.size();
        });
    }
    void vacate(unsigned size_class, std::byte* data);
    bool let_go(unsigned size_class, std::byte* data);
};

std::byte* BufferPool::Shelf::cut(unsigned size_class) {
    const auto capacity = capacity_of(size_class);
    if (capacity < kPieceLeast || capacity >= kHugePage) return nullptr;
    auto& of_class = pieces[size_class];
    if (of_class.vacated) return pop(of_class.vacated);
    if (++of_class.count <= kFew) return nullptr;
    if (of_class.uncut.size() < capacity) {
        const auto wanted = of_class.count / 2 * (capacity + kApart);
        const auto bytes = std::clamp(wanted, kAreaLeast, kAreaMost) / kHugePage * kHugePage;
        of_class.uncut = areas.emplace_back(map_aligned(bytes, bytes), bytes);
    }
    auto* data = of_class.uncut.data();
    of_class.uncut = of_class.uncut.subspan(std::min(capacity + kApart, of_class.uncut.size()));
    return data;
}

// Its whole pages go back to the system, all but the first: the link is there.
void BufferPool::Shelf::vacate(unsigned size_class, std::byte* data) {
    static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(data) / page + 1) * page;
    const auto end =
        (reinterpret_cast<std::uintptr_t>(data) + capacity_of(size_class)) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    push(pieces[size_class].vacated, data);
}

// What is not wanted any more. True: it was a piece, which stays here; else it is to be freed.
bool BufferPool::Shelf::let_go(unsigned size_class, std::byte* data) {
    const auto of_class = pieces.find(size_class);
    if (of_class == pieces.end()) return false;
    if (is_piece(data)) {
        vacate(size_class, data);
        return true;
    }
    --of_class->second.count;
    return false;
}

Buffer::~Buffer() {
    if (pool_) pool_->give_back(data_, capacity_);
}

BufferPool::BufferPool(std::size_t kept_bytes_max)
    : shelf_(std::make_unique<Shelf>(kept_bytes_max)) {}

BufferPool::~BufferPool() { trim(); }

PoolRef BufferPool::create(std::size_t kept_bytes_max) {
    return PoolRef(new BufferPool(kept_bytes_max));
}

Buffer BufferPool::take(std::size_t size_bytes) {
    Buffer buffer;
    if (size_bytes == 0) return buffer;
    GOSSAMER_ASSERT(size_bytes <= std::size_t{1} << kMostBits, "a buffer beyond all memory");
    auto size_class = class_of(size_bytes);
    auto capacity = capacity_of(size_class);
    {
        Hold hold(shelf_->busy);
        buffer.data_ = Shelf::pop(shelf_->freed[size_class]);
        if (buffer.data_)
            shelf_->kept_bytes -= capacity;
        else
            buffer.data_ = shelf_->cut(size_class);
        shelf_->live_bytes += capacity;
        shelf_->peak_bytes = std::max(shelf_->peak_bytes, shelf_->live_bytes + shelf_->kept_bytes);
    }
    if (!buffer.data_) buffer.data_ = allocate(capacity, size_bytes);
    buffer.pool_ = shared_from_this();
    buffer.size_ = size_bytes;
    buffer.capacity_ = capacity;
    return buffer;
}

void BufferPool::give_back(std::byte* data, std::size_t capacity) noexcept {
    {
        Hold hold(shelf_->busy);
        shelf_->live_bytes -= capacity;
        if (shelf_->kept_bytes + capacity <= shelf_->kept_bytes_max) {
            Shelf::push(shelf_->freed[class_of(capacity)], data);
            shelf_->kept_bytes += capacity;
            return;
        }
        if (shelf_->let_go(class_of(capacity), data)) return;
    }
    release(data, capacity);
}

BufferPool::Usage BufferPool::usage() const {
    Hold hold(shelf_->busy);
    return {shelf_->live_bytes, shelf_->kept_bytes, shelf_->peak_bytes};
}

void BufferPool::trim() {
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
        for (;;) {
            std::byte* data = nullptr;
            {
                Hold hold(shelf_->busy);
                data = Shelf::pop(shelf_->freed[size_class]);
                if (!data) break;
                shelf_->kept_bytes -= capacity_of(size_class);
                if (shelf_->let_go(size_class, data)) continue;
            }
            release(data, capacity_of(size_class));
        }
    }
}

}  // namespace gossamer::tensor
