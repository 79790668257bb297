#include "plain_tls.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace gossamer::bench {
namespace {

constexpr std::size_t kChunk = 65536;

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double processor_seconds() {  // of this process
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

void must(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "plain TLS: %s failed\n", what);
    std::_Exit(1);
}

SSL_CTX* context(bool server) {
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    X509* certificate = X509_new();
    X509_set_pubkey(certificate, key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_sign(certificate, key, nullptr);
    SSL_CTX* c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_use_certificate(c, certificate);
    SSL_CTX_use_PrivateKey(c, key);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       [](int, X509_STORE_CTX*) { return 1; });
    return c;
}

// The processes meet here: shared memory with counters, passed one after the other.
struct Meeting {
    std::atomic<unsigned> arrived[4];
    std::atomic<double> processor_seconds;  // of the children
    void wait(int place, unsigned count) {
        ++arrived[place];
        while (arrived[place] < count) ::usleep(100);
    }
};

Meeting* new_meeting() {
    void* memory =
        ::mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (memory) Meeting{};
}

int listen_on(sockaddr_in& address) {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    must(::listen(fd, 64) == 0, "listen");
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return fd;
}

SSL* dress(SSL_CTX* c, int fd, bool server) {
    int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL* ssl = SSL_new(c);
    SSL_set_fd(ssl, fd);
    must((server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1, "handshake");
    return ssl;
}

SSL* dial(SSL_CTX* c, const sockaddr_in& address) {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    must(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "connect");
    return dress(c, fd, false);
}

// From one buffer as large as the whole, as a sender that has a model must.
void send_all(SSL* ssl, const unsigned char* from, std::size_t bytes) {
    for (std::size_t sent = 0; sent < bytes;) {
        auto n = std::min(kChunk, bytes - sent);
        must(SSL_write(ssl, from + sent, static_cast<int>(n)) > 0, "write");
        sent += n;
    }
}

// Into one buffer as large as the whole, as a receiver that wants to use it must.
void receive_all(SSL* ssl, unsigned char* into, std::size_t bytes) {
    for (std::size_t got = 0; got < bytes;) {
        int n = SSL_read(ssl, into + got, static_cast<int>(std::min(kChunk, bytes - got)));
        must(n > 0, "read");
        got += static_cast<std::size_t>(n);
    }
}

std::vector<unsigned char> touched(std::size_t bytes) {
    return std::vector<unsigned char>(bytes, 1);
}

void reap(const std::vector<pid_t>& children) {
    for (auto child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child");
    }
}

}  // namespace

PlainCost plain_star(unsigned clients, std::size_t down_bytes, std::size_t up_bytes) {
    auto* meeting = new_meeting();
    sockaddr_in address;
    int listener = listen_on(address);
    std::vector<pid_t> children;
    for (unsigned i = 0; i < clients; ++i) {
        pid_t child = ::fork();
        if (child == 0) {
            auto buffer = touched(down_bytes), update = touched(up_bytes);
            SSL* ssl = dial(context(false), address);
            meeting->wait(0, clients + 1);
            double begin = processor_seconds();
            receive_all(ssl, buffer.data(), down_bytes);
            send_all(ssl, update.data(), up_bytes);
            meeting->processor_seconds.fetch_add(processor_seconds() - begin);
            unsigned char end;
            SSL_read(ssl, &end, 1);
            ::_exit(0);
        }
        children.push_back(child);
    }
    SSL_CTX* c = context(true);
    std::vector<SSL*> links;
    for (unsigned i = 0; i < clients; ++i)
        links.push_back(dress(c, ::accept(listener, nullptr, nullptr), true));
    auto model = touched(down_bytes);  // one for all
    std::vector<std::vector<unsigned char>> buffers(clients, touched(up_bytes));
    meeting->wait(0, clients + 1);
    double begin = now(), processor_begin = processor_seconds();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < clients; ++i)
        threads.emplace_back([&, i] {
            send_all(links[i], model.data(), down_bytes);
            receive_all(links[i], buffers[i].data(), up_bytes);
        });
    for (auto& t : threads) t.join();
    PlainCost cost{now() - begin, processor_seconds() - processor_begin};
    for (auto* link : links) SSL_write(link, "e", 1);
    reap(children);
    cost.processor_seconds += meeting->processor_seconds;
    for (auto* link : links) ::close(SSL_get_fd(link)), SSL_free(link);
    ::close(listener);
    return cost;
}

double plain_ring_seconds(unsigned nodes, std::size_t bytes) {
    auto* meeting = new_meeting();
    std::vector<int> listeners(nodes);
    std::vector<sockaddr_in> addresses(nodes);
    for (unsigned i = 0; i < nodes; ++i) listeners[i] = listen_on(addresses[i]);
    std::vector<pid_t> children;
    for (unsigned i = 0; i < nodes; ++i) {
        pid_t child = ::fork();
        if (child == 0) {
            auto own = touched(bytes), first = touched(bytes), second = touched(bytes);
            SSL* right = nullptr;  // dialled by us; the left neighbour dials us
            std::thread dialling([&] { right = dial(context(false), addresses[(i + 1) % nodes]); });
            SSL* left = dress(context(true), ::accept(listeners[i], nullptr, nullptr), true);
            dialling.join();
            meeting->wait(0, nodes + 1);
            // Each direction of each link in turn, both links at once: SSL objects are not shared
            // between threads, so a link sends first on one side and receives first on the other.
            std::thread other([&] {
                send_all(right, own.data(), bytes);
                receive_all(right, second.data(), bytes);
            });
            receive_all(left, first.data(), bytes);
            send_all(left, own.data(), bytes);
            other.join();
            meeting->wait(1, nodes + 1);
            ::_exit(0);
        }
        children.push_back(child);
    }
    meeting->wait(0, nodes + 1);
    double begin = now();
    meeting->wait(1, nodes + 1);
    double elapsed = now() - begin;
    reap(children);
    for (int fd : listeners) ::close(fd);
    return elapsed;
}

}  // namespace gossamer::bench
