// The resolved configuration: flags > environment > file > defaults, checked against the schema,
// each value with where it came from.
//
//   auto schema = Schema::merge(tables);
//   auto config = load_config(std::make_shared<Schema>(*schema),
//                             {.path = "peer.toml", .sets = {"run.seed=7"},
//                              .environment = environment_of_process()});
//   config->integer("run.seed"); config->source_of("run.seed");  // 7, "--set"
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "records/config/schema.hpp"

namespace gossamer::config {

using Environment = std::map<std::string, std::string>;

struct Layers {
    std::string file_name;  // for messages; empty = no file
    std::string file_text;  // TOML, at most kFileBytesMax
    Environment environment;
    std::vector<std::string> sets;  // "section.name=value" of --set, the last one wins
};

inline constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kKeyPartsMax = 32;

class Config : public OptionSource {
public:
    // Errors: kConfigSyntax, kConfigUnknownKey, kConfigType, kConfigRange, with file, line and
    // column. The first is returned; `all`, when given, gets every one.
    static Result<Config> resolve(SchemaRef schema, const Layers& layers,
                                  std::vector<Error>* all = nullptr);

    // REQUIRES that the schema has the key.
    const OptionValue& get(std::string_view key) const override;
    // "default", "file peer.toml:12", "environment GOSSAMER_RUN_SEED", "--set".
    const std::string& source_of(std::string_view key) const;
    // As errors name it: "peer.toml:12:5", "environment GOSSAMER_RUN_SEED", "--set"; "" by default.
    const std::string& place_of(std::string_view key) const;
    // What is wrong with values that were right each, with the places of the keys it speaks of: the
    // first in front, as those of Config::resolve have it, the others behind in brackets.
    Error located(Error error) const;
    bool is_set(std::string_view key) const { return source_of(key) != "default"; }
    const Schema& schema() const { return *schema_; }
    // For programs that fill in what they found out (a free port): source is named like a layer.
    Status set(std::string_view key, OptionValue value, std::string source);

    // TOML that loads back to the same values: every value, its reason, bounds and source as
    // comments. Written to the run folder as it is.
    std::string to_toml() const;
    // {"schema_version": 1, "options": [{"key", "value", "source", "default", "unit", ...}]}
    std::string to_json() const;

private:
    struct Entry {
        OptionValue value;
        std::string source, place;
    };
    friend class Resolver;
    const Entry& entry(std::string_view key) const;  // REQUIRES that the schema has it
    SchemaRef schema_;
    std::vector<Entry> entries_;  // beside schema().options()
};

// The text of a file of at most kFileBytesMax. Errors: kConfigUnreadable.
Result<std::string> read_text(const std::string& path);

// The error of what an option names begins with its key, so that Config::located finds the place.
template <class T>
Result<T> of_key(std::string_view key, Result<T> result) {
    if (result || result.error().what.find(key) != std::string::npos) return result;
    auto error = std::move(result).error();
    error.what = std::string(key) + ": " + error.what;
    return fail(std::move(error));
}

// Errors: those of read_text and of Config::resolve.
struct LoadOptions {
    std::string path;  // empty = no file
    std::vector<std::string> sets;
    Environment environment;
};
Result<Config> load_config(SchemaRef schema, const LoadOptions& options,
                           std::vector<Error>* all = nullptr);
Environment environment_of_process();  // the GOSSAMER_ variables

// One value of a TOML file, flattened: "section.name", and where it stands; or a table that is
// empty, as a section by itself.
struct FileValue {
    std::string key;
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                 std::vector<double>, std::monostate>
        value;  // monostate: no form we use
    std::uint32_t line = 0, column = 0;
    bool section = false;
};
// Bounded in size and nesting. Errors: kConfigSyntax with line and column.
Result<std::vector<FileValue>> read_toml(ByteView bytes, std::string_view file_name);

}  // namespace gossamer::config
