// XXH3-128 of bytes that come in pieces; equals digest128 of all of them.
#pragma once

#include <memory>

#include "gossamer/base/bytes.hpp"

namespace gossamer::link {

class Checksum {
public:
    Checksum();
    Checksum(Checksum&&) noexcept;
    Checksum& operator=(Checksum&&) noexcept;
    ~Checksum();
    void add(ByteView bytes);
    Digest128 digest() const;

private:
    struct State;
    std::unique_ptr<State> state_;  // from the first byte on: links over handles have none
};

}  // namespace gossamer::link
