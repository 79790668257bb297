// Two sessions joined in memory: ciphertext crosses when told, in pieces as large as told.
#pragma once

#include <doctest/doctest.h>

#include "connection/session/session.hpp"
#include "federation_fixture.hpp"

namespace gossamer::session::testing {

using security::Federation;
using security::TlsContext;
using security::TlsSide;
using security::VerifyPolicy;
using security::test::federation_of;
using security::test::kNow;
using security::test::Member;
using security::test::member_of;

inline TlsContext context_of(const Federation& f, const Member& m) {
    return TlsContext::create(m.key, m.chain, f.trust, kNow).value();
}

struct End {
    std::shared_ptr<link::Staging> staging = std::make_shared<link::Staging>(64 << 20);
    Session session;
    std::vector<Event> events;
    bool auto_welcome = true;

    End(const TlsContext& context, TlsSide side, Instant now, const tensor::PoolRef& pool,
        VerifyPolicy policy = {.now = kNow}, Role role = Role::peer)
        : session(context,
                  {side,
                   std::move(policy),
                   {.settings = link::shared(
                        {{role, context.self().federation.to_string(), {0}, 0, "test"}, {}, pool}),
                    .staging = staging.get()}},
                  now) {}

    void drain(Instant now) {
        while (auto e = session.next_event()) {
            if (auto_welcome && std::holds_alternative<link::Greeted>(*e)) session.link().welcome();
            events.push_back(std::move(*e));
        }
        session.fill(now);
    }
    void feed(Instant now, ByteView bytes, std::size_t piece = 1 << 17) {
        while (!bytes.empty() && !session.finished()) {
            auto space = session.input_space(piece);
            const auto n = std::min({space.size(), bytes.size(), piece});
            std::memcpy(space.data(), bytes.data(), n);
            session.commit_input(now, n);
            drain(now);
            bytes = bytes.subspan(n);
        }
    }
    template <class T>
    std::vector<T> all() const {
        std::vector<T> out;
        for (const auto& e : events)
            if (const auto* x = std::get_if<T>(&e)) out.push_back(*x);
        return out;
    }
    template <class T>
    std::vector<T> news() const {
        std::vector<T> out;
        for (const auto& n : all<link::TransferNews>())
            if (const auto* x = std::get_if<T>(&n.event)) out.push_back(*x);
        return out;
    }
    const link::Closed* closed() const {
        for (const auto& e : events)
            if (const auto* x = std::get_if<link::Closed>(&e)) return x;
        return nullptr;
    }
};

struct Pair {
    Instant now{1'000'000'000};
    tensor::PoolRef pool = tensor::BufferPool::create(64 << 20);
    End a, b;  // a dials
    std::uint64_t carried = 0;

    Pair(const TlsContext& dialling, const TlsContext& listening,
         const VerifyPolicy& a_policy = {.now = kNow}, const VerifyPolicy& b_policy = {.now = kNow})
        : a(dialling, TlsSide::dialler, now, pool, a_policy),
          b(listening, TlsSide::listener, now, pool, b_policy) {}

    bool carry(End& from, End& to, std::size_t piece = 1 << 17) {
        from.drain(now);
        const Bytes bytes(from.session.output().begin(), from.session.output().end());
        if (bytes.empty()) return false;
        from.session.consume_output(now, bytes.size());
        carried += bytes.size();
        to.feed(now, bytes, piece);
        return true;
    }
    void run(std::size_t piece = 1 << 17) {
        for (bool moved = true; moved;) {
            const bool there = carry(a, b, piece), back = carry(b, a, piece);
            moved = there || back;
        }
        a.drain(now);
        b.drain(now);
    }
};

struct World {
    Federation federation = federation_of(1), elsewhere = federation_of(2, "hill");
    Member alice = member_of(federation, 11), bob = member_of(federation, 12);
    TlsContext alice_context = context_of(federation, alice);
    TlsContext bob_context = context_of(federation, bob);
};

inline tensor::Payload payload_of(std::size_t bytes, const tensor::PoolRef& pool) {
    auto buffer = pool->take(bytes);
    std::uint64_t x = bytes;
    for (auto& b : buffer.bytes()) b = static_cast<std::byte>((x = x * 25214903917 + 11) >> 17);
    return tensor::Payload::of(std::move(buffer));
}

}  // namespace gossamer::session::testing
