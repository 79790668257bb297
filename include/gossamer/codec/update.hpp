// One update on its way out: encoded, and what error feedback keeps of it.
#pragma once

#include <span>

#include "gossamer/codec/codec.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/state.hpp"

namespace gossamer::codec {

// What updates so far left unsent. A core keeps it and takes the next one only when the update was
// delivered; the next update is encoded with this one added.
class Residual final : public tensor::StateValue {
public:
    explicit Residual(tensor::Buffer floats) : floats_(std::move(floats)) {}
    std::span<const float> values() const { return floats_.floats(); }
    Bytes save() const override;

private:
    tensor::Buffer floats_;
};

struct Encoded {
    tensor::Buffer bytes;
    tensor::State residual;  // null where the codec keeps none
};
struct UpdateName {  // of the draws of stochastic rounding
    RunSeed seed;
    std::uint64_t round = 0;
    PeerId who;
};
// `before`: what the updates before left (null: nothing; not a Residual: read from save()).
// Errors: those of Codec::encode; kUpdateSize when `before` is of another model.
Result<Encoded> encode_update(const Codec& codec, std::span<const float> values,
                              const tensor::State& before, const UpdateName& name,
                              tensor::BufferPool& pool);

// What encode_update gives a codec: for a trainer that encodes by itself. `room` holds what was
// read.
Result<std::span<const float>> residual_values(const tensor::State& before, std::size_t count,
                                               std::vector<float>& room);

}  // namespace gossamer::codec
