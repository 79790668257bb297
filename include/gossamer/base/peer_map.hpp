// A map by PeerId, iterated in the order of ids. Like std::map, what it holds stays where it is
// until it is erased; unlike it, a look-up reads one short array instead of a path of nodes.
//
// Ids are hashes, so their first eight bytes nearly always tell them apart: entries are {those,
// pointer}, sorted. Up to kLeafMax entries are one array; more are several, found by the first
// entry of each, so that an aggregator may know a hundred thousand clients. An only entry has no
// array at all: a client knows nobody but its aggregator.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "gossamer/base/assert.hpp"
#include "gossamer/base/peer_id.hpp"

namespace gossamer {

template <class T>
class PeerMap {
public:
    using value_type = std::pair<const PeerId, T>;
    static constexpr std::size_t kLeafMax = 512;

private:
    using Value = std::unique_ptr<value_type>;
    struct Entry {
        std::uint64_t prefix;
        Value value;
        bool before(const PeerId& id, std::uint64_t its_prefix) const {
            return prefix != its_prefix ? prefix < its_prefix : value->first < id;
        }
    };
    using Leaf = std::vector<Entry>;
    struct Table {
        std::vector<Leaf> leaves;  // none is empty
        std::size_t size = 0;      // entries in all
    };

    template <class V, class Map>
    class Iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = PeerMap::value_type;
        using difference_type = std::ptrdiff_t;
        using pointer = V*;
        using reference = V&;

        Iterator() = default;
        operator Iterator<const PeerMap::value_type, const PeerMap>() const {
            return {map_, leaf_, at_};
        }
        V& operator*() const { return map_->value(leaf_, at_); }
        V* operator->() const { return &**this; }
        Iterator& operator++() {
            if (++at_ == map_->leaf_size(leaf_) && leaf_ + 1 < map_->leaf_count()) ++leaf_, at_ = 0;
            return *this;
        }
        Iterator operator++(int) {
            auto before = *this;
            ++*this;
            return before;
        }
        bool operator==(const Iterator& other) const {
            return leaf_ == other.leaf_ && at_ == other.at_;
        }

    private:
        friend class PeerMap;
        template <class, class>
        friend class Iterator;
        Iterator(Map* map, std::size_t leaf, std::size_t at) : map_(map), leaf_(leaf), at_(at) {}
        Map* map_ = nullptr;
        std::size_t leaf_ = 0, at_ = 0;
    };

public:
    using iterator = Iterator<value_type, PeerMap>;
    using const_iterator = Iterator<const value_type, const PeerMap>;

    PeerMap() = default;
    PeerMap(const PeerMap& other) {
        if (other.only_) only_ = std::make_unique<value_type>(*other.only_);
        if (!other.table_) return;
        table_ = std::make_unique<Table>();
        table_->size = other.table_->size;
        for (const auto& leaf : other.table_->leaves)
            for (auto& copy = table_->leaves.emplace_back(); const auto& entry : leaf)
                copy.push_back({entry.prefix, std::make_unique<value_type>(*entry.value)});
    }
    PeerMap(PeerMap&&) noexcept = default;
    PeerMap& operator=(const PeerMap& other) { return *this = PeerMap(other); }
    PeerMap& operator=(PeerMap&&) noexcept = default;

    iterator begin() { return {this, 0, 0}; }
    iterator end() { return {this, leaf_count() - 1, leaf_size(leaf_count() - 1)}; }
    const_iterator begin() const { return {this, 0, 0}; }
    const_iterator end() const { return {this, leaf_count() - 1, leaf_size(leaf_count() - 1)}; }

    std::size_t size() const { return table_ ? table_->size : only_ != nullptr; }
    bool empty() const { return !only_ && !table_; }

    iterator find(const PeerId& id) {
        const auto [leaf, at, there] = place(id);
        return there ? iterator{this, leaf, at} : end();
    }
    const_iterator find(const PeerId& id) const {
        const auto [leaf, at, there] = place(id);
        return there ? const_iterator{this, leaf, at} : end();
    }
    // The value itself; null when there is none.
    T* get(const PeerId& id) {
        const auto [leaf, at, there] = place(id);
        return there ? &value(leaf, at).second : nullptr;
    }
    const T* get(const PeerId& id) const { return const_cast<PeerMap*>(this)->get(id); }
    bool contains(const PeerId& id) const { return place(id).there; }
    T& at(const PeerId& id) {  // REQUIRES contains(id)
        auto* value = get(id);
        GOSSAMER_ASSERT(value, "the peer is known");
        return *value;
    }
    const T& at(const PeerId& id) const { return const_cast<PeerMap*>(this)->at(id); }

