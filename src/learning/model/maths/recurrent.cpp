// The element-wise parts of recurrent cells; the products between them are the caller's.
#include "learning/model/maths/functions.hpp"
#include "learning/model/maths/layers.hpp"

namespace gossamer::model::maths {

void lstm_step(float* h, float* c, float* gates, const float* from, const float* c_before,
               Index count, Index units) {
    for (Index b = 0; b < count; ++b) {
        float* i = gates + b * 4 * units;
        float *f = i + units, *g = f + units, *o = g + units;
        if (from)
            for (Index k = 0; k < 4 * units; ++k) i[k] += from[b * 4 * units + k];
        for (Index k = 0; k < units; ++k) {
            const Index at = b * units + k;
            i[k] = sigmoid_of(i[k]), f[k] = sigmoid_of(f[k]);
            g[k] = tanh_of(g[k]), o[k] = sigmoid_of(o[k]);
            c[at] = i[k] * g[k] + (c_before ? f[k] * c_before[at] : 0.0f);
            h[at] = o[k] * tanh_of(c[at]);
        }
    }
}

void lstm_step_back(float* gates, float* dc, const float* dh, const float* c, const float* c_before,
                    Index count, Index units) {
    for (Index b = 0; b < count; ++b) {
        float* i = gates + b * 4 * units;
        float *f = i + units, *g = f + units, *o = g + units;
        for (Index k = 0; k < units; ++k) {
            const Index at = b * units + k;
            const float t = tanh_of(c[at]), before = c_before ? c_before[at] : 0.0f;
            const float d = dc[at] + dh[at] * o[k] * (1.0f - t * t);
            dc[at] = d * f[k];
            const float di = d * g[k] * i[k] * (1.0f - i[k]);
            const float dg = d * i[k] * (1.0f - g[k] * g[k]);
            f[k] = d * before * f[k] * (1.0f - f[k]);
            o[k] = dh[at] * t * o[k] * (1.0f - o[k]);
            i[k] = di, g[k] = dg;
        }
    }
}

// h = (1 - z) · n + z · h_before, n = tanh(x·Wn + b + r · (h·Un)).
void gru_step(float* h, float* gates, const float* from, const float* h_before, Index count,
              Index units) {
    for (Index b = 0; b < count; ++b) {
        float* z = gates + b * 3 * units;
        float *r = z + units, *n = r + units;
        const float* u = from ? from + b * 3 * units : nullptr;
        for (Index k = 0; k < units; ++k) {
            z[k] = sigmoid_of(z[k] + (u ? u[k] : 0.0f));
            r[k] = sigmoid_of(r[k] + (u ? u[units + k] : 0.0f));
            n[k] = tanh_of(n[k] + (u ? r[k] * u[2 * units + k] : 0.0f));
            const float before = h_before ? h_before[b * units + k] : 0.0f;
            h[b * units + k] = (1.0f - z[k]) * n[k] + z[k] * before;
        }
    }
}

void gru_step_back(float* gates, float* from, float* dh, const float* h_before, Index count,
                   Index units) {
    for (Index b = 0; b < count; ++b) {
        float* z = gates + b * 3 * units;
        float *r = z + units, *n = r + units;
        float* u = from + b * 3 * units;
        for (Index k = 0; k < units; ++k) {
            float& d = dh[b * units + k];
            const float before = h_before ? h_before[b * units + k] : 0.0f;
            const float dn = d * (1.0f - z[k]) * (1.0f - n[k] * n[k]);
            const float dz = d * (before - n[k]) * z[k] * (1.0f - z[k]);
            const float dr = dn * u[2 * units + k] * r[k] * (1.0f - r[k]);
            d *= z[k];
            u[k] = dz, u[units + k] = dr, u[2 * units + k] = dn * r[k];
            z[k] = dz, r[k] = dr, n[k] = dn;
        }
    }
}

}  // namespace gossamer::model::maths
