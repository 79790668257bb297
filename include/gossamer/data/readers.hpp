// Readers of data files. They take bytes, not paths, and trust none of them: sizes are checked
// against what is there before anything is allocated, so a hostile file costs at most a small
// multiple of its own size (of a .gz: of what deflate can possibly hold).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/data/dataset.hpp"

namespace gossamer::data {

// An n-dimensional array, row-major. Bytes stay bytes; other integers become int64, reals float32.
struct Array {
    std::vector<std::size_t> shape;
    std::variant<std::vector<std::uint8_t>, std::vector<std::int64_t>, std::vector<float>> values;

    std::size_t value_count() const;
};

// In all readers `name` is for messages. Errors: kDataTruncated (naming both sizes), kDataFormat.

// IDX, the form of the MNIST files: plain or gzip-compressed.
Result<Array> parse_idx(ByteView file, const std::string& name);
// NumPy's .npy, versions 1 to 3: b1, u1, i1, i2, u2, i4, i8, f4, f8, little-endian, C order.
Result<Array> parse_npy(ByteView file, const std::string& name);

enum class Task : std::uint8_t { classes, values };

struct CsvOptions {
    enum class Header : std::uint8_t { automatic, present, absent };
    char separator = ',';
    Header header = Header::automatic;  // automatic: the first line is one if it has a non-number
    std::string label_column = "last";  // "last", "first", a header's name, or a number from 1
    Task task = Task::classes;          // labels are whole numbers from 0, or any values
};
// All other columns are features. Errors name line and column; kDataLabel for a bad label.
Result<Dataset::Parts> parse_csv(ByteView file, const CsvOptions& options, const std::string& name);

// The binary files of CIFAR (Krizhevsky 2009): records of one label byte (CIFAR-100: a coarse one,
// then a fine one), then 32 x 32 red, green and blue bytes, plane by plane. Samples become
// {32, 32, 3}. Errors: also kDataLabel, with the record.
enum class CifarLabels : std::uint8_t { ten, fine, coarse };
Result<Dataset::Parts> parse_cifar(ByteView file, CifarLabels labels, const std::string& name);

// A text as sequences of characters, each a byte: a sample is `length` of them as numbers, its
// labels are the characters that follow each of them, or the one that follows the last.
struct TextOptions {
    std::size_t length = 80;
    std::size_t stride = 0;  // from the start of a sample to that of the next; 0: length
    bool every_position = true;
    // Character i has the number i; all others have the last, vocabulary.size(). At most 255.
    std::string vocabulary;
};
// The characters of a text, in ascending order. Errors: kDataFormat with more than 255.
Result<std::string> vocabulary_of(ByteView text, const std::string& name);
// Errors: kDataTruncated when the text holds no whole sample.
Result<Dataset::Parts> parse_text(ByteView text, const TextOptions& options,
                                  const std::string& name);

// Features and labels (or target values) out of two arrays whose first dimension is the sample.
// Errors: kDataShape, kDataLabel.
Result<Dataset::Parts> join_arrays(Array features, const Array& labels, Task task,
                                   const std::string& name);

// Inflates gzip, all members. Errors: kDataTruncated, kDataFormat (also beyond size_max).
Result<Bytes> gunzip(ByteView file, std::size_t size_max, const std::string& name);
bool is_gzip(ByteView file);

// Errors: kDataMissing.
Result<Bytes> read_file(const std::string& path);

}  // namespace gossamer::data
