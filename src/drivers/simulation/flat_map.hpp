// A map of few entries, or of many that come in about the order of their keys: one sorted array.
// Thousands of places hold several of these, most of them empty.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "gossamer/base/prefetch.hpp"

namespace gossamer::simulation {

template <class K, class V>
class FlatMap {
public:
    using Entry = std::pair<K, V>;
    auto begin() const { return entries_.begin(); }
    auto end() const { return entries_.end(); }
    bool empty() const { return entries_.empty(); }
    std::size_t size() const { return entries_.size(); }
    void fetch_way() const { prefetch(entries_.data(), 1); }  // of a look-up soon
    const V* find(const K& key) const {
        auto it = place(key);
        return it != entries_.end() && it->first == key ? &it->second : nullptr;
    }
    bool contains(const K& key) const { return find(key) != nullptr; }
    void set(const K& key, V value) {
        auto it = entries_.begin() + (place(key) - entries_.cbegin());
        if (it != entries_.end() && it->first == key)
            it->second = std::move(value);
        else
            entries_.emplace(it, key, std::move(value));
    }
    void erase(const K& key) {
        auto it = place(key);
        if (it != entries_.end() && it->first == key) entries_.erase(it);
    }
    template <class F>
    void erase_if(F&& f) {
        std::erase_if(entries_, f);
    }
    void clear() { std::vector<Entry>().swap(entries_); }

private:
    auto place(const K& key) const {
        if (!entries_.empty() && entries_.back().first < key) return entries_.end();
        return std::ranges::lower_bound(entries_, key, {}, &Entry::first);
    }
    std::vector<Entry> entries_;
};

}  // namespace gossamer::simulation
