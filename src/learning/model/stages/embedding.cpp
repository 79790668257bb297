#include "learning/model/stage_run.hpp"

#include <algorithm>

namespace gossamer::model {
void forward_embedding(const StageRun& r) {
    const std::size_t width = r.s.out_channels;
    for (std::size_t i = 0; i < r.count * r.s.rows(); ++i)
        std::copy_n(r.weight() + entry_of(r.in[i], r.s.vocabulary) * width, width,
                    r.out + i * width);
}

void back_embedding(const StageBack& r) {  // the first stage: it runs when it learns
    const std::size_t width = r.s.out_channels;
    float* out = r.sink.out + r.s.weight_offset;
    if (r.sink.keep == 0.0f)
        std::fill_n(out, r.s.weight_count(), 0.0f);
    else if (r.sink.keep != 1.0f)
        maths::scale(out, index(r.s.weight_count()), r.sink.keep);
    maths::scale(r.delta, index(r.count * r.s.out_count()), r.sink.scale);
    for (std::size_t i = 0; i < r.count * r.s.rows(); ++i)
        maths::add(out + entry_of(r.in[i], r.s.vocabulary) * width, r.delta + i * width,
                   index(width));
}

void forward_position(const StageRun& r) {
    const std::size_t size = r.s.in_count();
    std::copy_n(r.in, r.count * size, r.out);
    for (std::size_t i = 0; i < r.count; ++i) maths::add(r.out + i * size, r.weight(), index(size));
}

void back_position(const StageBack& r) {
    const std::size_t size = r.s.in_count();
    if (r.next) std::copy_n(r.delta, r.count * size, r.next);
    if (!r.s.learns(weight_tensor)) return;
    maths::bias_gradient(r.sink.out + r.s.weight_offset, r.delta, index(r.count), index(size),
                         r.sink.keep, r.sink.scale);
}

}  // namespace gossamer::model
