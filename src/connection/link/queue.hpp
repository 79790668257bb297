// First in, first out, and eight bytes while it is empty: most queues of most links are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace gossamer::link {

template <class T>
class Queue {
public:
    Queue() = default;
    Queue(Queue&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    Queue& operator=(Queue&& other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~Queue() { clear(); }

    void push_back(T item) {
        if (!block_ || block_->end == block_->capacity) make_room();
        new (items() + block_->end++) T(std::move(item));
    }
    T pop_front() {  // REQUIRES !empty()
        T item = std::move(*begin());
        std::destroy_at(begin());
        if (++block_->begin == block_->end) clear();
        return item;
    }
    bool empty() const { return block_ == nullptr; }
    std::size_t size() const { return block_ ? block_->end - block_->begin : 0; }
    void clear() {
        if (!block_) return;
        std::destroy(begin(), end());
        ::operator delete(std::exchange(block_, nullptr));
    }
    T* begin() { return block_ ? items() + block_->begin : nullptr; }
    T* end() { return block_ ? items() + block_->end : nullptr; }

private:
    struct alignas(T) Block {  // followed by its items
        std::uint32_t begin = 0, end = 0, capacity = 0;
    };
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    T* items() const { return reinterpret_cast<T*>(block_ + 1); }

    // Moves what there is to the front of a block, which is twice as large unless half was free.
    void make_room() {
        const auto count = size();
        const auto capacity = std::max<std::size_t>(2, 2 * count);
        auto* block = new (::operator new(sizeof(Block) + capacity * sizeof(T)))
            Block{0, static_cast<std::uint32_t>(count), static_cast<std::uint32_t>(capacity)};
        std::uninitialized_move(begin(), end(), reinterpret_cast<T*>(block + 1));
        clear();
        block_ = block;
    }
    Block* block_ = nullptr;
};

}  // namespace gossamer::link
