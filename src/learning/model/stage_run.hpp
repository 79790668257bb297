// What a stage needs to run, forth and back; one file a layer implements it (stages/).
//
// `kept` is what the way forth leaves for the way back, `work` is scratch that the next stage may
// overwrite; both are sized by kept_floats and work_floats for the plan's largest batch.
#pragma once

#include "gossamer/model/network.hpp"
#include "learning/model/maths/layers.hpp"

namespace gossamer::model {

using maths::Index;
inline Index index(std::size_t n) { return static_cast<Index>(n); }

// Where gradients of parameters go: out = keep · out + scale · gradient. keep 0 writes without
// reading; scale = -rate is the step itself.
struct Sink {
    float* out;
    float keep, scale;

    void take(std::size_t offset, const float* gradient, std::size_t count) const {
        float* to = out + offset;
        for (std::size_t i = 0; i < count; ++i)
            to[i] = (keep != 0.0f ? keep * to[i] : 0.0f) + scale * gradient[i];
    }
};

// Parameters: those that are learnt, and those that are not.
struct Values {
    const float *learnt, *frozen;

    const float* at(const Stage& s, Tensor tensor, std::size_t offset) const {
        return (s.learns(tensor) ? learnt : frozen) + offset;
    }
};

struct StageRun {
    const Stage& s;
    std::size_t count;  // samples
    const float *in, *shortcut;
    float *out, *kept, *work;
    Values values;
    bool training;
    std::uint64_t draws;  // of this stage and batch

    const float* weight() const { return values.at(s, weight_tensor, s.weight_offset); }
    const float* bias() const {
        return s.bias_count() > 0 ? values.at(s, bias_tensor, s.bias_offset) : nullptr;
    }
    const float* second() const { return values.at(s, second_tensor, s.second_offset); }
};
struct StageBack {
    const Stage& s;
    std::size_t count;
    const float *in, *out;
    float* delta;  // with respect to the output, before its activation; may be changed
    float* next;   // with respect to the input, to be written; null: not wanted
    float *kept, *work;
    Values values;
    Sink sink;
    std::uint64_t draws;

    const float* weight() const { return values.at(s, weight_tensor, s.weight_offset); }
    const float* second() const { return values.at(s, second_tensor, s.second_offset); }
};

// Samples are floats, also where they are numbers of entries; one outside is read as the last.
inline std::size_t entry_of(float value, std::size_t count) {
    return value >= 0 && value < static_cast<float>(count) ? static_cast<std::size_t>(value)
                                                           : count - 1;
}

// A stage's windows over `count` samples.
maths::Pool windows_of(const Stage& s, std::size_t count);

// Floats for `count` samples.
std::size_t kept_floats(const Stage& s, std::size_t count);
std::size_t work_floats(const Stage& s, std::size_t count, bool gradients);

void run_stage(const StageRun& run);
void run_back(const StageBack& run);

// Weight and bias of a product of `rows`, those of them that are learnt.
void learn(const Stage& s, const maths::Rows& rows, const float* delta, const Sink& sink);

// stages/*.cpp
void forward_dense(const StageRun& r);
void back_dense(const StageBack& r);
std::size_t adapter_work(const Stage& s, std::size_t count);
void forward_conv(const StageRun& r);
void back_conv(const StageBack& r);
std::size_t conv_work(const Stage& s, std::size_t count);
void forward_pool(const StageRun& r);
void back_pool(const StageBack& r);
void forward_norm(const StageRun& r);
void back_norm(const StageBack& r);
std::size_t norm_kept(const Stage& s, std::size_t count);
void forward_embedding(const StageRun& r);
void back_embedding(const StageBack& r);
void forward_position(const StageRun& r);
void back_position(const StageBack& r);
void forward_factors(const StageRun& r);
void back_factors(const StageBack& r);
void forward_recurrent(const StageRun& r);
void back_recurrent(const StageBack& r);
std::size_t recurrent_kept(const Stage& s, std::size_t count);
std::size_t recurrent_work(const Stage& s, std::size_t count);
void forward_attention(const StageRun& r);
void back_attention(const StageBack& r);
std::size_t attention_kept(const Stage& s, std::size_t count);
std::size_t attention_work(const Stage& s, std::size_t count);

}  // namespace gossamer::model
