#include "fed_adagrad.hpp"

#include <cmath>

using namespace gossamer;

namespace {

class FedAdagrad final : public federated::Strategy {
public:
    explicit FedAdagrad(FedAdagradOptions options) : options_(options) {}

    federated::StrategyTraits traits() const override { return {"fed_adagrad"}; }

    // in.next holds the mean delta, and becomes the next model.
    Result<job::State> aggregate(const federated::Aggregation& in) const override {
        auto kept = federated::VectorState::copy_or_zeros(in.state, 1, in.next.size(), in.pool);
        auto squares = kept[0].floats();
        for (std::size_t i = 0; i < in.next.size(); ++i) {
            double delta = in.next[i];
            double v = squares[i] + delta * delta;
            squares[i] = static_cast<float>(v);
            double root = std::sqrt(options_.tau * options_.tau + v);
            double step = options_.rate * delta / (root + options_.tau);
            in.next[i] = static_cast<float>(in.current[i] + step);
        }
        return std::make_shared<federated::VectorState>(std::move(kept));
    }

    Result<job::State> load_state(ByteView saved, std::size_t parameter_count) const override {
        return federated::VectorState::load(saved, 1, parameter_count);
    }

private:
    FedAdagradOptions options_;
};

}  // namespace

federated::StrategyRef fed_adagrad(FedAdagradOptions options) {
    return std::make_shared<FedAdagrad>(options);
}

federated::StrategyEntry fed_adagrad_entry() {
    using K = OptionKind;
    return {"fed_adagrad",
            "one adaptive rate a parameter, at the server",
            {{"federated.fed_adagrad.rate",
              K::real,
              0.1,
              "",
              "Longest step of a parameter.",
              {},
              1e-6,
              10},
             {"federated.fed_adagrad.tau",
              K::real,
              1e-3,
              "",
              "Deltas well below it move by rate / tau of half of them; smaller adapts more.",
              {},
              1e-9,
              1}},
            [](const OptionSource& options) -> Result<federated::StrategyRef> {
                return fed_adagrad({options.real("federated.fed_adagrad.rate"),
                                    options.real("federated.fed_adagrad.tau")});
            }};
}
