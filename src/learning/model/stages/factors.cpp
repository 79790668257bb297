// Matrix factorisation (Koren et al. 2009): a sample names a user and an item, and its value is the
// product of their factors, plus a bias of the user, of the item, and of all.
#include "learning/model/stage_run.hpp"

#include <algorithm>

namespace gossamer::model {
namespace {

struct Entry {
    std::size_t user, item;
};
Entry entry_of_sample(const Stage& s, const float* in, std::size_t sample) {
    const float* x = in + sample * s.in_count();
    return {entry_of(x[0], s.vocabulary), entry_of(x[1], s.items)};
}

// out = keep · out, without reading it when keep is 0.
void begin(float* out, std::size_t count, float keep) {
    if (keep == 0.0f)
        std::fill_n(out, count, 0.0f);
    else if (keep != 1.0f)
        maths::scale(out, index(count), keep);
}

}  // namespace

void forward_factors(const StageRun& r) {
    const Stage& s = r.s;
    const float *bias = r.bias(), *item_bias = bias + s.vocabulary;
    for (std::size_t i = 0; i < r.count; ++i) {
        const Entry e = entry_of_sample(s, r.in, i);
        const float* user = r.weight() + e.user * s.rank;
        const float* item = r.second() + e.item * s.rank;
        float sum = item_bias[s.items] + bias[e.user] + item_bias[e.item];
        for (std::size_t k = 0; k < s.rank; ++k) sum += user[k] * item[k];
        r.out[i] = sum;
    }
}

// All gradients are formed before the first is taken: two samples of a batch may name one user.
void back_factors(const StageBack& r) {
    const Stage& s = r.s;
    const std::size_t rank = s.rank;
    float* users = r.work;
    float* items = r.work + r.count * rank;
    for (std::size_t i = 0; i < r.count; ++i) {
        const Entry e = entry_of_sample(s, r.in, i);
        const float d = r.delta[i] * r.sink.scale;
        for (std::size_t k = 0; k < rank; ++k) {
            users[i * rank + k] = d * r.second()[e.item * rank + k];
            items[i * rank + k] = d * r.weight()[e.user * rank + k];
        }
    }
    float* to_users = r.sink.out + s.weight_offset;
    float* to_items = r.sink.out + s.second_offset;
    float* bias = r.sink.out + s.bias_offset;
    const bool learns_users = s.learns(weight_tensor), learns_items = s.learns(second_tensor);
    if (learns_users) begin(to_users, s.weight_count(), r.sink.keep);
    if (learns_items) begin(to_items, s.second_count(), r.sink.keep);
    if (s.learns(bias_tensor)) begin(bias, s.bias_count(), r.sink.keep);
    for (std::size_t i = 0; i < r.count; ++i) {
        const Entry e = entry_of_sample(s, r.in, i);
        const float d = r.delta[i] * r.sink.scale;
        if (learns_users) maths::add(to_users + e.user * rank, users + i * rank, index(rank));
        if (learns_items) maths::add(to_items + e.item * rank, items + i * rank, index(rank));
        if (!s.learns(bias_tensor)) continue;
        bias[e.user] += d;
        bias[s.vocabulary + e.item] += d;
        bias[s.vocabulary + s.items] += d;
    }
}

}  // namespace gossamer::model
