// The queue that crosses threads: values in, values out, and a bound. Pushing never blocks: a full
// queue says so, and whoever asked decides what that costs. Closing wakes everybody.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace gossamer::thread {

template <class T>
class BoundedQueue {
public:
    explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

    // False when the queue is full or closed: the value was not taken.
    bool push(T value) {
        {
            std::lock_guard lock(mutex_);
            if (closed_ || items_.size() >= capacity_) return false;
            items_.push_back(std::move(value));
        }
        filled_.notify_one();
        return true;
    }
    // The next value; empty when `until` passed or the queue is closed and drained.
    std::optional<T> pop_until(std::chrono::steady_clock::time_point until) {
        std::unique_lock lock(mutex_);
        filled_.wait_until(lock, until, [&] { return closed_ || !items_.empty(); });
        if (items_.empty()) return std::nullopt;
        std::optional<T> value(std::move(items_.front()));
        items_.pop_front();
        return value;
    }
    void close() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
        }
        filled_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<T> items_;
    const std::size_t capacity_;
    bool closed_ = false;
};

}  // namespace gossamer::thread
