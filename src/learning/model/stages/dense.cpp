#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

maths::Rows rows_of(const Stage& s, const float* in, std::size_t count) {
    return maths::dense_rows(in, index(count * s.rows()), s.channels);
}

}  // namespace

void forward_dense(const StageRun& r) {
    maths::product(r.out, rows_of(r.s, r.in, r.count), r.weight(), r.s.out_channels, r.bias(),
                   r.s.activation == Activation::relu);
}

void back_dense(const StageBack& r) {
    const Stage& s = r.s;
    const auto rows = rows_of(s, r.in, r.count);
    // The gradient of the input first: the update that may follow changes the weights.
    if (r.next)
        maths::data_gradient(r.next, r.delta, r.weight(), rows.row_count(), s.channels,
                             s.out_channels, nullptr);
    // A batch is small beside its weights: scaled here, its update costs only the sums.
    Sink sink = r.sink;
    if (sink.scale != 1.0f) {
        maths::scale(r.delta, index(r.count * s.out_count()), sink.scale);
        sink.scale = 1.0f;
    }
    learn(s, rows, r.delta, sink);
}

}  // namespace gossamer::model
