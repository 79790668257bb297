// One step of a network, for comparison with other programs' (agreement.py):
//   torch_probe describe MODEL INPUT OUTPUTS              layers, loss and tensors, as JSON
//   torch_probe step MODEL INPUT OUTPUTS BATCH IN OUT RATE
// MODEL is a name of the zoo, or layers with ';' between them and '|' and the loss's number behind;
// INPUT a shape such as 28x28. IN is a safetensors file with the parameters, "sample.inputs", and
// "sample.labels" or "sample.targets"; OUT becomes one with the gradient and, under "after.…", what
// plain SGD makes of the parameters. Prints the loss.
#include <fmt/format.h>

#include <cstdlib>
#include <sstream>

#include "gossamer/model/plan.hpp"
#include "records/storage/safetensors.hpp"

using namespace gossamer;

namespace {

[[noreturn]] void give_up(const Error& error) {
    fmt::print(stderr, "{}\n", error.to_string());
    std::exit(1);
}
template <class T>
T must(Result<T> result) {
    if (!result) give_up(result.error());
    return std::move(*result);
}

model::Network network_of(char** words) {
    std::vector<std::uint32_t> input;
    std::stringstream shape(words[1]);
    for (std::string extent; std::getline(shape, extent, 'x');)
        input.push_back(static_cast<std::uint32_t>(std::stoul(extent)));
    const std::string text = words[0];
    const auto bar = text.find('|');
    if (bar == std::string::npos)
        return must(model::Network::create(
            must(model::zoo(text, input, static_cast<std::uint32_t>(std::stoul(words[2]))))));
    model::NetworkSpec spec{.name = "layers", .input = input};
    spec.loss = static_cast<model::Loss>(std::stoul(text.substr(bar + 1)));
    std::stringstream layers(text.substr(0, bar));
    for (std::string layer; std::getline(layers, layer, ';');)
        spec.layers.push_back(must(model::parse_layer(layer)));
    return must(model::Network::create(std::move(spec)));
}

void describe(const model::Network& net) {
    std::string layers, tensors;
    for (const auto& layer : net.spec().layers)
        layers += fmt::format("{}\"{}\"", layers.empty() ? "" : ",", to_string(layer));
    for (const auto& t : net.layout()->tensors())
        tensors += fmt::format("{}{{\"name\":\"{}\",\"shape\":[{}]}}", tensors.empty() ? "" : ",",
                               t.name, fmt::join(t.shape, ","));
    fmt::print("{{\"layers\":[{}],\"loss\":{},\"outputs\":{},\"tensors\":[{}]}}\n", layers,
               static_cast<int>(net.spec().loss), net.output_count(), tensors);
}

int step(const model::Network& net, char** words) {
    const auto batch_size = std::stoul(words[0]);
    const auto pool = tensor::BufferPool::create(std::size_t{64} << 20);
    storage::RealDisk disk;
    const auto file = must(storage::load_model(disk, words[1], pool));
    auto values = [&](const char* name) -> std::span<const float> {
        const auto* t = file.layout->find(name);
        return t ? file.values.floats().subspan(t->offset, t->count) : std::span<const float>();
    };
    const auto loaded = must(storage::load_parameters(disk, words[1], *net.layout(), pool));
    const auto parameters = loaded.floats();
    std::vector<std::int32_t> labels;
    for (float label : values("sample.labels")) labels.push_back(static_cast<std::int32_t>(label));
    const model::Batch batch{.size = batch_size,
                             .inputs = values("sample.inputs"),
                             .labels = labels,
                             .targets = values("sample.targets"),
                             .draws = 1};
    model::Plan plan(net, batch_size, true, *pool);
    const std::size_t count = parameters.size();
    std::vector<float> out(2 * count);
    std::copy(parameters.begin(), parameters.end(), out.begin() + std::ptrdiff_t(count));
    const double loss = plan.gradient(parameters, batch, std::span(out).first(count));
    plan.sgd_step(std::span(out).subspan(count), batch, std::stof(words[3]));
    tensor::Layout layout;
    for (const char* prefix : {"", "after."})
        for (const auto& t : net.layout()->tensors()) layout.add(prefix + t.name, t.shape);
    if (auto saved = storage::save_model(disk, words[2], layout, out, {}); !saved)
        give_up(saved.error());
    fmt::print("{:.9g}\n", loss);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "describe" && argc == 5) return describe(network_of(argv + 2)), 0;
    if (mode == "step" && argc == 9) return step(network_of(argv + 2), argv + 5);
    fmt::print(stderr,
               "describe MODEL INPUT OUTPUTS, or step MODEL INPUT OUTPUTS BATCH IN OUT RATE\n");
    return 2;
}
