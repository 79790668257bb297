// A member with a socket of its own, who reads and says only what a test wants.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection/session/session.hpp"
#include "node.hpp"

namespace gossamer::transport::testing {

class RawMember {
public:
    RawMember(const Federation& federation, unsigned char n, std::uint16_t port)
        : pool(tensor::BufferPool::create(64 << 20)),
          context_(federation.context(n)),
          socket_(socket(AF_INET, SOCK_STREAM, 0)),
          session(context_,
                  {security::TlsSide::dialler,
                   {.now = wall_now()},
                   {.settings = link::shared(
                        {{Role::peer, context_.self().federation.to_string(), {0}, 0, "raw"},
                         {},
                         pool}),
                    .staging = &staging_}},
                  now()) {
        const int little = 16 * 1024;
        (void)setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
        (void)fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
    }
    RawMember(const RawMember&) = delete;
    ~RawMember() { ::close(socket_); }

    // Sends what is sealed.
    void flush() {
        while (!session.output().empty()) {
            const auto out = session.output();
            const auto count = ::send(socket_, out.data(), out.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            session.consume_output(now(), static_cast<std::size_t>(count));
        }
    }
    // Reads what is there within `wait` milliseconds. False: nothing, or nothing more ever.
    bool read(int wait) {
        pollfd p{socket_, POLLIN, 0};
        if (poll(&p, 1, wait) <= 0) return false;
        auto space = session.input_space(1 << 16);
        const auto count = ::recv(socket_, space.data(), space.size(), 0);
        if (count <= 0) return false;
        session.commit_input(now(), static_cast<std::size_t>(count));
        while (auto event = session.next_event()) events.push_back(std::move(*event));
        return true;
    }
    // One step of a member that behaves.
    void step(int wait = 0) {
        flush();
        (void)read(wait);
        if (session.identified()) session.fill(now());
        flush();
    }
    template <class T>
    const T* find() const {
        for (const auto& e : events)
            if (const auto* x = std::get_if<T>(&e)) return x;
        return nullptr;
    }

    const tensor::PoolRef pool;

private:
    link::Staging staging_{64 << 20};
    const security::TlsContext context_;
    const int socket_;

public:
    session::Session session;
    std::vector<session::Event> events;
};

}  // namespace gossamer::transport::testing
