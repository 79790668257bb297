// One I/O thread with an event loop of its own. A connection stays on one lane from its socket to
// its end, so nothing of a connection is ever touched by two threads.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>

#include "gossamer/base/bytes.hpp"

namespace gossamer::transport {

constexpr std::size_t kReadBytes = 256 * 1024;  // per call; few calls, and it stays in the cache

struct Lane {
    std::atomic<std::size_t> connection_count{0};
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    // What known members send is read into; all of it is free again after each call.
    Bytes read_space = Bytes(kReadBytes);
};

}  // namespace gossamer::transport
