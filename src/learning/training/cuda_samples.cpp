#include "learning/cuda/loader.hpp"
#include "learning/training/cuda_stack.hpp"

namespace gossamer::training {

Result<std::shared_ptr<const CudaSamples>> CudaSamples::place(const gossamer_cuda_interface& api,
                                                              int device, const data::View& view) {
    std::shared_ptr<CudaSamples> made(new CudaSamples(api));
    // Only the rows of the view: several peers on one machine do not each keep all data.
    std::vector<std::uint32_t> rows(view.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = view.row(i);
    const auto& d = *view.data;
    std::vector<float> features(rows.size() * d.feature_count()), targets;
    std::vector<std::int32_t> labels;
    d.gather(features, rows);
    gossamer_cuda_data_description to{};
    to.size = sizeof to;
    to.sample_count = rows.size(), to.feature_count = d.feature_count();
    to.floats = features.data();
    if (d.has_labels()) {
        labels.resize(rows.size() * d.label_count());
        to.label_count = static_cast<std::uint32_t>(d.label_count());
        d.gather_labels(labels, rows);
        to.labels = labels.data(), to.class_count = d.class_count();
    } else {
        targets.resize(rows.size() * d.target_count());
        d.gather_targets(targets, rows);
        to.targets = targets.data(), to.target_count = d.target_count();
    }
    gossamer_cuda_error error{};
    if (api.data_create(device, &to, &made->data_, &error) != GOSSAMER_CUDA_OK)
        return fail(cuda::error_of(error));
    return std::shared_ptr<const CudaSamples>(std::move(made));
}

CudaSamples::~CudaSamples() {
    if (data_ != nullptr) api_.data_destroy(data_);
}

}  // namespace gossamer::training
