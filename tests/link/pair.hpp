// Two links in memory with a virtual clock. Frames cross when told; nothing happens by itself.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "connection/link/link.hpp"
#include "connection/wire/wire.hpp"

namespace gossamer::link::testing {

inline tensor::Payload payload_of(std::size_t bytes, std::uint64_t seed,
                                  const tensor::PoolRef& pool) {
    auto buffer = pool->take(bytes);
    for (auto& b : buffer.bytes())
        b = static_cast<std::byte>((seed = seed * 25214903917 + 11) >> 17);
    return tensor::Payload::of(std::move(buffer));
}
inline message::Manifest manifest_of(const tensor::Payload& payload) {
    message::Manifest m;
    m.run = {7};
    m.byte_count = payload.bytes().size();
    return m;
}

// One end: its link and what it reported.
struct End {
    std::shared_ptr<Staging> staging;
    Link link;
    std::vector<Event> events;

    End(LinkConfig config, std::uint64_t staging_bytes, Instant now)
        : staging(std::make_shared<Staging>(staging_bytes)),
          link(with(std::move(config), *staging), now) {}
    static LinkConfig with(LinkConfig config, Staging& staging) {
        config.staging = &staging;
        return config;
    }
    void drain() {
        while (auto e = link.next_event()) events.push_back(std::move(*e));
    }
    template <class T>
    std::vector<T> all() const {
        std::vector<T> out;
        for (const auto& e : events)
            if (const auto* x = std::get_if<T>(&e)) out.push_back(*x);
        return out;
    }
    template <class T>
    std::vector<T> news() const {  // of transfers
        std::vector<T> out;
        for (const auto& n : all<TransferNews>())
            if (const auto* x = std::get_if<T>(&n.event)) out.push_back(*x);
        return out;
    }
    const Closed* closed() const {
        return events.empty() ? nullptr : std::get_if<Closed>(&events.back());
    }
};

struct Options {
    std::uint64_t staging_bytes = 64 << 20;
    bool over_handles = false;
    LinkLimits limits;
    LocalInfo a{Role::peer, "f00d", {0, 1}, 3, "test"}, b{Role::peer, "f00d", {0}, 1, "test"};
};

class Pair {
public:
    explicit Pair(Options o = {})
        : pool(tensor::BufferPool::create(64 << 20)),
          handles(o.over_handles),
          a(config(o, true), o.staging_bytes, now),
          b(config(o, false), o.staging_bytes, now) {}

    LinkConfig config(const Options& o, bool dialled) {
        return {dialled, shared({dialled ? o.a : o.b, o.limits, o.over_handles ? nullptr : pool}),
                nullptr};
    }
    End& other(End& end) { return &end == &a ? b : a; }

    // Takes one frame from `from` to the other end; false when it had none.
    bool step(End& from, bool room = true) {
        auto frame = from.link.next_frame(now, room);
        if (!frame) return false;
        if (alter) alter(*frame);
        auto& to = other(from);
        auto* chunk = std::get_if<wire::Chunk>(&frame->body);
        seen.push_back(std::string(wire::name_of(frame->body)));
        if (chunk && !handles) {
            auto space = to.link.chunk_space(now, chunk->stream, chunk->length);
            REQUIRE(space);
            if (!space->empty()) {
                auto bytes = chunk->source.bytes().subspan(chunk->offset, chunk->length);
                std::memcpy(space->data(), bytes.data(), bytes.size());
                if (corrupt_next) (*space)[0] ^= std::byte{1}, corrupt_next = false;
                const auto half = chunk->length / 2;  // it comes in pieces
                if (half) to.link.chunk_landed(now, chunk->stream, half);
                to.link.chunk_landed(now, chunk->stream, chunk->length - half);
            }
        } else {
            to.link.on_frame(now, std::move(*frame));
        }
        a.drain();
        b.drain();
        return true;
    }
    // Until nothing moves. The listening side welcomes unless told otherwise.
    void run(int frames_max = 100000) {
        for (bool moved = true; moved && frames_max > 0;) {
            moved = false;
            a.drain();
            b.drain();
            for (End* end : {&a, &b})
                if (step(*end)) moved = true, --frames_max;
            if (auto_welcome && b.all<Greeted>().size() == 1 && !b.link.is_up() &&
                !b.link.is_closed()) {
                b.link.welcome();
                moved = true;
            }
            a.drain();
            b.drain();
        }
    }
    void wait(Duration d) {
        now = now + d;
        a.link.on_deadline(now);
        b.link.on_deadline(now);
        a.drain();
        b.drain();
    }
    // Drops whatever `from` wants to say.
    void swallow(End& from) {
        while (from.link.next_frame(now, true)) {
        }
    }

    Instant now{1'000'000'000};
    tensor::PoolRef pool;
    const bool handles;
    bool corrupt_next = false, auto_welcome = true;
    std::function<void(wire::Frame&)> alter;  // on its way
    std::vector<std::string> seen;
    End a, b;  // a dialled
};

}  // namespace gossamer::link::testing
