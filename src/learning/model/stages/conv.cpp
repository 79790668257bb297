#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

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
    b.height = s.out_height, b.width = s.out_width;
    b.pad_top = s.window - 1 - s.pad_top, b.pad_left = s.window - 1 - s.pad_left;
    return b;
}

maths::Conv direct_of(const Stage& s, std::size_t count) {
    return {windows_of(s, count), s.pad_top, s.pad_left, s.out_channels};
}

// Direct convolution, or the product over windows (im2col, though never stored), whose rows are
// neighbouring pixels where the direct form's are images. Time of the one by time of the other, as
// measured on an AMD EPYC of family 25 (v4), forward and for the gradient of weights:
//   5x5 on 14x14, 32 to 64 channels: 1.25, 1.13 (10 images); 1.25, 1.18 (4); 0.95 (2); 0.60 (1)
//   3x3 with 20 images: 1.20, 1.06 (32x32, 64); 1.22, 1.20 (8x8, 256); 4.5, 1.14 (4x4, 512)
//   gradients with one channel: 0.45, with three: 0.62, with eight: 1.03
//   without a border: 1.07, 0.98 for 3x3 on 26x26; there is nothing to leave out
// With 16 registers (v3) it gains 1.1 to 1.16 for that 5x5 and loses up to 0.83 for 3x3 on 16x16.
bool is_direct(const Stage& s, std::size_t count) {
    constexpr std::size_t kImagesMin = 4;
    constexpr std::uint32_t kChannelsMin = 8;
    return count >= kImagesMin && s.channels >= kChannelsMin && s.padded();
}

}  // namespace

void forward_conv(const StageRun& r) {
    const Stage& s = r.s;
    if (is_direct(s, r.count))
        return maths::convolve(r.out, r.in, r.weight(), direct_of(s, r.count), r.bias(),
                               s.activation == Activation::relu);
    const float* in = r.in;
    if (s.padded()) {
        maths::pad(r.kept, in, index(r.count), s.height, s.width, s.channels,
                   {.top = s.pad_top,
                    .left = s.pad_left,
                    .height = s.padded_height,
                    .width = s.padded_width});
        in = r.kept;
    }
    maths::product(r.out, windows(s, in, r.count), r.weight(), s.out_channels, r.bias(),
                   s.activation == Activation::relu);
}

std::size_t conv_work(const Stage& s, std::size_t count) {
    const Stage back = way_back(s);
    return count * back.padded_height * back.padded_width * back.channels + s.weight_count();
}

void back_conv(const StageBack& r) {
    const Stage& s = r.s;
    if (r.next) {
        const Stage back = way_back(s);
        float* spread = r.work;
        float* turned =
            r.work + r.count * back.padded_height * back.padded_width * std::size_t{back.channels};
        maths::turn_weights(turned, r.weight(), s.window, s.window, s.channels, s.out_channels);
        if (s.stride == 1 && is_direct(back, r.count)) {
            maths::convolve(r.next, r.delta, turned, direct_of(back, r.count), nullptr, false);
        } else {
            maths::pad(spread, r.delta, index(r.count), s.out_height, s.out_width, s.out_channels,
                       {.top = back.pad_top,
                        .left = back.pad_left,
                        .height = back.padded_height,
                        .width = back.padded_width,
                        .gap = s.stride});
            maths::product(r.next, windows(back, spread, r.count), turned, s.channels, nullptr,
                           false);
        }
    }
    if (!is_direct(s, r.count))
        return learn(s, windows(s, s.padded() ? r.kept : r.in, r.count), r.delta, r.sink);
    if (s.learns(weight_tensor))
        maths::convolve_weights(r.sink.out + s.weight_offset, r.in, r.delta, direct_of(s, r.count),
                                r.sink.keep, r.sink.scale);
    if (s.bias_count() > 0 && s.learns(bias_tensor))
        maths::bias_gradient(r.sink.out + s.bias_offset, r.delta,
                             index(r.count * s.out_height * s.out_width), s.out_channels,
                             r.sink.keep, r.sink.scale);
}

}  // namespace gossamer::model
