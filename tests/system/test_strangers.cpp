// Strangers at the door of two peers that train with each other: whatever they do, it is reported
// with its code, costs bounded memory, and the two train on.
#include <algorithm>
#include <random>
#include <sstream>

#include <doctest/doctest.h>

#include "fleet.hpp"
#include "strangers.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

class Besieged {
public:
    explicit Besieged(const std::string& name)
        : world(make_world(name, "gossip", 2,
                           {{"run.rounds", "1000000"},
                            {"topology.graph", "\"ring\""},
                            {"log.level", "\"warning\""},
                            {"transport.handshake_deadline", "\"1s\""},
                            {"transport.hello_deadline", "\"1s\""}})),
          forger(world.folder + "/federation"),
          target(world.daemons.front()) {
        for (auto& daemon : world.daemons) REQUIRE(world.start(daemon));
        REQUIRE_MESSAGE(eventually(world, 30s, [&] { return target.report.round >= 3; }),
                        log_of(target));
    }
    ~Besieged() { world.stop_all(); }

    unsigned port() const { return port_of(target); }

    // Whether one line of the target's log names the code and what to do about it.
    bool has_logged(ErrorCode code, std::string_view what = {}) {
        const auto& info = describe(code);
        std::istringstream log(text_of(target.log));
        for (std::string line; std::getline(log, line);)
            if (line.find("code=" + std::string(info.id)) != std::string::npos &&
                line.find(std::string(info.id) + ": ") != std::string::npos &&
                line.find("; ") != std::string::npos && line.find(what) != std::string::npos)
                return true;
        return false;
    }
    bool logs(ErrorCode code, std::string_view what = {}) {
        return eventually(world, 10s, [&] { return has_logged(code, what); });
    }

    // Both answer, and both get on with their rounds.
    bool unimpressed() {
        const auto first = world.daemons[0].report.round, second = world.daemons[1].report.round;
        return eventually(world, 20s, [&] {
            return world.daemons[0].report.fresh && world.daemons[0].report.round > first + 2 &&
                   world.daemons[1].report.fresh && world.daemons[1].report.round > second + 2;
        });
    }

    cli::World world;
    const Forger forger;
    cli::Daemon& target;
};

ByteView bytes_of(std::string_view text) { return as_bytes(text); }

using Clients = std::vector<std::unique_ptr<TcpClient>>;

bool all_closed(Clients& clients) {
    return std::ranges::all_of(clients, [](auto& client) { return client->closed(); });
}

std::uint64_t resident(const cli::Daemon& daemon) {
    return cli::resources_of(daemon.process.id()).resident_bytes;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kGrowthMax = 400 << 20;  // what was freed is kept apart for a while
#else
constexpr std::uint64_t kGrowthMax = 8 << 20;
#endif

}  // namespace

TEST_CASE("plaintext, random bytes, and clients that stop or dawdle before the handshake is done") {
    Besieged siege("strangers-plain");
    {
        TcpClient browser(siege.port());
        browser.say(bytes_of("GET / HTTP/1.1\r\nHost: model\r\n\r\n"));
        CHECK(eventually(siege.world, 10s, [&] { return browser.closed(); }));
        CHECK(siege.logs(ErrorCode::kTlsNotTls));
    }
    constexpr unsigned kSeed = 20261121;
    CAPTURE(kSeed);
    std::mt19937 random(kSeed);
    Clients noisy;
    for (int i = 0; i < 20; ++i) {
        std::string noise(1 + random() % 4096, '\0');
        for (auto& c : noise) c = static_cast<char>(random());
        if (i % 2) noise.replace(0, 3, "\x16\x03\x01", 3);  // begins like TLS
        noisy.push_back(std::make_unique<TcpClient>(siege.port()));
        noisy.back()->say(bytes_of(noise));
    }
    CHECK(eventually(siege.world, 10s, [&] { return all_closed(noisy); }));

    TcpClient silent(siege.port()), half_open(siege.port()), slow(siege.port());
    half_open.say(bytes_of(std::string_view("\x16\x03\x01\x02\x00\x01", 6)));
    const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    std::size_t said = 0;
    // A byte at a time does not buy more time.
    CHECK(eventually(siege.world, 10s, [&] {
        slow.say(bytes_of(said < hello.size() ? hello.substr(said, 1) : std::string("\0", 1)));
        ++said;
        return slow.closed() && silent.closed() && half_open.closed();
    }));
    CHECK(siege.logs(ErrorCode::kTlsHandshake));
    CHECK(siege.unimpressed());
}

