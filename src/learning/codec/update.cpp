#include "gossamer/codec/update.hpp"

#include <cstring>
#include <memory>

namespace gossamer::codec {

Bytes Residual::save() const {
    const auto bytes = floats_.bytes();
    return Bytes(bytes.begin(), bytes.end());
}

Result<std::span<const float>> residual_values(const tensor::State& before, std::size_t count,
                                               std::vector<float>& room) {
    if (!before) return std::span<const float>();
    const auto of_another = [count](std::size_t bytes) {
        return fail(ErrorCode::kUpdateSize, "what is left unsent has " + std::to_string(bytes) +
                                                " bytes, the model " + std::to_string(count) +
                                                " parameters");
    };
    if (const auto* residual = dynamic_cast<const Residual*>(before.get())) {
        if (residual->values().size() != count) return of_another(residual->values().size_bytes());
        return residual->values();
    }
    const auto saved = before->save();
    if (saved.size() != count * sizeof(float)) return of_another(saved.size());
    room.resize(count);
    if (count > 0) std::memcpy(room.data(), saved.data(), saved.size());
    return std::span<const float>(room);
}

Result<Encoded> encode_update(const Codec& codec, std::span<const float> values,
                              const tensor::State& before, const UpdateName& name,
                              tensor::BufferPool& pool) {
    const bool feedback = codec.traits().error_feedback;
    EncodeState state{.seed = name.seed, .round = name.round, .who = name.who};
    std::vector<float> room;
    tensor::Buffer next;
    if (feedback) {
        GOSSAMER_TRY(state.residual, residual_values(before, values.size(), room));
        next = pool.take_floats(values.size());
        state.next_residual = next.floats();
    }
    Encoded out{pool.take(codec.bytes_max(values.size())), nullptr};
    GOSSAMER_TRY(const auto written, codec.encode(out.bytes.bytes(), values, state));
    if (written != out.bytes.size_bytes()) {
        auto exact = pool.take(written);
        std::memcpy(exact.bytes().data(), out.bytes.bytes().data(), written);
        out.bytes = std::move(exact);
    }
    if (feedback) out.residual = std::make_shared<Residual>(std::move(next));
    return out;
}

}  // namespace gossamer::codec
