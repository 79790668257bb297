// Large buffers come from pools: a fresh one costs ten times the work done in it (page faults).
//
// A Buffer is 64-byte aligned memory that goes back to its pool when it dies. A pool keeps the
// freed buffers by size and hands them out again; it may be used from any thread. Content of a
// buffer from take() is unspecified. Sizes are rounded up to classes by at most a sixteenth, or to
// 64 bytes; Usage counts the classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace gossamer::tensor {

class BufferPool;
using PoolRef = std::shared_ptr<BufferPool>;

class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer(static_cast<Buffer&&>(other)).swap(*this);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();

    std::size_t size_bytes() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::span<std::byte> bytes() { return {data_, size_}; }
    std::span<const std::byte> bytes() const { return {data_, size_}; }
    std::span<float> floats() { return {reinterpret_cast<float*>(data_), size_ / sizeof(float)}; }
    std::span<const float> floats() const {
        return {reinterpret_cast<const float*>(data_), size_ / sizeof(float)};
    }
    std::span<std::int64_t> words() {
        return {reinterpret_cast<std::int64_t*>(data_), size_ / sizeof(std::int64_t)};
    }
    std::span<const std::int64_t> words() const {
        return {reinterpret_cast<const std::int64_t*>(data_), size_ / sizeof(std::int64_t)};
    }

private:
    friend class BufferPool;
    void swap(Buffer& other) noexcept {
        std::swap(pool_, other.pool_), std::swap(data_, other.data_);
        std::swap(size_, other.size_), std::swap(capacity_, other.capacity_);
    }
    PoolRef pool_;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0, capacity_ = 0;
};

class BufferPool : public std::enable_shared_from_this<BufferPool> {
public:
    // Keeps at most `kept_bytes_max` of freed memory for reuse.
    static PoolRef create(std::size_t kept_bytes_max);
    ~BufferPool();
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    Buffer take(std::size_t size_bytes);  // aborts when the machine has no memory
    Buffer take_floats(std::size_t count) { return take(count * sizeof(float)); }

    struct Usage {
        std::size_t live_bytes, kept_bytes, peak_bytes;  // lent out, waiting, most of both
    };
    Usage usage() const;
    void trim();  // gives the kept memory back to the system

private:
    friend class Buffer;
    struct Shelf;
    explicit BufferPool(std::size_t kept_bytes_max);
    void give_back(std::byte* data, std::size_t capacity) noexcept;
    std::unique_ptr<Shelf> shelf_;
};

}  // namespace gossamer::tensor
