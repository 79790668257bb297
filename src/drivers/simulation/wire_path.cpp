#include "drivers/simulation/wire_path.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "connection/security/authority.hpp"
#include "connection/security/tls_engine.hpp"
#include "connection/wire/wire.hpp"
#include "drivers/simulation/world_setup.hpp"

namespace gossamer::simulation {

namespace {

constexpr WallTime kNow = kWallBeginning + 1h;

}  // namespace

std::uint64_t wire_bytes(const wire::Frame& frame, wire::Scale& scale) {
    if (const auto* chunk = std::get_if<wire::Chunk>(&frame.body))
        return security::tls_wire_bytes(wire::kHeaderBytes, chunk->length);
    return security::tls_wire_bytes(scale.weigh(frame), 0);
}

Result<WireIdentities> WireIdentities::create() {
    std::array<std::byte, 32> seed{};
    security::FederationOptions options{.name = "simulation", .now = kWallBeginning};
    GOSSAMER_TRY(auto federation, security::create_federation(options, seed));
    WireIdentities identities;
    for (const Role role : {Role::peer, Role::aggregator}) {
        seed[0] = static_cast<std::byte>(1 + static_cast<int>(role));
        const auto key = security::IdentityKey::from_seed(seed);
        const security::CertificateRequest request{key.public_key(), key.peer_id()};
        GOSSAMER_TRY(auto leaf,
                     security::sign_request(federation.issuing_key, federation.issuing, request,
                                            {.role = role, .now = kWallBeginning}));
        GOSSAMER_TRY(auto context, security::TlsContext::create(key, {leaf, federation.issuing},
                                                                federation.trust, kNow));
        identities.contexts_.push_back(std::move(context));
    }
    return identities;
}

struct WirePath::State {
    std::array<security::TlsEngine, 2> engine;
    std::array<std::uint64_t, 2> sent{};
    Bytes sealed, plain;
    wire::Scale scale;
    bool broken = false;  // by an altered record: nothing goes through any more

    // What side `from` has to send reaches the other; how many bytes that were.
    std::uint64_t cross(std::size_t from, bool altered = false) {
        std::uint64_t moved = 0;
        while (!engine[from].output().empty()) {
            const auto out = engine[from].output();
            auto space = engine[1 - from].input_space(out.size());
            const auto count = std::min(space.size(), out.size());
            std::memcpy(space.data(), out.data(), count);
            if (altered) space[count - 1] ^= std::byte{1};
            engine[1 - from].commit_input(count);
            engine[from].consume_output(count);
            moved += count;
        }
        return moved;
    }
    Status read_all(std::size_t side, std::span<std::byte> into) {
        while (!into.empty()) {
            GOSSAMER_TRY(auto count, engine[side].read(into));
            if (count == 0) return fail(ErrorCode::kInternal, "sealed bytes that do not open");
            into = into.subspan(count);
        }
        return {};
    }
    Status carry(std::size_t from, wire::Frame& frame);
    Status alter(std::size_t from, const wire::Frame& frame);
};

WirePath::WirePath(std::unique_ptr<State> state) : state_(std::move(state)) {}
WirePath::~WirePath() = default;

Result<std::unique_ptr<WirePath>> WirePath::create(const WireIdentities& identities, Role dialler,
                                                   Role listener) {
    using security::TlsEngine, security::TlsSide;
    auto state = std::unique_ptr<State>(new State{
        .engine = {TlsEngine(identities.of(dialler), TlsSide::dialler, {.now = kNow}),
                   TlsEngine(identities.of(listener), TlsSide::listener, {.now = kNow})}});
    for (int flight = 0; flight < 6; ++flight)
        for (const std::size_t side : {0, 1}) {
            state->sent[side] += state->cross(side);
            GOSSAMER_CHECK(state->engine[1 - side].read({}));
        }
    for (const std::size_t side : {0, 1}) {
        if (!state->engine[side].handshake_done())
            return fail(ErrorCode::kInternal, "the TLS handshake does not end");
        const auto sent = state->sent[side], counted = kHandshakeBytes[side];
        if (sent > counted + kHandshakeSlack || counted > sent + kHandshakeSlack)
            return fail(ErrorCode::kInternal,
                        fmt::format("the {} sends {} bytes in the TLS handshake, {} are counted",
                                    side == 0 ? "dialler" : "listener", sent, counted));
    }
    return std::unique_ptr<WirePath>(new WirePath(std::move(state)));
}

Status WirePath::State::carry(std::size_t from, wire::Frame& frame) {
    const std::size_t to = 1 - from;
    const auto counted = wire_bytes(frame, scale);
    const auto* chunk = std::get_if<wire::Chunk>(&frame.body);
    sealed.clear();
    wire::encode(frame, sealed);
    ByteView body;
    if (chunk) body = chunk->source.bytes().subspan(chunk->offset, chunk->length);
    GOSSAMER_CHECK(engine[from].write(sealed, body));
    const auto moved = cross(from);
    if (moved != counted)
        return fail(ErrorCode::kInternal, fmt::format("a {} weighs {} bytes, {} were counted",
                                                      wire::name_of(frame.body), moved, counted));
    plain.resize(sealed.size() + body.size());
    GOSSAMER_CHECK(read_all(to, plain));
    const auto all = ByteView(plain);
    GOSSAMER_TRY(auto header, wire::read_header(all.first<wire::kHeaderBytes>()));
    GOSSAMER_TRY(auto kind, wire::kind_of(header));
    if (chunk) {
        if (kind != wire::BodyKind::chunk || header.stream != chunk->stream ||
            header.length != chunk->length ||
            !std::ranges::equal(all.subspan(wire::kHeaderBytes), body))
            return fail(ErrorCode::kInternal, "a chunk came out otherwise than it went in");
        return {};
    }
    GOSSAMER_TRY(auto read, wire::decode(header, all.subspan(wire::kHeaderBytes)));
    if (const auto* end = std::get_if<wire::TransferEnd>(&frame.body))
        std::get<wire::TransferEnd>(read.body).handle = end->handle;
    frame = std::move(read);
    return {};
}

// A bit of the record flips: the other end must not open it.
Status WirePath::State::alter(std::size_t from, const wire::Frame& frame) {
    broken = true;
    sealed.clear();
    wire::encode(frame, sealed);
    ByteView body;
    if (const auto* chunk = std::get_if<wire::Chunk>(&frame.body))
        body = chunk->source.bytes().subspan(chunk->offset, chunk->length);
    GOSSAMER_CHECK(engine[from].write(sealed, body));
    cross(from, true);
    plain.resize(sealed.size() + body.size());
    auto read = read_all(1 - from, plain);
    if (read || read.error().code != ErrorCode::kTlsIntegrity)
        return fail(ErrorCode::kInternal, "an altered record was not told from a good one");
    return {};
}

Status WirePath::carry(std::size_t from_side, Packet& packet) {
    if (state_->broken || packet.frames.empty()) return {};
    if (packet.altered) return state_->alter(from_side, packet.frames.front());
    for (auto& frame : packet.frames) GOSSAMER_CHECK(state_->carry(from_side, frame));
    return {};
}

}  // namespace gossamer::simulation
