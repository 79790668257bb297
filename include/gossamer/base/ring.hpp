// A queue with a bound. What happens when it is full is the caller's policy, so push says so.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "gossamer/base/assert.hpp"

namespace gossamer {

template <class T>
class BoundedRing {
public:
    explicit BoundedRing(std::size_t capacity) : capacity_(capacity) {}

    [[nodiscard]] bool push(T value) {  // false, and nothing taken, when full
        if (full()) return false;
        items_.push_back(std::move(value));
        return true;
    }
    T pop() {  // REQUIRES !empty()
        GOSSAMER_ASSERT(!items_.empty(), "pop from an empty ring");
        T value = std::move(items_.front());
        items_.pop_front();
        return value;
    }
    const T& front() const { return items_.front(); }
    bool empty() const { return items_.empty(); }
    bool full() const { return items_.size() >= capacity_; }
    std::size_t size() const { return items_.size(); }
    std::size_t capacity() const { return capacity_; }

private:
    std::deque<T> items_;
    std::size_t capacity_;
};

}  // namespace gossamer
