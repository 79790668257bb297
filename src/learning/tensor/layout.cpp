#include "gossamer/tensor/layout.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "gossamer/base/assert.hpp"

namespace gossamer::tensor {

namespace {

// Tensors in the order of their names, for lists that strangers sent.
std::vector<const TensorSpec*> by_name(const std::vector<TensorSpec>& tensors) {
    std::vector<const TensorSpec*> sorted;
    for (const auto& tensor : tensors) sorted.push_back(&tensor);
    std::ranges::sort(sorted, {}, [](const TensorSpec* t) -> std::string_view { return t->name; });
    return sorted;
}

const TensorSpec* find_in(const std::vector<const TensorSpec*>& sorted, std::string_view name) {
    const auto it = std::ranges::lower_bound(
        sorted, name, {}, [](const TensorSpec* t) -> std::string_view { return t->name; });
    return it == sorted.end() || (*it)->name != name ? nullptr : *it;
}

}  // namespace

std::size_t Layout::add(std::string name, std::vector<std::uint32_t> shape) {
    const auto place = place_of(name);
    GOSSAMER_ASSERT(!is_at(place, name), "two tensors of one name");
    TensorSpec spec{std::move(name), std::move(shape), count_, 1};
    constexpr auto kMost = std::numeric_limits<std::size_t>::max() / (2 * sizeof(float));
    ByteWriter text;
    text.put_text(spec.name);
    text.put(static_cast<std::uint32_t>(spec.shape.size()));
    for (auto extent : spec.shape) {
        GOSSAMER_ASSERT(extent == 0 || spec.count <= kMost / extent, "a tensor beyond all memory");
        spec.count *= extent;
        text.put(extent);
    }
    GOSSAMER_ASSERT(count_ <= kMost - spec.count, "a model beyond all memory");
    count_ += spec.count;
    text_.add(text.view());
    digest_ = text_.digest();
    by_name_.insert(place, static_cast<std::uint32_t>(tensors_.size()));
    tensors_.push_back(std::move(spec));
    return tensors_.back().offset;
}

std::vector<std::uint32_t>::const_iterator Layout::place_of(std::string_view name) const {
    return std::ranges::lower_bound(
        by_name_, name, {},
        [this](std::uint32_t i) -> std::string_view { return tensors_[i].name; });
}

const TensorSpec* Layout::find(std::string_view name) const {
    const auto place = place_of(name);
    return is_at(place, name) ? &tensors_[*place] : nullptr;
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

bool same_tensors(const std::vector<TensorSpec>& a, const std::vector<TensorSpec>& b) {
    return std::ranges::equal(a, b, [](const TensorSpec& x, const TensorSpec& y) {
        return x.name == y.name && x.shape == y.shape;
    });
}

bool names_one_twice(const std::vector<TensorSpec>& tensors) {
    const auto same = [](const TensorSpec* a, const TensorSpec* b) { return a->name == b->name; };
    const auto sorted = by_name(tensors);
    return std::ranges::adjacent_find(sorted, same) != sorted.end();
}

std::vector<std::string> differences(const Layout& here, const Layout& there, std::size_t max) {
    return differences(here.tensors(), there.tensors(), max);
}

std::vector<std::string> differences(const std::vector<TensorSpec>& here,
                                     const std::vector<TensorSpec>& there, std::size_t max) {
    std::vector<std::string> lines;
    const auto known_here = by_name(here), known_there = by_name(there);
    for (const auto& mine : here) {
        if (lines.size() >= max) return lines;
        const auto* theirs = find_in(known_there, mine.name);
        if (!theirs && mine.count == 0)  // a mark, which tells by its name alone
            lines.push_back(mine.name + ": here, not there");
        else if (!theirs)
            lines.push_back(mine.name + ": here " + shape_text(mine.shape) + ", there missing");
        else if (theirs->shape != mine.shape)
            lines.push_back(mine.name + ": here " + shape_text(mine.shape) + ", there " +
                            shape_text(theirs->shape));
        else if (theirs->offset != mine.offset && lines.empty())
            lines.push_back(mine.name + ": here at element " + std::to_string(mine.offset) +
                            ", there at " + std::to_string(theirs->offset));
    }
    for (const auto& theirs : there) {
        if (lines.size() >= max) return lines;
        if (find_in(known_here, theirs.name)) continue;
        lines.push_back(theirs.name + (theirs.count == 0
                                           ? ": there, not here"
                                           : ": here missing, there " + shape_text(theirs.shape)));
    }
    return lines;
}

}  // namespace gossamer::tensor
