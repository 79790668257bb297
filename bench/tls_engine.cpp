// One mutual TLS 1.3 connection over TCP loopback, 64 KiB chunks, AES-128-GCM: our engine (OpenSSL
// over flat buffers of ours) against plain SSL_read and SSL_write on the socket.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "connection/security/authority.hpp"
#include "connection/security/openssl_handles.hpp"
#include "connection/security/tls_engine.hpp"

using namespace gossamer;
using namespace gossamer::security;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kTotal = std::size_t{768} << 20, kChunk = 64 * 1024;
constexpr WallTime kNow{1'800'000'000'000'000'000};

void require(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "%s failed\n", what);
    std::exit(1);
}

std::pair<int, int> tcp_pair() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    require(bind(listener, reinterpret_cast<sockaddr*>(&a), n) == 0, "bind");
    listen(listener, 1);
    getsockname(listener, reinterpret_cast<sockaddr*>(&a), &n);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    require(connect(client, reinterpret_cast<sockaddr*>(&a), n) == 0, "connect");
    const int server = accept(listener, nullptr, nullptr);
    close(listener);
    for (const int fd : {client, server})
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return {client, server};
}

struct Identity {
    IdentityKey key;
    std::vector<Certificate> chain;
};

struct World {
    Federation federation =
        create_federation({.name = "bench", .now = kNow}, std::array<std::byte, 32>{}).value();
    Identity client = member(1), server = member(2);

    Identity member(unsigned char n) const {
        auto key = IdentityKey::from_seed(std::array<std::byte, 32>{std::byte{n}});
        const auto pem = make_request(key);
        auto leaf = sign_request(federation.issuing_key, federation.issuing,
                                 parse_request(as_bytes(pem)).value(), {.now = kNow});
        return {std::move(key), {leaf.value(), federation.issuing}};
    }
    TlsContext context(const Identity& who) const {
        return TlsContext::create(who.key, who.chain, federation.trust, kNow).value();
    }
};

double cpu_seconds() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Figure {
    double gigabytes_per_second = 0, cpu_ns_per_byte = 1e9;
    void keep_best(const Figure& other) {
        gigabytes_per_second = std::max(gigabytes_per_second, other.gigabytes_per_second);
        cpu_ns_per_byte = std::min(cpu_ns_per_byte, other.cpu_ns_per_byte);
    }
};

// `send` and `receive` on two threads; time counts from the first chunk to the answer, processor
// time is of both ends.
template <class Send, class Receive>
Figure timed(Send send, Receive receive) {
    const double cpu = cpu_seconds();
    std::thread receiver(receive);
    const double elapsed = send();
    receiver.join();
    const double bytes = static_cast<double>(kTotal);
    return {bytes / elapsed / 1e9, (cpu_seconds() - cpu) / bytes * 1e9};
}

Figure plain(const World& w) {
    const auto [c, s] = tcp_pair();
    const auto start = [&](const Identity& who, int fd) {
        SSL_CTX* context = SSL_CTX_new(TLS_method());
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_use_certificate(context, who.chain[0].get());
        SSL_CTX_add1_chain_cert(context, who.chain[1].get());
        KeyHandle key(who.key.new_openssl_key());
        SSL_CTX_use_PrivateKey(context, key.get());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), w.federation.root.get());
        X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(context), kNow.ns / 1'000'000'000);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL* ssl = SSL_new(context);
        SSL_CTX_free(context);
        SSL_set_fd(ssl, fd);
        return ssl;
    };
    const auto receive = [&, fd = s] {
        SSL* ssl = start(w.server, fd);
        require(SSL_accept(ssl) == 1, "accept");
        Bytes chunk(kChunk);
        for (std::size_t got = 0; got < kTotal;) {
            const int r = SSL_read(ssl, chunk.data(), static_cast<int>(kChunk));
            require(r > 0, "SSL_read");
            got += static_cast<std::size_t>(r);
        }
        SSL_write(ssl, "k", 1);
        SSL_free(ssl);
    };
    const auto send = [&, fd = c] {
        SSL* ssl = start(w.client, fd);
        require(SSL_connect(ssl) == 1, "connect");
        const Bytes source(64 * kChunk, std::byte{7});
        char answer;
        const auto t0 = Clock::now();
        for (std::size_t i = 0; i < kTotal / kChunk; ++i)
            require(SSL_write(ssl, source.data() + (i % 64) * kChunk, kChunk) == kChunk, "write");
        require(SSL_read(ssl, &answer, 1) == 1, "answer");
        const double elapsed = std::chrono::duration<double>(Clock::now() - t0).count();
        SSL_free(ssl);
        return elapsed;
    };
    const Figure figure = timed(send, receive);
    close(c), close(s);
    return figure;
}

