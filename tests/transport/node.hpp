// Transports on loopback whose events can be waited for.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "connection/security/authority.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/transport.hpp"

namespace gossamer::transport::testing {

// A failing test ends all the same; under sanitizers, on a busy machine, 80 MB take half a minute.
inline constexpr auto kPatience = std::chrono::seconds(120);

inline std::array<std::byte, 32> seed_of(unsigned char n) {
    std::array<std::byte, 32> seed;
    seed.fill(std::byte{n});
    return seed;
}

struct Federation {
    security::Federation authority;
    explicit Federation(unsigned char n = 1)
        : authority(security::create_federation({.name = "meadow", .now = wall_now()}, seed_of(n))
                        .value()) {}
    security::TlsContext context(unsigned char n, Role role = Role::peer,
                                 Duration validity = 7 * security::kDay) const {
        const auto key = security::IdentityKey::from_seed(seed_of(n));
        const auto pem = security::make_request(key);
        const auto request = security::parse_request(as_bytes(pem)).value();
        const auto leaf =
            security::sign_request(authority.issuing_key, authority.issuing, request,
                                   {.role = role, .now = wall_now(), .validity = validity})
                .value();
        return security::TlsContext::create(key, {leaf, authority.issuing}, authority.trust,
                                            wall_now())
            .value();
    }
};

class Node {
public:
    explicit Node(security::TlsContext context, TransportConfig config = {})
        : id(context.self().id),
          pool(tensor::BufferPool::create(256 << 20)),
          transport(config, std::move(context), {0, 1}, pool, [this](Event e) {
              std::lock_guard lock(mutex_);
              events_.push_back(std::move(e));
              changed_.notify_all();
          }) {}
    ~Node() { transport.stop(); }

    std::string listen() { return transport.listen("127.0.0.1:0").value(); }

    // Waits until an event has passed `wanted`; events are looked at once each, in order.
    template <class F>
    bool wait(F wanted) {
        const auto until = std::chrono::steady_clock::now() + kPatience;
        std::unique_lock lock(mutex_);
        while (true) {
            for (; next_ < events_.size(); ++next_)
                if (wanted(events_[next_])) return ++next_, true;
            if (changed_.wait_until(lock, until) == std::cv_status::timeout) return false;
        }
    }
    // The next event of this kind; others before it are skipped.
    template <class T>
    T next() {
        std::optional<T> found;
        REQUIRE(wait([&](const Event& e) {
            if (const auto* link = std::get_if<job::LinkEvent>(&e.what))
                if constexpr (std::is_constructible_v<job::LinkEvent, T>)
                    if (const auto* x = std::get_if<T>(link)) found = *x;
            if (const auto* news = std::get_if<TransferNews>(&e.what))
                if constexpr (std::is_constructible_v<message::TransferEvent, T>)
                    if (const auto* x = std::get_if<T>(&news->event))
                        found = *x, last_id = news->id;
            if constexpr (std::is_same_v<T, message::Message> ||
                          std::is_same_v<T, IncomingRefused> || std::is_same_v<T, SignOfLife>)
                if (const auto* x = std::get_if<T>(&e.what)) found = *x;
            if (found) last_peer = e.peer;
            return found.has_value();
        }));
        return *found;
    }
    template <class F>
    std::size_t count(F wanted) {
        std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(std::count_if(events_.begin(), events_.end(), wanted));
    }
    tensor::Payload payload(std::size_t bytes) {
        auto buffer = pool->take(bytes);
        std::uint64_t x = bytes;
        for (auto& b : buffer.bytes()) b = static_cast<std::byte>((x = x * 25214903917 + 11) >> 17);
        return tensor::Payload::of(std::move(buffer));
    }
    void offer(const PeerId& to, std::uint64_t transfer, const tensor::Payload& p) {
        message::Manifest manifest;
        manifest.byte_count = p.bytes().size();
        transport.offer(to, {transfer}, manifest, p);
    }

    const PeerId id;
    const tensor::PoolRef pool;
    PeerId last_peer;
    message::TransferId last_id;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Event> events_;
    std::size_t next_ = 0;

public:
    Transport transport;  // after what its events are written to
};

inline message::Message beat(std::uint64_t n) { return message::Heartbeat{.sequence = n}; }

}  // namespace gossamer::transport::testing
