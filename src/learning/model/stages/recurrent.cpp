// LSTM and GRU. Everything is turned time-major first, so that one step of all sequences is one
// block: the products with the input and all weight gradients then run over all steps at once, and
// only the recurrent product goes step by step.
#include "learning/model/stage_run.hpp"

#include <algorithm>

namespace gossamer::model {
namespace {

// kept, for N samples of T steps: x[T, N, in], gates[T, N, gates · H], cells[T, N, H] (LSTM) or
// recurrent products [T, N, 3H] (GRU), h[T, N, H].
struct Parts {
    std::size_t steps, count, in, units, gates;
    float *x, *z, *extra, *h;

    Parts(const Stage& s, std::size_t n, float* kept)
        : steps(s.width),
          count(n),
          in(s.channels),
          units(s.out_channels),
          gates(std::size_t{s.groups} * s.out_channels) {
        const std::size_t rows = steps * count;
        x = kept, z = x + rows * in, extra = z + rows * gates;
        h = extra + rows * (s.kind == LayerKind::lstm ? units : gates);
    }
    float* at(float* part, std::size_t t, std::size_t width) const {
        return part + t * count * width;
    }
};

// to[b][a] = from[a][b], elements of `width` floats.
void turn(float* to, const float* from, std::size_t a, std::size_t b, std::size_t width) {
    for (std::size_t i = 0; i < a; ++i)
        for (std::size_t j = 0; j < b; ++j)
            std::copy_n(from + (i * b + j) * width, width, to + (j * a + i) * width);
}

}  // namespace

std::size_t recurrent_kept(const Stage& s, std::size_t count) {
    const std::size_t gates = std::size_t{s.groups} * s.out_channels;
    const std::size_t extra = s.kind == LayerKind::lstm ? s.out_channels : gates;
    return count * s.width * (s.channels + gates + extra + s.out_channels);
}

std::size_t recurrent_work(const Stage& s, std::size_t count) {
    const std::size_t gates = std::size_t{s.groups} * s.out_channels;
    const auto panels = maths::panel_floats(index(std::max(s.channels, s.out_channels)),
                                            index(gates));  // or the weights turned
    return count * (gates + 3 * s.out_channels + s.width * (s.out_channels + s.channels)) +
           static_cast<std::size_t>(panels);
}

void forward_recurrent(const StageRun& r) {
    const Parts p(r.s, r.count, r.kept);
    const bool lstm = r.s.kind == LayerKind::lstm;
    const Index n = index(p.count), units = index(p.units), gates = index(p.gates);
    turn(p.x, r.in, p.count, p.steps, p.in);
    float* panels = r.work + p.count * p.gates;
    maths::to_panels(panels, r.weight(), index(p.in), gates);
    maths::product_of_panels(p.z, p.x, index(p.steps * p.count), panels, index(p.in), gates,
                             r.bias());
    maths::to_panels(panels, r.second(), units, gates);
    for (std::size_t t = 0; t < p.steps; ++t) {
        const float* before = t > 0 ? p.at(p.h, t - 1, p.units) : nullptr;
        float* from = lstm ? r.work : p.at(p.extra, t, p.gates);
        if (before)
            maths::product_of_panels(from, before, n, panels, units, gates, nullptr);
        else
            std::fill_n(from, p.count * p.gates, 0.0f);
        float* z = p.at(p.z, t, p.gates);
        float* h = p.at(p.h, t, p.units);
        if (lstm)
            maths::lstm_step(h, p.at(p.extra, t, p.units), z, from,
                             t > 0 ? p.at(p.extra, t - 1, p.units) : nullptr, n, units);
        else
            maths::gru_step(h, z, from, before, n, units);
    }
    turn(r.out, p.h, p.steps, p.count, p.units);
}

void back_recurrent(const StageBack& r) {
    const Parts p(r.s, r.count, r.kept);
    const bool lstm = r.s.kind == LayerKind::lstm;
    const Index n = index(p.count), units = index(p.units), gates = index(p.gates);
    const std::size_t block = p.count * p.units;
    float* delta = r.work;
    float* dx = delta + p.steps * block;
    float* dc = dx + p.steps * p.count * p.in;
    float* passed = dc + block;
    // Weights are turned once for all steps: products then read them as on the way forth, half as
    // fast again as sums along their rows.
    float* turned = passed + block;
    maths::turn_weights(turned, r.second(), 1, 1, units, gates);
    turn(delta, r.delta, p.count, p.steps, p.units);
    std::fill_n(dc, 2 * block, 0.0f);
    for (std::size_t t = p.steps; t-- > 0;) {
        float* dh = p.at(delta, t, p.units);
        const float* before = t > 0 ? p.at(p.h, t - 1, p.units) : nullptr;
        float* z = p.at(p.z, t, p.gates);
        float* from = lstm ? z : p.at(p.extra, t, p.gates);
        maths::add(dh, passed, index(block));
        if (lstm)
            maths::lstm_step_back(z, dc, dh, p.at(p.extra, t, p.units),
                                  t > 0 ? p.at(p.extra, t - 1, p.units) : nullptr, n, units);
        else
            maths::gru_step_back(z, from, dh, before, n, units);
        if (t == 0) break;
        maths::product(passed, maths::dense_rows(from, n, gates), turned, units, nullptr, false);
        if (!lstm) maths::add(passed, dh, index(block));
    }
    const Index rows = index(p.steps * p.count);
    if (r.next) {
        maths::turn_weights(turned, r.weight(), 1, 1, index(p.in), gates);
        maths::product(dx, maths::dense_rows(p.z, rows, gates), turned, index(p.in), nullptr,
                       false);
        turn(r.next, dx, p.steps, p.count, p.in);
    }
    learn(r.s, maths::dense_rows(p.x, rows, index(p.in)), p.z, r.sink);
    if (!r.s.learns(second_tensor)) return;
    float* recurrent = r.sink.out + r.s.second_offset;
    if (p.steps == 1) {  // nothing came from a step before
        for (std::size_t i = 0; i < r.s.second_count(); ++i)
            recurrent[i] = r.sink.keep != 0.0f ? r.sink.keep * recurrent[i] : 0.0f;
        return;
    }
    const float* from = lstm ? p.z : p.extra;
    maths::weight_gradient(recurrent, maths::dense_rows(p.h, rows - n, units),
                           from + p.count * p.gates, gates, r.sink.keep, r.sink.scale);
}

}  // namespace gossamer::model
