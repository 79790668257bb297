// A map by PeerId, iterated in the order of ids. Like std::map, what it holds stays where it is
// until it is erased; unlike it, a look-up reads one short array instead of a path of nodes.
//
// Ids are hashes, so their first eight bytes nearly always tell them apart: entries are {those,
// pointer}, sorted. Up to kLeafMax entries are one array; more are several, found by the first
// entry of each, so that an aggregator may know a hundred thousand clients.
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
    struct Entry {
        std::uint64_t prefix;
        std::unique_ptr<value_type> value;
        bool before(const PeerId& id, std::uint64_t its_prefix) const {
            return prefix != its_prefix ? prefix < its_prefix : value->first < id;
        }
    };
    using Leaf = std::vector<Entry>;  // never empty, but the only one

    template <class Value, class Map>
    class Iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = PeerMap::value_type;
        using difference_type = std::ptrdiff_t;
        using pointer = Value*;
        using reference = Value&;

        Iterator() = default;
        operator Iterator<const PeerMap::value_type, const PeerMap>() const {
            return {map_, leaf_, at_};
        }
        Value& operator*() const { return *map_->leaf(leaf_)[at_].value; }
        Value* operator->() const { return &**this; }
        Iterator& operator++() {
            if (++at_ == map_->leaf(leaf_).size() && leaf_ + 1 < map_->leaf_count())
                ++leaf_, at_ = 0;
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
        if (other.more_) more_ = std::make_unique<Leaves>();
        if (more_) more_->size = other.more_->size, more_->leaves.resize(other.leaf_count() - 1);
        for (std::size_t i = 0; i < leaf_count(); ++i)
            for (const auto& entry : other.leaf(i))
                leaf(i).push_back({entry.prefix, std::make_unique<value_type>(*entry.value)});
    }
    PeerMap(PeerMap&&) noexcept = default;
    PeerMap& operator=(const PeerMap& other) { return *this = PeerMap(other); }
    PeerMap& operator=(PeerMap&&) noexcept = default;

    iterator begin() { return {this, 0, 0}; }
    iterator end() { return {this, leaf_count() - 1, leaf(leaf_count() - 1).size()}; }
    const_iterator begin() const { return {this, 0, 0}; }
    const_iterator end() const { return {this, leaf_count() - 1, leaf(leaf_count() - 1).size()}; }

    std::size_t size() const { return more_ ? more_->size : first_.size(); }
    bool empty() const { return first_.empty(); }

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
        return there ? &this->leaf(leaf)[at].value->second : nullptr;
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
        insert(leaf, at, id, std::move(value));
        return {find(id), true};
    }

    std::size_t erase(const PeerId& id) {
        const auto [leaf, at, there] = place(id);
        if (there) remove(leaf, at);
        return there;
    }
    iterator erase(iterator it) {  // the one after it
        const bool leaf_stays = remove(it.leaf_, it.at_);
        if (leaf_stays && it.at_ == leaf(it.leaf_).size() && it.leaf_ + 1 < leaf_count())
            return {this, it.leaf_ + 1, 0};
        return it.leaf_ < leaf_count() ? it : end();
    }
    void clear() {
        Leaf().swap(first_);
        more_.reset();
    }

private:
    struct Leaves {
        std::vector<Leaf> leaves;  // after the first
        std::size_t size = 0;      // of the whole map
    };
    struct Place {
        std::size_t leaf, at;
        bool there;
    };

    std::size_t leaf_count() const { return more_ ? 1 + more_->leaves.size() : 1; }
    Leaf& leaf(std::size_t i) { return i == 0 ? first_ : more_->leaves[i - 1]; }
    const Leaf& leaf(std::size_t i) const { return i == 0 ? first_ : more_->leaves[i - 1]; }

    Place place(const PeerId& id) const {
        const auto prefix = id.prefix();
        std::size_t which = 0;
        if (more_) {  // the last leaf that does not begin beyond it
            const auto& all = more_->leaves;
            const auto it = std::partition_point(all.begin(), all.end(), [&](const Leaf& l) {
                return l.front().before(id, prefix) || l.front().value->first == id;
            });
            which = static_cast<std::size_t>(it - all.begin());
        }
        const auto& in = leaf(which);
        const auto it = std::partition_point(in.begin(), in.end(),
                                             [&](const Entry& e) { return e.before(id, prefix); });
        const bool there = it != in.end() && it->prefix == prefix && it->value->first == id;
        return {which, static_cast<std::size_t>(it - in.begin()), there};
    }
    void insert(std::size_t which, std::size_t at, const PeerId& id, T value) {
        auto& in = leaf(which);
        in.insert(in.begin() + static_cast<std::ptrdiff_t>(at),
                  Entry{id.prefix(), std::make_unique<value_type>(id, std::move(value))});
        if (more_) ++more_->size;
        if (in.size() <= kLeafMax) return;
        const auto middle = in.begin() + kLeafMax / 2;
        Leaf rest(std::make_move_iterator(middle), std::make_move_iterator(in.end()));
        in.erase(middle, in.end());
        if (!more_) more_ = std::make_unique<Leaves>(Leaves{{}, in.size() + rest.size()});
        more_->leaves.insert(more_->leaves.begin() + static_cast<std::ptrdiff_t>(which),
                             std::move(rest));
    }
    // False when the leaf went too; the one after it then has its number.
    bool remove(std::size_t which, std::size_t at) {
        auto& in = leaf(which);
        in.erase(in.begin() + static_cast<std::ptrdiff_t>(at));
        if (!more_) {
            if (in.empty()) Leaf().swap(in);
            return true;
        }
        --more_->size;
        if (!in.empty()) return true;
        auto& rest = more_->leaves;
        if (which == 0) {
            first_ = std::move(rest.front());
            rest.erase(rest.begin());
        } else {
            rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(which) - 1);
        }
        if (rest.empty()) more_.reset();
        return false;
    }

    Leaf first_;
    std::unique_ptr<Leaves> more_;
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
