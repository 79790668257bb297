#include <doctest/doctest.h>
#include <sodium.h>

#include <array>
#include <vector>

#include "gossamer/tensor/identity.hpp"
#include "learning/tensor/blake2b_lanes.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

namespace {

Bytes noise(std::size_t size, std::uint64_t seed) {
    Bytes data(size);
    randombytes_buf_deterministic(
        data.data(), data.size(),
        std::array<unsigned char, randombytes_SEEDBYTES>{static_cast<unsigned char>(seed)}.data());
    return data;
}

Digest256 alone(ByteView input, const char* personal) {
    Digest256 digest;
    crypto_generichash_blake2b_salt_personal(
        reinterpret_cast<unsigned char*>(digest.bytes.data()), digest.bytes.size(),
        reinterpret_cast<const unsigned char*>(input.data()), input.size(), nullptr, 0, nullptr,
        reinterpret_cast<const unsigned char*>(personal));
    return digest;
}

}  // namespace

TEST_CASE("several inputs hashed at once have the digests libsodium gives for each alone") {
    for (auto lanes : blake2b_lane_counts())
        for (std::size_t blocks : {1, 2, 3, 8, 9, 33}) {
            CAPTURE(lanes);
            CAPTURE(blocks);
            const auto size = blocks * kBlakeBlockBytes;
            const auto data = noise(lanes * size + 3, blocks);  // off every alignment
            std::vector<const std::byte*> inputs(lanes);
            for (std::size_t k = 0; k < lanes; ++k) inputs[k] = data.data() + 3 + k * size;
            std::vector<Digest256> digests(lanes);
            blake2b_256_lanes(digests, inputs, size, "sixteen bytes ..");
            for (std::size_t k = 0; k < lanes; ++k)
                CHECK(digests[k] == alone({inputs[k], size}, "sixteen bytes .."));
        }
}

TEST_CASE("a model's identity is the root over its leaves, however many are hashed at once") {
    Layout layout;
    layout.add("w", {1});
    constexpr std::size_t kMiB = 1 << 20, kLeast = 16 << 10;
    const auto data = noise(19 * kMiB + 5, 7);
    for (std::size_t size : {std::size_t{0}, std::size_t{4}, kLeast, kLeast + 4, 8 * kLeast - 4,
                             8 * kLeast, std::size_t{796'840}, kMiB, 3 * kMiB + 4, 8 * kMiB - 4,
                             8 * kMiB, 8 * kMiB + 4, 11 * kMiB, 12 * kMiB, 19 * kMiB + 5}) {
        CAPTURE(size);
        const auto model = ByteView(data).first(size);
        const auto leaf = identity_leaf_bytes(size);
        CHECK(leaf % 1024 == 0);
        CHECK(leaf == (size >= 8 * kMiB ? kMiB : std::max(size / 8 / 1024 * 1024, kLeast)));
        std::vector<Digest256> leaves;
        for (std::size_t at = 0; at < size; at += leaf)
            leaves.push_back(identity_leaf(model.subspan(at, std::min(leaf, size - at))));
        CHECK(model_identity(model, layout) == identity_root(leaves, size, layout.digest()));
    }
}

TEST_CASE("a model's identity covers every byte, the layout and the leaf borders") {
    Layout layout;
    layout.add("w", {600'000});
    Bytes data(layout.byte_count());
    const auto leaf = identity_leaf_bytes(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 31);
    auto before = model_identity(data, layout);
    std::vector<Digest256> leaves;
    for (std::size_t at = 0; at < data.size(); at += leaf)
        leaves.push_back(
            identity_leaf(ByteView(data).subspan(at, std::min(leaf, data.size() - at))));
    CHECK(leaves.size() == 9);  // eight and a part
    CHECK(before == identity_root(leaves, data.size(), layout.digest()));
    for (auto at : {std::size_t{0}, leaf, data.size() - 1}) {
        auto changed = data;
        changed[at] ^= std::byte{1};
        CHECK(model_identity(changed, layout) != before);
    }
    Layout other;
    other.add("v", {600'000});
    CHECK(model_identity(data, other) != before);
}
