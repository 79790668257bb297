// Handles to immutable things that are large, shared, and maybe not there yet.
//
// A Model is a handle to one snapshot of parameters; a Payload to one byte string (an encoded
// update, an arrived transfer). Copying a handle copies no data. A handle may be a *promise*: a
// job's output that a core passes on before the job has run. Cores only pass handles around;
// executors fill them, once, and read them. Whoever holds the only handle may take the buffer and
// write in place. What a handle is filled with may itself be made only when somebody reads it
// (Later). Handles may be copied and dropped on any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::tensor {

// Floats that are made when somebody first reads them. Any thread may ask.
class Later {
public:
    virtual ~Later() = default;
    virtual std::size_t size_bytes() const = 0;
    virtual bool is_made() const = 0;
    virtual Buffer& made() = 0;  // makes them, if need be
    // The values from `first` on, without making the others.
    virtual void read(std::size_t first, std::span<float> out) = 0;
};

// Whether somebody has looked through the values.
enum class Values : std::uint8_t { unknown, finite };

// The shared slot behind a handle.
struct Slot {
    LayoutRef layout;  // of models; null in payloads
    Buffer buffer;
    Slot* behind = nullptr;        // held; the bytes are its, not buffer's
    std::shared_ptr<Later> later;  // the bytes are its, not buffer's
    Values values = Values::unknown;
    std::atomic<bool> filled{false};
    std::atomic<std::uint32_t> holders{1};

    static void let_go(Slot* slot) {
        while (slot && slot->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            Slot* behind = slot->behind;
            delete slot;
            slot = behind;
        }
    }
};

class Handle {
public:
    Handle() = default;
    Handle(const Handle& other) : slot_(other.slot_) {
        if (slot_) slot_->holders.fetch_add(1, std::memory_order_relaxed);
    }
    Handle(Handle&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Handle& operator=(Handle other) noexcept {
        std::swap(slot_, other.slot_);
        return *this;
    }
    ~Handle() { let_go(); }

    bool exists() const { return slot_ != nullptr; }
    bool filled() const { return slot_ && slot_->filled.load(std::memory_order_acquire); }
    // Nobody else holds it, and whatever former holders read is behind us.
    bool sole() const {
        const Slot* slot = slot_;
        while (slot && slot->holders.load(std::memory_order_acquire) == 1) {
            if (!slot->behind) return true;
            slot = slot->behind;
        }
        return false;
    }
    // No more than `count` handles hold it, for itself alone.
    bool held_by(std::uint32_t count) const {
        return slot_ && !slot_->behind && slot_->holders.load(std::memory_order_acquire) == count;
    }
    bool same_as(const Handle& other) const { return slot_ == other.slot_; }
    const void* key() const { return slot_; }  // identity, for executors
    std::span<const std::byte> bytes() const {
        GOSSAMER_ASSERT(filled(), "bytes of a handle that is still a promise");
        return std::as_const(buffer_of(last())).bytes();
    }
    // As bytes().size(), and whether reading them costs nothing more. REQUIRE filled().
    std::size_t size_bytes() const {
        const Slot& slot = last();
        return slot.later ? slot.later->size_bytes() : slot.buffer.size_bytes();
    }
    bool is_made() const {
        const Slot& slot = last();
        return !slot.later || slot.later->is_made();
    }
    bool known_finite() const { return filled() && last().values == Values::finite; }
    // With the bytes of another handle, copying nothing. REQUIRES other.filled().
    void fill_with(const Handle& other) const {
        GOSSAMER_ASSERT(slot_ && !filled() && other.filled(), "a handle is filled once");
        other.slot_->holders.fetch_add(1, std::memory_order_relaxed);
        slot_->behind = other.slot_;
        slot_->filled.store(true, std::memory_order_release);
    }
    // Executors only, once.
    void fill(Buffer buffer, Values values = Values::unknown) const {
        GOSSAMER_ASSERT(slot_ && !filled(), "a handle is filled once");
        slot_->buffer = std::move(buffer);
        slot_->values = values;
        slot_->filled.store(true, std::memory_order_release);
    }
    void fill_later(std::shared_ptr<Later> later, Values values) const {
        GOSSAMER_ASSERT(slot_ && !filled(), "a handle is filled once");
        slot_->later = std::move(later);
        slot_->values = values;
        slot_->filled.store(true, std::memory_order_release);
    }
    // The buffer itself, to write in place. REQUIRES sole() and filled(); the handle ends empty.
    Buffer take() {
        GOSSAMER_ASSERT(sole() && filled(), "take from a shared or promised handle");
        Buffer buffer = std::move(buffer_of(last()));
        let_go();
        return buffer;
    }

protected:
    explicit Handle(Slot* slot) : slot_(slot) {}
    Slot& last() const {
        Slot* slot = slot_;
        while (slot->behind) slot = slot->behind;
        return *slot;
    }
    static Buffer& buffer_of(Slot& slot) { return slot.later ? slot.later->made() : slot.buffer; }
    void let_go() {
        Slot::let_go(slot_);
        slot_ = nullptr;
    }
    Slot* slot_ = nullptr;
};

class Model : public Handle {
public:
    static Model promise(LayoutRef layout) {
        Model m;
        m.slot_ = new Slot;
        m.slot_->layout = std::move(layout);
        return m;
    }
    static Model of(LayoutRef layout, Buffer buffer) {
        GOSSAMER_ASSERT(buffer.size_bytes() == layout->byte_count(), "buffer and layout differ");
        Model m = promise(std::move(layout));
        m.fill(std::move(buffer));
        return m;
    }
    const LayoutRef& layout() const { return slot_->layout; }
    std::span<const float> values() const {
        GOSSAMER_ASSERT(filled(), "values of a model that is still a promise");
        return std::as_const(buffer_of(last())).floats();
    }
    // Some of them, without making what is not made yet.
    void read(std::size_t first, std::span<float> out) const {
        Slot& slot = last();
        if (slot.later) return slot.later->read(first, out);
        std::ranges::copy(values().subspan(first, out.size()), out.begin());
    }
};

class Payload : public Handle {
public:
    static Payload promise() {
        Payload p;
        p.slot_ = new Slot;
        return p;
    }
    static Payload of(Buffer buffer) {
        Payload p = promise();
        p.fill(std::move(buffer));
        return p;
    }
    // The bytes of a model as they are (codec f32): shares the snapshot, copies nothing.
    static Payload view_of(const Model& model) {
        Payload p;
        static_cast<Handle&>(p) = model;
        return p;
    }
};

}  // namespace gossamer::tensor
