#include "gossamer/model/plan.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "learning/model/loss.hpp"
#include "learning/model/maths/maths.hpp"

namespace gossamer::model {
namespace {

using maths::Index;
Index index(std::size_t n) { return static_cast<Index>(n); }

// The windows of a convolution over its (padded) input, as the rows of a product.
maths::Rows windows(const Stage& s, const float* input, std::size_t count) {
    const Index line = index(s.padded_width) * s.channels;
    return {.data = input,
            .images = index(count),
            .image_stride = line * s.padded_height,
            .lines = s.out_height,
            .line_stride = line * s.stride,
            .pixels = s.out_width,
            .pixel_stride = index(s.channels) * s.stride,
            .segments = s.window,
            .segment_stride = line,
            .run = index(s.window) * s.channels};
}

// The convolution that carries gradients back has stride 1 over the outputs spread out by the
// stride, with a border of window - 1 less the padding of the way forth.
Stage way_back(const Stage& s) {
    Stage b;
    b.channels = s.out_channels, b.window = s.window, b.stride = 1;
    b.out_height = s.height, b.out_width = s.width, b.out_channels = s.channels;
    b.padded_height = s.height + s.window - 1, b.padded_width = s.width + s.window - 1;
    return b;
}

maths::Pool pool_of(const Stage& s, std::size_t count) {
    return {.count = index(count),
            .height = s.height,
            .width = s.width,
            .channels = s.channels,
            .window = s.window,
            .stride = s.stride,
            .out_height = s.out_height,
            .out_width = s.out_width};
}

void activation_gradient(const Stage& s, float* delta, const float* output, Index n) {
    if (s.activation == Activation::relu) maths::relu_gradient(delta, delta, output, n);
    if (s.activation == Activation::tanh) maths::tanh_gradient(delta, delta, output, n);
}

}  // namespace

Plan::Plan(const Network& network, std::size_t batch_max, bool gradients, tensor::BufferPool& pool)
    : network_(network), batch_max_(batch_max), gradients_(gradients) {
    GOSSAMER_ASSERT(batch_max > 0, "a plan needs a batch");
    std::size_t floats = 0, widest = network.output_count();
    auto reserve = [&](std::size_t count) {
        const std::size_t at = floats;
        floats += (count + 15) / 16 * 16;  // 64-byte lines
        return at;
    };
    for (const Stage& s : network.stages()) {
        Room room;
        room.output = reserve(batch_max * s.out_count());
        if (s.kind == LayerKind::conv && s.padded())
            room.padded =
                reserve(batch_max * s.padded_height * s.padded_width * std::size_t{s.channels});
        if (s.kind == LayerKind::max_pool) room.winner = reserve(batch_max * s.out_count());
        rooms_.push_back(room);
        widest = std::max({widest, s.in_count(), s.out_count()});
    }
    scratch_ = reserve(network.output_count());
    if (gradients) {
        for (auto& at : delta_) at = reserve(batch_max * widest);
        std::size_t padded = 0, turned = 0;
        for (const Stage& s : network.stages()) {
            if (s.kind != LayerKind::conv || &s == &network.stages().front()) continue;
            const Stage back = way_back(s);
            padded = std::max(padded, batch_max * back.padded_height * back.padded_width *
                                          std::size_t{back.channels});
            turned = std::max(turned, s.weight_count());
        }
        delta_padded_ = reserve(padded), turned_ = reserve(turned);
    }
    arena_ = pool.take_floats(floats);
}

const float* Plan::input_of(std::size_t stage, const Batch& batch) const {
    return stage == 0 ? batch.inputs.data() : arena_.floats().data() + rooms_[stage - 1].output;
}

void Plan::forward(const float* parameters, const Batch& batch) {
    GOSSAMER_ASSERT(batch.size > 0 && batch.size <= batch_max_, "batch does not fit the plan");
    GOSSAMER_ASSERT(batch.inputs.size() == batch.size * network_.input_count(),
                    "samples are checked against the network before training");
    float* arena = arena_.floats().data();
    const std::size_t count = batch.size;
    for (std::size_t i = 0; i < rooms_.size(); ++i) {
        const Stage& s = network_.stages()[i];
        const float* in = input_of(i, batch);
        float* out = arena + rooms_[i].output;
        const Index out_floats = index(count * s.out_count());
        const float* weight = parameters + s.weight_offset;
        const float* bias = parameters + s.bias_offset;
        const bool relu = s.activation == Activation::relu;
        switch (s.kind) {
            case LayerKind::dense:
                maths::product(out, maths::dense_rows(in, index(count), index(s.in_count())),
                               weight, s.out_channels, bias, relu);
                break;
            case LayerKind::conv:
                if (s.padded()) {
                    float* padded = arena + rooms_[i].padded;
                    maths::pad(padded, in, index(count), s.height, s.width, s.channels,
                               {.top = s.pad_top,
                                .left = s.pad_left,
                                .height = s.padded_height,
                                .width = s.padded_width});
                    in = padded;
                }
                maths::product(out, windows(s, in, count), weight, s.out_channels, bias, relu);
                break;
            case LayerKind::max_pool:
                maths::max_pool(out, reinterpret_cast<std::int32_t*>(arena + rooms_[i].winner), in,
                                pool_of(s, count));
                break;
            case LayerKind::relu: maths::relu(out, in, out_floats); break;
            case LayerKind::tanh: maths::tanh(out, in, out_floats); break;
            case LayerKind::flatten: break;  // never a stage
        }
        if (s.activation == Activation::tanh) maths::tanh(out, out, out_floats);
    }
}

void Plan::learn(const Stage& s, const maths::Rows& rows, const float* delta, const Sink& sink) {
    maths::weight_gradient(sink.out + s.weight_offset, rows, delta, s.out_channels, sink.keep,
                           sink.scale);
    maths::bias_gradient(sink.out + s.bias_offset, delta, rows.row_count(), s.out_channels,
                         sink.keep, sink.scale);
}

void Plan::backward(const float* parameters, const Batch& batch, const Sink& sink) {
    float* arena = arena_.floats().data();
    const std::size_t count = batch.size;
    float* delta = arena + delta_[0];  // with respect to the output of stage i
    float* next = arena + delta_[1];   // with respect to its input
    for (std::size_t i = rooms_.size(); i-- > 0;) {
        const Stage& s = network_.stages()[i];
        const float* in = input_of(i, batch);
        const float* out = arena + rooms_[i].output;
        const Index out_floats = index(count * s.out_count());
        const float* weight = parameters + s.weight_offset;
        activation_gradient(s, delta, out, out_floats);
        // The gradient of the input first: the update that may follow changes the weights.
        if (s.kind == LayerKind::dense && i > 0)
            maths::data_gradient(next, delta, weight, index(count), index(s.in_count()),
                                 s.out_channels, nullptr);
        if (s.kind == LayerKind::conv && i > 0) {
            const Stage back = way_back(s);
            float* spread = arena + delta_padded_;
            float* turned = arena + turned_;
            maths::pad(spread, delta, index(count), s.out_height, s.out_width, s.out_channels,
                       {.top = index(s.window) - 1 - s.pad_top,
                        .left = index(s.window) - 1 - s.pad_left,
                        .height = back.padded_height,
                        .width = back.padded_width,
                        .gap = s.stride});
            maths::turn_weights(turned, weight, s.window, s.window, s.channels, s.out_channels);
            maths::product(next, windows(back, spread, count), turned, s.channels, nullptr, false);
        }
        // A dense batch is small beside its weights: scaled here, its update costs only the sums.
        if (s.kind == LayerKind::dense && sink.scale != 1.0f) {
            maths::scale(delta, out_floats, sink.scale);
            learn(s, maths::dense_rows(in, index(count), index(s.in_count())), delta,
                  {sink.out, sink.keep, 1.0f});
        } else if (s.kind == LayerKind::dense) {
            learn(s, maths::dense_rows(in, index(count), index(s.in_count())), delta, sink);
        }
        if (s.kind == LayerKind::conv)
            learn(s, windows(s, s.padded() ? arena + rooms_[i].padded : in, count), delta, sink);
        if (s.kind == LayerKind::max_pool && i > 0)
            maths::max_pool_gradient(next, delta,
                                     reinterpret_cast<std::int32_t*>(arena + rooms_[i].winner),
                                     pool_of(s, count));
        if (s.kind == LayerKind::relu) maths::relu_gradient(next, delta, out, out_floats);
        if (s.kind == LayerKind::tanh) maths::tanh_gradient(next, delta, out, out_floats);
        std::swap(delta, next);
    }
}

double Plan::gradient(std::span<const float> parameters, const Batch& batch,
                      std::span<float> gradient) {
    GOSSAMER_ASSERT(gradients_, "this plan was made for scoring");
    GOSSAMER_ASSERT(gradient.size() == network_.layout()->parameter_count(), "gradient's size");
    forward(parameters.data(), batch);
    float* arena = arena_.floats().data();
    const Score s = loss_of(network_.spec().loss, arena + rooms_.back().output, batch,
                            network_.output_count(), arena + delta_[0], arena + scratch_);
    backward(parameters.data(), batch, {.out = gradient.data(), .keep = 0, .scale = 1});
    return s.loss_sum / double(batch.size);
}

double Plan::sgd_step(std::span<float> parameters, const Batch& batch, float rate, float decay) {
    GOSSAMER_ASSERT(gradients_, "this plan was made for scoring");
    forward(parameters.data(), batch);
    float* arena = arena_.floats().data();
    const Score s = loss_of(network_.spec().loss, arena + rooms_.back().output, batch,
                            network_.output_count(), arena + delta_[0], arena + scratch_);
    backward(parameters.data(), batch,
             {.out = parameters.data(), .keep = 1.0f - rate * decay, .scale = -rate});
    return s.loss_sum / double(batch.size);
}

Score Plan::score(std::span<const float> parameters, const Batch& batch) {
    forward(parameters.data(), batch);
    float* arena = arena_.floats().data();
    return loss_of(network_.spec().loss, arena + rooms_.back().output, batch,
                   network_.output_count(), nullptr, arena + scratch_);
}

std::span<const float> Plan::outputs(std::span<const float> parameters, const Batch& batch) {
    forward(parameters.data(), batch);
    return {arena_.floats().data() + rooms_.back().output, batch.size * network_.output_count()};
}

std::size_t scoring_batch(const Network& network) {
    constexpr std::size_t kBytes = std::size_t{2} << 20;
    std::size_t floats = network.input_count();
    for (const Stage& s : network.stages()) floats += s.in_count() + s.out_count();
    return std::clamp<std::size_t>(kBytes / (floats * sizeof(float)), 8, 512);
}

const char* maths_instruction_set() { return maths::instruction_set(); }

}  // namespace gossamer::model