TEST_CASE("each certificate that must not be let in is refused with its own code") {
    Besieged siege("strangers-certificates");
    const auto& forger = siege.forger;
    const auto refuses = [&](const Claim* claim, ErrorCode code) {
        CAPTURE(describe(code).id);
        TlsClient client(siege.port(), claim);
        CHECK_FALSE(client.greet(forger.trust()));
        CHECK_MESSAGE(siege.logs(code), log_of(siege.target));
    };
    refuses(nullptr, ErrorCode::kTlsNoCertificate);
    auto claim = forger.claim([](auto& f) {
        f.not_before = wall_now() + -3 * security::kDay;
        f.not_after = wall_now() + -2 * security::kDay;
    });
    refuses(&claim, ErrorCode::kTlsExpired);
    claim = forger.claim([](auto& f) {
        f.not_before = wall_now() + 2 * security::kDay;
        f.not_after = wall_now() + 3 * security::kDay;
    });
    refuses(&claim, ErrorCode::kTlsNotYetValid);

    const Forger elsewhere(*security::create_federation({.name = "elsewhere", .now = wall_now()}));
    claim = elsewhere.honest();
    refuses(&claim, ErrorCode::kTlsFederation);
    claim = elsewhere.claim([&](auto& f) {
        auto name = *security::CertificateName::parse(f.uri);
        name.federation = forger.trust().federation();
        f.uri = name.to_uri();
    });
    claim.chain.back() = forger.honest().chain.back();
    refuses(&claim, ErrorCode::kTlsUntrusted);

    claim = forger.claim([](auto& f) {  // somebody else's name over the own key
        auto name = *security::CertificateName::parse(f.uri);
        name.holder->peer = security::IdentityKey::generate().peer_id();
        f.uri = name.to_uri();
    });
    refuses(&claim, ErrorCode::kTlsKeyMismatch);

    auto honest = forger.honest();  // a peer that says it is the aggregator
    TlsClient usurper(siege.port(), &honest);
    CHECK_FALSE(usurper.greet(forger.trust(), Role::aggregator));
    CHECK_MESSAGE(siege.logs(ErrorCode::kTlsRole, "HELLO"), log_of(siege.target));

    // Nobody else than peers has anything to do in a gossip run, however good the certificate.
    for (const auto role : {Role::aggregator, Role::operator_}) {
        claim = forger.honest(role);
        TlsClient other(siege.port(), &claim);
        CHECK_FALSE(other.greet(forger.trust(), role));
    }

    // And the door is still open to whom it should be.
    TlsClient welcome(siege.port(), &honest);
    CHECK(welcome.greet(forger.trust()));
    CHECK(siege.unimpressed());
}

TEST_CASE("after a proper handshake: silence, oversized frames, nonsense, and no reading") {
    Besieged siege("strangers-inside");
    const auto& forger = siege.forger;
    const auto honest = forger.honest(), second = forger.honest(), third = forger.honest();

    TlsClient silent(siege.port(), &honest);  // never says HELLO
    REQUIRE(silent.handshake_done());
    CHECK(eventually(siege.world, 10s, [&] { return silent.tcp().closed(); }));
    CHECK_MESSAGE(siege.logs(ErrorCode::kLinkTimeout), log_of(siege.target));

    // 2 GiB, said the header: refused before anything is allocated for it.
    const auto before = resident(siege.target);
    const std::string_view header(
        "\xff\xff\xff\x7f\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 16);
    TlsClient large(siege.port(), &honest);
    REQUIRE(large.say(bytes_of(header)));
    CHECK(eventually(siege.world, 10s, [&] { return large.tcp().closed(); }));
    CHECK_MESSAGE(siege.logs(ErrorCode::kFrameTooLarge), log_of(siege.target));

    TlsClient welcome(siege.port(), &second);  // the same from a member in good standing
    REQUIRE(welcome.greet(forger.trust()));
    REQUIRE(welcome.say(bytes_of(header)));
    CHECK(eventually(siege.world, 10s, [&] { return welcome.tcp().closed(); }));
    CHECK_MESSAGE(siege.logs(ErrorCode::kFrameTooLarge, second.key.peer_id().to_string()),
                  log_of(siege.target));

    TlsClient babbler(siege.port(), &third);
    REQUIRE(babbler.greet(forger.trust()));
    REQUIRE(babbler.say(bytes_of(std::string(64, '\x5a'))));
    CHECK(eventually(siege.world, 10s, [&] { return babbler.tcp().closed(); }));
    CHECK_MESSAGE(siege.logs(ErrorCode::kFrameMalformed, third.key.peer_id().to_string()),
                  log_of(siege.target));

    // Welcome, then nothing: neither a heartbeat nor an answer, and nothing is read.
    const auto fourth = forger.honest();
    TlsClient mute(siege.port(), &fourth);
    REQUIRE(mute.greet(forger.trust()));
    const auto id = fourth.key.peer_id();
    CHECK(eventually(siege.world, 30s, [&] {
        for (const auto& [member, state] : siege.target.report.members)
            if (member == id) return state == "dead";
        return false;
    }));
    CHECK(resident(siege.target) < before + kGrowthMax);
    CHECK(siege.unimpressed());
}

TEST_CASE("crowds of idle, noisy and half-open sockets cost no memory that is not given back") {
    Besieged siege("strangers-crowd");
    const auto wave = [&] {
        Clients crowd;
        for (int i = 0; i < 240; ++i) {
            crowd.push_back(std::make_unique<TcpClient>(siege.port()));
            if (i % 3 == 1) crowd.back()->say(bytes_of("\x16\x03\x01\x02"));
            if (i % 3 == 2) crowd.back()->say(bytes_of("nonsense, and a lot of it"));
        }
        const auto honest = siege.forger.honest();
        std::vector<std::unique_ptr<TlsClient>> inside;  // through the door, and silent there
        for (int i = 0; i < 8; ++i)
            inside.push_back(std::make_unique<TlsClient>(siege.port(), &honest));
        CHECK(eventually(siege.world, 20s, [&] {
            return all_closed(crowd) &&
                   std::ranges::all_of(inside, [](auto& c) { return c->tcp().closed(); });
        }));
    };
    wave();  // pools and heaps take their size
    const auto before = resident(siege.target);
    for (int i = 0; i < 3; ++i) wave();
    const auto after = resident(siege.target);
    CAPTURE(before);
    CAPTURE(after);
    REQUIRE(before > 0);
    CHECK(after < before + kGrowthMax);
    CHECK(siege.has_logged(ErrorCode::kLinkBusy));  // more of one address than it may have
    CHECK(siege.unimpressed());
}
