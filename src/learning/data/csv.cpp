#include <charconv>
#include <cmath>
#include <optional>

#include "gossamer/data/readers.hpp"

namespace gossamer::data {
namespace {

constexpr std::size_t kColumnsMax = 1'000'000;

std::string_view trimmed(std::string_view field) {
    constexpr std::string_view kBlank = " \t\r";
    auto first = field.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    field = field.substr(first, field.find_last_not_of(kBlank) - first + 1);
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
        field = field.substr(1, field.size() - 2);
    return field;
}

std::optional<double> number(std::string_view field) {
    if (field.starts_with('+')) field.remove_prefix(1);
    double value = 0;
    auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size()) return {};
    // A value that no float32 holds is no number for us either.
    if (!std::isfinite(static_cast<float>(value))) return {};
    return value;
}

std::string printable(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, 24)) out += c >= ' ' && c <= '~' ? c : '?';
    return text.size() > 24 ? out + "..." : out;
}

class Fields {  // of one line, one after another
public:
    Fields(std::string_view line, char separator) : rest_(line), separator_(separator) {}
    bool next(std::string_view& field) {
        if (!more_) return false;
        auto end = rest_.find(separator_);
        field = trimmed(rest_.substr(0, end));
        more_ = end != std::string_view::npos;
        if (more_) rest_.remove_prefix(end + 1);
        return true;
    }

private:
    std::string_view rest_;
    char separator_;
    bool more_ = true;
};

class CsvReader {
public:
    CsvReader(ByteView file, const CsvOptions& options, const std::string& name)
        : text_(as_text(file)), options_(options), name_(name) {
        constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
        if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
        parts_.name = name;
    }

    Result<Dataset::Parts> read() {
        std::string_view line;
        if (!next_line(line)) return bad("no lines");
        GOSSAMER_CHECK(begin(line));
        if (!first_is_header_) GOSSAMER_CHECK(read_line(line));
        while (next_line(line)) GOSSAMER_CHECK(read_line(line));
        if (parts_.labels.empty() && parts_.targets.empty()) return bad("a header and no samples");
        parts_.shape = {static_cast<std::uint32_t>(column_count_ - 1)};
        if (options_.task == Task::values) parts_.target_count = 1;
        return std::move(parts_);
    }

private:
    tl::unexpected<Error> bad(const std::string& what) const {
        return fail(ErrorCode::kDataFormat, name_ + ": " + what);
    }
    std::string place(std::size_t column) const {
        return name_ + ": line " + std::to_string(line_) + ", column " + std::to_string(column + 1);
    }

    bool next_line(std::string_view& line) {  // blank ones are skipped
        while (!text_.empty()) {
            auto end = text_.find('\n');
            line = text_.substr(0, end);
            text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
            ++line_;
            if (!trimmed(line).empty()) return true;
        }
        return false;
    }
    // Looks at the first line: columns, header, where the label is.
    Status begin(std::string_view line) {
        using Header = CsvOptions::Header;
        std::optional<std::size_t> named;
        bool all_numbers = true;
        Fields fields(line, options_.separator);
        for (std::string_view field; fields.next(field); ++column_count_) {
            if (column_count_ == kColumnsMax) return bad("more than a million columns");
            all_numbers = all_numbers && number(field);
            if (field == options_.label_column) named = column_count_;
        }
        if (column_count_ < 2) return bad("one column; a label and a feature are the least");
        first_is_header_ = options_.header == Header::present ||
                           (options_.header == Header::automatic && !all_numbers);
        std::size_t numbered = 0;
        const auto& wanted = options_.label_column;
        auto end = wanted.data() + wanted.size();
        if (std::from_chars(wanted.data(), end, numbered).ptr != end) numbered = 0;
        if (first_is_header_ && named)
            label_column_ = *named;
        else if (wanted == "last")
            label_column_ = column_count_ - 1;
        else if (wanted == "first")
            label_column_ = 0;
        else if (numbered >= 1 && numbered <= column_count_)
            label_column_ = numbered - 1;
        else
            return bad("no column \"" + wanted + "\" for the label among " +
                       std::to_string(column_count_));
        return {};
    }

    Status read_line(std::string_view line) {
        Fields fields(line, options_.separator);
        std::size_t column = 0;
        bool too_many = false;
        for (std::string_view field; fields.next(field); ++column) {
            too_many = column == column_count_;
            if (too_many) break;
            auto value = number(field);
            if (!value)
                return fail(ErrorCode::kDataFormat,
                            place(column) + ": \"" + printable(field) + "\" is not a number");
            if (column != label_column_)
                parts_.floats.push_back(static_cast<float>(*value));
            else if (options_.task == Task::values)
                parts_.targets.push_back(static_cast<float>(*value));
            else if (*value >= 0 && *value < kClassesMax && *value == std::floor(*value))
                parts_.labels.push_back(static_cast<std::int32_t>(*value));
            else
                return fail(ErrorCode::kDataLabel, place(column) + ": label \"" + printable(field) +
                                                       "\" is not a class number from 0");
        }
        if (too_many || column != column_count_)
            return bad("line " + std::to_string(line_) + ": " + (too_many ? "more" : "fewer") +
                       " columns than the " + std::to_string(column_count_) + " of the first line");
        return {};
    }

    std::string_view text_;
    const CsvOptions& options_;
    const std::string& name_;
    std::size_t line_ = 0, column_count_ = 0, label_column_ = 0;
    bool first_is_header_ = false;
    Dataset::Parts parts_;
};

}  // namespace

Result<Dataset::Parts> parse_csv(ByteView file, const CsvOptions& options,
                                 const std::string& name) {
    return CsvReader(file, options, name).read();
}

}  // namespace gossamer::data
