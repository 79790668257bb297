// Layers as text, and back.
#include <charconv>
#include <vector>

#include "learning/model/place.hpp"

namespace gossamer::model {
namespace {

std::string_view activation_word(Activation activation) {
    constexpr std::string_view kWords[] = {"", "relu", "tanh", "sigmoid", "gelu", "silu"};
    return kWords[static_cast<std::size_t>(activation)];
}

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
    for (int i = 0; i <= static_cast<int>(LayerKind::factors); ++i)
        if (word == word_of(static_cast<LayerKind>(i)))
            return kind = static_cast<LayerKind>(i), true;
    return false;
}

bool parse_activation(std::string_view word, Activation& activation) {
    for (int i = 1; i <= static_cast<int>(Activation::silu); ++i)
        if (word == activation_word(static_cast<Activation>(i)))
            return activation = static_cast<Activation>(i), true;
    return false;
}

bool parse_alpha(std::string_view word, float& out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
    return error == std::errc{} && end == word.data() + word.size() && out > 0 && out <= 1e6f;
}

// What follows the numbers: "same", "valid", "stride 2", "relu", "nobias", "each", "lora 8".
bool parse_rest(const std::vector<std::string_view>& words, std::size_t at, LayerSpec& layer) {
    const bool conv = layer.kind == LayerKind::conv, dense = layer.kind == LayerKind::dense;
    for (; at < words.size(); ++at) {
        const std::string_view word = words[at];
        if (conv && word == "same")
            layer.padding = Padding::same;
        else if (conv && word == "valid")
            layer.padding = Padding::valid;
        else if (!dense && word == "stride" && at + 1 < words.size() &&
                 parse_number(words[at + 1], kWindowMax, layer.stride))
            ++at;
        else if ((conv || dense) && word == "nobias")
            layer.biased = false;
        else if (dense && word == "lora" && at + 1 < words.size() &&
                 parse_number(words[at + 1], kUnitsMax, layer.rank))
            ++at;
        else if (dense && layer.rank > 0 && word == "alpha" && at + 1 < words.size() &&
                 parse_alpha(words[at + 1], layer.alpha))
            ++at;
        else if (dense && word == "each")
            layer.each = true;
        else if (!((conv || dense) && parse_activation(word, layer.activation)))
            return false;
    }
    return true;
}

bool parse_rate(std::string_view word, float& out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
    return error == std::errc{} && end == word.data() + word.size() && out >= 0 && out < 1;
}

bool parse(std::string_view text, LayerSpec& layer) {
    const auto words = words_of(text);
    if (words.empty() || !parse_kind(words[0], layer.kind)) return false;
    auto units = [&](std::size_t at) {
        return words.size() > at && parse_number(words[at], kUnitsMax, layer.units);
    };
    switch (layer.kind) {
        case LayerKind::dense: return units(1) && parse_rest(words, 2, layer);
        case LayerKind::conv:
            return words.size() >= 3 && units(1) && parse_window(words[2], layer.window) &&
                   parse_rest(words, 3, layer);
        case LayerKind::max_pool:
        case LayerKind::average_pool:
            return words.size() >= 2 && parse_window(words[1], layer.window) &&
                   parse_rest(words, 2, layer);
        case LayerKind::group_norm:
        case LayerKind::lstm:
        case LayerKind::gru:
        case LayerKind::attention: return words.size() == 2 && units(1);
        case LayerKind::dropout: return words.size() == 2 && parse_rate(words[1], layer.rate);
        case LayerKind::embedding:
            return words.size() == 3 && parse_number(words[1], kUnitsMax, layer.vocabulary) &&
                   units(2);
        case LayerKind::factors:
            return words.size() == 4 && parse_number(words[1], kUnitsMax, layer.vocabulary) &&
                   parse_number(words[2], kUnitsMax, layer.items) && units(3);
        default: return words.size() == 1;
    }
}

std::string shown(float value) {
    char text[32];
    return std::string(text, std::to_chars(text, text + 32, value).ptr);
}

}  // namespace

Result<LayerSpec> parse_layer(std::string_view text) {
    LayerSpec layer;
    if (parse(text, layer)) return layer;
    return fail(ErrorCode::kModelShape, "\"" + std::string(text.substr(0, 80)) + "\" is no layer",
                "write \"dense 200 relu\", \"conv 32 5x5 same relu\", \"conv 16 3x3 stride 2\", "
                "\"maxpool 2x2\", \"groupnorm 8\", \"dropout 0.25\", \"lstm 256\", \"relu\" or "
                "another of the layers in docs/operators-guide.md");
}

std::string to_string(const LayerSpec& layer) {
    const std::string window = std::to_string(layer.window) + "x" + std::to_string(layer.window);
    const std::string stride =
        layer.stride != 0 ? " stride " + std::to_string(layer.stride) : std::string();
    std::string text(word_of(layer.kind));
    switch (layer.kind) {
        case LayerKind::dense: text += " " + std::to_string(layer.units); break;
        case LayerKind::conv:
            text += " " + std::to_string(layer.units) + " " + window + stride +
                    (layer.padding == Padding::same ? " same" : " valid");
            break;
        case LayerKind::max_pool:
        case LayerKind::average_pool: text += " " + window + stride; break;
        case LayerKind::group_norm:
        case LayerKind::lstm:
        case LayerKind::gru:
        case LayerKind::attention: text += " " + std::to_string(layer.units); break;
        case LayerKind::dropout: text += " " + shown(layer.rate); break;
        case LayerKind::embedding:
            text += " " + std::to_string(layer.vocabulary) + " " + std::to_string(layer.units);
            break;
        case LayerKind::factors:
            text += " " + std::to_string(layer.vocabulary) + " " + std::to_string(layer.items) +
                    " " + std::to_string(layer.units);
            break;
        default: break;
    }
    if (layer.each) text += " each";
    if (layer.activation != Activation::none)
        text += " " + std::string(activation_word(layer.activation));
    if (!layer.biased) text += " nobias";
    if (layer.rank > 0) text += " lora " + std::to_string(layer.rank);
    if (layer.alpha > 0) text += " alpha " + shown(layer.alpha);
    return text;
}

}  // namespace gossamer::model
