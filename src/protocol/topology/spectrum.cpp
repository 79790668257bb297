// The second singular value of one period's mixing matrix, by the Lanczos method on B'B with
// B = W(p-1)...W(1)W(0) - 11'/n, all vectors kept and orthogonalised twice: then a small number of
// steps finds the largest eigenvalue even where power iteration would crawl (a ring of hundreds).
#include <algorithm>
#include <cmath>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/topology/schedule.hpp"

namespace gossamer::topology {

namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

void add_scaled(Vector& y, double scale, const Vector& x) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += scale * x[i];
}

void remove_mean(Vector& x) {
    double mean = 0;
    for (double v : x) mean += v;
    mean /= static_cast<double>(x.size());
    for (double& v : x) v -= mean;
}

Vector mix(const Schedule& schedule, std::uint64_t step, const Vector& x, bool transposed) {
    Vector y(x.size());
    for (std::uint32_t i = 0; i < x.size(); ++i) {
        const double self = schedule.self_weight(i, step);
        y[i] += self * x[i];
        for (const Neighbour& from : schedule.in_neighbours(i, step)) {
            if (transposed)
                y[from.place] += from.weight() * x[i];
            else
                y[i] += from.weight() * x[from.place];
        }
    }
    return y;
}

Vector apply(const Schedule& schedule, Vector x) {  // B'B x
    const std::uint64_t period = schedule.period();
    remove_mean(x);
    for (std::uint64_t t = 0; t < period; ++t) x = mix(schedule, t, x, false);
    remove_mean(x);
    for (std::uint64_t t = period; t > 0; --t) x = mix(schedule, t - 1, x, true);
    remove_mean(x);
    return x;
}

// The largest eigenvalue of a symmetric tridiagonal matrix, by bisection on the signs of Sturm's
// sequence.
double largest_eigenvalue(const Vector& diagonal, const Vector& beside) {
    double low = 0, high = 0;
    for (std::size_t i = 0; i < diagonal.size(); ++i) {
        double radius =
            (i > 0 ? std::abs(beside[i - 1]) : 0) + (i < beside.size() ? std::abs(beside[i]) : 0);
        high = std::max(high, diagonal[i] + radius);
    }
    for (int round = 0; round < 100; ++round) {
        const double middle = (low + high) / 2;
        bool above = false;  // whether some eigenvalue is above the middle
        double pivot = 1;
        for (std::size_t i = 0; i < diagonal.size() && !above; ++i) {
            double coupling = i > 0 ? beside[i - 1] * beside[i - 1] : 0;
            pivot = diagonal[i] - middle - coupling / pivot;
            if (pivot == 0) pivot = -1e-300;
            above = pivot > 0;
        }
        (above ? low : high) = middle;
    }
    return (low + high) / 2;
}

}  // namespace

Spectrum spectrum(const Schedule& schedule) {
    const std::size_t n = schedule.place_count();
    Spectrum answer{.second = 0, .gap = 1, .period = schedule.period()};
    if (n < 2) return answer;

    constexpr std::size_t kStepsMax = 300;
    auto rng = stream(RunSeed{1}, Purpose::topology, n);
    Vector v(n);
    for (double& x : v) x = rng.normal();
    remove_mean(v);
    std::vector<Vector> basis;
    Vector diagonal, beside;
    double length = std::sqrt(dot(v, v));
    while (length > 1e-12 && basis.size() < std::min(n, kStepsMax)) {
        for (double& x : v) x /= length;
        if (!basis.empty()) beside.push_back(length);
        basis.push_back(v);
        v = apply(schedule, v);
        diagonal.push_back(dot(basis.back(), v));
        for (int twice = 0; twice < 2; ++twice)
            for (const Vector& b : basis) add_scaled(v, -dot(b, v), b);
        length = std::sqrt(dot(v, v));
    }
    answer.second = std::sqrt(std::max(0.0, largest_eigenvalue(diagonal, beside)));
    answer.gap = 1 - answer.second;
    return answer;
}

}  // namespace gossamer::topology
