// The kernels alone, against plain loops in double. Needs nothing but the maths library, so that it
// also runs where only that was built (./run test --neon).
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "learning/model/maths/layers.hpp"

using namespace gossamer::model::maths;

namespace {

using Floats = std::vector<float>;

Floats draw(Index count, unsigned seed) {
    std::mt19937 bits(seed);
    Floats out(static_cast<std::size_t>(count));
    for (auto& v : out) v = static_cast<float>(bits() % 20001) / 10000.0f - 1.0f;
    return out;
}
void check_near(const Floats& got, const std::vector<double>& wanted) {
    REQUIRE(got.size() == wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        REQUIRE(std::abs(double(got[i]) - wanted[i]) < 2e-5 * (1 + std::abs(wanted[i])));
    }
}

struct Shape {
    Index rows, inputs, outputs;
};
const std::vector<Shape> kShapes = {{1, 1, 1},    {3, 5, 2},    {10, 37, 19},  {10, 300, 200},
                                    {11, 16, 48}, {32, 65, 33}, {47, 600, 10}, {300, 9, 21}};

const std::vector<Conv> kConvs = {
    {{10, 14, 14, 32, 5, 1, 14, 14}, 2, 2, 64}, {{9, 7, 6, 8, 3, 1, 7, 6}, 1, 1, 20},
    {{8, 4, 4, 16, 3, 1, 4, 4}, 1, 1, 17},      {{3, 9, 11, 5, 3, 2, 5, 6}, 1, 0, 33},
    {{16, 6, 6, 8, 4, 1, 6, 6}, 1, 2, 3},       {{2, 3, 3, 4, 5, 1, 3, 3}, 2, 2, 16},
    {{5, 8, 8, 12, 1, 2, 4, 4}, 0, 0, 24},      {{1, 2, 2, 3, 5, 3, 1, 1}, 2, 2, 1},
};
Index in_count(const Conv& c) { return c.count * c.height * c.width * c.channels; }
Index out_count(const Conv& c) { return c.count * c.out_height * c.out_width * c.out_channels; }
Index weight_count(const Conv& c) { return c.window * c.window * c.channels * c.out_channels; }

// Calls body(y, x, w): the places of one multiplication each.
template <class Body>
void each_product(const Conv& c, Body&& body) {
    for (Index i = 0; i < c.count; ++i)
        for (Index oy = 0; oy < c.out_height; ++oy)
            for (Index ox = 0; ox < c.out_width; ++ox)
                for (Index tap = 0; tap < c.window * c.window; ++tap) {
                    const Index y = oy * c.stride + tap / c.window - c.top;
                    const Index x = ox * c.stride + tap % c.window - c.left;
                    if (y < 0 || x < 0 || y >= c.height || x >= c.width) continue;
                    for (Index k = 0; k < c.channels; ++k)
                        for (Index o = 0; o < c.out_channels; ++o)
                            body(((i * c.out_height + oy) * c.out_width + ox) * c.out_channels + o,
                                 ((i * c.height + y) * c.width + x) * c.channels + k,
                                 (tap * c.channels + k) * c.out_channels + o);
                }
}

// The same by the product over windows of images with a border of zeros.
struct Bordered {
    Floats image;
    Rows rows;
    Bordered(const Conv& c, const Floats& x) {
        const Index bottom = (c.out_height - 1) * c.stride + c.window;
        const Index right = (c.out_width - 1) * c.stride + c.window;
        const Index height = std::max(bottom, c.top + c.height);
        const Index width = std::max(right, c.left + c.width);
        image.resize(static_cast<std::size_t>(c.count * height * width * c.channels));
        pad(image.data(), x.data(), c.count, c.height, c.width, c.channels,
            {.top = c.top, .left = c.left, .height = height, .width = width});
        const Index line = width * c.channels;
        rows = {.data = image.data(),
                .images = c.count,
                .image_stride = line * height,
                .lines = c.out_height,
                .line_stride = line * c.stride,
                .pixels = c.out_width,
                .pixel_stride = c.channels * c.stride,
                .segments = c.window,
                .segment_stride = line,
                .run = c.window * c.channels};
    }
};

}  // namespace

