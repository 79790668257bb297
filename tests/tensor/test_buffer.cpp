#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/handle.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

TEST_CASE("a freed buffer is handed out again") {
    auto pool = BufferPool::create(std::size_t{64} << 20);
    for (std::size_t size : {4ul, 512ul, 513ul, 100'000ul, 3ul << 20}) {
        const void* first = nullptr;
        {
            auto buffer = pool->take(size);
            first = buffer.bytes().data();
            CHECK(buffer.size_bytes() == size);
            CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
            std::memset(buffer.bytes().data(), 7, size);
            CHECK(pool->usage().live_bytes >= size);
        }
        CHECK(pool->usage().live_bytes == 0);
        CHECK(pool->take(size).bytes().data() == first);
    }
    CHECK(pool->usage().kept_bytes > 0);
    pool->trim();
    CHECK(pool->usage().kept_bytes == 0);
}

TEST_CASE("every size fits its class with at most a sixteenth idle, or a line") {
    auto pool = BufferPool::create(0);
    auto draw = stream(RunSeed{5}, Purpose::user);
    for (int i = 0; i < 2000; ++i) {
        auto size = std::size_t{1} + draw.below(std::uint64_t{1} << (10 + draw.below(14)));
        auto buffer = pool->take(size);
        auto capacity = pool->usage().live_bytes;
        CHECK(capacity >= size);
        CHECK(capacity <= std::max(size + size / 16, (size + 63) / 64 * 64));
        buffer.bytes().back() = std::byte{1};
    }
}

TEST_CASE("buffers of many gigabytes are as large as they say") {
    auto pool = BufferPool::create(0);
    for (const std::size_t gib : {4ul, 5ul}) {  // addresses, no memory: only the ends are touched
        const auto size = (gib << 30) - 8;
        auto buffer = pool->take(size);
        CHECK(pool->usage().live_bytes >= size);
        CHECK(pool->usage().live_bytes <= size + size / 16);
        buffer.bytes().front() = buffer.bytes().back() = std::byte{1};
    }
}

TEST_CASE("a pool keeps no more than its bound and an empty buffer costs nothing") {
    auto pool = BufferPool::create(10'000);
    {
        std::vector<Buffer> many;
        for (int i = 0; i < 10; ++i) many.push_back(pool->take(4096));
        CHECK(pool->usage().live_bytes == 40'960);
    }
    CHECK(pool->usage().kept_bytes == 8192);
    CHECK(pool->usage().peak_bytes == 40'960);
    CHECK(pool->take(0).empty());
    CHECK(Buffer{}.floats().empty());
}

TEST_CASE("many buffers of one size are apart, keep what is in them, and are used again") {
    constexpr std::size_t kCount = 100;
    for (const std::size_t floats : {20'000ul, 81'000ul, 199'210ul}) {
        for (const std::size_t kept_mib : {0ul, 30ul, 1000ul}) {
            CAPTURE(floats);
            CAPTURE(kept_mib);
            auto pool = BufferPool::create(kept_mib << 20);
            for (int again = 0; again < 3; ++again) {
                std::vector<Buffer> many;
                for (std::size_t i = 0; i < kCount; ++i) {
                    auto x = many.emplace_back(pool->take_floats(floats - i % 3)).floats();
                    REQUIRE(reinterpret_cast<std::uintptr_t>(x.data()) % 64 == 0);
                    std::ranges::fill(x, static_cast<float>(i));
                }
                std::set<const float*> places;
                for (auto& buffer : many) places.insert(buffer.floats().data());
                CHECK(places.size() == kCount);
                const auto all_kept = [&] {
                    bool kept = true;
                    for (const auto& buffer : many) {
                        const auto x = buffer.floats();
                        for (const float v : x) kept &= v == x[0];
                    }
                    return kept;
                };
                REQUIRE(all_kept());
                // Every other one goes, so that what goes lies beside what stays.
                for (std::size_t i = 1; i < kCount; i += 2) many[i] = {};
                if (again == 1) pool->trim();
                std::erase_if(many, [](const Buffer& buffer) { return buffer.empty(); });
                REQUIRE(many.size() == kCount / 2);
                REQUIRE(all_kept());
                for (std::size_t i = 0; i < kCount / 2; ++i) {
                    auto x = many.emplace_back(pool->take_floats(floats)).floats();
                    std::ranges::fill(x, -1.0f);
                }
                REQUIRE(all_kept());
            }
            CHECK(pool->usage().live_bytes == 0);
            CHECK(pool->usage().kept_bytes <= kept_mib << 20);
            pool->trim();
            CHECK(pool->usage().kept_bytes == 0);
        }
    }
}

TEST_CASE("a buffer outlives the last other reference to its pool") {
    auto pool = BufferPool::create(1 << 20);
    auto buffer = pool->take_floats(1000);
    pool.reset();
    buffer.floats()[999] = 1.0f;
    Buffer other = std::move(buffer);
    CHECK(buffer.empty());
    CHECK(other.floats()[999] == 1.0f);
}

TEST_CASE("threads share a pool and never the same buffer") {
    auto pool = BufferPool::create(std::size_t{1} << 20);
    std::vector<std::thread> threads;
    std::atomic<int> clashes{0};
    for (unsigned t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            auto draw = stream(RunSeed{t}, Purpose::user);
            for (int i = 0; i < 3000; ++i) {
                auto a = pool->take_floats(1 + draw.below(2000));
                auto b = pool->take_floats(1 + draw.below(2000));
                auto mark = static_cast<float>(t * 10000 + static_cast<unsigned>(i));
                for (auto& v : a.floats()) v = mark;
                for (auto& v : b.floats()) v = -mark;
                for (auto v : a.floats()) clashes += v != mark;
                for (auto v : b.floats()) clashes += v != -mark;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(clashes == 0);
    CHECK(pool->usage().live_bytes == 0);
}

TEST_CASE("a handle is shared without a copy and its sole holder may take the buffer") {
    auto pool = BufferPool::create(1 << 20);
    auto layout = std::make_shared<Layout>();
    layout->add("w", {100});
    auto model = Model::promise(layout);
    auto other = model;
    CHECK(other.same_as(model));
    CHECK(!model.filled());
    other.fill(pool->take_floats(100));
    CHECK(model.filled());
    CHECK(!model.sole());
    auto payload = Payload::view_of(model);
    CHECK(payload.bytes().data() == model.bytes().data());
    payload = Payload{};
    other = Model{};
    REQUIRE(model.sole());
    auto buffer = model.take();
    CHECK(!model.exists());
    CHECK(buffer.floats().size() == 100);
    CHECK(pool->usage().live_bytes > 0);
    buffer = Buffer{};
    CHECK(pool->usage().live_bytes == 0);
}

TEST_CASE("the last of many holders on threads frees a model once") {
    auto pool = BufferPool::create(1 << 20);
    auto layout = std::make_shared<Layout>();
    layout->add("w", {16});
    for (int i = 0; i < 200; ++i) {
        auto model = Model::of(layout, pool->take_floats(16));
        std::thread reader([copy = model] { CHECK(copy.values().size() == 16); });
        model = Model{};
        reader.join();
        REQUIRE(pool->usage().live_bytes == 0);
    }
}
