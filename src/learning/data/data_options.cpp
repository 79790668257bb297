#include "gossamer/data/load.hpp"

namespace gossamer::data {
namespace {

using K = OptionKind;

Option text(const char* key, const char* reason, const char* fallback = "") {
    return {.key = key, .kind = K::text, .fallback = std::string(fallback), .reason = reason};
}
Option choice(const char* key, std::vector<std::string> choices, const char* reason) {
    auto fallback = choices.front();
    return {.key = key,
            .kind = K::choice,
            .fallback = fallback,
            .reason = reason,
            .choices = std::move(choices)};
}
Option count(const char* key, std::int64_t fallback, const char* unit, double least, double most,
             const char* reason) {
    return {.key = key,
            .kind = K::integer,
            .fallback = fallback,
            .unit = unit,
            .reason = reason,
            .least = least,
            .most = most};
}
Option real(const char* key, double fallback, double least, double most, const char* reason) {
    return {.key = key,
            .kind = K::real,
            .fallback = fallback,
            .unit = "",
            .reason = reason,
            .least = least,
            .most = most};
}

void add_files(OptionTable& table) {
    table.push_back(choice("data.format",
                           {"fashion-mnist", "idx", "csv", "npy", "synthetic", "cifar-10",
                            "cifar-100", "cifar-100-coarse", "text"},
                           "What the data files are. synthetic needs no files: Gaussian clusters "
                           "from the run's seed. cifar: the binary version; coarse: its 20 "
                           "groups of classes. text: characters of a plain file."));
    table.push_back(text("data.folder",
                         "Where the files named below lie; empty: the format's "
                         "usual folder, or the working folder."));
    table.push_back(text("data.train",
                         "The training samples; empty for the MNIST family: "
                         "train-images-idx3-ubyte, with or without .gz; for CIFAR: "
                         "data_batch_1.bin to 5, or train.bin."));
    table.push_back(text("data.train_labels", "Their labels, for idx and npy."));
    table.push_back(text("data.test",
                         "The test samples; empty for csv and npy: test_fraction of "
                         "the training samples are held out; for text: its end."));
    table.push_back(text("data.test_labels", "Their labels, for idx and npy."));
    table.push_back(choice("data.task", {"classes", "values"},
                           "What is learnt: class labels (whole numbers from 0), or values "
                           "(regression)."));
    table.push_back(count("data.classes", 0, "classes", 0, kClassesMax,
                          "How many classes there are; 0: as many as the labels name. Set it where "
                          "a peer's own files may lack the last classes."));
    table.push_back(real("data.test_fraction", 0.2, 0.001, 0.9,
                         "Share of the samples held out for testing where no test file is named."));
    table.push_back(count("data.train_max", 0, "samples", 0, 4e9,
                          "Takes so many of the training samples, chosen by the seed; 0: all."));
    table.push_back(count("data.test_max", 0, "samples", 0, 4e9,
                          "Takes so many of the test samples; 0: all. Fewer make evaluation "
                          "faster and its accuracy coarser."));
}

void add_csv(OptionTable& table) {
    table.push_back(text("data.csv_separator", "One character between columns; \\t: a tab.", ","));
    table.push_back(choice("data.csv_header", {"automatic", "present", "absent"},
                           "Whether the first line names the columns; automatic: it does when one "
                           "of its fields is no number."));
    table.push_back(text("data.csv_label",
                         "Which column is the label: last, first, a column's "
                         "name, or its number from 1.",
                         "last"));
}

void add_text(OptionTable& table) {
    table.push_back(count("data.text_length", 80, "characters", 1, 65536,
                          "Characters of a sample; what the model sees of the past."));
    table.push_back(count("data.text_stride", 0, "characters", 0, 65536,
                          "From the start of a sample to that of the next; 0: text_length, so that "
                          "samples do not overlap. With text_targets = \"last\" a smaller one "
                          "makes more of a short text."));
    table.push_back(choice("data.text_targets", {"each", "last"},
                           "What is learnt: the next character at each position (a model whose "
                           "last layer is \"dense 90 each\"), or the one after the sample."));
    table.push_back(text("data.text_vocabulary",
                         "The characters that count, each once; all others are one more, unknown. "
                         "Empty: those of the training file. Set it where peers have files of "
                         "their own: all need the same."));
}

void add_partition(OptionTable& table) {
    table.push_back(choice("data.partition", {"iid", "dirichlet", "shards", "explicit", "whole"},
                           "Who holds which samples. iid: a random even division; dirichlet and "
                           "shards: skewed by label, as real data is; explicit: from a file; "
                           "whole: this peer's files are its own."));
    table.push_back(count("data.parts", 0, "parts", 0, 1e7,
                          "Into how many parts the data is divided; 0: one a peer."));
    table.push_back(count("data.part", -1, "", -1, 1e7,
                          "Which part is this peer's, from 0; -1: by its place among the peers."));
    table.push_back(real("data.alpha", 0.5, 1e-3, 1e6,
                         "Of the Dirichlet distribution: 0.1 gives each peer a few classes, 0.5 an "
                         "uneven mixture, 100 nearly iid."));
    table.push_back(count("data.least_samples", 10, "samples", 1, 4e9,
                          "A part with fewer takes from the largest; for iid and dirichlet."));
    table.push_back(count("data.shards", 2, "shards", 1, 1e6,
                          "Label shards a part; fewer mean fewer classes a peer."));
    table.push_back(text("data.partition_file",
                         "For partition = \"explicit\": a line a part, of "
                         "row numbers from 0."));
}

void add_synthetic(OptionTable& table) {
    table.push_back(count("data.synthetic_train", 2000, "samples", 1, 1e8,
                          "Training samples made by format = \"synthetic\"."));
    table.push_back(count("data.synthetic_test", 500, "samples", 1, 1e8, "Test samples made."));
    table.push_back(count("data.synthetic_features", 20, "features", 1, 1e5,
                          "Features of a synthetic sample."));
    table.push_back(
        count("data.synthetic_classes", 4, "classes", 1, 1e5, "Clusters, one a class."));
    table.push_back(real("data.synthetic_spread", 1.0, 0, 1e3,
                         "Of a cluster, where centres' coordinates have deviation 1: larger is "
                         "harder to learn."));
}

template <class T>
T as(const OptionSource& source, std::string_view key) {
    return static_cast<T>(source.integer(key));
}

// A tab may be written out: --set and the environment hold it badly.
Result<char> separator_of(const std::string& text) {
    if (text == "\\t") return '\t';
    if (text.size() == 1) return text.front();
    return fail(ErrorCode::kConfigType, "data.csv_separator is \"" + text + "\", not one character",
                "write one such as \";\", or '\\t' for a tab");
}

}  // namespace

OptionTable data_options() {
    OptionTable table;
    add_files(table);
    add_csv(table);
    add_text(table);
    add_partition(table);
    add_synthetic(table);
    return table;
}

Result<DataConfig> data_config(const OptionSource& source) {
    DataConfig config;
    auto pick = [&](std::string_view key, const auto& names, auto& into) {
        std::size_t i = 0;
        for (auto name : names) {
            if (source.text(key) == name)
                into = static_cast<std::remove_reference_t<decltype(into)>>(i);
            ++i;
        }
    };
    using Names = std::initializer_list<std::string_view>;
    pick("data.format",
         Names{"fashion-mnist", "idx", "csv", "npy", "synthetic", "cifar-10", "cifar-100",
               "cifar-100-coarse", "text"},
         config.format);
    pick("data.task", Names{"classes", "values"}, config.task);
    config.folder = source.text("data.folder");
    config.train = source.text("data.train");
    config.train_labels = source.text("data.train_labels");
    config.test = source.text("data.test");
    config.test_labels = source.text("data.test_labels");
    config.class_count = as<std::uint32_t>(source, "data.classes");
    config.test_fraction = source.real("data.test_fraction");
    config.train_max = as<std::size_t>(source, "data.train_max");
    config.test_max = as<std::size_t>(source, "data.test_max");

    GOSSAMER_TRY(config.csv.separator, separator_of(source.text("data.csv_separator")));
    pick("data.csv_header", Names{"automatic", "present", "absent"}, config.csv.header);
    config.csv.label_column = source.text("data.csv_label");
    config.csv.task = config.task;

    config.text.length = as<std::size_t>(source, "data.text_length");
    config.text.stride = as<std::size_t>(source, "data.text_stride");
    config.text.every_position = source.text("data.text_targets") == "each";
    config.text.vocabulary = source.text("data.text_vocabulary");

    for (auto kind : {PartitionKind::whole, PartitionKind::iid, PartitionKind::dirichlet,
                      PartitionKind::shards, PartitionKind::explicit_})
        if (source.text("data.partition") == to_string(kind)) config.partition.kind = kind;
    config.partition.part_count = as<std::size_t>(source, "data.parts");
    config.partition.alpha = source.real("data.alpha");
    config.partition.least_samples = as<std::size_t>(source, "data.least_samples");
    config.partition.shards_per_part = as<std::size_t>(source, "data.shards");
    config.partition_file = source.text("data.partition_file");
    config.part = source.integer("data.part");

    config.synthetic.train_count = as<std::size_t>(source, "data.synthetic_train");
    config.synthetic.test_count = as<std::size_t>(source, "data.synthetic_test");
    config.synthetic.feature_count = as<std::uint32_t>(source, "data.synthetic_features");
    config.synthetic.class_count = as<std::uint32_t>(source, "data.synthetic_classes");
    config.synthetic.spread = source.real("data.synthetic_spread");
    config.synthetic.task = config.task;
    return config;
}

}  // namespace gossamer::data
