// Result<T>: a value or an Error. Errors are values everywhere but while a program starts.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

#include "gossamer/base/error.hpp"

namespace gossamer {

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// return fail(ErrorCode::kDataTruncated, "train-images: 12 bytes, header says 47,040,016", "...");
inline tl::unexpected<Error> fail(ErrorCode code, std::string what, std::string hint = {}) {
    return tl::unexpected<Error>(Error{code, std::move(what), std::move(hint)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace gossamer

// GOSSAMER_TRY(auto x, f()): x = the value of f(), or return its error from here.
#define GOSSAMER_CONCAT_2(a, b) a##b
#define GOSSAMER_CONCAT(a, b) GOSSAMER_CONCAT_2(a, b)
#define GOSSAMER_TRY(target, expression)                                                \
    auto GOSSAMER_CONCAT(result_, __LINE__) = (expression);                             \
    if (!GOSSAMER_CONCAT(result_, __LINE__))                                            \
        return ::gossamer::fail(std::move(GOSSAMER_CONCAT(result_, __LINE__)).error()); \
    target = std::move(*GOSSAMER_CONCAT(result_, __LINE__))
// GOSSAMER_CHECK(f()): go on when f() succeeded, else return its error.
#define GOSSAMER_CHECK(expression) \
    if (auto status_ = (expression); !status_) return ::gossamer::fail(std::move(status_).error())
