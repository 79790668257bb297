// A map of few entries, or of many that come in about the order of their keys: a sorted array.
// Thousands of places hold several of these, most of them empty. Beyond kLeafMost entries it is
// several such arrays, so that the hundred thousand links of an aggregator can go in any order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/prefetch.hpp"

namespace gossamer::simulation {

template <class K, class V>
class FlatMap {
public:
    using Entry = std::pair<K, V>;
    static constexpr std::size_t kLeafMost = 512;

    class Iterator {
    public:
        const Entry& operator*() const { return map_->leaf(leaf_)[at_]; }
        Iterator& operator++() {
            if (++at_ == map_->leaf(leaf_).size()) ++leaf_, at_ = 0;
            return *this;
        }
        bool operator==(const Iterator& other) const {
            return leaf_ == other.leaf_ && at_ == other.at_;
        }

    private:
        friend class FlatMap;
        Iterator(const FlatMap* map, std::size_t leaf) : map_(map), leaf_(leaf) {}
        const FlatMap* map_;
        std::size_t leaf_, at_ = 0;
    };
    Iterator begin() const { return {this, 0}; }
    Iterator end() const { return {this, leaf_count()}; }

    bool empty() const { return size() == 0; }
    std::size_t size() const { return tall_ ? tall_->size : flat_.size(); }
    void fetch_way() const { prefetch(flat_.data(), 1); }  // of a look-up soon
    const V* find(const K& key) const {
        const auto& in = leaf(leaf_of(key));
        const auto at = place(in, key);
        return at < in.size() && in[at].first == key ? &in[at].second : nullptr;
    }
    bool contains(const K& key) const { return find(key) != nullptr; }
    void set(const K& key, V value) {
        const auto which = leaf_of(key);
        auto& in = leaf(which);
        const auto at = place(in, key);
        if (at < in.size() && in[at].first == key) {
            in[at].second = std::move(value);
            return;
        }
        in.emplace(in.begin() + static_cast<std::ptrdiff_t>(at), key, std::move(value));
        if (tall_) ++tall_->size;
        if (in.size() > kLeafMost) split(which, at + 1 == in.size());
    }
    void erase(const K& key) {
        const auto which = leaf_of(key);
        auto& in = leaf(which);
        const auto at = place(in, key);
        if (at == in.size() || in[at].first != key) return;
        in.erase(in.begin() + static_cast<std::ptrdiff_t>(at));
        if (!tall_) return;
        --tall_->size;
        auto& leaves = tall_->leaves;
        if (in.empty()) leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(which));
        if (leaves.empty()) tall_.reset();
    }
    void clear() { *this = {}; }

private:
    using Leaf = std::vector<Entry>;
    struct Tall {
        std::vector<Leaf> leaves;  // none is empty
        std::size_t size = 0;      // entries in all
    };

    std::size_t leaf_count() const { return tall_ ? tall_->leaves.size() : !flat_.empty(); }
    const Leaf& leaf(std::size_t which) const { return tall_ ? tall_->leaves[which] : flat_; }
    Leaf& leaf(std::size_t which) { return tall_ ? tall_->leaves[which] : flat_; }
    std::size_t leaf_of(const K& key) const {  // the last one that does not begin beyond it
        if (!tall_) return 0;
        const auto& leaves = tall_->leaves;
        const auto it =
            std::partition_point(leaves.begin() + 1, leaves.end(),
                                 [&](const Leaf& leaf) { return !(key < leaf.front().first); });
        return static_cast<std::size_t>(it - leaves.begin()) - 1;
    }
    static std::size_t place(const Leaf& in, const K& key) {
        if (!in.empty() && in.back().first < key) return in.size();
        return static_cast<std::size_t>(std::ranges::lower_bound(in, key, {}, &Entry::first) -
                                        in.begin());
    }
    // In half, or for what comes in order: what came last begins the next one.
    void split(std::size_t which, bool at_end) {
        if (!tall_) {
            const auto size = flat_.size();
            auto& tall = tall_.emplace();
            tall.leaves.push_back(std::exchange(flat_, {}));
            tall.size = size;
        }
        auto& leaves = tall_->leaves;
        auto& in = leaves[which];
        const auto kept = at_end ? in.size() - 1 : in.size() / 2;
        const auto from = in.begin() + static_cast<std::ptrdiff_t>(kept);
        Leaf rest(std::make_move_iterator(from), std::make_move_iterator(in.end()));
        in.erase(from, in.end());
        leaves.insert(leaves.begin() + static_cast<std::ptrdiff_t>(which) + 1, std::move(rest));
    }

    Leaf flat_;         // all, while they are few
    Boxed<Tall> tall_;  // else
};

}  // namespace gossamer::simulation
