// Any bytes as a configuration file: an error or a configuration, and what loads is written back
// to the same values.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "records/config/config.hpp"

using namespace gossamer;

namespace {

config::SchemaRef schema() {
    static const config::SchemaRef shared = [] {
        OptionTable table{
            {.key = "a", .kind = OptionKind::text, .fallback = std::string{}},
            {.key = "b.c", .kind = OptionKind::real, .fallback = 0.5},
            {.key = "b.d", .kind = OptionKind::duration, .fallback = Duration{1s}},
            {.key = "b.e", .kind = OptionKind::bytes, .fallback = std::int64_t{1}},
            {.key = "b.f", .kind = OptionKind::text_list, .fallback = std::vector<std::string>{}},
            {.key = "b.g", .kind = OptionKind::real_list, .fallback = std::vector<double>{}},
        };
        auto merged = config::Schema::merge({&table, 1});
        if (!merged) std::abort();
        return std::make_shared<const config::Schema>(std::move(*merged));
    }();
    return shared;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    config::Layers layers{.file_name = "fuzz.toml",
                          .file_text = {reinterpret_cast<const char*>(data), size}};
    std::vector<Error> errors;
    auto config = config::Config::resolve(schema(), layers, &errors);
    if (!config) return errors.empty() ? std::abort(), 0 : 0;
    auto again = config::Config::resolve(
        schema(), {.file_name = "again.toml", .file_text = config->to_toml()});
    if (!again) std::abort();
    for (const auto& option : schema()->options())
        if (config->get(option.key) != again->get(option.key)) std::abort();
    return 0;
}
