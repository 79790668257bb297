#include "gossamer/base/error.hpp"

#include <algorithm>
#include <cctype>

#include "gossamer/base/assert.hpp"

namespace gossamer {
namespace {

constexpr ErrorInfo kTable[] = {
#define GOSSAMER_ERROR(name, id, meaning, advice) {ErrorCode::name, id, meaning, advice},
#include "gossamer/base/error_codes.def"
#undef GOSSAMER_ERROR
};

}  // namespace

std::span<const ErrorInfo> error_table() { return kTable; }

const ErrorInfo& describe(ErrorCode code) {
    auto index = static_cast<std::size_t>(code);
    GOSSAMER_ASSERT(index < std::size(kTable), "an error code outside the table");
    return kTable[index];
}

const ErrorInfo* find_error(std::string_view id) {
    auto same = [&](const ErrorInfo& info) {
        return std::ranges::equal(info.id, id, [](char a, char b) {
            return a == static_cast<char>(std::toupper(static_cast<unsigned char>(b)));
        });
    };
    auto found = std::ranges::find_if(kTable, same);
    return found == std::end(kTable) ? nullptr : &*found;
}

std::string Error::to_string() const {
    const auto& info = describe(code);
    std::string text{info.id};
    text += ": ";
    text += what.empty() ? info.meaning : std::string_view(what);
    text += "; ";
    text += hint.empty() ? info.advice : std::string_view(hint);
    return text;
}

}  // namespace gossamer