void flush(TlsEngine& engine, int fd) {
    while (!engine.output().empty()) {
        const auto n = ::write(fd, engine.output().data(), engine.output().size());
        require(n > 0, "socket write");
        engine.consume_output(static_cast<std::size_t>(n));
    }
}

std::size_t read_some(TlsEngine& engine, int fd, std::span<std::byte> out) {
    for (;;) {
        const auto count = engine.read(out);
        require(count.has_value(), "engine read");
        flush(engine, fd);
        if (*count > 0 || (out.empty() && engine.handshake_done())) return *count;
        const auto space = engine.input_space(256 * 1024);
        const auto n = ::read(fd, space.data(), space.size());
        require(n > 0, "socket read");
        engine.commit_input(static_cast<std::size_t>(n));
    }
}

Figure engine(const World& w) {
    const auto [c, s] = tcp_pair();
    const auto receive = [&, fd = s] {
        TlsEngine engine(w.context(w.server), TlsSide::listener, {.now = kNow});
        Bytes chunk(kChunk);
        for (std::size_t got = 0; got < kTotal;) got += read_some(engine, fd, chunk);
        require(engine.write(as_bytes("k")).has_value(), "answer");
        flush(engine, fd);
    };
    const auto send = [&, fd = c] {
        TlsEngine engine(w.context(w.client), TlsSide::dialler, {.now = kNow});
        read_some(engine, fd, {});
        const Bytes source(64 * kChunk, std::byte{7});
        std::byte answer;
        const auto t0 = Clock::now();
        for (std::size_t i = 0; i < kTotal / kChunk; ++i) {
            const auto chunk = ByteView(source).subspan((i % 64) * kChunk, kChunk);
            require(engine.write({}, chunk).has_value(), "engine write");
            if (engine.output().size() >= 128 * 1024) flush(engine, fd);
        }
        flush(engine, fd);
        read_some(engine, fd, {&answer, 1});
        return std::chrono::duration<double>(Clock::now() - t0).count();
    };
    const Figure figure = timed(send, receive);
    close(c), close(s);
    return figure;
}

}  // namespace

int main() {
    const World world;
    Figure limit, ours;
    for (int i = 0; i < 3; ++i) {
        limit.keep_best(plain(world));
        ours.keep_best(engine(world));
    }
    constexpr double kGoal = 1.2;
    const auto print = [](const char* name, const char* unit, double value, double bound,
                          double ratio) {
        std::printf(
            "{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"limit\":%.3f,\"ratio\":%.3f,"
            "\"goal\":%.1f,\"met\":%s}\n",
            name, value, unit, bound, ratio, kGoal, ratio >= kGoal ? "true" : "false");
    };
    print("tls engine, one connection", "GB/s", ours.gigabytes_per_second,
          limit.gigabytes_per_second, ours.gigabytes_per_second / limit.gigabytes_per_second);
    print("tls engine, processor time of both ends", "ns/byte", ours.cpu_ns_per_byte,
          limit.cpu_ns_per_byte, limit.cpu_ns_per_byte / ours.cpu_ns_per_byte);
}
