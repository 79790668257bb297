// One link, 40 MB transfers from one process to another through the whole stack (frames, credit,
// staging, checksums at both ends), against the same bytes through SSL_write and SSL_read on
// a socket with the same certificates and suite. Both alternate in one run; the best of each
// counts.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "connection/security/authority.hpp"
#include "connection/transport/address.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/transport.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kTransferBytes = 40'000'000, kTransfers = 30, kChunk = 64 * 1024;
constexpr int kRepeats = 4;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
}
[[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "bench_transport: %s\n", what);
    std::_Exit(1);
}

struct Members {
    security::Federation federation =
        security::create_federation({.name = "bench", .now = transport::wall_now()}).value();
    security::IdentityKey keys[2] = {security::IdentityKey::generate(),
                                     security::IdentityKey::generate()};
    std::vector<security::Certificate> chains[2];
    Members() {
        for (int i : {0, 1}) {
            const auto pem = security::make_request(keys[i]);
            chains[i] = {security::sign_request(federation.issuing_key, federation.issuing,
                                                security::parse_request(as_bytes(pem)).value(),
                                                {.now = transport::wall_now()})
                             .value(),
                         federation.issuing};
        }
    }
    security::TlsContext context(int i) const {
        return security::TlsContext::create(keys[i], chains[i], federation.trust,
                                            transport::wall_now())
            .value();
    }
    SSL_CTX* plain(int i) const {
        SSL_CTX* c = SSL_CTX_new(TLS_method());
        SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_use_certificate(c, chains[i][0].get());
        SSL_CTX_add1_chain_cert(c, chains[i][1].get());
        SSL_CTX_use_PrivateKey(c, keys[i].new_openssl_key());
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL_CTX_set_cert_verify_callback(
            c, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
        return c;
    }
};

// Runs `sender` in a child process; `receiver` gives the seconds it took.
template <class Sender, class Receiver>
double between_processes(Sender sender, Receiver receiver) {
    int address[2], go[2];
    if (pipe(address) != 0 || pipe(go) != 0) give_up("pipe");
    const pid_t child = fork();
    if (child < 0) give_up("fork");
    if (child == 0) {
        char text[64] = {};
        if (read(address[0], text, sizeof text - 1) <= 0) std::_Exit(1);
        sender(std::string(text));
        char end;  // until the receiver has seen everything
        close(go[1]);
        (void)!read(go[0], &end, 1);
        std::_Exit(0);
    }
    const double taken = receiver([&](const std::string& text) {
        if (write(address[1], text.data(), text.size()) < 0) give_up("write");
    });
    for (int end : {go[1], go[0], address[0], address[1]}) close(end);
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) give_up("the sending process failed");
    return taken;
}