TEST_CASE("Products and their gradients agree with plain loops") {
    for (const Shape& s : kShapes) {
        CAPTURE(s.rows);
        CAPTURE(s.outputs);
        const Floats x = draw(s.rows * s.inputs, 1), w = draw(s.inputs * s.outputs, 2);
        const Floats b = draw(s.outputs, 3), dy = draw(s.rows * s.outputs, 4);
        std::vector<double> y(dy.size()), dx(x.size()), dw(w.size()), db(b.size());
        for (Index r = 0; r < s.rows; ++r)
            for (Index o = 0; o < s.outputs; ++o) {
                double sum = b[std::size_t(o)];
                const double d = dy[std::size_t(r * s.outputs + o)];
                for (Index k = 0; k < s.inputs; ++k) {
                    const auto at = std::size_t(k * s.outputs + o);
                    sum += double(x[std::size_t(r * s.inputs + k)]) * w[at];
                    dx[std::size_t(r * s.inputs + k)] += d * w[at];
                    dw[at] += d * x[std::size_t(r * s.inputs + k)];
                }
                y[std::size_t(r * s.outputs + o)] = std::max(sum, 0.0);
                db[std::size_t(o)] += d;
            }
        Floats out(y.size(), 7.0f), back(dx.size(), 7.0f), gradient(dw.size(), 7.0f), step = w;
        const auto rows = dense_rows(x.data(), s.rows, s.inputs);
        product(out.data(), rows, w.data(), s.outputs, b.data(), true);
        check_near(out, y);
        data_gradient(back.data(), dy.data(), w.data(), s.rows, s.inputs, s.outputs, nullptr);
        check_near(back, dx);
        weight_gradient(gradient.data(), rows, dy.data(), s.outputs, 0, 1);
        check_near(gradient, dw);
        weight_gradient(step.data(), rows, dy.data(), s.outputs, 0.5f, -0.25f);
        for (std::size_t i = 0; i < dw.size(); ++i) dw[i] = 0.5 * double(w[i]) - 0.25 * dw[i];
        check_near(step, dw);
        Floats bias = b;
        bias_gradient(bias.data(), dy.data(), s.rows, s.outputs, 0, 1);
        check_near(bias, db);
    }
}

// Few rows are held in registers while the weights pass, more are not; the cuts of columns differ.
TEST_CASE("Updates of few rows touch each weight once, whatever the cut") {
    for (Index rows : {1, 2, 3, 7, 10, 12, 13, 33})
        for (Index outputs : {1, 8, 10, 16, 31, 32, 33, 39, 40, 41, 48, 63, 200})
            for (Index inputs : {1, 2, 5, 6, 7}) {
                CAPTURE(rows);
                CAPTURE(outputs);
                CAPTURE(inputs);
                const Floats x = draw(rows * inputs, 1), w = draw(inputs * outputs, 2);
                const Floats dy = draw(rows * outputs, 3);
                for (auto [keep, scale] :
                     {std::pair{0.0f, 1.0f}, {1.0f, 1.0f}, {0.5f, 1.0f}, {1.0f, -0.25f}}) {
                    std::vector<double> wanted(w.size());
                    for (Index k = 0; k < inputs; ++k)
                        for (Index o = 0; o < outputs; ++o) {
                            double sum = 0;
                            for (Index r = 0; r < rows; ++r)
                                sum += double(x[std::size_t(r * inputs + k)]) *
                                       dy[std::size_t(r * outputs + o)];
                            const auto at = std::size_t(k * outputs + o);
                            wanted[at] = double(keep) * w[at] + double(scale) * sum;
                        }
                    Floats step = w;
                    // What a gradient is written over may be anything.
                    if (keep == 0) step.assign(w.size(), std::numeric_limits<float>::quiet_NaN());
                    weight_gradient(step.data(), dense_rows(x.data(), rows, inputs), dy.data(),
                                    outputs, keep, scale);
                    check_near(step, wanted);
                }
            }
}

// More rows than a tile's inputs stay in cache for go through panels, some at a time.
TEST_CASE("Updates of many rows agree with plain loops, whatever the cut") {
    for (Index rows : {257, 512, 513, 1100})
        for (Index outputs : {2, 5, 8, 16, 31, 33, 40, 72})
            for (Index inputs : {3, 55, 56, 64}) {
                CAPTURE(rows);
                CAPTURE(outputs);
                CAPTURE(inputs);
                const Floats x = draw(rows * inputs, 1), w = draw(inputs * outputs, 2);
                const Floats dy = draw(rows * outputs, 3);
                std::vector<double> sums(w.size());
                for (Index r = 0; r < rows; ++r)
                    for (Index k = 0; k < inputs; ++k)
                        for (Index o = 0; o < outputs; ++o)
                            sums[std::size_t(k * outputs + o)] +=
                                double(x[std::size_t(r * inputs + k)]) *
                                dy[std::size_t(r * outputs + o)];
                for (auto [keep, scale] :
                     {std::pair{0.0f, 1.0f}, {1.0f, 1.0f}, {0.5f, -0.25f}, {0.0f, -0.5f}}) {
                    Floats step = w;
                    if (keep == 0) step.assign(w.size(), std::numeric_limits<float>::quiet_NaN());
                    weight_gradient(step.data(), dense_rows(x.data(), rows, inputs), dy.data(),
                                    outputs, keep, scale);
                    for (std::size_t i = 0; i < w.size(); ++i) {
                        const double wanted = double(keep) * w[i] + double(scale) * sums[i];
                        REQUIRE(std::abs(double(step[i]) - wanted) <
                                2e-6 * double(rows) * (1 + std::abs(wanted)));
                    }
                }
            }
}

