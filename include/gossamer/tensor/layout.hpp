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

#include "gossamer/base/running_digest.hpp"

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
    // Appends a tensor; returns its offset. Names must be new. What is there already is not gone
    // through again: models have thousands of tensors.
    std::size_t add(std::string name, std::vector<std::uint32_t> shape);

    const std::vector<TensorSpec>& tensors() const { return tensors_; }
    const TensorSpec* find(std::string_view name) const;  // nullptr when absent
    std::size_t parameter_count() const { return count_; }
    std::size_t byte_count() const { return count_ * sizeof(float); }
    // XXH3-128 over names and shapes: equal digests, equal layouts.
    const Digest128& digest() const { return digest_; }
    std::uint64_t digested_byte_count() const { return text_.byte_count(); }  // by all add() so far

    bool operator==(const Layout& other) const {
        return digest_ == other.digest_ && tensors_ == other.tensors_;
    }

private:
    // Where the name is in by_name_, or belongs.
    std::vector<std::uint32_t>::const_iterator place_of(std::string_view name) const;
    bool is_at(std::vector<std::uint32_t>::const_iterator place, std::string_view name) const {
        return place != by_name_.end() && tensors_[*place].name == name;
    }

    std::vector<TensorSpec> tensors_;
    std::vector<std::uint32_t> by_name_;  // places in tensors_, in the order of the names
    std::size_t count_ = 0;
    RunningDigest text_;  // names and shapes
    Digest128 digest_;    // of it, kept: a layout is read on many threads
};
using LayoutRef = std::shared_ptr<const Layout>;

// One line per tensor that differs, "dense1.weight: here 784x200, there 784x100"; at most `max`.
// Lists need be no layouts: of two tensors of one name either may be taken.
std::vector<std::string> differences(const Layout& here, const Layout& there, std::size_t max = 16);
std::vector<std::string> differences(const std::vector<TensorSpec>& here,
                                     const std::vector<TensorSpec>& there, std::size_t max = 16);
// The same names and shapes in the same order: equal layouts.
bool same_tensors(const std::vector<TensorSpec>& a, const std::vector<TensorSpec>& b);
bool names_one_twice(const std::vector<TensorSpec>& tensors);
std::string shape_text(const std::vector<std::uint32_t>& shape);  // "784x200"

}  // namespace gossamer::tensor
