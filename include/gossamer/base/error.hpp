// What went wrong, as a value: a stable code, what happened, and what to do next.
//
// Every code is one line of error_codes.def; `gossamer explain CODE` prints it. Codes never change
// their meaning once released; a retired code is never used again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gossamer {

enum class ErrorCode : std::uint16_t {
#define GOSSAMER_ERROR(name, id, meaning, advice) name,
#include "gossamer/base/error_codes.def"
#undef GOSSAMER_ERROR
};

struct ErrorInfo {
    ErrorCode code;
    std::string_view id;       // "TLS-07"
    std::string_view meaning;  // one sentence
    std::string_view advice;   // what to do next, in general
};

// The whole table, in the order of error_codes.def.
std::span<const ErrorInfo> error_table();
const ErrorInfo& describe(ErrorCode code);
// nullptr when no code has this id; case does not matter.
const ErrorInfo* find_error(std::string_view id);

struct Error {
    ErrorCode code{};
    std::string what;  // what happened here, with names and figures; never a secret
    std::string hint;  // what to do next here; empty = the table's advice

    // "TLS-07: certificate of 3f2a… expired on 2026-01-02; renew it with `gossamer identity sign`"
    std::string to_string() const;
    bool operator==(const Error&) const = default;
};

}  // namespace gossamer
