#include "learning/model/loss.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "learning/model/maths/maths.hpp"

namespace gossamer::model {
namespace {

Score softmax_cross_entropy(const float* z, const Batch& batch, std::size_t outputs, float* dz,
                            float* scratch) {
    Score score;
    const float share = 1.0f / static_cast<float>(batch.size);
    for (std::size_t i = 0; i < batch.size; ++i, z += outputs) {
        const auto label = static_cast<std::size_t>(batch.labels[i]);
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
        if (!dz) continue;
        for (std::size_t j = 0; j < outputs; ++j) dz[j] = share * (scratch[j] / sum);
        dz[label] -= share;
        dz += outputs;
    }
    return score;
}

Score mean_squared_error(const float* z, const Batch& batch, std::size_t outputs, float* dz) {
    Score score;
    const bool labelled = batch.targets.empty();
    const float share = 2.0f / static_cast<float>(batch.size * outputs);
    for (std::size_t i = 0; i < batch.size; ++i, z += outputs) {
        if (labelled) {
            const auto label = static_cast<std::size_t>(batch.labels[i]);
            GOSSAMER_ASSERT(label < outputs, "labels are checked when data is loaded");
            score.correct +=
                static_cast<std::size_t>(std::max_element(z, z + outputs) - z) == label;
        }
        double sum = 0;
        for (std::size_t j = 0; j < outputs; ++j) {
            const float wanted =
                labelled ? (j == static_cast<std::size_t>(batch.labels[i]) ? 1.0f : 0.0f)
                         : batch.targets[i * outputs + j];
            const float error = z[j] - wanted;
            sum += double(error) * double(error);
            if (dz) dz[j] = share * error;
        }
        score.loss_sum += sum / double(outputs);
        if (dz) dz += outputs;
    }
    return score;
}

}  // namespace

Score loss_of(Loss loss, const float* z, const Batch& batch, std::size_t outputs, float* dz,
              float* scratch) {
    if (loss == Loss::mean_squared_error) return mean_squared_error(z, batch, outputs, dz);
    return softmax_cross_entropy(z, batch, outputs, dz, scratch);
}

}  // namespace gossamer::model
