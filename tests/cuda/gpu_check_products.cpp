// What crosses the bus, and mixing, against loops written out plainly.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "learning/cuda/arithmetic.hpp"
#include "learning/cuda/emulation.hpp"
#include "tests/cuda/gpu_check.hpp"

namespace gossamer::cuda {
namespace {

class Vector {
public:
    Vector(const Api& api, const std::vector<float>& values) : api_(api), count_(values.size()) {
        gossamer_cuda_error error{};
        if (api.vector_create(0, values.size(), &v_, &error) != 0) stop(error);
        if (api.vector_write(v_, values.data(), &error) != 0) stop(error);
    }
    ~Vector() { api_.vector_destroy(v_); }
    Vector(const Vector&) = delete;
    Vector& operator=(const Vector&) = delete;
    gossamer_cuda_vector* get() const { return v_; }
    std::vector<float> read() const {
        std::vector<float> values(count_);
        gossamer_cuda_error error{};
        if (api_.vector_read(v_, values.data(), &error) != 0) stop(error);
        return values;
    }

private:
    const Api& api_;
    std::size_t count_;
    gossamer_cuda_vector* v_ = nullptr;
};

constexpr std::uint64_t kRounding = 0x0123456789abcdefull;

struct Encoded {
    std::vector<unsigned char> bytes;
    std::vector<float> residual;
    int code = 0;
    bool operator==(const Encoded&) const = default;
};

Encoded encode(const Api& api, std::uint32_t kind, const std::vector<float>& weights,
               const std::vector<float>& start, const std::vector<float>& residual, double clip,
               std::uint32_t top) {
    const Vector w(api, weights), s(api, start);
    Encoded e;
    e.bytes.resize(weights.size() * 8 + 64), e.residual.resize(weights.size());
    gossamer_cuda_product p{};
    p.kind = kind, p.top_count = top, p.clip_norm = clip, p.rounding = kRounding;
    p.residual = residual.empty() ? nullptr : residual.data();
    p.next_residual = e.residual.data();
    std::uint64_t size = 0;
    double seconds[2];
    gossamer_cuda_error error{};
    e.code =
        api.encode(w.get(), s.get(), &p, e.bytes.data(), e.bytes.size(), &size, seconds, &error);
    e.bytes.resize(e.code == 0 ? size : 0);
    return e;
}

template <class T>
void put(std::vector<unsigned char>& to, const T& value) {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    to.insert(to.end(), bytes, bytes + sizeof(T));
}

// Magnitudes added as the kernel does: of each 128 by fours, then by halves.
double sum_of_sizes(const float* v, std::size_t count) {
    std::vector<double> column(128), lane(32);
    for (std::size_t i = 0; i < count; ++i) column[i % 128] += double(std::abs(v[i]));
    for (std::size_t l = 0; l < 32; ++l)
        lane[l] = (column[4 * l] + column[4 * l + 2]) + (column[4 * l + 1] + column[4 * l + 3]);
    for (std::size_t width = 16; width > 0; width /= 2)
        for (std::size_t l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
}

void put_blocks(Encoded& e, const std::vector<float>& v, bool sign) {
    for (std::size_t at = 0; at < v.size(); at += 1024) {
        const std::size_t count = std::min<std::size_t>(1024, v.size() - at);
        float most = 0;
        for (std::size_t i = 0; i < count; ++i) most = std::max(most, std::abs(v[at + i]));
        const float scale =
            sign ? static_cast<float>(sum_of_sizes(&v[at], count) / double(count)) : most / 127.0f;
        const float factor = most > 0 ? 127.0f / most : 0.0f;
        const auto key = spread(kRounding + at / 1024 * 0x9e3779b97f4a7c15ull);
        put(e.bytes, scale);
        for (std::size_t i = 0; i < count; ++i) {
            const float x = v[at + i];
            const int q = int8_of(x, factor, int8_draw(key, static_cast<std::uint32_t>(i)));
            if (sign && i % 8 == 0) e.bytes.push_back(0);
            if (sign)
                e.bytes.back() |= static_cast<unsigned char>(!std::signbit(x) << (i % 8));
            else
                e.bytes.push_back(static_cast<unsigned char>(q));
            e.residual.push_back(x -
                                 (sign ? std::copysign(scale, x) : static_cast<float>(q) * scale));
        }
    }
}

Encoded plainly(std::uint32_t kind, const std::vector<float>& v, std::uint32_t top) {
    Encoded e;
    if (kind == GOSSAMER_CUDA_INT8 || kind == GOSSAMER_CUDA_SIGN) {
        put_blocks(e, v, kind == GOSSAMER_CUDA_SIGN);
        return e;
    }
    if (kind == GOSSAMER_CUDA_TOP) {
        std::vector<std::uint32_t> order(v.size());
        std::iota(order.begin(), order.end(), 0u);
        std::stable_sort(order.begin(), order.end(),
                         [&](auto a, auto b) { return std::abs(v[a]) > std::abs(v[b]); });
        order.resize(top);
        std::sort(order.begin(), order.end());
        put(e.bytes, top);
        for (auto i : order) put(e.bytes, i);
        e.residual = v;
        for (auto i : order) put(e.bytes, v[i]), e.residual[i] = 0;
        return e;
    }
    for (float x : v) {
        float back = x;
        if (kind == GOSSAMER_CUDA_F16)
            put(e.bytes, half_of(x)), back = float_of_half(half_of(x));
        else if (kind == GOSSAMER_CUDA_BF16)
            put(e.bytes, bfloat16_of(x)), back = float_of_bfloat16(bfloat16_of(x));
        else
            put(e.bytes, x);
        e.residual.push_back(x - back);
    }
    return e;
}

const char* const kNames[] = {"weights", "delta", "f16", "bf16", "int8", "sign", "top"};

}  // namespace

void check_products(const Api& api, bool emulated, bool few, Report& report) {
    std::vector<std::size_t> counts{1030, 4100};
    if (!few) counts.insert(counts.end(), {1, 5, 1023, 1024, 70001});
    for (std::uint32_t kind = GOSSAMER_CUDA_WEIGHTS; kind <= GOSSAMER_CUDA_TOP; ++kind) {
        bool good = true, same = true;
        for (std::size_t count : counts) {
            Numbers numbers(count + kind);
            const auto weights = numbers.vector(count, 2.0f), start = numbers.vector(count, 2.0f);
            auto residual = numbers.vector(count, 0.1f);
            if (count > 1000) residual.assign(count, 0), residual[7] = weights[7];  // ties, nearly
            const auto top = static_cast<std::uint32_t>((count + 9) / 10);
            std::vector<float> v(count);
            for (std::size_t i = 0; i < count; ++i) v[i] = (weights[i] - start[i]) + residual[i];
            const auto here = encode(api, kind, weights, start, residual, 0, top);
            good = good && here.code == 0 && here == plainly(kind, v, top);
            // Clipped: the sum of squares is added up in another order than plain code would.
            const auto clipped = encode(api, kind, weights, start, residual, 1.5, top);
            emulate_backwards(emulated);
            same = same && clipped.code == 0 &&
                   clipped == encode(emulation(), kind, weights, start, residual, 1.5, top);
            emulate_backwards(false);
        }
        report.add(std::string("encoding ") + kNames[kind], good, "to the bit");
        report.add(std::string("encoding ") + kNames[kind] + ", clipped", same,
                   "the same bits as on the processor");
    }
    // Equal magnitudes: the lowest indices are taken.
    std::vector<float> equal(5000, 0.25f), none(5000, 0.0f);
    for (std::size_t i = 0; i < equal.size(); i += 3) equal[i] = -0.25f;
    equal[4000] = 1;
    report.add("the largest of equal values",
               encode(api, GOSSAMER_CUDA_TOP, equal, none, {}, 0, 1200) ==
                   plainly(GOSSAMER_CUDA_TOP, equal, 1200));
    std::vector<float> bad(3000, 1.0f);
    bad[2999] = 70000;
    const std::vector<float> zeros(3000, 0.0f);
    const bool large =
        encode(api, GOSSAMER_CUDA_F16, bad, zeros, {}, 0, 1).code == GOSSAMER_CUDA_NOT_FINITE;
    bad[5] = NAN;
    bool refused = true;
    for (std::uint32_t kind = 0; kind <= GOSSAMER_CUDA_TOP; ++kind)
        refused =
            refused && encode(api, kind, bad, zeros, {}, 0, 1).code == GOSSAMER_CUDA_NOT_FINITE;
    report.add("values beyond an encoding are refused", large && refused);

    // The clipped norm itself.
    Numbers numbers(1);
    const auto weights = numbers.vector(50000, 1.0f);
    const auto out =
        encode(api, GOSSAMER_CUDA_DELTA, weights, std::vector<float>(50000, 0), {}, 1.5, 1);
    double squares = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        float x;
        std::memcpy(&x, out.bytes.data() + 4 * i, 4);
        squares += double(x) * x;
    }
    report.add("a clipped delta has the length asked for",
               std::abs(std::sqrt(squares) - 1.5) < 1e-5);
}

void check_mixing(const Api& api, bool few, Report& report) {
    std::vector<std::size_t> numbers_of_inputs{1, 8};
    if (!few) numbers_of_inputs.insert(numbers_of_inputs.end(), {3, 64, 70, 130});
    bool good = true;
    for (std::size_t inputs : numbers_of_inputs)
        for (std::size_t count : {1u, 1003u, 4096u}) {
            Numbers numbers(inputs * 31 + count);
            std::vector<std::vector<float>> values;
            std::vector<std::unique_ptr<Vector>> vectors;
            std::vector<const gossamer_cuda_vector*> list;
            std::vector<double> weights;
            for (std::size_t k = 0; k < inputs; ++k) {
                values.push_back(numbers.vector(count, 1.0f));
                vectors.push_back(std::make_unique<Vector>(api, values.back()));
                list.push_back(vectors.back()->get());
                weights.push_back(double(numbers.next() % 1000) * 0x1p-12);
            }
            gossamer_cuda_error error{};
            // Into the first of the inputs.
            if (api.mix(vectors[0]->get(), list.data(), weights.data(),
                        static_cast<std::uint32_t>(inputs), nullptr, &error) != 0)
                stop(error);
            const auto mixed = vectors[0]->read();
            for (std::size_t i = 0; i < count; ++i) {
                double sum = 0;
                for (std::size_t k = 0; k < inputs; ++k) sum += weights[k] * double(values[k][i]);
                good = good && mixed[i] == static_cast<float>(sum);
            }
        }
    report.add("mixing many vectors in place", good, "to the bit");
}

}  // namespace gossamer::cuda
