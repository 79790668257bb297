#include "records/telemetry/tensorboard.hpp"

#include <array>

namespace gossamer::telemetry {
namespace {

// Castagnoli's polynomial, reflected, byte by byte: event files are small.
constexpr std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t c = i;
        for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0);
        table[i] = c;
    }
    return table;
}();

enum class Wire : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(ByteWriter& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.put(static_cast<std::uint8_t>(value | 0x80));
    out.put(static_cast<std::uint8_t>(value));
}

void put_key(ByteWriter& out, std::uint32_t field, Wire wire) {
    put_varint(out, field << 3 | static_cast<std::uint32_t>(wire));
}

void put_bytes(ByteWriter& out, std::uint32_t field, ByteView bytes) {
    put_key(out, field, Wire::bytes);
    put_varint(out, bytes.size());
    out.put_bytes(bytes);
}

void put_wall(ByteWriter& out, WallTime wall) {
    put_key(out, 1, Wire::fixed64);
    out.put(static_cast<double>(wall.ns) * 1e-9);
}

}  // namespace

std::uint32_t crc32c(ByteView bytes) {
    std::uint32_t c = ~0u;
    for (auto byte : bytes) c = (c >> 8) ^ kTable[(c ^ static_cast<std::uint8_t>(byte)) & 0xff];
    return ~c;
}

std::uint32_t masked_crc32c(ByteView bytes) {
    auto c = crc32c(bytes);
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

Bytes tensorboard_record(ByteView payload) {
    ByteWriter out;
    out.put(static_cast<std::uint64_t>(payload.size()));
    out.put(masked_crc32c(out.view()));
    out.put_bytes(payload);
    out.put(masked_crc32c(payload));
    return out.take();
}

Bytes tensorboard_version_event(WallTime wall) {
    ByteWriter event;
    put_wall(event, wall);
    put_bytes(event, 3, as_bytes("brain.Event:2"));
    return event.take();
}

Bytes tensorboard_scalars_event(WallTime wall, std::uint64_t step,
                                std::span<const Metric> metrics) {
    ByteWriter summary;
    for (const auto& metric : metrics) {
        ByteWriter value;
        put_bytes(value, 1, as_bytes(metric.name));
        put_key(value, 2, Wire::fixed32);
        value.put(static_cast<float>(metric.value));
        put_bytes(summary, 1, value.view());
    }
    ByteWriter event;
    put_wall(event, wall);
    put_key(event, 2, Wire::varint);
    put_varint(event, step);
    put_bytes(event, 5, summary.view());
    return event.take();
}

void TensorBoardWriter::append(ByteView payload, WallTime wall) {
    if (file_ && file_->torn()) {
        if (lost_before_ == 0) error_ = file_->first_error();
        lost_before_ += file_->lost_count();
        file_.reset();
    }
    if (!file_) {
        if (file_number_ >= kFilesMax) {
            ++lost_before_;
            return;
        }
        auto name = file_number_ == 0 ? path_ : path_ + "." + std::to_string(file_number_);
        ++file_number_;
        file_.emplace(disk_, name);
        file_->append(tensorboard_record(tensorboard_version_event(wall)));
    }
    file_->append(tensorboard_record(payload));
}

void TensorBoardWriter::add(WallTime wall, std::span<const Metric> metrics) {
    while (!metrics.empty()) {
        std::size_t count = 1;
        while (count < metrics.size() && metrics[count].round == metrics[0].round) ++count;
        append(tensorboard_scalars_event(wall, metrics[0].round, metrics.first(count)), wall);
        metrics = metrics.subspan(count);
    }
}

}  // namespace gossamer::telemetry
