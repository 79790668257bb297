// What a connection costs in memory, counted at OpenSSL's own allocator. A program of its own,
// because OpenSSL takes an allocator only before its first allocation.
#include <doctest/doctest.h>

#include <malloc.h>

#include <cstdlib>
#include <vector>

#include "tls_pair.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

std::size_t held = 0;

void* counted_malloc(std::size_t n, const char*, int) {
    void* p = std::malloc(n);
    held += malloc_usable_size(p);
    return p;
}
void counted_free(void* p, const char*, int) {
    held -= malloc_usable_size(p);
    std::free(p);
}
void* counted_realloc(void* p, std::size_t n, const char*, int) {
    held -= malloc_usable_size(p);
    p = std::realloc(p, n);
    held += malloc_usable_size(p);
    return p;
}

const bool counting = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) == 1;

struct World {
    Federation federation = federation_of(1);
    Member alice = member_of(federation, 11), bob = member_of(federation, 12);
    TlsContext alice_context = context_of(federation, alice);
    TlsContext bob_context = context_of(federation, bob);
    World() {  // OpenSSL keeps some tables from its first handshake on
        TlsPair warm_up(alice_context, bob_context);
        warm_up.settle();
    }
};

constexpr std::size_t kSilentMax = 8 * 1024, kUnknownMax = 56 * 1024, kIdleMax = 24 * 1024;

// What `engine` holds with OpenSSL's part, which was `before` without it.
std::size_t held_by(const TlsEngine& engine, std::size_t before) {
    return held - before + engine.buffer_bytes();
}

Bytes announcing(unsigned record, unsigned message) {
    Bytes lie(20'000, std::byte{0});
    const unsigned start[] = {
        22, 3, 1, record >> 8, record & 255, 1, message >> 16, message >> 8 & 255, message & 255,
        3,  3};
    for (std::size_t i = 0; i < std::size(start); ++i) lie[i] = static_cast<std::byte>(start[i]);
    return lie;
}

}  // namespace

TEST_CASE("a client that is silent or dawdles costs at most 8 KiB") {
    REQUIRE(counting);
    const World w;
    TlsEngine honest(w.alice_context, TlsSide::dialler, {.now = kNow});
    Bytes hello(honest.output().begin(), honest.output().end());
    hello.pop_back();
    auto large = announcing(5115, 5000);
    large.resize(5119);
    for (const auto& opening : {Bytes{}, hello, large}) {
        const std::size_t before = held;
        TlsEngine engine(w.bob_context, TlsSide::listener, {.now = kNow});
        for (const std::byte b : opening) feed(engine, {&b, 1});
        CHECK_FALSE(error_of(engine));
        CHECK(held_by(engine, before) <= kSilentMax);
    }
}

TEST_CASE("an unknown sender costs at most 56 KiB, whatever it announces") {
    const World w;
    TlsEngine honest(w.alice_context, TlsSide::dialler, {.now = kNow});
    const Bytes hello(honest.output().begin(), honest.output().end());
    Bytes hello_and_part = hello;
    const auto part = announcing(5115, 0);
    hello_and_part.insert(hello_and_part.end(), part.begin(), part.begin() + 5119);
    hello_and_part[hello.size()] = std::byte{23};
    std::vector<Bytes> openings{hello, hello_and_part};
    // Lengths that lie: of the record, of the message, and both at what is just allowed.
    for (const auto& [record, message] : {std::pair{0xffffu, 0x100000u},
                                          {0x4000, 0x3f00},
                                          {5115, 0x1ff00},
                                          {5115, 0x3ff0},
                                          {5115, 5000},
                                          {16, 0x3ff0}})
        openings.push_back(announcing(record, message));
    for (std::size_t i = 0; i < openings.size(); ++i) {
        for (const std::size_t at_once : {1, 700, 100'000}) {
            CAPTURE(i);
            CAPTURE(at_once);
            const std::size_t before = held;
            TlsEngine engine(w.bob_context, TlsSide::listener, {.now = kNow});
            std::size_t most = 0;
            for (ByteView rest = openings[i]; !rest.empty();) {
                const auto now = rest.first(std::min(rest.size(), at_once));
                feed(engine, now);
                rest = rest.subspan(now.size());
                most = std::max(most, held_by(engine, before));
            }
            CHECK(most <= kUnknownMax);
            CHECK_FALSE(engine.handshake_done());
        }
    }
}

TEST_CASE("an idle connection holds at most 24 KiB at each end") {
    const World w;
    const std::size_t before = held;
    TlsEngine dialler(w.alice_context, TlsSide::dialler, {.now = kNow});
    TlsEngine listener(w.bob_context, TlsSide::listener, {.now = kNow});
    for (int i = 0; i < 6; ++i) {
        carry(dialler, listener);
        carry(listener, dialler);
    }
    REQUIRE(listener.handshake_done());
    Bytes buffer(100'000);
    REQUIRE(dialler.write(buffer));
    carry(dialler, listener);
    REQUIRE(listener.read(buffer).value() == buffer.size());
    dialler.trim();
    listener.trim();
    const std::size_t both = held - before + dialler.buffer_bytes() + listener.buffer_bytes();
    CHECK(both <= 2 * kIdleMax);
}

TEST_CASE("two hundred connections that came and went leave nothing behind") {
    const World w;
    const std::size_t before = held;
    for (int i = 0; i < 200; ++i) {
        TlsPair pair(w.alice_context, w.bob_context);
        pair.settle();
        REQUIRE(pair.listener.handshake_done());
    }
    CHECK(held <= before + 4096);
}
