#include <doctest/doctest.h>

#include "drivers/runtime/expiry_warning.hpp"

using namespace gossamer;
using runtime::ExpiryWarning;

TEST_CASE("a certificate that runs out is told of in its last fifth, once a day") {
    const WallTime begin{1'800'000'000'000'000'000};
    ExpiryWarning warning(begin, begin + 240h);
    CHECK(!warning.due(begin));
    CHECK(!warning.due(begin + 191h));
    const auto first = warning.due(begin + 192h);
    REQUIRE(first);
    CHECK(first->code == ErrorCode::kTlsExpired);
    CHECK(first->what.starts_with("our own certificate runs out on 2027-01-25"));
    CHECK(!first->hint.empty());
    CHECK(!warning.due(begin + 192h));
    CHECK(!warning.due(begin + 215h));
    CHECK(warning.due(begin + 216h));
    CHECK(warning.due(begin + 300h)->what.find(" ran out on ") != std::string::npos);

    ExpiryWarning late(begin, begin + 240h);  // a daemon that starts then says so at once
    CHECK(late.due(begin + 239h));
}
