#include "learning/model/loss.hpp"

#include <algorithm>
#include <cmath>

#include "gossamer/base/assert.hpp"
#include "learning/model/maths/maths.hpp"

namespace gossamer::model {
namespace {

// `positions` rows of `outputs` each; a label of -1 is padding, and its row counts nothing.
Score softmax_cross_entropy(const float* z, const Batch& batch, std::size_t outputs, float* dz,
                            float* scratch) {
    Score score;
    for (const std::int32_t label : batch.labels) score.counted += label >= 0;
    const float share = 1.0f / static_cast<float>(std::max<std::uint64_t>(score.counted, 1));
    for (const std::int32_t wanted : batch.labels) {
        if (wanted < 0) {
            if (dz) std::fill_n(dz, outputs, 0.0f), dz += outputs;
            z += outputs;
            continue;
        }
        const auto label = static_cast<std::size_t>(wanted);
        GOSSAMER_ASSERT(label < outputs, "labels are checked when data is loaded");
        const float* largest = std::max_element(z, z + outputs);
        score.correct += static_cast<std::size_t>(largest - z) == label;
        const float top = *largest, own = z[label];
        for (std::size_t j = 0; j < outputs; ++j) scratch[j] = z[j] - top;
        maths::exp(scratch, scratch, static_cast<maths::Index>(outputs));
        float sum = 0;
        for (std::size_t j = 0; j < outputs; ++j) sum += scratch[j];
        // A NaN or infinite output makes the sum NaN; the caller refuses such a loss by name.
        score.loss_sum += sum > 0 ? portable_log(sum) + double(top) - double(own) : double(sum);
        z += outputs;
        if (!dz) continue;
        for (std::size_t j = 0; j < outputs; ++j) dz[j] = share * (scratch[j] / sum);
        dz[label] -= share;
        dz += outputs;
    }
    return score;
}

// Losses element by element, mean over all of them. Each: value, and its derivative in `slope`.
double squared_error(float z, float wanted, float& slope) {
    const float error = z - wanted;
    slope = 2.0f * error;
    return double(error) * double(error);
}
// log(1 + e^z) - wanted · z, without overflow.
double sigmoid_cross_entropy(float z, float wanted, float& slope) {
    if (std::isnan(z)) {  // the caller refuses such a loss by name
        slope = z;
        return double(z);
    }
    const float size = -std::abs(z);
    float e = 0;
    maths::exp(&e, &size, 1);
    slope = (z < 0 ? e : 1.0f) / (1.0f + e) - wanted;
    return double(std::max(z, 0.0f)) - double(wanted) * double(z) + portable_log(1.0 + double(e));
}

template <class Each>
Score each_output(const float* z, const Batch& batch, std::size_t outputs, float* dz,
                  const float* targets, Each&& each) {
    Score score{.counted = batch.size};
    const float share = 1.0f / static_cast<float>(batch.size * outputs);
    for (std::size_t i = 0; i < batch.size; ++i, z += outputs) {
        std::size_t label = outputs;
        if (!targets) {
            label = static_cast<std::size_t>(batch.labels[i]);
            GOSSAMER_ASSERT(label < outputs, "labels are checked when data is loaded");
            score.correct +=
                static_cast<std::size_t>(std::max_element(z, z + outputs) - z) == label;
        }
        double sum = 0;
        for (std::size_t j = 0; j < outputs; ++j) {
            float slope = 0;
            sum += each(z[j], targets ? targets[i * outputs + j] : j == label ? 1.0f : 0.0f, slope);
            if (dz) dz[j] = share * slope;
        }
        score.loss_sum += sum / double(outputs);
        if (dz) dz += outputs;
    }
    return score;
}

}  // namespace

Score loss_of(Loss loss, const float* z, const Batch& batch, std::size_t outputs, float* dz,
              float* scratch) {
    const float* targets = batch.targets.empty() ? nullptr : batch.targets.data();
    switch (loss) {
        case Loss::mean_squared_error:
            return each_output(z, batch, outputs, dz, targets, squared_error);
        case Loss::sigmoid_cross_entropy:
            return each_output(z, batch, outputs, dz, targets, sigmoid_cross_entropy);
        case Loss::reconstruction:
            return each_output(z, batch, outputs, dz, batch.inputs.data(), squared_error);
        case Loss::softmax_cross_entropy: break;
    }
    const std::size_t positions = batch.labels.size() / batch.size;
    GOSSAMER_ASSERT(
        positions > 0 && batch.labels.size() % batch.size == 0 && outputs % positions == 0,
        "as many labels for each sample");
    return softmax_cross_entropy(z, batch, outputs / positions, dz, scratch);
}

}  // namespace gossamer::model
