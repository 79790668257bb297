// An optional that keeps its value on the heap, so that it costs eight bytes while it is empty.
//
// For what most nodes do not hold most of the time: a hundred thousand idle clients are made of
// what they do not hold. A value: copying it copies what it holds.
#pragma once

#include <memory>
#include <utility>

namespace gossamer {

template <class T>
class Boxed {
public:
    Boxed() = default;
    Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}
    Boxed(const Boxed& other)
        : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(const Boxed& other) { return *this = Boxed(other); }
    Boxed& operator=(Boxed&&) noexcept = default;

    template <class... A>
    T& emplace(A&&... arguments) {
        value_ = std::unique_ptr<T>(new T{std::forward<A>(arguments)...});
        return *value_;
    }
    T& made() { return value_ ? *value_ : emplace(); }  // a fresh one when it was empty
    void reset() { value_.reset(); }

    bool has_value() const { return value_ != nullptr; }
    explicit operator bool() const { return has_value(); }
    bool operator==(const T& value) const { return value_ && *value_ == value; }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return value_.get(); }
    const T* operator->() const { return value_.get(); }

private:
    std::unique_ptr<T> value_;
};

}  // namespace gossamer