double plain_tls(const Members& members) {
    const auto send = [&](const std::string& address) {
        const int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(transport::parse_address(address)->port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(s, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) std::_Exit(2);
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        SSL* ssl = SSL_new(members.plain(1));
        SSL_set_fd(ssl, s);
        if (SSL_connect(ssl) != 1) std::_Exit(3);
        const std::vector<std::byte> source(kTransferBytes, std::byte{7});
        for (std::size_t i = 0; i < kTransfers; ++i)
            for (std::size_t at = 0; at < kTransferBytes; at += kChunk)
                if (SSL_write(ssl, source.data() + at,
                              static_cast<int>(std::min(kChunk, kTransferBytes - at))) <= 0)
                    std::_Exit(4);
    };
    return between_processes(send, [&](auto tell) {
        const int l = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof a;
        if (bind(l, reinterpret_cast<sockaddr*>(&a), size) != 0 || listen(l, 1) != 0)
            give_up("listen");
        getsockname(l, reinterpret_cast<sockaddr*>(&a), &size);
        tell("127.0.0.1:" + std::to_string(ntohs(a.sin_port)));
        const int s = accept(l, nullptr, nullptr);
        SSL* ssl = SSL_new(members.plain(0));
        SSL_set_fd(ssl, s);
        if (SSL_accept(ssl) != 1) give_up("SSL_accept");
        std::vector<std::byte> kept(kTransferBytes);
        const auto start = Clock::now();
        for (std::size_t i = 0; i < kTransfers; ++i)
            for (std::size_t at = 0; at < kTransferBytes;) {
                const int n = SSL_read(ssl, kept.data() + at,
                                       static_cast<int>(std::min(kChunk, kTransferBytes - at)));
                if (n <= 0) give_up("SSL_read");
                at += static_cast<std::size_t>(n);
            }
        const double taken = seconds_since(start);
        close(s);
        close(l);
        return taken;
    });
}

// Waits for events on one thread of the program.
class Inbox {
public:
    transport::EventSink sink() {
        return [this](transport::Event e) {
            std::lock_guard lock(mutex_);
            events_.push_back(std::move(e));
            filled_.notify_one();
        };
    }
    transport::Event next() {
        std::unique_lock lock(mutex_);
        if (!filled_.wait_for(lock, std::chrono::seconds(60), [&] { return !events_.empty(); }))
            give_up("nothing happens any more");
        auto e = std::move(events_.front());
        events_.erase(events_.begin());
        return e;
    }
    template <class T>
    std::optional<T> next_of(message::TransferId& id) {  // of transfer news; empty: another event
        auto e = next();
        auto* news = std::get_if<transport::TransferNews>(&e.what);
        if (!news) return std::nullopt;
        id = news->id;
        if (auto* x = std::get_if<T>(&news->event)) return std::move(*x);
        if (std::holds_alternative<message::TransferLost>(news->event))
            give_up("a transfer is lost");
        return std::nullopt;
    }

private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::vector<transport::Event> events_;
};

double full_stack(const Members& members) {
    const auto send = [&](const std::string& address) {
        Inbox inbox;
        auto pool = tensor::BufferPool::create(256 << 20);
        transport::Transport t({}, members.context(1), {0}, pool, inbox.sink());
        const auto to = members.keys[0].peer_id();
        t.dial(address, to);
        (void)inbox.next();
        auto buffer = pool->take(kTransferBytes);
        std::ranges::fill(buffer.bytes(), std::byte{7});
        const auto payload = tensor::Payload::of(std::move(buffer));
        message::Manifest manifest;
        manifest.byte_count = kTransferBytes;
        std::uint64_t offered = 0, delivered = 0;
        while (offered < 2) t.offer(to, {++offered}, manifest, payload);
        while (delivered < kTransfers) {
            message::TransferId id;
            if (!inbox.next_of<message::TransferDelivered>(id)) continue;
            ++delivered;
            if (offered < kTransfers) t.offer(to, {++offered}, manifest, payload);
        }
    };
    return between_processes(send, [&](auto tell) {
        Inbox inbox;
        auto pool = tensor::BufferPool::create(256 << 20);
        transport::Transport t({}, members.context(0), {0}, pool, inbox.sink());
        tell(t.listen("127.0.0.1:0").value());
        const auto from = members.keys[1].peer_id();
        std::optional<Clock::time_point> start;
        for (std::size_t arrived = 0; arrived < kTransfers;) {
            auto e = inbox.next();
            auto* news = std::get_if<transport::TransferNews>(&e.what);
            if (!news) continue;
            if (std::holds_alternative<message::TransferOffered>(news->event)) {
                if (!start) start = Clock::now();
                t.grant(from, news->id);
            }
            if (std::holds_alternative<message::TransferArrived>(news->event)) ++arrived;
        }
        return seconds_since(*start);
    });
}

double cpu_seconds() {  // of this process and of the senders that have ended
    double total = 0;
    for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage u{};
        getrusage(who, &u);
        for (const auto& t : {u.ru_utime, u.ru_stime})
            total += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    }
    return total;
}

struct Best {
    double wall = 1e9, cpu = 1e9;
    template <class F>
    void of(F run) {
        const double before = cpu_seconds();
        wall = std::min(wall, run());
        cpu = std::min(cpu, cpu_seconds() - before);
    }
};

}  // namespace

int main() {
    const Members members;
    Best limit, ours;
    for (int i = 0; i < kRepeats; ++i) {
        limit.of([&] { return plain_tls(members); });
        ours.of([&] { return full_stack(members); });
    }
    const double bytes = static_cast<double>(kTransferBytes * kTransfers);
    const double goal = 0.9, ratio = limit.wall / ours.wall;
    std::printf(
        "{\"name\":\"transport: one link, 40 MB transfers\",\"value\":%.3f,\"unit\":\"GB/s\","
        "\"limit\":%.3f,\"ratio\":%.3f,\"goal\":%.2f,\"met\":%s}\n",
        bytes / ours.wall / 1e9, bytes / limit.wall / 1e9, ratio, goal,
        ratio >= goal ? "true" : "false");
    // Less is better here; the ratio is limit / value, as everywhere.
    std::printf(
        "{\"name\":\"transport: CPU of both ends\",\"value\":%.3f,\"unit\":\"ns per byte\","
        "\"limit\":%.3f,\"ratio\":%.3f,\"goal\":%.2f,\"met\":%s}\n",
        ours.cpu / bytes * 1e9, limit.cpu / bytes * 1e9, limit.cpu / ours.cpu, goal,
        limit.cpu / ours.cpu >= goal ? "true" : "false");
}
