#include <doctest/doctest.h>

#include "federation_fixture.hpp"

using namespace gossamer;
using namespace gossamer::security;
using test::seed_of;

namespace {

Bytes unhex(std::string_view text) { return *from_hex(text); }

}  // namespace

TEST_CASE("a key gives the public key of RFC 8032 test 1, and its hash as the peer's id") {
    std::array<std::byte, 32> seed;
    const auto bytes = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    std::copy(bytes.begin(), bytes.end(), seed.begin());
    const auto key = IdentityKey::from_seed(seed);
    CHECK(to_hex(key.public_key()) ==
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    CHECK(key.peer_id().bytes == digest256(key.public_key()).bytes);
}

TEST_CASE("a key survives its PEM file, and moving empties the source") {
    auto key = IdentityKey::generate();
    const auto id = key.peer_id();
    const auto pem = key.to_pem();
    CHECK(as_text(pem.view()).starts_with("-----BEGIN PRIVATE KEY-----\n"));
    CHECK(IdentityKey::from_pem(pem.view()).value().peer_id() == id);
    const IdentityKey moved = std::move(key);
    CHECK(moved.peer_id() == id);
    CHECK(key.public_key() == PublicKey{});  // NOLINT: wiped, on purpose
    CHECK(IdentityKey::generate().peer_id() != id);
}

TEST_CASE("what is not an Ed25519 key in plain PEM is refused, without asking for a passphrase") {
    const auto code = [](std::string_view text) {
        const auto key = IdentityKey::from_pem(as_bytes(text));
        REQUIRE(!key);
        return key.error().code;
    };
    CHECK(code("") == ErrorCode::kKeyFormat);
    CHECK(code("hello") == ErrorCode::kKeyFormat);
    CHECK(code(std::string(5000, 'a')) == ErrorCode::kKeyFormat);
    CHECK(code("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vu"
               "BCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n") ==
          ErrorCode::kKeyFormat);  // X25519
    CHECK(code("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
               "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiAAAAAAAAAAAICCAAw\n"
               "-----END ENCRYPTED PRIVATE KEY-----\n") == ErrorCode::kKeyFormat);
    const auto pem = IdentityKey::generate().to_pem();
    auto cut = std::string(as_text(pem.view()));
    cut.resize(cut.size() / 2);
    CHECK(code(cut) == ErrorCode::kKeyFormat);
}

TEST_CASE("a signature counts for its key, its purpose and its message alone") {
    const auto key = IdentityKey::from_seed(seed_of(1)), other = IdentityKey::from_seed(seed_of(2));
    const auto message = as_bytes("peer 7 is alive");
    const auto signature = key.sign("membership-record", message);
    CHECK(verify_signature(key.public_key(), "membership-record", message, signature));
    CHECK_FALSE(verify_signature(other.public_key(), "membership-record", message, signature));
    CHECK_FALSE(verify_signature(key.public_key(), "membership-recorD", message, signature));
    CHECK_FALSE(
        verify_signature(key.public_key(), "membership-record", as_bytes("peer 8"), signature));
    auto changed = signature;
    changed[40] ^= std::byte{1};
    CHECK_FALSE(verify_signature(key.public_key(), "membership-record", message, changed));
    // A byte cannot move from the purpose into the message.
    const auto ab = key.sign("ab", as_bytes("c"));
    CHECK_FALSE(verify_signature(key.public_key(), "a", as_bytes("bc"), ab));
}
