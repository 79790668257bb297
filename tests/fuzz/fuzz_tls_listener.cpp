// Any bytes at a listening TLS engine: an error or silence, never a peer, never much memory.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "connection/security/authority.hpp"
#include "connection/security/tls_engine.hpp"

using namespace gossamer;
using namespace gossamer::security;

namespace {

constexpr WallTime kNow{1'800'000'000'000'000'000};

const TlsContext& context() {
    static const TlsContext one = [] {
        const auto f =
            create_federation({.name = "fuzz", .now = kNow}, std::array<std::byte, 32>{}).value();
        const auto key = IdentityKey::from_seed(std::array<std::byte, 32>{std::byte{1}});
        const auto pem = make_request(key);
        const auto request = parse_request(as_bytes(pem)).value();
        const auto leaf = sign_request(f.issuing_key, f.issuing, request, {.now = kNow}).value();
        return TlsContext::create(key, {leaf, f.issuing}, f.trust, kNow).value();
    }();
    return one;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    TlsEngine engine(context(), TlsSide::listener, {.now = kNow});
    while (size > 0) {
        const auto space = engine.input_space(size);
        const std::size_t count = std::min(space.size(), size);
        std::memcpy(space.data(), data, count);
        engine.commit_input(count);
        data += count;
        size -= count;
        std::byte byte;
        if (!engine.read({&byte, 1})) break;
    }
    if (engine.handshake_done() || engine.buffer_bytes() > 16 * 1024) std::abort();
    return 0;
}
