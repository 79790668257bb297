// Layout: what lies where in a model's one flat float32 buffer.
//
// Tensors follow each other without gaps, each starting where the one before ends, in the order
// they were added. Counts are in elements, not bytes. A layout is small, immutable once shared, and
// compared by digest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/bytes.hpp"

namespace gossamer::tensor {

struct TensorSpec {
    std::string name;                  // "dense1.weight"
    std::vector<std::uint32_t> shape;  // row-major; {} = one number
    std::size_t offset = 0;            // of its first element
    std::size_t count = 0;             // product of shape

    bool operator==(const TensorSpec&) const = default;
};

class Layout {
public:
    // Appends a tensor; returns its offset. Names must be new.
    std::size_t add(std::string name, std::vector<std::uint32_t> shape);

    const std::vector<TensorSpec>& tensors() const { return tensors_; }
    const TensorSpec* find(std::string_view name) const;  // nullptr when absent
    std::size_t parameter_count() const { return count_; }
    std::size_t byte_count() const { return count_ * sizeof(float); }
    // XXH3-128 over names and shapes: equal digests, equal layouts.
    const Digest128& digest() const { return digest_; }

    bool operator==(const Layout&) const = default;

private:
    std::vector<TensorSpec> tensors_;
    std::size_t count_ = 0;
    void take_digest();
    Digest128 digest_;
};
using LayoutRef = std::shared_ptr<const Layout>;

// One line per tensor that differs, "dense1.weight: here 784x200, there 784x100"; at most `max`.
std::vector<std::string> differences(const Layout& here, const Layout& there, std::size_t max = 16);
std::string shape_text(const std::vector<std::uint32_t>& shape);  // "784x200"

}  // namespace gossamer::tensor
