// XXH3-128 of bytes that come in pieces; equals digest128 of all of them. A value: a copy goes on
// by itself.
#pragma once

#include <memory>

#include "gossamer/base/bytes.hpp"

namespace gossamer {

class RunningDigest {
public:
    RunningDigest();
    RunningDigest(const RunningDigest& other);
    RunningDigest(RunningDigest&&) noexcept;
    RunningDigest& operator=(RunningDigest other) noexcept;
    ~RunningDigest();
    void add(ByteView bytes);
    Digest128 digest() const;  // in the same time, however much was added
    std::uint64_t byte_count() const;

private:
    struct State;
    std::unique_ptr<State> state_;  // from the first byte on: links over handles have none
};

}  // namespace gossamer
