// The queue that crosses threads: values in, values out, a bound, and a policy when full.
//
// push_or_wait blocks the producer until there is room (bulk waits); push_always goes past the
// bound (control is never dropped; its senders are bounded by the protocol). Closing wakes
// everybody.
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

    // False when the queue was closed.
    bool push_or_wait(T value) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
        if (closed_) return false;
        items_.push_back(std::move(value));
        lock.unlock();
        filled_.notify_one();
        return true;
    }
    bool push_always(T value) {
        {
            std::lock_guard lock(mutex_);
            if (closed_) return false;
            items_.push_back(std::move(value));
        }
        filled_.notify_one();
        return true;
    }
    // The next value; empty when `until` passed or the queue is closed and drained.
    std::optional<T> pop_until(std::chrono::steady_clock::time_point until) {
        std::unique_lock lock(mutex_);
        filled_.wait_until(lock, until, [&] { return closed_ || !items_.empty(); });
        return take(lock);
    }
    std::optional<T> try_pop() {
        std::unique_lock lock(mutex_);
        return take(lock);
    }
    void close() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
        }
        filled_.notify_all();
        room_.notify_all();
    }
    std::size_t size() const {
        std::lock_guard lock(mutex_);
        return items_.size();
    }

private:
    std::optional<T> take(std::unique_lock<std::mutex>& lock) {
        if (items_.empty()) return std::nullopt;
        std::optional<T> value(std::move(items_.front()));
        items_.pop_front();
        lock.unlock();
        room_.notify_one();
        return value;
    }
    mutable std::mutex mutex_;
    std::condition_variable filled_, room_;
    std::deque<T> items_;
    std::size_t capacity_;
    bool closed_ = false;
};

}  // namespace gossamer::thread
