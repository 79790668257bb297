#include "gossamer/base/assert.hpp"
#include "gossamer/data/load.hpp"

namespace gossamer::data {
namespace {

// Streams of Purpose::data, by round. 0 to 2 are these; others are taken in load.cpp.
enum Stream : std::uint64_t { centres = 0, train_samples = 1, test_samples = 2 };

class Generator {
public:
    Generator(const SyntheticOptions& options, RunSeed seed) : options_(options), seed_(seed) {
        auto draw = stream(seed, Purpose::data, centres);
        auto rows = options.task == Task::classes ? options.class_count : 1;
        centres_.resize(std::size_t{rows} * options.feature_count);
        for (auto& c : centres_) c = static_cast<float>(draw.normal());
    }

    DatasetRef make(Stream samples, std::size_t count, const char* name) const {
        Dataset::Parts parts{.name = name, .shape = {options_.feature_count}};
        auto draw = stream(seed_, Purpose::data, samples);
        parts.floats.resize(count * options_.feature_count);
        for (std::size_t i = 0; i < count; ++i) {
            auto row =
                std::span(parts.floats).subspan(i * options_.feature_count, options_.feature_count);
            if (options_.task == Task::classes)
                parts.labels.push_back(cluster_sample(row, draw));
            else
                parts.targets.push_back(linear_sample(row, draw));
        }
        if (options_.task == Task::classes)
            parts.class_count = options_.class_count;
        else
            parts.target_count = 1;
        auto made = Dataset::make(std::move(parts));
        GOSSAMER_ASSERT(made, "synthetic data is sound");
        return *made;
    }

private:
    std::int32_t cluster_sample(std::span<float> row, RngStream& draw) const {
        auto label = draw.below(options_.class_count);
        for (std::size_t k = 0; k < row.size(); ++k)
            row[k] = centres_[label * row.size() + k] +
                     static_cast<float>(options_.spread * draw.normal());
        return static_cast<std::int32_t>(label);
    }
    float linear_sample(std::span<float> row, RngStream& draw) const {
        double target = options_.spread * draw.normal();
        for (std::size_t k = 0; k < row.size(); ++k) {
            row[k] = static_cast<float>(draw.normal());
            target += static_cast<double>(row[k]) * static_cast<double>(centres_[k]);
        }
        return static_cast<float>(target);
    }

    SyntheticOptions options_;
    RunSeed seed_;
    std::vector<float> centres_;
};

}  // namespace

Split make_synthetic(const SyntheticOptions& options, RunSeed seed) {
    GOSSAMER_ASSERT(options.train_count > 0 && options.test_count > 0 &&
                        options.feature_count > 0 && options.class_count > 0,
                    "synthetic data has samples, features and classes");
    Generator generator(options, seed);
    return {generator.make(train_samples, options.train_count, "synthetic train"),
            generator.make(test_samples, options.test_count, "synthetic test")};
}

}  // namespace gossamer::data
