#include <doctest/doctest.h>

#include "gossamer/tensor/layout.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

namespace {
Layout two_layers(std::uint32_t hidden) {
    Layout layout;
    layout.add("dense1.weight", {784, hidden});
    layout.add("dense1.bias", {hidden});
    layout.add("dense2.weight", {hidden, 10});
    layout.add("temperature", {});
    return layout;
}
}  // namespace

TEST_CASE("tensors follow each other without gaps") {
    auto layout = two_layers(200);
    CHECK(layout.parameter_count() == 784 * 200 + 200 + 2000 + 1);
    CHECK(layout.byte_count() == 4 * layout.parameter_count());
    std::size_t next = 0;
    for (const auto& t : layout.tensors()) {
        CHECK(t.offset == next);
        next += t.count;
    }
    REQUIRE(layout.find("dense2.weight"));
    CHECK(layout.find("dense2.weight")->offset == 784 * 200 + 200);
    CHECK(layout.find("dense3.weight") == nullptr);
    CHECK(layout.find("temperature")->count == 1);
}

TEST_CASE("equal layouts have equal digests and different ones different digests") {
    CHECK(two_layers(200).digest() == two_layers(200).digest());
    CHECK(two_layers(200).digest() != two_layers(100).digest());
    Layout a, b;
    a.add("ab", {2, 3});
    b.add("ab", {3, 2});
    CHECK(a.digest() != b.digest());
    Layout c, d;  // the same characters, cut differently
    c.add("a", {1}), c.add("bc", {1});
    d.add("ab", {1}), d.add("c", {1});
    CHECK(c.digest() != d.digest());
}

TEST_CASE("ten thousand tensors are digested once each, not all again with every one") {
    Layout layout;
    ByteWriter text;
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        const auto name = "block" + std::to_string(7919 * i % 10'000) + ".weight";
        layout.add(name, {i, 3});
        text.put_text(name);
        for (const std::uint32_t n : {2u, i, 3u}) text.put(n);
        if (i == 40) CHECK(layout.digest() == digest128(text.view()));
    }
    CHECK(layout.digest() == digest128(text.view()));
    CHECK(layout.digested_byte_count() == text.view().size());
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        const auto* found = layout.find("block" + std::to_string(7919 * i % 10'000) + ".weight");
        REQUIRE(found);
        CHECK(found == &layout.tensors()[i]);
    }
    auto copy = layout;
    CHECK(copy == layout);
    copy.add("one more", {});
    CHECK(copy.digest() != layout.digest());
    CHECK(layout.digest() == digest128(text.view()));
    CHECK(layout.find("one more") == nullptr);
}

TEST_CASE("differences are named tensor by tensor, and bounded") {
    CHECK(differences(two_layers(200), two_layers(200)).empty());
    auto lines = differences(two_layers(200), two_layers(100));
    REQUIRE(lines.size() == 3);
    CHECK(lines[0] == "dense1.weight: here 784x200, there 784x100");
    CHECK(lines[1] == "dense1.bias: here 200, there 100");
    CHECK(differences(two_layers(200), two_layers(100), 1).size() == 1);
    auto missing = differences(two_layers(200), Layout{});
    CHECK(missing.size() == 4);
    CHECK(missing[3] == "temperature: here one number, there missing");
    CHECK(differences(Layout{}, two_layers(200))[0] ==
          "dense1.weight: here missing, there 784x200");
}

TEST_CASE("lists that strangers made up are compared as they are") {
    const auto layout = two_layers(200);
    auto list = layout.tensors();
    CHECK(same_tensors(layout.tensors(), list));
    CHECK(!names_one_twice(list));
    std::swap(list[0], list[3]);
    CHECK(!same_tensors(layout.tensors(), list));
    list[3] = list[0];
    CHECK(names_one_twice(list));
    CHECK(differences(layout.tensors(), list)[0] == "dense1.weight: here 784x200, there missing");
    list.clear();
    for (std::size_t i = 0; i < 4096; ++i)
        list.push_back({"odd" + std::to_string(i), {1, 2}, i, 2});
    CHECK(differences(layout.tensors(), list, 8).size() == 8);
}

TEST_CASE("the same tensors in another order are a difference") {
    Layout a, b;
    a.add("one", {2}), a.add("two", {2});
    b.add("two", {2}), b.add("one", {2});
    CHECK(differences(a, b).size() == 1);
}
