#include <doctest/doctest.h>

#include "gossamer/data/readers.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {
Result<Dataset::Parts> csv(const std::string& text, CsvOptions options = {}) {
    return parse_csv(as_bytes(text), options, "f.csv");
}
std::string message(const Result<Dataset::Parts>& result) {
    REQUIRE(!result);
    return result.error().what;
}
}  // namespace

TEST_CASE("the last column is the label, and a header is noticed") {
    for (auto text : {"a,b,label\n1,2,0\n3.5,-4e-1,1\n", "1,2,0\r\n\r\n+3.5, -0.4 ,1",
                      "\xef\xbb\xbf"
                      "a,b,c\n\"1\",\"2\",\"0\"\n3.5,-.4,1\n"}) {
        auto parts = csv(text);
        REQUIRE(parts);
        CHECK(parts->shape == std::vector<std::uint32_t>{2});
        CHECK(parts->floats == std::vector<float>{1, 2, 3.5f, -0.4f});
        CHECK(parts->labels == std::vector<std::int32_t>{0, 1});
        CHECK(Dataset::make(*parts));
    }
}

TEST_CASE("the label column goes by name, number, first or last") {
    const std::string text = "x;class;y\n1;2;3\n4;0;6\n";
    for (auto column : {"class", "2"}) {
        auto parts = csv(text, {.separator = ';', .label_column = column});
        REQUIRE(parts);
        CHECK(parts->labels == std::vector<std::int32_t>{2, 0});
        CHECK(parts->floats == std::vector<float>{1, 3, 4, 6});
    }
    CHECK(csv(text, {.separator = ';', .label_column = "first"})->labels[1] == 4);
    for (auto column : {"klass", "0", "4", "2x", "", "-1"})
        CHECK(message(csv(text, {.separator = ';', .label_column = column})).find("no column") !=
              std::string::npos);
}

TEST_CASE("target values may be any number") {
    auto parts = csv("1,0.5\n2,-1.5\n", {.task = Task::values});
    REQUIRE(parts);
    CHECK(parts->targets == std::vector<float>{0.5f, -1.5f});
    CHECK(parts->target_count == 1);
}

TEST_CASE("errors name line and column") {
    CHECK(message(csv("1,2,0\n1,x,1\n")) == "f.csv: line 2, column 2: \"x\" is not a number");
    CHECK(message(csv("a,b,c\n\n1,,1\n")) == "f.csv: line 3, column 2: \"\" is not a number");
    CHECK(message(csv("1,2,0\n1,nan,1\n")).find("line 2, column 2") != std::string::npos);
    CHECK(message(csv("1,2,0\n1,1e39,1\n")).find("line 2, column 2") != std::string::npos);
    CHECK(message(csv("1,2,0\n1,2\n")) ==
          "f.csv: line 2: fewer columns than the 3 of the first line");
    CHECK(message(csv("1,2,0\n1,2,0,\n")) ==
          "f.csv: line 2: more columns than the 3 of the first line");
    CHECK(message(csv("1,2,0\n1,2,0,4,5\n")).find("more columns") != std::string::npos);
    for (auto label : {"0.5", "-1", "99999999"}) {
        auto bad = csv(std::string("1,2,0\n1,2,") + label + "\n");
        REQUIRE(!bad);
        CHECK(bad.error().code == ErrorCode::kDataLabel);
        CHECK(bad.error().what.find("line 2, column 3") != std::string::npos);
    }
}

TEST_CASE("files without samples or features are refused") {
    for (auto text : {"", "\n\n", "a,b,c\n", "7\n8\n"}) CHECK(!csv(text));
    CHECK(!csv("1,2,0\n", {.header = CsvOptions::Header::present}));
    CHECK(!csv("a,b,0\n1,2,0\n", {.header = CsvOptions::Header::absent}));
    CHECK(message(csv("1,2,0\n1,\x01\x02\xff,0\n")).find("\"???\"") != std::string::npos);
}