    T& operator[](const PeerId& id) { return try_emplace(id).first->second; }
    std::pair<iterator, bool> try_emplace(const PeerId& id, T value = {}) {
        auto [leaf, at, there] = place(id);
        if (there) return {{this, leaf, at}, false};
        insert(leaf, at, std::make_unique<value_type>(id, std::move(value)));
        return {find(id), true};
    }

    std::size_t erase(const PeerId& id) {
        const auto [leaf, at, there] = place(id);
        if (there) remove(leaf, at);
        return there;
    }
    iterator erase(iterator it) {  // the one after it
        const auto before = leaf_count();
        remove(it.leaf_, it.at_);
        const bool leaf_went = leaf_count() < before;
        if (leaf_went) return it.leaf_ < leaf_count() ? iterator{this, it.leaf_, 0} : end();
        if (it.at_ == leaf_size(it.leaf_) && it.leaf_ + 1 < leaf_count())
            return {this, it.leaf_ + 1, 0};
        return it;
    }
    void clear() {
        only_.reset();
        table_.reset();
    }

private:
    struct Place {
        std::size_t leaf, at;
        bool there;
    };

    std::size_t leaf_count() const { return table_ ? table_->leaves.size() : 1; }
    std::size_t leaf_size(std::size_t leaf) const {
        return table_ ? table_->leaves[leaf].size() : only_ != nullptr;
    }
    value_type& value(std::size_t leaf, std::size_t at) const {
        return table_ ? *table_->leaves[leaf][at].value : *only_;
    }

    Place place(const PeerId& id) const {
        if (!table_) {
            if (!only_) return {0, 0, false};
            return {0, only_->first < id, only_->first == id};
        }
        const auto prefix = id.prefix();
        const auto& leaves = table_->leaves;
        std::size_t which = 0;
        if (leaves.size() > 1) {  // the last leaf that does not begin beyond it
            const auto it =
                std::partition_point(leaves.begin() + 1, leaves.end(), [&](const Leaf& leaf) {
                    return leaf.front().before(id, prefix) || leaf.front().value->first == id;
                });
            which = static_cast<std::size_t>(it - leaves.begin()) - 1;
        }
        const auto& in = leaves[which];
        const auto it = std::partition_point(
            in.begin(), in.end(), [&](const Entry& entry) { return entry.before(id, prefix); });
        const bool there = it != in.end() && it->prefix == prefix && it->value->first == id;
        return {which, static_cast<std::size_t>(it - in.begin()), there};
    }
    void insert(std::size_t which, std::size_t at, Value value) {
        if (empty()) {
            only_ = std::move(value);
            return;
        }
        if (!table_) {
            table_ = std::make_unique<Table>();
            auto& leaf = table_->leaves.emplace_back();
            leaf.push_back({only_->first.prefix(), std::move(only_)});
            table_->size = 1;
        }
        auto& leaves = table_->leaves;
        auto& in = leaves[which];
        const auto prefix = value->first.prefix();
        in.insert(in.begin() + static_cast<std::ptrdiff_t>(at), Entry{prefix, std::move(value)});
        ++table_->size;
        if (in.size() <= kLeafMax) return;
        const auto middle = in.begin() + kLeafMax / 2;
        Leaf rest(std::make_move_iterator(middle), std::make_move_iterator(in.end()));
        in.erase(middle, in.end());
        leaves.insert(leaves.begin() + static_cast<std::ptrdiff_t>(which) + 1, std::move(rest));
    }
    void remove(std::size_t which, std::size_t at) {
        if (!table_) return only_.reset();
        auto& leaves = table_->leaves;
        auto& in = leaves[which];
        in.erase(in.begin() + static_cast<std::ptrdiff_t>(at));
        --table_->size;
        if (!in.empty()) return;
        if (leaves.size() > 1)
            leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(which));
        else
            table_.reset();
    }

    Value only_;  // no table then
    std::unique_ptr<Table> table_;
};

template <class T, class Predicate>
std::size_t erase_if(PeerMap<T>& map, Predicate&& predicate) {
    const auto before = map.size();
    for (auto it = map.begin(); it != map.end();)
        if (predicate(*it))
            it = map.erase(it);
        else
            ++it;
    return before - map.size();
}

}  // namespace gossamer
