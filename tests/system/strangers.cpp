#include "strangers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "connection/security/openssl_handles.hpp"
#include "fleet.hpp"

namespace gossamer::system_test {

namespace fs = std::filesystem;
using namespace security;

unsigned port_of(const cli::Daemon& daemon) {
    auto address = daemon.options.at("listen.address");
    return static_cast<unsigned>(std::stoul(address.substr(address.rfind(':') + 1)));
}

// ---- without TLS --------------------------------------------------------------------------------

TcpClient::TcpClient(unsigned port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval patience{5, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to);
}

TcpClient::~TcpClient() { ::close(socket_); }

void TcpClient::say(ByteView bytes) {
    (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool TcpClient::closed() {
    char dropped[4096];
    for (;;) {
        auto n = ::recv(socket_, dropped, sizeof dropped, MSG_DONTWAIT);
        if (n == 0) return true;
        if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    }
}

// ---- certificates -------------------------------------------------------------------------------

namespace {

template <class T>
T expected(Result<T> result) {
    REQUIRE_MESSAGE(result, (result ? "" : result.error().to_string()));
    return std::move(*result);
}

Certificate certificate_in(const std::string& path) {
    return expected(Certificate::from_pem(as_bytes(text_of(path)), 1)).front();
}

void write(const fs::path& path, std::string_view text, mode_t mode) {
    std::ofstream(path, std::ios::binary) << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
}

}  // namespace

WallTime wall_now() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
}

Forger::Forger(const std::string& folder)
    : issuing_key_(expected(IdentityKey::from_pem(as_bytes(text_of(folder + "/issuing-key.pem"))))),
      issuing_(certificate_in(folder + "/issuing.pem")),
      trust_(expected(TrustBundle::from_pem(as_bytes(text_of(folder + "/trust.pem"))))) {}

Forger::Forger(Federation other)
    : issuing_key_(std::move(other.issuing_key)),
      issuing_(std::move(other.issuing)),
      trust_(std::move(other.trust)) {}

CertificateFields Forger::honest_fields(const IdentityKey& key, Role role) const {
    CertificateFields fields;
    fields.key = key.public_key();
    fields.common_name = key.peer_id().to_string();
    fields.uri =
        CertificateName{trust_.federation(), CertificateName::Holder{role, key.peer_id()}}.to_uri();
    fields.not_before = wall_now() + -kBackDating;
    fields.not_after = wall_now() + kDay;
    return fields;
}

void write_identity(const std::string& folder, const Claim& claim, const TrustBundle& trust) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    auto key = claim.key.to_pem();
    write(fs::path(folder) / "key.pem", as_text(key.view()), 0600);
    write(fs::path(folder) / "certificate.pem", to_pem(claim.chain), 0644);
    write(fs::path(folder) / "trust.pem", trust.to_pem(), 0644);
}

// ---- with TLS -----------------------------------------------------------------------------------

struct TlsClient::Ssl {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL* ssl = SSL_new(context);
    ~Ssl() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
};

TlsClient::TlsClient(unsigned port, const Claim* claim)
    : tcp_(port), ssl_(std::make_unique<Ssl>()) {
    auto* ssl = ssl_->ssl;
    SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
    constexpr unsigned char protocol[] = "\x0agossamer/1";
    SSL_set_alpn_protos(ssl, protocol, sizeof protocol - 1);
    if (claim) {
        KeyHandle key(claim->key.new_openssl_key());
        REQUIRE(SSL_use_certificate(ssl, claim->chain.front().get()) == 1);
        REQUIRE(SSL_use_PrivateKey(ssl, key.get()) == 1);
        for (std::size_t i = 1; i < claim->chain.size(); ++i)
            REQUIRE(SSL_add1_chain_cert(ssl, claim->chain[i].get()) == 1);
    }
    SSL_set_fd(ssl, tcp_.socket());
    done_ = SSL_connect(ssl) == 1;
    ERR_clear_error();
}

TlsClient::~TlsClient() { ERR_clear_error(); }

bool TlsClient::say(ByteView bytes) {
    return done_ && SSL_write(ssl_->ssl, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool TlsClient::say(const wire::Frame& frame) {
    Bytes bytes;
    wire::encode(frame, bytes);
    return say(bytes);
}

bool TlsClient::read(std::span<std::byte> out) {
    for (std::size_t got = 0; got < out.size();) {
        auto n = SSL_read(ssl_->ssl, out.data() + got, static_cast<int>(out.size() - got));
        if (n <= 0) return false;
        got += static_cast<std::size_t>(n);
    }
    return true;
}

std::optional<wire::Frame> TlsClient::hear() {
    std::array<std::byte, wire::kHeaderBytes> raw;
    if (!done_ || !read(raw)) return std::nullopt;
    auto header = wire::read_header(raw);
    if (!header) return std::nullopt;
    Bytes body(header->length);
    if (!read(body)) return std::nullopt;
    auto frame = wire::decode(*header, body);
    return frame ? std::optional(std::move(*frame)) : std::nullopt;
}

bool TlsClient::greet(const TrustBundle& trust, Role role) {
    wire::Hello hello;
    hello.role = role;
    hello.codecs = {0};
    hello.federation = trust.federation().to_string();
    hello.software = "a stranger";
    if (!say({wire::Lane::control, hello})) return false;
    auto answer = hear();
    return answer && std::holds_alternative<wire::Welcome>(answer->body);
}

}  // namespace gossamer::system_test
