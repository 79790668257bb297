#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection/transport/address.hpp"
#include "node.hpp"
#include "training/option_values.hpp"

using namespace gossamer;
using namespace gossamer::transport;
using namespace gossamer::transport::testing;

namespace {

// A plain TCP client.
class RawClient {
public:
    explicit RawClient(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(parse_address(address)->port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    }
    RawClient(const RawClient&) = delete;
    ~RawClient() { ::close(socket_); }
    void say(ByteView bytes) { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    // Waits until the other side has closed; false when it does not.
    bool closed_by_peer() {
        char byte[512];
        while (true) {
            pollfd p{socket_, POLLIN, 0};
            if (poll(&p, 1, 30'000) <= 0) return false;
            if (::recv(socket_, byte, sizeof byte, 0) <= 0) return true;
        }
    }

private:
    int socket_;
};

// Listens and never says anything.
class SilentServer {
public:
    explicit SilentServer(int backlog = 16) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
        REQUIRE(::listen(socket_, backlog) == 0);
        socklen_t n = sizeof a;
        getsockname(socket_, reinterpret_cast<sockaddr*>(&a), &n);
        address = "127.0.0.1:" + std::to_string(ntohs(a.sin_port));
    }
    ~SilentServer() { ::close(socket_); }
    std::string address;

private:
    int socket_;
};

job::DialFailed failure(Node& node, const std::string& address,
                        std::optional<PeerId> expected = std::nullopt) {
    node.transport.dial(address, expected);
    auto failed = node.next<job::DialFailed>();
    CHECK(failed.address == address);
    return failed;
}

TransportConfig hasty() {
    TransportConfig c;
    c.handshake_deadline = 300ms;
    c.dial_deadline = 300ms;
    c.link.hello_deadline = 300ms;
    return c;
}

}  // namespace

TEST_CASE("addresses are host:port or [v6]:port") {
    CHECK(parse_address("example.org:7400")->host == "example.org");
    CHECK(parse_address("[::1]:80")->host == "::1");
    CHECK(parse_address("[::1]:80")->port == 80);
    for (const char* bad :
         {"", "host", "host:", ":80", "host:99999", "host:80x", "::1:80", "[::1]"})
        CHECK(parse_address(bad).error().code == ErrorCode::kNetAddress);
}

TEST_CASE("what others are told to dial is whole, or refused") {
    const auto told = [](const std::string& listen, const std::string& advertise) {
        OptionValues options(transport_options());
        options.set("listen.address", listen).set("listen.advertise", advertise);
        return transport_config(options).map([](const auto& c) { return c.advertise; });
    };
    CHECK(told("0.0.0.0:7400", "").value().empty());
    CHECK(told("0.0.0.0:7400", "a.example").value() == "a.example:7400");
    CHECK(told("[::]:7400", "[2001:db8::1]").value() == "[2001:db8::1]:7400");
    CHECK(told("0.0.0.0:7400", "a.example:1").value() == "a.example:1");
    CHECK(told("0.0.0.0:0", "a.example:1").value() == "a.example:1");
    CHECK(told("0.0.0.0:0", "a.example").error().code == ErrorCode::kNetAddress);
    CHECK(told("0.0.0.0:7400", "a:b:c").error().code == ErrorCode::kNetAddress);
    CHECK(told("", "a.example:1").error().code == ErrorCode::kConfigConflict);

    OptionValues options(transport_options());
    const auto first = PeerId::of_number(1), second = PeerId::of_number(2);
    options.set("membership.banned", std::vector{second.to_string(), first.to_string()});
    CHECK(*transport_config(options)->banned == security::BanList{first, second});
    options.set("membership.banned", std::vector<std::string>{"nobody"});
    CHECK(transport_config(options).error().code == ErrorCode::kConfigType);
}

TEST_CASE("each way a dial can fail has its own code, and says whether to try again") {
    Federation federation;
    Node node(federation.context(11), hasty());
    std::string nobody;
    {
        SilentServer gone;
        nobody = gone.address;
    }
    auto failed = failure(node, nobody);
    CHECK(failed.error.code == ErrorCode::kNetRefused);
    CHECK(!failed.permanent);

    failed = failure(node, "no port");
    CHECK(failed.error.code == ErrorCode::kNetAddress);
    CHECK(failed.permanent);

    SilentServer silent;
    failed = failure(node, silent.address);
    CHECK(failed.error.code == ErrorCode::kTlsHandshake);
    CHECK(!failed.permanent);

    failed = failure(node, "name-that-does-not-exist.invalid:7400");
    CHECK(failed.error.code == ErrorCode::kNetResolve);
    CHECK(!failed.permanent);
}

TEST_CASE("another federation, another peer than expected, and oneself fail for good") {
    Federation federation, elsewhere(2);
    Node a(federation.context(11)), b(federation.context(12)), stranger(elsewhere.context(13));
    const auto at_a = a.listen(), at_b = b.listen();
    auto failed = failure(stranger, at_b);
    CHECK(failed.error.code == ErrorCode::kTlsFederation);
    CHECK(failed.permanent);
    CHECK(b.next<IncomingRefused>().error.code == ErrorCode::kTlsUntrusted);

    failed = failure(a, at_b, PeerId::of_number(9));
    CHECK(failed.error.code == ErrorCode::kTlsPeerId);
    CHECK(failed.permanent);

    failed = failure(a, at_a);
    CHECK(failed.error.code == ErrorCode::kTlsPeerId);
    CHECK(failed.permanent);
}

TEST_CASE("a listener without a free place says so, and that it is worth coming back") {
    Federation federation;
    TransportConfig one;
    one.connections_max = 1;
    Node server(federation.context(20), one), first(federation.context(21)),
        second(federation.context(22));
    const auto address = server.listen();
    first.transport.dial(address, server.id);
    (void)first.next<job::LinkUp>();
    const auto failed = failure(second, address);
    CHECK(failed.error.code == ErrorCode::kLinkBusy);
    CHECK(!failed.permanent);
}

TEST_CASE("a port in use and an address that is not ours are told apart") {
    Federation federation;
    Node a(federation.context(11)), b(federation.context(12));
    const auto address = a.listen();
    auto taken = b.transport.listen(address);
    REQUIRE(!taken);
    CHECK(taken.error().code == ErrorCode::kNetAddressInUse);
    auto foreign = b.transport.listen("192.0.2.1:0");
    REQUIRE(!foreign);
    CHECK(foreign.error().code == ErrorCode::kNetListen);
    CHECK(b.transport.listen("nonsense").error().code == ErrorCode::kNetAddress);
}

TEST_CASE("plaintext and random bytes are thrown out, and reported once a minute at most") {
    Federation federation;
    Node node(federation.context(11));
    const auto address = node.listen();
    for (int i = 0; i < 20; ++i) {
        RawClient client(address);
        client.say(as_bytes(i % 2 ? "GET / HTTP/1.1\r\n\r\n" : "\x80\x00random bytes of no use"));
        CHECK(client.closed_by_peer());
    }
    CHECK(node.next<IncomingRefused>().error.code == ErrorCode::kTlsNotTls);
    CHECK(node.count(
              [](const Event& e) { return std::holds_alternative<IncomingRefused>(e.what); }) == 1);
    CHECK(node.transport.stats().incoming_refused_count == 20);
}

TEST_CASE("silent clients are closed at the handshake deadline, however they trickle") {
    Federation federation;
    Node node(federation.context(11), hasty());
    const auto address = node.listen();
    RawClient silent(address), begun(address);
    begun.say(as_bytes(std::string_view("\x16\x03\x01\x01\x00", 5)));  // a record that never ends
    CHECK(silent.closed_by_peer());
    CHECK(begun.closed_by_peer());
    CHECK(node.next<IncomingRefused>().error.code == ErrorCode::kTlsHandshake);
}

TEST_CASE("strangers beyond the limit push out the oldest, and a peer still gets in") {
    Federation federation;
    TransportConfig narrow;
    narrow.handshakes_per_address_max = 4;
    Node node(federation.context(11), narrow), peer(federation.context(12));
    const auto address = node.listen();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<RawClient>(address));
    for (int i = 0; i < 6; ++i) CHECK(clients[static_cast<std::size_t>(i)]->closed_by_peer());
    peer.transport.dial(address, node.id);
    (void)peer.next<job::LinkUp>();
    CHECK(node.next<IncomingRefused>().error.code == ErrorCode::kLinkBusy);
}

TEST_CASE("however many connect and stay silent, few are kept, one line tells, and peers get in") {
    Federation federation;
    TransportConfig narrow;
    narrow.handshakes_max = 8;
    narrow.handshakes_per_address_max = 1000;
    Node node(federation.context(11), narrow), peer(federation.context(12));
    const auto address = node.listen();
    constexpr std::size_t kCrowd = 200;
    std::vector<std::unique_ptr<RawClient>> crowd;
    for (std::size_t i = 0; i < kCrowd; ++i) crowd.push_back(std::make_unique<RawClient>(address));
    for (std::size_t i = 0; i + narrow.handshakes_max < kCrowd; ++i)
        CHECK(crowd[i]->closed_by_peer());
    peer.transport.dial(address, node.id);
    (void)peer.next<job::LinkUp>();
    const auto told = node.next<IncomingRefused>();
    CHECK(told.error.code == ErrorCode::kLinkBusy);
    CHECK(told.error.hint.find("transport.handshakes_max") != std::string::npos);
    CHECK(node.count(
              [](const Event& e) { return std::holds_alternative<IncomingRefused>(e.what); }) == 1);
    // The peer's own connection pushed out one more.
    CHECK(node.transport.stats().incoming_refused_count == kCrowd + 1 - narrow.handshakes_max);
}

TEST_CASE("a dial under way ends when the transport stops") {
    Federation federation;
    Node node(federation.context(11));
    SilentServer silent;
    node.transport.dial(silent.address, std::nullopt);
    node.transport.stop();
    const auto failed = [](const Event& e) {
        const auto* link = std::get_if<job::LinkEvent>(&e.what);
        return link && std::holds_alternative<job::DialFailed>(*link);
    };
    CHECK(node.count(failed) == 1);
}
