// Private to tensor: mutual exclusion for some tens of nanoseconds.
#pragma once

#include <atomic>

namespace gossamer::tensor {

class Hold {
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

}  // namespace gossamer::tensor
