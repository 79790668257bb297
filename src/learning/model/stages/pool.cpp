#include "learning/model/stage_run.hpp"

#include <algorithm>

namespace gossamer::model {
void forward_pool(const StageRun& r) {
    const Stage& s = r.s;
    if (s.kind == LayerKind::max_pool)
        return maths::max_pool(r.out, reinterpret_cast<std::int32_t*>(r.kept), r.in,
                               windows_of(s, r.count));
    if (s.kind == LayerKind::average_pool)
        return maths::average_pool(r.out, r.in, windows_of(s, r.count));
    for (std::size_t i = 0; i < r.count; ++i)  // global: the mean of all rows
        maths::bias_gradient(r.out + i * s.channels, r.in + i * s.in_count(), index(s.rows()),
                             s.channels, 0, 1.0f / static_cast<float>(s.rows()));
}

void back_pool(const StageBack& r) {
    const Stage& s = r.s;
    if (!r.next) return;
    if (s.kind == LayerKind::max_pool)
        return maths::max_pool_gradient(
            r.next, r.delta, reinterpret_cast<const std::int32_t*>(r.kept), windows_of(s, r.count));
    if (s.kind == LayerKind::average_pool)
        return maths::average_pool_gradient(r.next, r.delta, windows_of(s, r.count));
    maths::scale(r.delta, index(r.count * s.channels), 1.0f / static_cast<float>(s.rows()));
    for (std::size_t row = 0; row < r.count * s.rows(); ++row)
        std::copy_n(r.delta + row / s.rows() * s.channels, s.channels, r.next + row * s.channels);
}

}  // namespace gossamer::model
