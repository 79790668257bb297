// The only place of this room that touches the file system and the process environment.
#include <cerrno>
#include <cstring>
#include <fstream>

#include <unistd.h>

#include "records/config/config.hpp"

namespace gossamer::config {

Result<std::string> read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(kFileBytesMax + 1, '\0');
    if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file && !file.eof())
        return fail(ErrorCode::kConfigUnreadable, path + ": " + std::strerror(errno ? errno : EIO));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kFileBytesMax)
        return fail(ErrorCode::kConfigUnreadable, path + " is longer than 1 MiB",
                    "a configuration has at most 1 MiB; is this the file?");
    return text;
}

Result<Config> load_config(SchemaRef schema, const LoadOptions& options, std::vector<Error>* all) {
    Layers layers{.environment = options.environment, .sets = options.sets};
    if (!options.path.empty()) {
        auto text = read_text(options.path);
        if (!text && all) *all = {text.error()};
        GOSSAMER_TRY(layers.file_text, std::move(text));
        layers.file_name = options.path;
    }
    return Config::resolve(std::move(schema), layers, all);
}

Environment environment_of_process() {
    Environment found;
    for (char** entry = environ; entry && *entry; ++entry) {
        std::string_view text(*entry);
        auto equals = text.find('=');
        if (text.starts_with("GOSSAMER_") && equals != std::string_view::npos)
            found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return found;
}

}  // namespace gossamer::config
