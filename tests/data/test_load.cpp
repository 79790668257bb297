#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "gossamer/data/load.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {

class Defaults : public OptionSource {
public:
    Defaults() {
        for (auto& option : data_options()) values_[option.key] = option.fallback;
    }
    const OptionValue& get(std::string_view key) const override {
        return values_.at(std::string(key));
    }
    void set(const std::string& key, OptionValue value) { values_.at(key) = std::move(value); }

private:
    std::map<std::string, OptionValue> values_;
};

class Folder {
public:
    Folder() {
        auto pattern = (std::filesystem::temp_directory_path() / "gossamer-data-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()));
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    void write(const std::string& name, std::string_view content) const {
        std::ofstream(path_ + "/" + name, std::ios::binary) << content;
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

std::string idx_text(std::initializer_list<unsigned char> header, std::size_t data, int classes) {
    std::string out(header.begin(), header.end());
    for (std::size_t i = 0; i < data; ++i)
        out += static_cast<char>(i % static_cast<std::size_t>(classes));
    return out;
}

}  // namespace

TEST_CASE("the options have defaults that fill the configuration") {
    Defaults source;
    auto config = *data_config(source);
    CHECK(config.format == DataFormat::fashion_mnist);
    CHECK(config.task == Task::classes);
    CHECK(config.partition.kind == PartitionKind::iid);
    CHECK(config.partition.alpha == 0.5);
    CHECK(config.partition.least_samples == 10);
    CHECK(config.part == -1);
    CHECK(config.csv.separator == ',');
    CHECK(config.csv.label_column == "last");
    CHECK(config.synthetic.train_count == 2000);
    source.set("data.format", std::string("csv"));
    source.set("data.partition", std::string("dirichlet"));
    source.set("data.csv_separator", std::string("\\t"));
    source.set("data.task", std::string("values"));
    source.set("data.csv_header", std::string("absent"));
    config = *data_config(source);
    CHECK(config.format == DataFormat::csv);
    CHECK(config.partition.kind == PartitionKind::dirichlet);
    CHECK(config.csv.separator == '\t');
    CHECK(config.csv.header == CsvOptions::Header::absent);
    CHECK(config.task == Task::values);
}

TEST_CASE("a separator of columns is one character, and nothing of a longer one is made use of") {
    Defaults source;
    for (const char* text : {";;", "", "\\n", "ä"}) {
        CAPTURE(text);
        source.set("data.csv_separator", std::string(text));
        const auto config = data_config(source);
        REQUIRE_FALSE(config);
        CHECK(config.error().code == ErrorCode::kConfigType);
        CHECK(config.error().what ==
              "data.csv_separator is \"" + std::string(text) + "\", not one character");
    }
}

TEST_CASE("synthetic data is the same for one seed and clustered by label") {
    DataConfig config{.format = DataFormat::synthetic};
    config.synthetic = {.train_count = 500, .test_count = 100, .spread = 0.1};
    auto a = *load_dataset(config, RunSeed{1}), b = *load_dataset(config, RunSeed{1});
    auto c = *load_dataset(config, RunSeed{2});
    REQUIRE(a.train->sample_count() == 500);
    CHECK(a.test->sample_count() == 100);
    std::vector<std::uint32_t> rows(500);
    for (std::uint32_t i = 0; i < 500; ++i) rows[i] = i;
    std::vector<float> xa(500 * 20), xb(500 * 20), xc(500 * 20);
    a.train->gather(xa, rows), b.train->gather(xb, rows), c.train->gather(xc, rows);
    CHECK(xa == xb);
    CHECK(xa != xc);
    // Samples of one class lie near each other, of two classes apart.
    auto distance = [&](std::size_t i, std::size_t j) {
        double sum = 0;
        for (std::size_t k = 0; k < 20; ++k) sum += std::pow(xa[i * 20 + k] - xa[j * 20 + k], 2);
        return sum;
    };
    auto labels = a.train->labels();
    for (std::size_t i = 1; i < 100; ++i) CHECK((distance(0, i) < 3) == (labels[0] == labels[i]));
    config.task = Task::values;
    CHECK(load_dataset(config, RunSeed{1})->train->target_count() == 1);
}

TEST_CASE("IDX files are found by their usual names, and a missing one is named") {
    Folder folder;
    DataConfig config{.format = DataFormat::idx, .folder = folder.path()};
    auto missing = load_dataset(config, RunSeed{});
    REQUIRE(!missing);
    CHECK(missing.error().code == ErrorCode::kDataMissing);
    CHECK(missing.error().what.find("train-images-idx3-ubyte.gz: No such file") !=
          std::string::npos);
    folder.write("train-images-idx3-ubyte",
                 idx_text({0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 2}, 80, 256));
    folder.write("train-labels-idx1-ubyte", idx_text({0, 0, 8, 1, 0, 0, 0, 20}, 20, 3));
    folder.write("t10k-images-idx3-ubyte",
                 idx_text({0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 2}, 32, 256));
    folder.write("t10k-labels-idx1-ubyte", idx_text({0, 0, 8, 1, 0, 0, 0, 8}, 8, 4));
    auto split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->shape() == std::vector<std::uint32_t>{2, 2});
    CHECK(split->train->class_count() == 4);  // the test files name one class more
    config.class_count = 3;
    auto label = load_dataset(config, RunSeed{});
    REQUIRE(!label);
    CHECK(label.error().code == ErrorCode::kDataLabel);
    CHECK(label.error().what.find("label 3 of sample 3") != std::string::npos);
    config.class_count = 0;
    config.train_max = 7;
    config.test_max = 3;
    split = load_dataset(config, RunSeed{});
    CHECK(split->train->sample_count() == 7);
    CHECK(split->test->sample_count() == 3);
    folder.write("t10k-images-idx3-ubyte",
                 idx_text({0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 1}, 16, 256));
    CHECK(load_dataset(config, RunSeed{}).error().code == ErrorCode::kDataShape);
    folder.write("train-images-idx3-ubyte", "");
    CHECK(load_dataset(config, RunSeed{}).error().code == ErrorCode::kDataTruncated);
}

TEST_CASE("without a test file some samples are held out, the same for one seed") {
    Folder folder;
    std::string text;
    for (int i = 0; i < 50; ++i) text += std::to_string(i) + "," + std::to_string(i % 3) + "\n";
    folder.write("all.csv", text);
    DataConfig config{.format = DataFormat::csv, .folder = folder.path(), .train = "all.csv"};
    auto a = load_dataset(config, RunSeed{1}), b = load_dataset(config, RunSeed{1});
    REQUIRE(a);
    CHECK(a->train->sample_count() == 40);
    CHECK(a->test->sample_count() == 10);
    std::vector<std::uint32_t> ten = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    std::vector<float> xa(10), xb(10);
    a->test->gather(xa, ten), b->test->gather(xb, ten);
    CHECK(xa == xb);
    config.test_fraction = 0.001;
    CHECK(load_dataset(config, RunSeed{1}).error().code == ErrorCode::kDataPartition);
    config.test = "all.csv";
    CHECK(load_dataset(config, RunSeed{1})->test->sample_count() == 50);
    config.train.clear();
    CHECK(load_dataset(config, RunSeed{1}).error().code == ErrorCode::kConfigMissing);
    config.train = ".";
    CHECK(load_dataset(config, RunSeed{1}).error().code == ErrorCode::kDataMissing);
}

TEST_CASE("each peer gets its own part, by configuration or by its place") {
    DataConfig config{.format = DataFormat::synthetic};
    config.partition = {.kind = PartitionKind::dirichlet, .part_count = 0};
    auto train = load_dataset(config, RunSeed{1})->train;
    auto parts = *load_partition(config, *train, 8, RunSeed{1});
    REQUIRE(parts.size() == 8);
    std::size_t sum = 0;
    for (std::size_t place = 0; place < 8; ++place) {
        auto part = load_part(config, train, place, 8, RunSeed{1});
        REQUIRE(part);
        CHECK((*part)->sample_count() == parts[place].size());
        sum += (*part)->sample_count();
    }
    CHECK(sum == 2000);
    config.part = 5;
    CHECK((*load_part(config, train, 0, 8, RunSeed{1}))->sample_count() == parts[5].size());
    config.part = 8;
    CHECK(load_part(config, train, 0, 8, RunSeed{1}).error().code == ErrorCode::kDataPartition);
    config.partition.kind = PartitionKind::whole;
    CHECK(*load_part(config, train, 0, 8, RunSeed{1}) == train);
}

TEST_CASE("an explicit division comes from its file") {
    Folder folder;
    folder.write("parts.txt", "0 1 2\n3 4\n");
    DataConfig config{.format = DataFormat::synthetic, .folder = folder.path()};
    config.partition = {.kind = PartitionKind::explicit_, .part_count = 0};
    config.partition_file = "parts.txt";
    auto train = load_dataset(config, RunSeed{1})->train;
    CHECK((*load_part(config, train, 1, 2, RunSeed{1}))->sample_count() == 2);
    CHECK(load_part(config, train, 1, 3, RunSeed{1}).error().code == ErrorCode::kDataPartition);
    config.partition_file = "none.txt";
    CHECK(load_part(config, train, 1, 2, RunSeed{1}).error().code == ErrorCode::kDataMissing);
}

TEST_CASE("Fashion-MNIST is read where it is installed") {
    DataConfig config;
    if (access((std::string(kFashionMnistFolder) + "/train-images-idx3-ubyte.gz").c_str(), R_OK)) {
        MESSAGE("SKIPPED: the package dataset-fashion-mnist is not installed");
        return;
    }
    auto split = load_dataset(config, RunSeed{1});
    REQUIRE(split);
    CHECK(split->train->sample_count() == 60'000);
    CHECK(split->test->sample_count() == 10'000);
    CHECK(split->train->feature_count() == 784);
    CHECK(split->train->memory_bytes() == 60'000 * (784 + 4));
    CHECK(label_histogram(View::all(split->train)) == std::vector<std::size_t>(10, 6000));
    CHECK(label_histogram(View::all(split->test)) == std::vector<std::size_t>(10, 1000));
}

TEST_CASE("CIFAR's batches are read by their usual names, planes become pixels") {
    Folder folder;
    auto record = [](std::initializer_list<int> labels, int shade) {
        std::string out;
        for (int label : labels) out += static_cast<char>(label);
        for (int plane = 0; plane < 3; ++plane)
            for (int i = 0; i < 1024; ++i) out += static_cast<char>(shade + 50 * plane + i % 7);
        return out;
    };
    for (int i = 1; i <= 5; ++i)
        folder.write("data_batch_" + std::to_string(i) + ".bin", record({i}, i) + record({0}, 9));
    folder.write("test_batch.bin", record({9}, 20));
    DataConfig config{.format = DataFormat::cifar_10, .folder = folder.path()};
    auto split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->sample_count() == 10);
    CHECK(split->train->shape() == std::vector<std::uint32_t>{32, 32, 3});
    CHECK(split->train->class_count() == 10);
    CHECK(split->train->labels()[4] == 3);
    CHECK(split->test->labels()[0] == 9);
    std::vector<float> pixels(3072);
    const std::uint32_t row = 4;
    split->train->gather(pixels, {&row, 1});
    for (std::size_t i = 0; i < 1024; ++i)
        for (std::size_t c = 0; c < 3; ++c)
            REQUIRE(pixels[3 * i + c] ==
                    doctest::Approx(static_cast<double>(3 + 50 * c + i % 7) / 255));

    folder.write("train.bin", record({19, 99}, 1) + record({3, 4}, 2));
    folder.write("test.bin", record({0, 0}, 1));
    config.format = DataFormat::cifar_100;
    split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->class_count() == 100);
    CHECK(split->train->labels()[0] == 99);
    config.format = DataFormat::cifar_100_coarse;
    split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->class_count() == 20);
    CHECK(split->train->labels()[0] == 19);

    auto refused = [&](const std::string& content) {
        folder.write("train.bin", content);
        auto made = load_dataset(config, RunSeed{});
        REQUIRE_FALSE(made);
        return made.error();
    };
    auto error = refused(record({1, 2}, 3).substr(0, 3000));
    CHECK(error.code == ErrorCode::kDataTruncated);
    CHECK(error.what.find("train.bin: 3000 bytes") != std::string::npos);
    error = refused(record({1}, 2));
    CHECK(error.hint.find("cifar-10") != std::string::npos);
    error = refused(record({1, 1}, 2) + record({20, 1}, 2));
    CHECK(error.code == ErrorCode::kDataLabel);
    CHECK(error.what.find("label 20 of record 1 is not in 0..19") != std::string::npos);
    CHECK(refused("").code == ErrorCode::kDataTruncated);
}

TEST_CASE("a text becomes sequences with the characters that follow") {
    Folder folder;
    folder.write("train.txt", "abcabcabdab");
    folder.write("test.txt", "abzab");
    DataConfig config{.format = DataFormat::text, .folder = folder.path(), .train = "train.txt"};
    config.test = "test.txt";
    config.text.length = 4;
    auto split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->class_count() == 5);  // a b c d, and the unknown
    CHECK(split->train->label_count() == 4);
    REQUIRE(split->train->sample_count() == 2);
    std::vector<float> x(8);
    const std::vector<std::uint32_t> rows{0, 1};
    split->train->gather(x, rows);
    CHECK(x == std::vector<float>{0, 1, 2, 0, 1, 2, 0, 1});
    std::vector<std::int32_t> labels(8);
    split->train->gather_labels(labels, rows);
    CHECK(labels == std::vector<std::int32_t>{1, 2, 0, 1, 2, 0, 1, 3});
    CHECK(split->test->labels()[1] == 4);
    CHECK(label_histogram(View::all(split->train)) == std::vector<std::size_t>{2, 3, 2, 1, 0});
    CHECK(split->train->select(std::vector<std::uint32_t>{1})->labels()[0] == 2);

    config.text.every_position = false, config.text.stride = 1;
    split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->sample_count() == 7);
    CHECK(split->train->label_count() == 1);
    CHECK(split->train->labels()[6] == 1);

