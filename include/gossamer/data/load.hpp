// From configuration to datasets and parts.
#pragma once

#include <cstdint>
#include <string>

#include "gossamer/base/options.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/data/partition.hpp"
#include "gossamer/data/readers.hpp"

namespace gossamer::data {

enum class DataFormat : std::uint8_t {
    fashion_mnist,
    idx,
    csv,
    npy,
    synthetic,
    cifar_10,
    cifar_100,
    cifar_100_coarse,
    text,
};

inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

// Gaussian clusters, one a class, or with Task::values a noisy linear function; for tests and first
// steps without files. Sample i of class c is centre_c + spread · noise.
struct SyntheticOptions {
    std::size_t train_count = 2000, test_count = 500;
    std::uint32_t feature_count = 20, class_count = 4;
    double spread = 1.0;  // of a cluster, where the centres' coordinates have deviation 1
    Task task = Task::classes;
};

struct DataConfig {
    DataFormat format = DataFormat::fashion_mnist;
    std::string folder;  // file names are relative to it; "" = the format's usual one
    std::string train, train_labels, test, test_labels;
    Task task = Task::classes;
    std::uint32_t class_count = 0;  // 0: as many as the labels name
    double test_fraction = 0.2;     // of the training samples, where no test file is named
    std::size_t train_max = 0, test_max = 0;  // a random choice of so many; 0: all
    CsvOptions csv;
    TextOptions text;
    SyntheticOptions synthetic;
    PartitionOptions partition{.part_count = 0};  // 0: as many as there are peers
    std::string partition_file;
    std::int64_t part = -1;  // which part is this peer's; -1: its place among the peers
};
OptionTable data_options();
Result<DataConfig> data_config(const OptionSource& source);  // kConfigType: csv_separator

struct Split {
    DatasetRef train, test;
};
Split make_synthetic(const SyntheticOptions& options, RunSeed seed);

// Errors: those of the readers; kDataMissing with the path.
Result<Split> load_dataset(const DataConfig& config, RunSeed seed);
// The division config.partition asks for, for `part_count` peers where it leaves that open.
Result<Partition> load_partition(const DataConfig& config, const Dataset& train,
                                 std::size_t part_count, RunSeed seed);
// One peer's training data, alone in memory. `place` and `part_count` fill what the configuration
// leaves open. Errors: kDataPartition.
Result<DatasetRef> load_part(const DataConfig& config, const DatasetRef& train, std::size_t place,
                             std::size_t part_count, RunSeed seed);

}  // namespace gossamer::data
