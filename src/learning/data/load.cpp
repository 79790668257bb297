#include "gossamer/data/load.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <numeric>
#include <optional>

namespace gossamer::data {
namespace {

// Streams of Purpose::data, by round (synthetic.cpp has 0 to 2).
enum Stream : std::uint64_t { hold_out = 3, choose_train = 4, choose_test = 5 };

class File {
public:
    explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    ~File() {
        if (fd_ >= 0) close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int fd() const { return fd_; }

private:
    int fd_;
};

std::string in_folder(const DataConfig& config, const std::string& name) {
    auto folder = config.folder;
    if (folder.empty() && config.format == DataFormat::fashion_mnist) folder = kFashionMnistFolder;
    if (folder.empty() || name.starts_with('/')) return name;
    return folder + "/" + name;
}

bool can_read(const std::string& path) { return access(path.c_str(), R_OK) == 0; }

// The path of a file of the MNIST family, compressed or not.
std::string idx_path(const DataConfig& config, const std::string& named, const char* usual) {
    if (!named.empty()) return in_folder(config, named);
    auto path = in_folder(config, usual);
    return can_read(path) ? path : path + ".gz";
}

Result<Array> read_array(const DataConfig& config, const std::string& path) {
    GOSSAMER_TRY(auto file, read_file(path));
    return config.format == DataFormat::npy ? parse_npy(file, path) : parse_idx(file, path);
}

Result<Dataset::Parts> read_pair(const DataConfig& config, const std::string& features,
                                 const std::string& labels) {
    GOSSAMER_TRY(auto x, read_array(config, features));
    GOSSAMER_TRY(auto y, read_array(config, labels));
    return join_arrays(std::move(x), y, config.task, features);
}

// The content of a file that may be compressed.
Result<Bytes> read_content(const std::string& path) {
    GOSSAMER_TRY(auto file, read_file(path));
    if (!is_gzip(file)) return file;
    constexpr std::size_t kContentMax = std::size_t{16} << 30;
    return gunzip(file, kContentMax, path);
}

Result<Dataset::Parts> read_csv(const DataConfig& config, const std::string& path) {
    GOSSAMER_TRY(auto file, read_content(path));
    auto options = config.csv;
    options.task = config.task;
    return parse_csv(file, options, path);
}

struct RawSplit {
    Dataset::Parts train;
    std::optional<Dataset::Parts> test;
};

Result<RawSplit> read_cifar(const DataConfig& config) {
    const bool ten = config.format == DataFormat::cifar_10;
    const auto labels = ten                                      ? CifarLabels::ten
                        : config.format == DataFormat::cifar_100 ? CifarLabels::fine
                                                                 : CifarLabels::coarse;
    auto read = [&](const std::string& file) -> Result<Dataset::Parts> {
        auto path = in_folder(config, file);
        if (!can_read(path) && can_read(path + ".gz")) path += ".gz";
        GOSSAMER_TRY(auto content, read_content(path));
        return parse_cifar(content, labels, path);
    };
    std::vector<std::string> files;
    if (!config.train.empty())
        files = {config.train};
    else if (!ten)
        files = {"train.bin"};
    else
        for (int i = 1; i <= 5; ++i) files.push_back("data_batch_" + std::to_string(i) + ".bin");
    RawSplit split;
    for (const auto& file : files) {
        GOSSAMER_TRY(auto part, read(file));
        if (split.train.labels.empty()) {
            split.train = std::move(part);
            continue;
        }
        auto& to = split.train;
        to.bytes.insert(to.bytes.end(), part.bytes.begin(), part.bytes.end());
        to.labels.insert(to.labels.end(), part.labels.begin(), part.labels.end());
    }
    const auto test = !config.test.empty() ? config.test : ten ? "test_batch.bin" : "test.bin";
    GOSSAMER_TRY(split.test, read(test));
    return split;
}

// Without a test file the end of the text is held out: samples near each other are too alike.
Result<RawSplit> read_text(const DataConfig& config) {
    const auto path = in_folder(config, config.train);
    GOSSAMER_TRY(auto content, read_content(path));
    ByteView train = content;
    auto options = config.text;
    if (config.test.empty()) {
        const auto held_out = config.test_fraction * static_cast<double>(content.size());
        train = train.first(content.size() - static_cast<std::size_t>(held_out));
    }
    if (options.vocabulary.empty()) {
        GOSSAMER_TRY(options.vocabulary, vocabulary_of(train, path));
    }
    RawSplit split;
    GOSSAMER_TRY(split.train, parse_text(train, options, path));
    if (config.test.empty()) {
        const auto rest = ByteView(content).subspan(train.size());
        GOSSAMER_TRY(split.test, parse_text(rest, options, path + ", its end"));
        return split;
    }
    const auto test_path = in_folder(config, config.test);
    GOSSAMER_TRY(content, read_content(test_path));
    GOSSAMER_TRY(split.test, parse_text(content, options, test_path));
    return split;
}

Result<RawSplit> read_files(const DataConfig& config) {
    bool mnist = config.format == DataFormat::fashion_mnist || config.format == DataFormat::idx;
    RawSplit split;
    if (mnist) {
        // To unpack them is most of the start of a small run: both at once.
        auto test = std::async(std::launch::async, [&] {
            return read_pair(config, idx_path(config, config.test, "t10k-images-idx3-ubyte"),
                             idx_path(config, config.test_labels, "t10k-labels-idx1-ubyte"));
        });
        GOSSAMER_TRY(split.train,
                     read_pair(config, idx_path(config, config.train, "train-images-idx3-ubyte"),
                               idx_path(config, config.train_labels, "train-labels-idx1-ubyte")));
        GOSSAMER_TRY(split.test, test.get());
        return split;
    }
    if (config.format == DataFormat::cifar_10 || config.format == DataFormat::cifar_100 ||
        config.format == DataFormat::cifar_100_coarse)
        return read_cifar(config);
    if (config.train.empty())
        return fail(ErrorCode::kConfigMissing, "data.train names no file",
                    "Set data.train to the file with the training samples.");
    if (config.format == DataFormat::text) return read_text(config);
    if (config.format == DataFormat::csv) {
        GOSSAMER_TRY(split.train, read_csv(config, in_folder(config, config.train)));
        if (config.test.empty()) return split;
        GOSSAMER_TRY(split.test, read_csv(config, in_folder(config, config.test)));
        return split;
    }
    GOSSAMER_TRY(split.train, read_pair(config, in_folder(config, config.train),
                                        in_folder(config, config.train_labels)));
    if (config.test.empty()) return split;
    GOSSAMER_TRY(split.test, read_pair(config, in_folder(config, config.test),
                                       in_folder(config, config.test_labels)));
    return split;
}

std::vector<std::uint32_t> shuffled_rows(const Dataset& data, RunSeed seed, Stream purpose) {
    std::vector<std::uint32_t> rows(data.sample_count());
    std::iota(rows.begin(), rows.end(), 0u);
    stream(seed, Purpose::data, purpose).shuffle(std::span(rows));
    return rows;
}

DatasetRef choose(DatasetRef data, std::size_t most, RunSeed seed, Stream purpose) {
    if (most == 0 || most >= data->sample_count()) return data;
    auto rows = shuffled_rows(*data, seed, purpose);
    rows.resize(most);
    std::sort(rows.begin(), rows.end());
    return data->select(rows);
}

Result<Split> divide(const DatasetRef& whole, double test_fraction, RunSeed seed) {
    auto rows = shuffled_rows(*whole, seed, hold_out);
    auto test_count =
        static_cast<std::size_t>(test_fraction * static_cast<double>(rows.size()) + 0.5);
    if (test_count == 0 || test_count >= rows.size())
        return fail(ErrorCode::kDataPartition,
                    whole->name() + ": " + std::to_string(rows.size()) +
                        " samples cannot be divided into training and test samples",
                    "Name a test file in data.test, or change data.test_fraction.");
    auto middle = rows.begin() + static_cast<std::ptrdiff_t>(test_count);
    std::sort(rows.begin(), middle);
    std::sort(middle, rows.end());
    auto all = std::span<const std::uint32_t>(rows);
    return Split{whole->select(all.subspan(test_count)), whole->select(all.first(test_count))};
}

std::uint32_t classes_named(const Dataset::Parts& parts) {
    auto largest = std::max_element(parts.labels.begin(), parts.labels.end());
    return largest == parts.labels.end() || *largest < 0 ? 0
                                                         : static_cast<std::uint32_t>(*largest) + 1;
}

}  // namespace

Result<Bytes> read_file(const std::string& path) {
    auto missing = [&] {
        return fail(ErrorCode::kDataMissing, path + ": " + std::strerror(errno));
    };
    File file(path);
    struct stat about {};
    if (file.fd() < 0 || fstat(file.fd(), &about) != 0) return missing();
    if (!S_ISREG(about.st_mode)) return fail(ErrorCode::kDataMissing, path + ": no plain file");
    Bytes content(static_cast<std::size_t>(about.st_size));
    std::size_t filled = 0;
    while (filled < content.size()) {
        auto got = read(file.fd(), content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return missing();
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    content.resize(filled);
    return content;
}

Result<Split> load_dataset(const DataConfig& config, RunSeed seed) {
    if (config.format == DataFormat::synthetic) {
        auto options = config.synthetic;
        options.task = config.task;
        return make_synthetic(options, seed);
    }
    auto raw = read_files(config);
    if (!raw) {
        auto error = raw.error();
        if (error.code == ErrorCode::kDataMissing && config.format == DataFormat::fashion_mnist)
            error.hint = "Install the package dataset-fashion-mnist, or set data.folder.";
        return fail(std::move(error));
    }
    if (config.format >= DataFormat::cifar_10 && config.task == Task::values)
        return fail(ErrorCode::kConfigConflict,
                    "data.task is values, but the data has classes alone");
    if (config.task == Task::classes && raw->train.class_count == 0) {
        auto classes = config.class_count;
        if (classes == 0) classes = classes_named(raw->train);
        if (config.class_count == 0 && raw->test)
            classes = std::max(classes, classes_named(*raw->test));
        raw->train.class_count = classes;
        if (raw->test) raw->test->class_count = classes;
    }
    GOSSAMER_TRY(auto train, Dataset::make(std::move(raw->train)));
    Split split;
    if (raw->test) {
        GOSSAMER_TRY(auto test, Dataset::make(std::move(*raw->test)));
        if (test->feature_count() != train->feature_count() ||
            test->target_count() != train->target_count())
            return fail(ErrorCode::kDataShape,
                        test->name() + ": samples of another size than " + train->name());
        split = {train, test};
    } else {
        GOSSAMER_TRY(split, divide(train, config.test_fraction, seed));
    }
    split.train = choose(split.train, config.train_max, seed, choose_train);
    split.test = choose(split.test, config.test_max, seed, choose_test);
    return split;
}

Result<Partition> load_partition(const DataConfig& config, const Dataset& train,
                                 std::size_t part_count, RunSeed seed) {
    auto options = config.partition;
    if (options.part_count == 0) options.part_count = part_count;
    if (options.kind != PartitionKind::explicit_) return make_partition(train, options, seed);
    auto path = in_folder(config, config.partition_file);
    GOSSAMER_TRY(auto text, read_file(path));
    GOSSAMER_TRY(auto parts, parse_partition(text, train.sample_count(), path));
    if (parts.size() < options.part_count)
        return fail(ErrorCode::kDataPartition, path + ": " + std::to_string(parts.size()) +
                                                   " parts for " +
                                                   std::to_string(options.part_count) + " peers");
    return parts;
}

Result<DatasetRef> load_part(const DataConfig& config, const DatasetRef& train, std::size_t place,
                             std::size_t part_count, RunSeed seed) {
    if (config.partition.kind == PartitionKind::whole) return train;
    GOSSAMER_TRY(auto parts, load_partition(config, *train, part_count, seed));
    auto part = config.part >= 0 ? static_cast<std::size_t>(config.part) : place;
    if (part >= parts.size())
        return fail(ErrorCode::kDataPartition,
                    "data.part is " + std::to_string(part) + ", but " +
                        std::to_string(parts.size()) + " parts are numbered from 0",
                    "Give each peer one of them, or leave data.part out.");
    return train->select(parts[part]);
}

}  // namespace gossamer::data
