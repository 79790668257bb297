#include <doctest/doctest.h>

#include "gossamer/data/readers.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {

Bytes npy(const std::string& dictionary, ByteView data, int version = 1) {
    ByteWriter out;
    out.put_bytes(as_bytes("\x93NUMPY"));
    out.put(static_cast<std::uint8_t>(version));
    out.put(std::uint8_t{0});
    auto text = dictionary + "\n";
    if (version == 1)
        out.put(static_cast<std::uint16_t>(text.size()));
    else
        out.put(static_cast<std::uint32_t>(text.size()));
    out.put_bytes(as_bytes(text));
    out.put_bytes(data);
    return out.take();
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const std::string& order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

template <class T>
Bytes raw(std::vector<T> values) {
    ByteWriter out;
    for (auto v : values) out.put(v);
    return out.take();
}

ErrorCode code_of(const Result<Array>& result) {
    REQUIRE(!result);
    return result.error().code;
}

}  // namespace

TEST_CASE("npy arrays of every type that can be read keep their values") {
    auto floats =
        parse_npy(npy(dictionary("<f4", "(2, 3)"), raw<float>({1, 2, 3, 4, 5, 6.5f})), "a");
    REQUIRE(floats);
    CHECK(floats->shape == std::vector<std::size_t>{2, 3});
    CHECK(std::get<std::vector<float>>(floats->values)[5] == 6.5f);
    auto doubles = parse_npy(npy(dictionary("<f8", "(2,)"), raw<double>({-1.25, 3})), "a");
    CHECK(std::get<std::vector<float>>(doubles->values) == std::vector<float>{-1.25f, 3});
    auto bytes = parse_npy(npy(dictionary("|u1", "(3,)"), raw<std::uint8_t>({1, 2, 255})), "a");
    CHECK(std::get<std::vector<std::uint8_t>>(bytes->values)[2] == 255);
    // Yes or no, not pixels: they stay 0 and 1 when features are made of them.
    auto flags = parse_npy(npy(dictionary("|b1", "(2,)"), raw<std::uint8_t>({0, 1})), "a");
    CHECK(std::get<std::vector<std::int64_t>>(flags->values) == std::vector<std::int64_t>{0, 1});
    auto ints = parse_npy(npy(dictionary("<i4", "(2,)"), raw<std::int32_t>({-7, 9})), "a");
    CHECK(std::get<std::vector<std::int64_t>>(ints->values) == std::vector<std::int64_t>{-7, 9});
    auto longs =
        parse_npy(npy(dictionary("<i8", "(1,)"), raw<std::int64_t>({-1'000'000'000'000})), "a");
    CHECK(std::get<std::vector<std::int64_t>>(longs->values)[0] == -1'000'000'000'000);
    auto scalar = parse_npy(npy(dictionary("<f4", "()"), raw<float>({2})), "a");
    REQUIRE(scalar);
    CHECK(scalar->shape.empty());
}

TEST_CASE("version 2 has a longer length field, and keys may come in any order") {
    CHECK(parse_npy(npy(dictionary("<f4", "(1,)"), raw<float>({1}), 2), "a"));
    CHECK(parse_npy(
        npy("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"<f4\"}", raw<float>({1})), "a"));
    CHECK(code_of(parse_npy(npy(dictionary("<f4", "(1,)"), raw<float>({1}), 4), "a")) ==
          ErrorCode::kDataFormat);
}

TEST_CASE("a truncated npy file is named with both sizes at every length") {
    auto whole = npy(dictionary("<f4", "(4, 5)"), Bytes(80));
    CHECK(parse_npy(whole, "a"));
    for (std::size_t size = 6; size < whole.size(); ++size)
        CHECK(code_of(parse_npy(ByteView(whole).first(size), "a")) == ErrorCode::kDataTruncated);
    auto cut = parse_npy(ByteView(whole).first(whole.size() - 1), "x.npy");
    CHECK(cut.error().what == "x.npy: " + std::to_string(whole.size() - 1) +
                                  " bytes, its header says " + std::to_string(whole.size()));
    CHECK(code_of(parse_npy(ByteView(whole).first(5), "a")) == ErrorCode::kDataFormat);
}

TEST_CASE("hostile npy headers are refused") {
    auto refused = [](const std::string& header) {
        return code_of(parse_npy(npy(header, Bytes(8)), "a"));
    };
    for (auto header :
         {"", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
          "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} trailing",
          "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
          "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
          "{'other': '<f4', 'fortran_order': False, 'shape': (2,)}"})
        CHECK_MESSAGE(refused(header) == ErrorCode::kDataFormat, header);
}

TEST_CASE("types, orders and sizes that cannot be read say why") {
    auto error = [](const std::string& header) {
        auto result = parse_npy(npy(header, Bytes(16)), "a");
        REQUIRE(!result);
        return result.error();
    };
    CHECK(error(dictionary(">f4", "(4,)")).what.find(">f4") != std::string::npos);
    CHECK(error(dictionary("|O", "(4,)")).code == ErrorCode::kDataFormat);
    CHECK(error(dictionary("<f4", "(2, 2)", "True")).what.find("Fortran") != std::string::npos);
    CHECK(error(dictionary("<f4", "(3,)")).code == ErrorCode::kDataFormat);  // trailing bytes
    CHECK(error(dictionary("<f4", "(4294967296, 4294967296)")).code == ErrorCode::kDataFormat);
    CHECK(error(dictionary("<f8", "(2305843009213693951,)")).code == ErrorCode::kDataFormat);
    CHECK(error(dictionary("<f4", "(1000000000000,)")).code == ErrorCode::kDataTruncated);
    std::string deep = "(";
    for (int i = 0; i < 40; ++i) deep += "1, ";
    CHECK(error(dictionary("<f4", deep + ")")).code == ErrorCode::kDataFormat);
    CHECK(parse_npy(npy(dictionary("<f4", "(4,)", "True"), Bytes(16)), "a"));  // one dimension
}
