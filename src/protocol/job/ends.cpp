#include "protocol/job/ends.hpp"

#include <utility>

namespace gossamer::job {

namespace {

using tensor::Handle;

void add(std::vector<const Handle*>& list, const Handle& handle) {
    if (handle.exists()) list.push_back(&handle);
}

struct FindEnds {
    Ends ends;

    void in(const Handle& handle) { add(ends.inputs, handle); }
    void out(const Handle& handle) { add(ends.outputs, handle); }

    void operator()(const InitialModelJob& j) { out(j.out); }
    void operator()(const TrainJob& j) { in(j.start), out(j.out), out(j.encoded); }
    void operator()(const EvaluateJob& j) { in(j.model); }
    void operator()(const EncodeJob& j) { in(j.model), in(j.base), out(j.out); }
    void operator()(const DecodeJob& j) { in(j.payload), in(j.base), out(j.out); }
    void operator()(const MixJob& j) {
        in(j.self), out(j.out);
        for (const auto& input : j.inputs) in(input.payload);
    }
    void operator()(const AccumulateJob& j) { in(j.update), ends.sum = j.sum.key(); }
    void operator()(const ComputeJob& j) {
        for (const auto& m : j.input.models) in(m);
        for (const auto& p : j.input.payloads) in(p);
        for (const auto& m : j.out_models) out(m);
        if (j.input.sum.exists()) ends.sum = j.input.sum.key();
    }
    void operator()(const IdentifyJob& j) { in(j.model); }
    void operator()(const SignJob&) {}
    void operator()(const VerifyJob&) {}
    void operator()(const CheckpointJob& j) { in(j.model); }
};

}  // namespace

Ends ends_of(const Job& any) {
    FindEnds find;
    std::visit(find, any);
    return std::move(find.ends);
}

}  // namespace gossamer::job
