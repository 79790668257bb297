#include <algorithm>

#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

maths::Rows rows_of(const Stage& s, const float* in, std::size_t count) {
    return maths::dense_rows(in, index(count * s.rows()), s.channels);
}

// An adapter's part: kept = x·A, then out += scale · kept·B.
void forward_adapter(const StageRun& r, const maths::Rows& rows) {
    const Stage& s = r.s;
    const Index count = rows.row_count(), rank = s.rank, n = s.out_channels;
    maths::product(r.kept, rows, r.values.at(s, adapter_a_tensor, s.adapter_a_offset), rank,
                   nullptr, false);
    float* scaled = r.work + count * n;
    std::copy_n(r.kept, count * rank, scaled);
    maths::scale(scaled, count * rank, s.adapter_scale);
    maths::product(r.work, maths::dense_rows(scaled, count, rank),
                   r.values.at(s, adapter_b_tensor, s.adapter_b_offset), n, nullptr, false);
    maths::add(r.out, r.work, count * n);
    if (s.activation == Activation::relu) maths::relu(r.out, r.out, count * n);
}

// Leaves the gradient of x·A, scaled, at the beginning of work; adds A's part to that of x.
void back_adapter(const StageBack& r, const maths::Rows& rows) {
    const Stage& s = r.s;
    const Index count = rows.row_count(), rank = s.rank, in = s.channels;
    float* inner = r.work;
    maths::data_gradient(inner, r.delta, r.values.at(s, adapter_b_tensor, s.adapter_b_offset),
                         count, rank, s.out_channels, nullptr);
    maths::scale(inner, count * rank, s.adapter_scale);
    if (!r.next) return;
    float* part = inner + count * rank;
    maths::data_gradient(part, inner, r.values.at(s, adapter_a_tensor, s.adapter_a_offset), count,
                         in, rank, nullptr);
    maths::add(r.next, part, count * in);
}

void learn_adapter(const StageBack& r, const maths::Rows& rows, const Sink& sink) {
    const Stage& s = r.s;
    if (s.learns(adapter_b_tensor))
        maths::weight_gradient(r.sink.out + s.adapter_b_offset,
                               maths::dense_rows(r.kept, rows.row_count(), s.rank), r.delta,
                               s.out_channels, sink.keep, sink.scale * s.adapter_scale);
    if (s.learns(adapter_a_tensor))
        maths::weight_gradient(r.sink.out + s.adapter_a_offset, rows, r.work, s.rank, r.sink.keep,
                               r.sink.scale);
}

}  // namespace

std::size_t adapter_work(const Stage& s, std::size_t count) {
    return count * s.rows() * (s.rank + std::size_t{std::max(s.channels, s.out_channels)});
}

void forward_dense(const StageRun& r) {
    const auto rows = rows_of(r.s, r.in, r.count);
    const bool adapted = r.s.adapted();
    maths::product(r.out, rows, r.weight(), r.s.out_channels, r.bias(),
                   r.s.activation == Activation::relu && !adapted);
    if (adapted) forward_adapter(r, rows);
}

void back_dense(const StageBack& r) {
    const Stage& s = r.s;
    const auto rows = rows_of(s, r.in, r.count);
    // The gradient of the input first: the update that may follow changes the weights.
    if (r.next)
        maths::data_gradient(r.next, r.delta, r.weight(), rows.row_count(), s.channels,
                             s.out_channels, nullptr);
    if (s.adapted()) back_adapter(r, rows);
    // A batch is small beside its weights: scaled here, its update costs only the sums.
    Sink sink = r.sink;
    if (sink.scale != 1.0f) {
        maths::scale(r.delta, index(r.count * s.out_count()), sink.scale);
        sink.scale = 1.0f;
    }
    learn(s, rows, r.delta, sink);
    if (s.adapted()) learn_adapter(r, rows, sink);
}

}  // namespace gossamer::model