    config.text.vocabulary = "dcba";
    split = load_dataset(config, RunSeed{});
    REQUIRE(split);
    CHECK(split->train->labels()[6] == 2);
    CHECK(split->train->labels()[0] == 2);

    config.test.clear();
    config.test_fraction = 0.45;  // of eleven: the last four
    auto cut = load_dataset(config, RunSeed{});
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == ErrorCode::kDataTruncated);
    CHECK(cut.error().what.find("its end: 4 characters") != std::string::npos);
    config.text.length = 3;
    cut = load_dataset(config, RunSeed{});
    REQUIRE(cut);
    CHECK(cut->train->sample_count() == 4);
    CHECK(cut->test->sample_count() == 1);
}

TEST_CASE("texts and vocabularies that cannot be are refused by name") {
    auto view = [](const std::string& text) {
        return ByteView(reinterpret_cast<const std::byte*>(text.data()), text.size());
    };
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    auto none = vocabulary_of(view(all), "all");
    REQUIRE_FALSE(none);
    CHECK(none.error().what.find("256 different characters") != std::string::npos);
    CHECK(vocabulary_of(view(all.substr(1)), "most")->size() == 255);
    TextOptions options{.length = 2, .vocabulary = "abca"};
    auto twice = parse_text(view("abcabc"), options, "twice");
    REQUIRE_FALSE(twice);
    CHECK(twice.error().what.find("0 and 3 are the same") != std::string::npos);
    options.vocabulary = all;
    CHECK_FALSE(parse_text(view("abcabc"), options, "all"));
    options.vocabulary.clear();
    CHECK_FALSE(parse_text(view("abcabc"), options, "none"));
    options.vocabulary = "abc";
    CHECK_FALSE(parse_text(view("ab"), options, "short"));
    CHECK(parse_text(view("abc"), options, "enough"));
}
