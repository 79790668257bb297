// The only place of this room that touches the file system and the process environment.
#include <cerrno>
#include <cstring>
#include <fstream>

#include <unistd.h>

#include "records/config/config.hpp"

namespace gossamer::config {

Result<Config> load_config(SchemaRef schema, const LoadOptions& options, std::vector<Error>* all) {
    Layers layers{.environment = options.environment, .sets = options.sets};
    if (!options.path.empty()) {
        std::ifstream file(options.path, std::ios::binary);
        // One byte more than allowed, so that the reader refuses it by size.
        std::string text(kFileBytesMax + 1, '\0');
        if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
        if (!file && !file.eof()) {
            Error error{ErrorCode::kConfigUnreadable,
                        options.path + ": " + std::strerror(errno ? errno : EIO),
                        {}};
            if (all) *all = {error};
            return fail(std::move(error));
        }
        text.resize(static_cast<std::size_t>(file.gcount()));
        layers.file_name = options.path;
        layers.file_text = std::move(text);
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
