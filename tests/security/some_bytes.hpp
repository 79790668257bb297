// Bytes for tests: from a text of hexadecimal digits, and some of any size that do not repeat soon.
#pragma once

#include <string>

#include "gossamer/base/bytes.hpp"

namespace gossamer::security::test {

inline Bytes bytes_of(const std::string& hex) {
    std::string packed = hex;
    std::erase(packed, ' ');
    return from_hex(packed).value();
}

inline Bytes counting(std::size_t size, unsigned start = 0) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>((start + i * 7 + (i >> 8)) & 255);
    return bytes;
}

}  // namespace gossamer::security::test
