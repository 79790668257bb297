#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

maths::Norm norm_of(const Stage& s, std::size_t count) {
    const bool whole = s.kind == LayerKind::group_norm;  // else every position on its own
    return {.samples = index(whole ? count : count * s.rows()),
            .rows = whole ? index(s.rows()) : 1,
            .channels = s.channels,
            .groups = s.groups,
            .centred = s.kind != LayerKind::rms_norm};
}

}  // namespace

std::size_t norm_kept(const Stage& s, std::size_t count) {
    return 2 * std::size_t{s.groups} * static_cast<std::size_t>(norm_of(s, count).samples);
}

void forward_norm(const StageRun& r) {
    maths::normalise(r.out, r.kept, r.work, r.in, r.weight(), r.bias(), norm_of(r.s, r.count));
    if (r.s.activation == Activation::relu)
        maths::relu(r.out, r.out, index(r.count * r.s.out_count()));
}

void back_norm(const StageBack& r) {
    const Stage& s = r.s;
    float* gain = r.work + 4 * s.channels;
    float* shift = s.bias_count() > 0 ? gain + s.channels : nullptr;
    maths::normalise_gradient(r.next, gain, shift, r.work, r.delta, r.in, r.kept, r.weight(),
                              norm_of(s, r.count));
    if (s.learns(weight_tensor)) r.sink.take(s.weight_offset, gain, s.channels);
    if (shift && s.learns(bias_tensor)) r.sink.take(s.bias_offset, shift, s.channels);
}

}  // namespace gossamer::model
