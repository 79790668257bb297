// A map by PeerId, iterated in the order of ids. Like std::map, what it holds stays where it is
// until it is erased; unlike it, a look-up reads one short array instead of a path of nodes.
//
// Ids are hashes, so their first eight bytes nearly always tell them apart: entries are {those,
// pointer}, sorted. Up to kLeafMax entries are one array that the map itself points to; more are
// several, found by the first entry of each, so that an aggregator may know a hundred thousand
// clients. An only entry has no array at all: a client knows nobody but its aggregator.
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
#include "gossamer/base/prefetch.hpp"

namespace gossamer {

template <class T>
class PeerMap {
public:
    using value_type = std::pair<const PeerId, T>;
    static constexpr std::size_t kLeafMax = 512;

private:
    struct Entry {
        std::uint64_t prefix;
        value_type* value;
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
        for (const auto& value : other) insert_last(new value_type(value));
    }
    PeerMap(PeerMap&& other) noexcept { swap(other); }
    PeerMap& operator=(const PeerMap& other) { return *this = PeerMap(other); }
    PeerMap& operator=(PeerMap&& other) noexcept {
        swap(other);
        return *this;
    }
    ~PeerMap() { clear(); }
    void swap(PeerMap& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    iterator begin() { return {this, 0, 0}; }
    iterator end() { return {this, leaf_count() - 1, leaf_size(leaf_count() - 1)}; }
    const_iterator begin() const { return {this, 0, 0}; }
    const_iterator end() const { return {this, leaf_count() - 1, leaf_size(leaf_count() - 1)}; }

    std::size_t size() const { return tall() ? table().size : size_; }
    bool empty() const { return data_ == nullptr; }

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
        insert(leaf, at, new value_type(id, std::move(value)));
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
        for (std::size_t leaf = 0; leaf < leaf_count(); ++leaf)
            for (std::size_t at = 0; at < leaf_size(leaf); ++at) delete &value(leaf, at);
        drop_array();
        data_ = nullptr, size_ = capacity_ = 0;
    }

    // Hints to the processor that `id` will be looked up: first its way, then what it is. Ids are
    // told apart by their prefix alone, as a look at the value would wait for it.
    void fetch_way() const { prefetch(data_, 1); }
    void fetch_value(const PeerId& id) const {
        if (tall() || empty()) return;
        if (capacity_ == 0) return fetch(static_cast<value_type*>(data_));
        const auto* end = flat() + size_;
        const auto* it = std::partition_point(
            static_cast<const Entry*>(flat()), end,
            [prefix = id.prefix()](const Entry& entry) { return entry.prefix < prefix; });
        if (it != end) fetch(it->value);
    }
    // Up to `most` of them.
    void fetch_values(std::size_t most) const {
        if (tall() || empty()) return;
        if (capacity_ == 0) return fetch(static_cast<value_type*>(data_));
        for (std::size_t i = 0; i < std::min<std::size_t>(size_, most); ++i) fetch(flat()[i].value);
    }

private:
    struct Place {
        std::size_t leaf, at;
        bool there;
    };
    static void fetch(const value_type* value) { prefetch(value, sizeof *value); }
    static constexpr std::uint32_t kTall = ~std::uint32_t{0};

    bool tall() const { return capacity_ == kTall; }
    Table& table() const { return *static_cast<Table*>(data_); }
    Entry* flat() const { return static_cast<Entry*>(data_); }
    std::size_t leaf_count() const { return tall() ? table().leaves.size() : 1; }
    std::size_t leaf_size(std::size_t leaf) const {
        return tall() ? table().leaves[leaf].size() : size_;
    }
    value_type& value(std::size_t leaf, std::size_t at) const {
        if (tall()) return *table().leaves[leaf][at].value;
        return capacity_ ? *flat()[at].value : *static_cast<value_type*>(data_);
    }
    void drop_array() {
        if (tall())
            delete &table();
        else if (capacity_)
            delete[] flat();
    }

    Place place(const PeerId& id) const {
        if (capacity_ == 0) {
            if (!data_) return {0, 0, false};
            const auto& only = static_cast<value_type*>(data_)->first;
            return {0, only < id, only == id};
        }
        const auto prefix = id.prefix();
        std::size_t which = 0;
        const Entry *first = flat(), *last = first + size_;
        if (tall()) {  // the last leaf that does not begin beyond it
            const auto& leaves = table().leaves;
            const auto it =
                std::partition_point(leaves.begin() + 1, leaves.end(), [&](const Leaf& leaf) {
                    return leaf.front().before(id, prefix) || leaf.front().value->first == id;
                });
            which = static_cast<std::size_t>(it - leaves.begin()) - 1;
            first = leaves[which].data(), last = first + leaves[which].size();
        }
        const auto* it = std::partition_point(
            first, last, [&](const Entry& entry) { return entry.before(id, prefix); });
        const bool there = it != last && it->prefix == prefix && it->value->first == id;
        return {which, static_cast<std::size_t>(it - first), there};
    }
    void insert(std::size_t which, std::size_t at, value_type* value) {
        if (empty()) {
            data_ = value, size_ = 1;
            return;
        }
        const Entry entry{value->first.prefix(), value};
        if (!tall() && size_ < kLeafMax) return insert_flat(at, entry);
        if (!tall()) {
            auto* table = new Table{{Leaf(flat(), flat() + size_)}, size_};
            drop_array();
            data_ = table, capacity_ = kTall;
        }
        auto& leaves = table().leaves;
        auto& in = leaves[which];
        in.insert(in.begin() + static_cast<std::ptrdiff_t>(at), entry);
        ++table().size;
        if (in.size() <= kLeafMax) return;
        const auto middle = in.begin() + kLeafMax / 2;
        Leaf rest(middle, in.end());
        in.erase(middle, in.end());
        leaves.insert(leaves.begin() + static_cast<std::ptrdiff_t>(which) + 1, std::move(rest));
    }
    void insert_flat(std::size_t at, const Entry& entry) {
        if (size_ >= capacity_) {
            const auto capacity = std::max<std::uint32_t>(2, 2 * size_);
            auto* entries = new Entry[capacity];
            if (capacity_ == 0) {
                auto* only = static_cast<value_type*>(data_);
                entries[0] = {only->first.prefix(), only};
            } else {
                std::copy(flat(), flat() + size_, entries);
            }
            drop_array();
            data_ = entries, capacity_ = capacity;
        }
        std::copy_backward(flat() + at, flat() + size_, flat() + size_ + 1);
        flat()[at] = entry;
        ++size_;
    }
    void insert_last(value_type* value) {
        const auto last = leaf_count() - 1;
        insert(last, leaf_size(last), value);
    }
    void remove(std::size_t which, std::size_t at) {
        if (size() == 1) return clear();
        delete &value(which, at);
        if (!tall()) {
            std::copy(flat() + at + 1, flat() + size_, flat() + at);
            --size_;
            return;
        }
        auto& leaves = table().leaves;
        auto& in = leaves[which];
        in.erase(in.begin() + static_cast<std::ptrdiff_t>(at));
        --table().size;
        if (in.empty()) leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(which));
    }

    // The only value when capacity_ is 0, the Table when it is kTall, else as many entries.
    void* data_ = nullptr;
    std::uint32_t size_ = 0, capacity_ = 0;
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
