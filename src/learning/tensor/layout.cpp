#include "gossamer/tensor/layout.hpp"

#include <algorithm>
#include <limits>

#include "gossamer/base/assert.hpp"

namespace gossamer::tensor {

std::size_t Layout::add(std::string name, std::vector<std::uint32_t> shape) {
    GOSSAMER_ASSERT(find(name) == nullptr, "two tensors of one name");
    TensorSpec spec{std::move(name), std::move(shape), count_, 1};
    constexpr auto kMost = std::numeric_limits<std::size_t>::max() / (2 * sizeof(float));
    for (auto extent : spec.shape) {
        GOSSAMER_ASSERT(extent == 0 || spec.count <= kMost / extent, "a tensor beyond all memory");
        spec.count *= extent;
    }
    GOSSAMER_ASSERT(count_ <= kMost - spec.count, "a model beyond all memory");
    count_ += spec.count;
    tensors_.push_back(std::move(spec));
    take_digest();
    return tensors_.back().offset;
}

const TensorSpec* Layout::find(std::string_view name) const {
    auto it = std::find_if(tensors_.begin(), tensors_.end(),
                           [&](const TensorSpec& t) { return t.name == name; });
    return it == tensors_.end() ? nullptr : &*it;
}

void Layout::take_digest() {
    ByteWriter text;
    for (const auto& tensor : tensors_) {
        text.put_text(tensor.name);
        text.put(static_cast<std::uint32_t>(tensor.shape.size()));
        for (auto extent : tensor.shape) text.put(extent);
    }
    digest_ = digest128(text.view());
}

std::string shape_text(const std::vector<std::uint32_t>& shape) {
    if (shape.empty()) return "one number";
    std::string text;
    for (auto extent : shape) {
        if (!text.empty()) text += 'x';
        text += std::to_string(extent);
    }
    return text;
}

std::vector<std::string> differences(const Layout& here, const Layout& there, std::size_t max) {
    std::vector<std::string> lines;
    auto note = [&](std::string line) {
        if (lines.size() < max) lines.push_back(std::move(line));
    };
    for (const auto& mine : here.tensors()) {
        const auto* theirs = there.find(mine.name);
        if (!theirs && mine.count == 0)  // a mark, which tells by its name alone
            note(mine.name + ": here, not there");
        else if (!theirs)
            note(mine.name + ": here " + shape_text(mine.shape) + ", there missing");
        else if (theirs->shape != mine.shape)
            note(mine.name + ": here " + shape_text(mine.shape) + ", there " +
                 shape_text(theirs->shape));
        else if (theirs->offset != mine.offset && lines.empty())
            note(mine.name + ": here at element " + std::to_string(mine.offset) + ", there at " +
                 std::to_string(theirs->offset));
    }
    for (const auto& theirs : there.tensors()) {
        if (here.find(theirs.name)) continue;
        note(theirs.name + (theirs.count == 0
                                ? ": there, not here"
                                : ": here missing, there " + shape_text(theirs.shape)));
    }
    return lines;
}

}  // namespace gossamer::tensor
