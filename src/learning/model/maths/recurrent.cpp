// The element-wise parts of recurrent cells; the products between them are the caller's. Each loop
// is over one sequence's units and names what does not overlap, or it would not become vectors.
#include "learning/model/maths/functions.hpp"
#include "learning/model/maths/layers.hpp"

#define GOSSAMER_LOOP __attribute__((noinline)) void

namespace gossamer::model::maths {
namespace {

GOSSAMER_LOOP lstm_cell(float* __restrict c, const float* __restrict i, const float* __restrict f,
                        const float* __restrict g, const float* __restrict before, Index units) {
    if (before)
        for (Index k = 0; k < units; ++k) c[k] = i[k] * g[k] + f[k] * before[k];
    else
        for (Index k = 0; k < units; ++k) c[k] = i[k] * g[k];
}

GOSSAMER_LOOP multiply(float* __restrict y, const float* __restrict x, Index n) {
    for (Index k = 0; k < n; ++k) y[k] *= x[k];
}

// `before` is c itself, times `share` 0, in the first step.
GOSSAMER_LOOP lstm_cell_back(float* __restrict i, float* __restrict f, float* __restrict g,
                             float* __restrict o, float* __restrict dc, const float* __restrict dh,
                             const float* c, const float* before, float share, Index units) {
    for (Index k = 0; k < units; ++k) {
        const float t = tanh_of(c[k]);
        const float d = dc[k] + dh[k] * o[k] * (1.0f - t * t);
        const float di = d * g[k] * i[k] * (1.0f - i[k]);
        const float dg = d * i[k] * (1.0f - g[k] * g[k]);
        dc[k] = d * f[k];
        f[k] = d * (share * before[k]) * f[k] * (1.0f - f[k]);
        o[k] = dh[k] * t * o[k] * (1.0f - o[k]);
        i[k] = di, g[k] = dg;
    }
}

GOSSAMER_LOOP gru_new(float* __restrict n, const float* __restrict r, const float* __restrict un,
                      Index units) {
    for (Index k = 0; k < units; ++k) n[k] += r[k] * un[k];
}

GOSSAMER_LOOP gru_mix(float* __restrict h, const float* __restrict z, const float* __restrict n,
                      const float* __restrict before, Index units) {
    if (before)
        for (Index k = 0; k < units; ++k) h[k] = (1.0f - z[k]) * n[k] + z[k] * before[k];
    else
        for (Index k = 0; k < units; ++k) h[k] = (1.0f - z[k]) * n[k];
}

template <bool First>
GOSSAMER_LOOP gru_cell_back(float* __restrict z, float* __restrict r, float* __restrict n,
                            float* __restrict uz, float* __restrict ur, float* __restrict un,
                            float* __restrict dh, const float* __restrict before, Index units) {
    for (Index k = 0; k < units; ++k) {
        const float d = dh[k];
        const float dn = d * (1.0f - z[k]) * (1.0f - n[k] * n[k]);
        const float dz = d * ((First ? 0.0f : before[k]) - n[k]) * z[k] * (1.0f - z[k]);
        const float dr = dn * un[k] * r[k] * (1.0f - r[k]);
        dh[k] = d * z[k];
        uz[k] = dz, ur[k] = dr, un[k] = dn * r[k];
        z[k] = dz, r[k] = dr, n[k] = dn;
    }
}

}  // namespace

void lstm_step(float* h, float* c, float* gates, const float* from, const float* c_before,
               Index count, Index units) {
    if (from) add(gates, from, count * 4 * units);
    for (Index b = 0; b < count; ++b) {
        float* i = gates + b * 4 * units;
        float *f = i + units, *g = f + units, *o = g + units;
        sigmoid(i, i, 2 * units);
        tanh(g, g, units);
        sigmoid(o, o, units);
        const Index at = b * units;
        lstm_cell(c + at, i, f, g, c_before ? c_before + at : nullptr, units);
        tanh(h + at, c + at, units);
        multiply(h + at, o, units);
    }
}

void lstm_step_back(float* gates, float* dc, const float* dh, const float* c, const float* c_before,
                    Index count, Index units) {
    for (Index b = 0; b < count; ++b) {
        float* i = gates + b * 4 * units;
        const Index at = b * units;
        lstm_cell_back(i, i + units, i + 2 * units, i + 3 * units, dc + at, dh + at, c + at,
                       (c_before ? c_before : c) + at, c_before ? 1.0f : 0.0f, units);
    }
}

// h = (1 - z) · n + z · h_before, n = tanh(x·Wn + b + r · (h·Un)).
void gru_step(float* h, float* gates, const float* from, const float* h_before, Index count,
              Index units) {
    for (Index b = 0; b < count; ++b) {
        float* z = gates + b * 3 * units;
        float *r = z + units, *n = r + units;
        const float* u = from ? from + b * 3 * units : nullptr;
        if (u) add(z, u, 2 * units);
        sigmoid(z, z, 2 * units);
        if (u) gru_new(n, r, u + 2 * units, units);
        tanh(n, n, units);
        gru_mix(h + b * units, z, n, h_before ? h_before + b * units : nullptr, units);
    }
}

void gru_step_back(float* gates, float* from, float* dh, const float* h_before, Index count,
                   Index units) {
    for (Index b = 0; b < count; ++b) {
        float* z = gates + b * 3 * units;
        float* u = from + b * 3 * units;
        const auto cell = h_before ? gru_cell_back<false> : gru_cell_back<true>;
        cell(z, z + units, z + 2 * units, u, u + units, u + 2 * units, dh + b * units,
             h_before ? h_before + b * units : nullptr, units);
    }
}

}  // namespace gossamer::model::maths
