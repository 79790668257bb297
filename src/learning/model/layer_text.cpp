// Layers as text, and back.
#include <charconv>
#include <vector>

#include "gossamer/model/network.hpp"

namespace gossamer::model {
namespace {

constexpr std::uint32_t kUnitsMax = 1'000'000, kWindowMax = 1024;

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        if (end > at) words.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return words;
}

bool parse_number(std::string_view word, std::uint32_t most, std::uint32_t& out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
    return error == std::errc{} && end == word.data() + word.size() && out > 0 && out <= most;
}

bool parse_window(std::string_view word, std::uint32_t& out) {  // "5", "5x5"
    const std::size_t x = word.find('x');
    if (x == std::string_view::npos) return parse_number(word, kWindowMax, out);
    std::uint32_t other = 0;
    return parse_number(word.substr(0, x), kWindowMax, out) &&
           parse_number(word.substr(x + 1), kWindowMax, other) && other == out;
}

bool parse_kind(std::string_view word, LayerKind& kind) {
    if (word == "dense") return kind = LayerKind::dense, true;
    if (word == "conv") return kind = LayerKind::conv, true;
    if (word == "maxpool") return kind = LayerKind::max_pool, true;
    if (word == "relu") return kind = LayerKind::relu, true;
    if (word == "tanh") return kind = LayerKind::tanh, true;
    if (word == "flatten") return kind = LayerKind::flatten, true;
    return false;
}

// What follows the numbers: "same", "valid", "stride 2", "relu", "tanh".
bool parse_rest(const std::vector<std::string_view>& words, std::size_t at, LayerSpec& layer) {
    const bool conv = layer.kind == LayerKind::conv, pool = layer.kind == LayerKind::max_pool;
    for (; at < words.size(); ++at) {
        const std::string_view word = words[at];
        if (conv && word == "same")
            layer.padding = Padding::same;
        else if (conv && word == "valid")
            layer.padding = Padding::valid;
        else if ((conv || pool) && word == "stride" && at + 1 < words.size() &&
                 parse_number(words[at + 1], kWindowMax, layer.stride))
            ++at;
        else if (!pool && word == "relu")
            layer.activation = Activation::relu;
        else if (!pool && word == "tanh")
            layer.activation = Activation::tanh;
        else
            return false;
    }
    return true;
}

bool parse(std::string_view text, LayerSpec& layer) {
    const auto words = words_of(text);
    if (words.empty() || !parse_kind(words[0], layer.kind)) return false;
    switch (layer.kind) {
        case LayerKind::dense:
            return words.size() >= 2 && parse_number(words[1], kUnitsMax, layer.units) &&
                   parse_rest(words, 2, layer);
        case LayerKind::conv:
            return words.size() >= 3 && parse_number(words[1], kUnitsMax, layer.units) &&
                   parse_window(words[2], layer.window) && parse_rest(words, 3, layer);
        case LayerKind::max_pool:
            return words.size() >= 2 && parse_window(words[1], layer.window) &&
                   parse_rest(words, 2, layer);
        default: return words.size() == 1;
    }
}

}  // namespace

Result<LayerSpec> parse_layer(std::string_view text) {
    LayerSpec layer;
    if (parse(text, layer)) return layer;
    return fail(ErrorCode::kModelShape, "\"" + std::string(text.substr(0, 80)) + "\" is no layer",
                "write \"dense 200 relu\", \"conv 32 5x5 same relu\", \"conv 16 3x3 stride 2\", "
                "\"maxpool 2x2\", \"relu\", \"tanh\" or \"flatten\"");
}

std::string to_string(const LayerSpec& layer) {
    const std::string window = std::to_string(layer.window) + "x" + std::to_string(layer.window);
    const std::string stride =
        layer.stride != 0 ? " stride " + std::to_string(layer.stride) : std::string();
    std::string text;
    switch (layer.kind) {
        case LayerKind::dense: text = "dense " + std::to_string(layer.units); break;
        case LayerKind::conv:
            text = "conv " + std::to_string(layer.units) + " " + window + stride +
                   (layer.padding == Padding::same ? " same" : " valid");
            break;
        case LayerKind::max_pool: text = "maxpool " + window + stride; break;
        case LayerKind::relu: return "relu";
        case LayerKind::tanh: return "tanh";
        case LayerKind::flatten: return "flatten";
    }
    if (layer.activation == Activation::relu) text += " relu";
    if (layer.activation == Activation::tanh) text += " tanh";
    return text;
}

}  // namespace gossamer::model
