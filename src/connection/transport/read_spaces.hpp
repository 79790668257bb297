// What known members send is read into a buffer of the thread that reads; all of it is free again
// when the handler returns. One for each I/O thread, however many links there are.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "gossamer/base/bytes.hpp"

namespace gossamer::transport {

constexpr std::size_t kReadBytes = 128 * 1024;  // per call; few calls, and it stays in the cache

class ReadSpaces {
public:
    // That of the calling thread.
    std::span<std::byte> mine() {
        const auto self = std::this_thread::get_id();
        std::lock_guard lock(mutex_);
        for (const auto& [thread, space] : spaces_)
            if (thread == self) return *space;
        spaces_.emplace_back(self, std::make_unique<Bytes>(kReadBytes));
        return *spaces_.back().second;
    }

private:
    std::mutex mutex_;
    std::vector<std::pair<std::thread::id, std::unique_ptr<Bytes>>> spaces_;
};

}  // namespace gossamer::transport
