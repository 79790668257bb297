// Any bytes as a certificate request, PEM or DER: an error, or a key that can be certified.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "connection/security/authority.hpp"

using namespace gossamer;
using namespace gossamer::security;

namespace {

constexpr WallTime kNow{1'800'000'000'000'000'000};

const Federation& federation() {
    static const Federation one =
        create_federation({.name = "fuzz", .now = kNow}, std::array<std::byte, 32>{}).value();
    return one;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = parse_request({reinterpret_cast<const std::byte*>(data), size});
    if (!request) return request.error().code == ErrorCode::kRequestForm ? 0 : (std::abort(), 0);
    if (request->peer != peer_id_of(request->key)) std::abort();
    const auto leaf =
        sign_request(federation().issuing_key, federation().issuing, *request, {.now = kNow});
    if (!leaf || !leaf->describe()) std::abort();
    return 0;
}
