// Where a member can be dialled: a short list of "host:port", immutable and shared by all who know
// it. One allocation however many there are, none for an empty list: large fleets are mostly this.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::message {

class Addresses {
public:
    // Over the texts, each followed by a zero byte.
    class Iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        using pointer = const std::string_view*;
        using reference = std::string_view;
        Iterator() = default;
        std::string_view operator*() const { return at_; }
        Iterator& operator++() {
            at_ += std::strlen(at_) + 1;
            return *this;
        }
        Iterator operator++(int) { return std::exchange(*this, ++Iterator(*this)); }
        bool operator==(const Iterator&) const = default;

    private:
        friend class Addresses;
        explicit Iterator(const char* at) : at_(at) {}
        const char* at_ = nullptr;
    };

    Addresses() = default;
    Addresses(const std::vector<std::string>& texts) { take(texts.begin(), texts.end()); }
    Addresses(std::initializer_list<std::string_view> texts) { take(texts.begin(), texts.end()); }
    Addresses(const Addresses& other) : list_(other.list_) {
        if (list_) list_->holders.fetch_add(1, std::memory_order_relaxed);
    }
    Addresses(Addresses&& other) noexcept : list_(std::exchange(other.list_, nullptr)) {}
    Addresses& operator=(Addresses other) noexcept {
        std::swap(list_, other.list_);
        return *this;
    }
    ~Addresses() {
        if (list_ && list_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1)
            ::operator delete(list_);
    }

    bool empty() const { return list_ == nullptr; }
    std::size_t size() const { return list_ ? list_->count : 0; }
    Iterator begin() const { return Iterator(list_ ? text() : nullptr); }
    Iterator end() const { return Iterator(list_ ? text() + list_->byte_count : nullptr); }
    std::string_view operator[](std::size_t i) const { return *std::next(begin(), long(i)); }
    bool operator==(const Addresses& other) const {
        if (list_ == other.list_) return true;
        return size() == other.size() && list_->byte_count == other.list_->byte_count &&
               std::memcmp(text(), other.text(), list_->byte_count) == 0;
    }

private:
    struct List {  // followed by the texts
        std::atomic<std::uint32_t> holders;
        std::uint16_t count, byte_count;
    };
    const char* text() const { return reinterpret_cast<const char*>(list_ + 1); }

    // What comes of a text that holds a zero byte ends there; wire and configuration allow none.
    template <class It>
    void take(It first, It last) {
        std::string all;
        std::uint16_t count = 0;
        for (auto it = first; it != last && all.size() + it->size() < 0xffff; ++it, ++count) {
            const std::string_view whole(*it);
            all += whole.substr(0, whole.find('\0'));
            all += '\0';
        }
        if (count == 0) return;
        list_ = new (::operator new(sizeof(List) + all.size()))
            List{1, count, static_cast<std::uint16_t>(all.size())};
        std::memcpy(reinterpret_cast<char*>(list_ + 1), all.data(), all.size());
    }
    List* list_ = nullptr;
};

}  // namespace gossamer::message
