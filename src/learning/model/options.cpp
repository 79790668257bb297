#include "gossamer/model/options.hpp"

namespace gossamer::model {

OptionTable model_options() {
    using K = OptionKind;
    std::vector<std::string> names;
    for (auto name : zoo_names()) names.emplace_back(name);
    return {
        {"model.name", K::choice, std::string("mlp-200-200"), "",
         "The network, out of the zoo; all members of a run need the same.", std::move(names)},
        {"model.layers", K::text_list, std::vector<std::string>{}, "",
         "A network of your own, layer by layer, such as [\"conv 32 5x5 same relu\", \"maxpool "
         "2x2\", \"dense 10\"]; counts instead of model.name when not empty."},
        {"model.trainable", K::text_list, std::vector<std::string>{}, "",
         "The tensors that are learnt and exchanged, such as [\"*.adapter_*\", \"dense3.*\"]; * "
         "stands for any letters. The others stay as they are in model.base. Empty: all."},
        {"model.base", K::text, std::string(), "",
         "A safetensors file with the values of the tensors that are not learnt, the same for all "
         "members of a run, and the first values of those that are; empty: all are drawn from the "
         "run's seed."},
        {"model.loss",
         K::choice,
         std::string("default"),
         "",
         "default: the network's own (cross-entropy but for linear-regression, "
         "matrix-factorization and autoencoder). "
         "cross-entropy for classes; mse for target values, or for classes as one-hot rows; "
         "sigmoid for yes-or-no outputs; reconstruction for the sample itself.",
         {"default", "cross-entropy", "mse", "sigmoid", "reconstruction"}},
    };
}

Result<NetworkSpec> network_spec(const OptionSource& options, std::vector<std::uint32_t> input,
                                 std::uint32_t outputs, std::uint32_t positions) {
    NetworkSpec spec;
    const auto& layers = options.text_list("model.layers");
    if (layers.empty()) {
        GOSSAMER_TRY(spec, zoo(options.text("model.name"), std::move(input), outputs));
    } else {
        spec.name = "model.layers";
        spec.input = std::move(input);
        for (const auto& text : layers) {
            GOSSAMER_TRY(auto layer, parse_layer(text));
            spec.layers.push_back(layer);
        }
    }
    spec.trainable = options.text_list("model.trainable");
    const auto& loss = options.text("model.loss");
    if (loss == "cross-entropy") spec.loss = Loss::softmax_cross_entropy;
    if (loss == "mse") spec.loss = Loss::mean_squared_error;
    if (loss == "sigmoid") spec.loss = Loss::sigmoid_cross_entropy;
    if (loss == "reconstruction") spec.loss = Loss::reconstruction;
    if (spec.loss == Loss::reconstruction) {
        GOSSAMER_TRY(const auto whole, Network::create(spec));
        if (whole.output_count() == whole.input_count()) return spec;
        outputs = static_cast<std::uint32_t>(whole.input_count());
        if (layers.empty()) {
            GOSSAMER_TRY(auto fitted, zoo(options.text("model.name"), spec.input, outputs));
            fitted.trainable = std::move(spec.trainable);
            return fitted;
        }
    }
    GOSSAMER_TRY(const auto network, Network::create(spec));
    if (network.output_count() == std::size_t{outputs} * positions) return spec;
    const std::string each = positions > 1 ? " at each of " + std::to_string(positions) : "";
    return fail(ErrorCode::kModelShape,
                "the last layer gives " + std::to_string(network.output_count()) +
                    " values, the data has " + std::to_string(outputs) + " classes or targets" +
                    (positions > 1 ? each + " positions" : ""),
                network.output_count() == outputs
                    ? "set data.text_targets = \"last\", or end with \"dense " +
                          std::to_string(outputs) + " each\""
                : network.output_count() % outputs == 0 && positions == 1
                    ? "of a text, data.text_targets = \"each\" learns at all positions"
                    : "");
}

}  // namespace gossamer::model
