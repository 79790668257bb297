#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

// kept, for N samples of T steps: qkv[N, T, 3C], weights[N, heads, T, T], mixed[N, T, C].
struct Parts {
    std::size_t rows, qkv_size, weights_size, mixed_size;
    float *qkv, *weights, *mixed;

    Parts(const Stage& s, std::size_t count, float* kept) : rows(count * s.width) {
        qkv_size = 3 * s.in_count(), mixed_size = s.in_count();
        weights_size = std::size_t{s.groups} * s.width * s.width;
        qkv = kept, weights = qkv + count * qkv_size, mixed = weights + count * weights_size;
    }
};
maths::Attention shape_of(const Stage& s) {
    return {.steps = s.width, .channels = s.channels, .heads = s.groups};
}

}  // namespace

std::size_t attention_kept(const Stage& s, std::size_t count) {
    return count * (4 * s.in_count() + std::size_t{s.groups} * s.width * s.width);
}
std::size_t attention_work(const Stage& s, std::size_t count) {
    return count * 4 * s.in_count() + s.width;
}

void forward_attention(const StageRun& r) {
    const Stage& s = r.s;
    const Parts p(s, r.count, r.kept);
    maths::product(p.qkv, maths::dense_rows(r.in, index(p.rows), s.channels), r.weight(),
                   3 * index(s.channels), r.bias(), false);
    for (std::size_t i = 0; i < r.count; ++i)
        maths::attend(p.mixed + i * p.mixed_size, p.weights + i * p.weights_size,
                      p.qkv + i * p.qkv_size, shape_of(s));
    maths::product(r.out, maths::dense_rows(p.mixed, index(p.rows), s.channels), r.second(),
                   s.channels, r.values.at(s, second_bias_tensor, s.second_bias_offset), false);
}

void back_attention(const StageBack& r) {
    const Stage& s = r.s;
    const Parts p(s, r.count, r.kept);
    const Index rows = index(p.rows), width = s.channels;
    float* d_mixed = r.work;
    float* d_qkv = d_mixed + r.count * p.mixed_size;
    maths::data_gradient(d_mixed, r.delta, r.second(), rows, width, width, nullptr);
    if (s.learns(second_tensor))
        maths::weight_gradient(r.sink.out + s.second_offset,
                               maths::dense_rows(p.mixed, rows, width), r.delta, width, r.sink.keep,
                               r.sink.scale);
    if (s.learns(second_bias_tensor))
        maths::bias_gradient(r.sink.out + s.second_bias_offset, r.delta, rows, width, r.sink.keep,
                             r.sink.scale);
    for (std::size_t i = 0; i < r.count; ++i)
        maths::attend_back(d_qkv + i * p.qkv_size, d_qkv + r.count * p.qkv_size,
                           d_mixed + i * p.mixed_size, p.weights + i * p.weights_size,
                           p.qkv + i * p.qkv_size, shape_of(s));
    if (r.next) maths::data_gradient(r.next, d_qkv, r.weight(), rows, width, 3 * width, nullptr);
    learn(s, maths::dense_rows(r.in, rows, width), d_qkv, r.sink);
}

}  // namespace gossamer::model