TEST_CASE("The product of panels is the product, to the bit") {
    for (Index rows : {1, 2, 5, 6, 10, 23})
        for (Index outputs : {1, 3, 4, 7, 8, 12, 16, 17, 40, 64, 65, 100, 200})
            for (Index inputs : {16, 33, 256}) {
                CAPTURE(rows);
                CAPTURE(outputs);
                CAPTURE(inputs);
                const Floats x = draw(rows * inputs, 1), w = draw(inputs * outputs, 2);
                const Floats bias = draw(outputs, 3);
                Floats panels(static_cast<std::size_t>(panel_floats(inputs, outputs)));
                to_panels(panels.data(), w.data(), inputs, outputs);
                for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
                    Floats wanted(std::size_t(rows * outputs), 7.0f), got = wanted;
                    product(wanted.data(), dense_rows(x.data(), rows, inputs), w.data(), outputs, b,
                            false);
                    product_of_panels(got.data(), x.data(), rows, panels.data(), inputs, outputs,
                                      b);
                    CHECK(got == wanted);
                }
            }
}

TEST_CASE(
    "Direct convolution agrees with plain loops, and to the bit with the product of windows") {
    for (const Conv& c : kConvs) {
        CAPTURE(c.count);
        CAPTURE(c.height);
        CAPTURE(c.out_channels);
        const Floats x = draw(in_count(c), 1), w = draw(weight_count(c), 2);
        const Floats b = draw(c.out_channels, 3), dy = draw(out_count(c), 4);
        std::vector<double> y(dy.size()), dw(w.size());
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = b[i % b.size()];
        each_product(c, [&](Index to, Index from, Index weight) {
            y[std::size_t(to)] += double(x[std::size_t(from)]) * w[std::size_t(weight)];
            dw[std::size_t(weight)] += double(x[std::size_t(from)]) * dy[std::size_t(to)];
        });
        Floats out(dy.size(), 7.0f), same(dy.size(), 8.0f);
        convolve(out.data(), x.data(), w.data(), c, b.data(), false);
        check_near(out, y);
        const Bordered bordered(c, x);
        product(same.data(), bordered.rows, w.data(), c.out_channels, b.data(), false);
        CHECK(out == same);
        convolve(out.data(), x.data(), w.data(), c, nullptr, true);
        product(same.data(), bordered.rows, w.data(), c.out_channels, nullptr, true);
        CHECK(out == same);

        Floats gradient(w.size(), 7.0f), step = w;
        convolve_weights(gradient.data(), x.data(), dy.data(), c, 0, 1);
        check_near(gradient, dw);
        convolve_weights(step.data(), x.data(), dy.data(), c, 0.5f, -0.25f);
        for (std::size_t i = 0; i < dw.size(); ++i) dw[i] = 0.5 * double(w[i]) - 0.25 * dw[i];
        check_near(step, dw);
    }
}

TEST_CASE("Results are the same bits on one thread and on four at once") {
    const Conv& c = kConvs[0];
    const Floats x = draw(in_count(c), 1), w = draw(weight_count(c), 2), dy = draw(out_count(c), 4);
    auto compute = [&] {
        Floats all(dy.size() + w.size());
        convolve(all.data(), x.data(), w.data(), c, nullptr, true);
        convolve_weights(all.data() + dy.size(), x.data(), dy.data(), c, 0, 1);
        return all;
    };
    const Floats alone = compute();
    std::vector<Floats> together(4);
    std::vector<std::thread> threads;
    for (auto& out : together) threads.emplace_back([&] { out = compute(); });
    for (auto& thread : threads) thread.join();
    for (const auto& out : together) CHECK(out == alone);
}

TEST_CASE("Functions of one number are good to a few units in the last place") {
    Floats x, e, t, g;
    for (int i = -800; i <= 800; ++i) x.push_back(0.1f * float(i));
    e = t = g = x;
    const auto n = Index(x.size());
    exp(e.data(), x.data(), n), tanh(t.data(), x.data(), n), sigmoid(g.data(), x.data(), n);
    for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i]);
        CHECK(e[i] == doctest::Approx(std::exp(double(x[i]))).epsilon(4e-7));
        CHECK(std::abs(t[i] - std::tanh(double(x[i]))) < 4e-7);
        CHECK(std::abs(g[i] - 1 / (1 + std::exp(-double(x[i])))) < 4e-7);
    }
}

TEST_CASE("The library says which instruction set it was built for") {
    const std::string set = instruction_set();
    CHECK((set.starts_with("x86-64") || set == "aarch64"));
    MESSAGE(set);
}
