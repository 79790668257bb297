// How layers fit together: the shapes of a stage, from the shape before it.
#pragma once

#include <string_view>
#include <vector>

#include "gossamer/model/network.hpp"

namespace gossamer::model {

using Shape = std::vector<std::uint32_t>;
inline constexpr std::uint64_t kFloatsMax = std::uint64_t{1} << 31;  // of a sample, or parameters

std::uint64_t product_of(const Shape& shape);
std::string_view word_of(LayerKind kind);  // "maxpool"
// kModelShape, naming the stage.
tl::unexpected<Error> refuse(const Stage& stage, const std::string& why);
// Fills in the sizes of `stage`; `shape` becomes its output's. Errors: kModelShape, naming the
// stage and both shapes.
Status place_layer(const LayerSpec& layer, Stage& stage, Shape& shape);

}  // namespace gossamer::model
