// Sizes are rounded up to classes, eight to a doubling, so that a buffer fits the next taker of
// about its size and at most an eighth is idle. A freed buffer's first word links it to the next of
// its class: giving back allocates nothing. From 2 MiB on memory is mapped on a huge-page boundary.
#include "gossamer/tensor/buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "gossamer/base/assert.hpp"

namespace gossamer::tensor {
namespace {

constexpr std::size_t kLeastBytes = 512, kHugePage = std::size_t{2} << 20;
constexpr unsigned kLeastBits = 9, kMostBits = 46, kSteps = 8;
constexpr unsigned kClassCount = (kMostBits - kLeastBits) * kSteps + 1;

// The smallest class that holds `bytes`: (8 + step) · 2^(doubling - 3), step in 0..7.
unsigned class_of(std::size_t bytes) {
    if (bytes <= kLeastBytes) return 0;
    auto doubling = static_cast<unsigned>(std::bit_width(bytes - 1)) - 1;
    auto step = ((bytes - 1) >> (doubling - 3)) - kSteps + 1;
    return (doubling - kLeastBits) * kSteps + static_cast<unsigned>(step);
}

std::size_t capacity_of(unsigned size_class) {
    auto doubling = size_class / kSteps + kLeastBits;
    return (kSteps + size_class % kSteps) << (doubling - 3);
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

    const std::size_t kept_bytes_max;
    mutable std::atomic_flag busy = ATOMIC_FLAG_INIT;
    std::array<std::byte*, kClassCount> freed{};  // the first of each class, linked
    std::size_t live_bytes = 0, kept_bytes = 0, peak_bytes = 0;

    void push(unsigned size_class, std::byte* data) {
        std::memcpy(data, &freed[size_class], sizeof(std::byte*));
        freed[size_class] = data;
    }
    std::byte* pop(unsigned size_class) {
        auto* data = freed[size_class];
        if (data) std::memcpy(&freed[size_class], data, sizeof(std::byte*));
        return data;
    }
};

namespace {

class Hold {  // of the shelf, for some tens of nanoseconds
public:
    explicit Hold(std::atomic_flag& flag) : flag_(flag) {
        while (flag_.test_and_set(std::memory_order_acquire)) flag_.wait(true);
    }
    ~Hold() {
        flag_.clear(std::memory_order_release);
        flag_.notify_one();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

private:
    std::atomic_flag& flag_;
};

}  // namespace

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
        buffer.data_ = shelf_->pop(size_class);
        if (buffer.data_) shelf_->kept_bytes -= capacity;
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
            shelf_->push(class_of(capacity), data);
            shelf_->kept_bytes += capacity;
            return;
        }
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
                data = shelf_->pop(size_class);
                if (data) shelf_->kept_bytes -= capacity_of(size_class);
            }
            if (!data) break;
            release(data, capacity_of(size_class));
        }
    }
}

}  // namespace gossamer::tensor
