// CIFAR-10 and CIFAR-100, binary version. https://www.cs.toronto.edu/~kriz/cifar.html
#include "gossamer/data/readers.hpp"

namespace gossamer::data {
namespace {

constexpr std::size_t kSide = 32, kPlane = kSide * kSide, kChannels = 3;
constexpr std::size_t kPixels = kPlane * kChannels;

// A record's bytes before the pixels, which of them is the label, and how many classes there are.
struct Form {
    std::size_t label_bytes, label_at;
    std::uint32_t classes;
};
Form form_of(CifarLabels labels) {
    switch (labels) {
        case CifarLabels::ten: return {1, 0, 10};
        case CifarLabels::fine: return {2, 1, 100};
        case CifarLabels::coarse: break;
    }
    return {2, 0, 20};
}

}  // namespace

Result<Dataset::Parts> parse_cifar(ByteView file, CifarLabels labels, const std::string& name) {
    const Form form = form_of(labels);
    const std::size_t record = form.label_bytes + kPixels;
    const std::size_t other = kPixels + (form.label_bytes == 1 ? 2 : 1);
    const std::size_t count = file.size() / record;
    if (count == 0 || file.size() % record != 0) {
        const std::string other_form =
            form.label_bytes == 1 ? "data.format = \"cifar-100\"" : "data.format = \"cifar-10\"";
        const bool fits_other = !file.empty() && file.size() % other == 0;
        return fail(ErrorCode::kDataTruncated,
                    name + ": " + std::to_string(file.size()) + " bytes are no whole number of " +
                        std::to_string(record) + "-byte records; " + std::to_string(count) +
                        " are whole",
                    fits_other ? "its size fits " + other_form
                               : "fetch the file again; the binary version is read, not the "
                                 "Python one");
    }
    Dataset::Parts parts{.name = name, .shape = {kSide, kSide, kChannels}};
    parts.class_count = form.classes;
    parts.labels.reserve(count);
    parts.bytes.resize(count * kPixels);
    auto* to = parts.bytes.data();
    for (std::size_t i = 0; i < count; ++i) {
        const std::byte* at = file.data() + i * record;
        const auto label = std::to_integer<std::uint32_t>(at[form.label_at]);
        if (label >= form.classes)
            return fail(ErrorCode::kDataLabel, name + ": label " + std::to_string(label) +
                                                   " of record " + std::to_string(i) +
                                                   " is not in 0.." +
                                                   std::to_string(form.classes - 1));
        parts.labels.push_back(static_cast<std::int32_t>(label));
        const std::byte* planes = at + form.label_bytes;
        for (std::size_t pixel = 0; pixel < kPlane; ++pixel)
            for (std::size_t c = 0; c < kChannels; ++c)
                *to++ = std::to_integer<std::uint8_t>(planes[c * kPlane + pixel]);
    }
    return parts;
}

}  // namespace gossamer::data
