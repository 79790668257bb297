// First in, first out, and nothing on the heap while it is empty: most links of most nodes are.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace gossamer::link {

template <class T>
class Queue {
public:
    void push_back(T item) { items_.push_back(std::move(item)); }
    T pop_front() {  // REQUIRES !empty()
        T item = std::move(items_[head_++]);
        if (head_ == items_.size())
            clear();
        else if (head_ > 64 && 2 * head_ > items_.size())
            items_.erase(items_.begin(),
                         items_.begin() + static_cast<long>(std::exchange(head_, 0)));
        return item;
    }
    bool empty() const { return head_ == items_.size(); }
    std::size_t size() const { return items_.size() - head_; }
    void clear() {
        head_ = 0;
        std::vector<T>().swap(items_);
    }
    T* begin() { return items_.data() + head_; }
    T* end() { return items_.data() + items_.size(); }

private:
    std::vector<T> items_;
    std::size_t head_ = 0;
};

}  // namespace gossamer::link
