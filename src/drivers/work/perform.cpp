#include "drivers/work/perform.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <utility>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/codec/update.hpp"
#include "gossamer/tensor/identity.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::work {
namespace {

using Pause = std::function<bool()>;

// Bytes that a model here holds, as in a simulation, are looked through once for all who read them.
Status good_codec(const codec::Codec& codec, const tensor::Payload& payload, std::size_t count,
                  const PeerId& from) {
    const bool known = codec.traits().identity && payload.known_finite();
    auto status = known ? codec.check(payload.bytes(), count)
                        : codec::check_values(codec, payload.bytes(), count, FLT_MAX);
    if (status) return status;
    auto error = std::move(status).error();
    error.what = "the update of " + from.short_string() + ": " + error.what;
    return fail(std::move(error));
}

class Workshop {
public:
    explicit Workshop(Tools tools) : tools_(std::move(tools)) {}

    // A trainer, strategy or codec of the user's own may throw: a failed job, no more.
    Result<job::JobDone> operator()(job::Job& any, const Pause& pause) const try {
        return std::visit(
            [&](auto& j) -> Result<job::JobDone> {
                auto done = perform(j, pause);
                if (!done) return fail(std::move(done).error());
                return job::JobDone(std::move(*done));
            },
            any);
    } catch (const std::exception& e) {
        return fail(ErrorCode::kInternal, std::string("a job failed: ") + e.what());
    } catch (...) {
        return fail(ErrorCode::kInternal, "a job failed: what it threw tells nothing");
    }

private:
    Result<job::InitialModelDone> perform(job::InitialModelJob& j, const Pause&) const {
        auto buffer = tools_.pool->take_floats(j.out.layout()->parameter_count());
        tools_.trainer->initialise(buffer.floats(), tools_.seed);
        j.out.fill(std::move(buffer));
        return job::InitialModelDone{};
    }

    Result<job::TrainDone> perform(job::TrainJob& j, const Pause& pause) const;

    Result<job::EvaluateDone> perform(job::EvaluateJob& j, const Pause& pause) const {
        auto set = j.set == job::EvaluationSet::test ? training::EvaluationSet::test
                                                     : training::EvaluationSet::train;
        GOSSAMER_TRY(auto e, tools_.trainer->evaluate(j.model.values(), set, pause));
        return job::EvaluateDone{e.loss, e.accuracy, e.sample_count};
    }

    Result<job::EncodeDone> perform(job::EncodeJob& j, const Pause&) const {
        GOSSAMER_TRY(auto codec, tools_.codecs->find(j.codec));
        const auto values = j.model.values();
        codec::Encoded out;
        if (j.base.exists()) {
            auto room = j.model.sole() ? j.model.take() : tools_.pool->take_floats(values.size());
            GOSSAMER_TRY(out, encode_difference(*codec, std::move(room), values, j.base.values(),
                                                j.state, j.round));
        } else {
            GOSSAMER_TRY(out, encode(*codec, values, j.state, j.round));
        }
        const auto written = out.bytes.size_bytes();
        j.out.fill(std::move(out.bytes));
        return job::EncodeDone{written, std::move(out.residual)};
    }
    Result<codec::Encoded> encode(const codec::Codec& codec, std::span<const float> values,
                                  const job::State& residual, std::uint64_t round) const {
        return codec::encode_update(codec, values, residual, {tools_.seed, round, tools_.self},
                                    *tools_.pool);
    }
    // encode(a - b); the difference is made in `room`, where `a` may lie.
    Result<codec::Encoded> encode_difference(const codec::Codec& codec, tensor::Buffer room,
                                             std::span<const float> a, std::span<const float> b,
                                             const job::State& residual,
                                             std::uint64_t round) const {
        const bool finite = tensor::subtract(room.floats(), a, b);
        if (!codec.traits().identity)
            return encode(codec, std::as_const(room).floats(), residual, round);
        if (!finite) return fail(ErrorCode::kUpdateNotFinite, "the own update is not finite");
        return codec::Encoded{std::move(room), nullptr};
    }

    Result<job::DecodeDone> perform(job::DecodeJob& j, const Pause&) const {
        GOSSAMER_TRY(auto codec, tools_.codecs->find(j.codec));
        auto count = j.out.layout()->parameter_count();
        GOSSAMER_CHECK(good_codec(*codec, j.payload, count, j.from));
        if (codec->traits().identity && !j.base.exists()) {
            j.out.fill_with(j.payload);  // the bytes are the model: nothing to copy
            return job::DecodeDone{};
        }
        auto out = tools_.pool->take_floats(count);
        codec->decode(out.floats(), j.payload.bytes(), count, 0);
        if (j.base.exists())
            tensor::add(out.floats(), std::as_const(out).floats(), j.base.values());
        j.out.fill(std::move(out));
        return job::DecodeDone{};
    }

    Result<job::MixDone> perform(job::MixJob& j, const Pause&) const;

    Result<job::AccumulateDone> perform(job::AccumulateJob& j, const Pause&) const {
        GOSSAMER_TRY(auto codec, tools_.codecs->find(j.codec));
        auto part = j.sum.parts().lend(*tools_.pool);
        Status added;
        try {  // the part holds other updates too, and comes back whatever the codec does
            added = codec::add_encoded(part.words(), *codec, j.update.bytes(), j.weight, j.scale);
        } catch (const std::exception& e) {
            added = fail(ErrorCode::kInternal, std::string("the codec failed: ") + e.what());
        }
        j.sum.parts().give_back(std::move(part));
        if (!added) {
            auto error = std::move(added).error();
            error.what = "the update of " + j.from.short_string() + ": " + error.what;
            return fail(std::move(error));
        }
        return job::AccumulateDone{};
    }

    Result<job::ComputeDone> perform(job::ComputeJob& j, const Pause&) const {
        j.input.pool = tools_.pool;
        GOSSAMER_TRY(auto out, j.run(j.input));
        if (out.models.size() != j.out_models.size())
            return fail(ErrorCode::kInternal,
                        j.name + " made " + std::to_string(out.models.size()) +
                            " models instead of " + std::to_string(j.out_models.size()));
        for (std::size_t i = 0; i < out.models.size(); ++i) {
            if (out.models[i].size_bytes() != j.out_models[i].layout()->byte_count())
                return fail(ErrorCode::kInternal, j.name + " made a model of another size");
            if (j.finite && !tensor::all_finite(std::as_const(out.models[i]).floats()))
                return fail(ErrorCode::kModelNotFinite,
                            j.name + " made a model that is not finite on peer " +
                                tools_.self.short_string());
            j.out_models[i].fill(std::move(out.models[i]),
                                 j.finite ? tensor::Values::finite : tensor::Values::unknown);
        }
        return job::ComputeDone{std::move(out.state), std::move(out.result)};
    }

    Result<job::IdentifyDone> perform(job::IdentifyJob& j, const Pause&) const {
        return job::IdentifyDone{tensor::model_identity(j.model.bytes(), *j.model.layout())};
    }
    Result<job::SignDone> perform(job::SignJob& j, const Pause&) const {
        if (!tools_.sign) return fail(ErrorCode::kInternal, "this node holds no key");
        GOSSAMER_TRY(auto signature, tools_.sign(j.text));
        return job::SignDone{std::move(signature)};
    }
    Result<job::VerifyDone> perform(job::VerifyJob& j, const Pause&) const {
        return job::VerifyDone{tools_.verify && tools_.verify(j.text, j.signature, j.public_key)};
    }
    Result<job::CheckpointDone> perform(job::CheckpointJob& j, const Pause&) const {
        if (!tools_.checkpoint) return job::CheckpointDone{};
        GOSSAMER_TRY(auto path, tools_.checkpoint(j));
        return job::CheckpointDone{std::move(path)};
    }

    Tools tools_;
};

// All but the weights to start from. `codec`: of an encoded product.
training::TrainRequest request_of(const Tools& tools, const job::TrainJob& j,
                                  const codec::Codec* codec) {
    training::TrainRequest request;
    request.round = j.round;
    request.who = tools.self;
    request.seed = tools.seed;
    request.epochs = j.epochs;
    request.steps = j.steps;
    request.proximal_mu = j.proximal_mu;
    request.state = j.state;
    if (codec != nullptr) {
        request.product = training::Product::encoded, request.codec = codec;
        request.residual = j.residual;
    }
    return request;
}

Result<job::TrainDone> Workshop::perform(job::TrainJob& j, const Pause& pause) const {
    const bool encoded = j.product == job::TrainedAs::encoded;
    codec::CodecRef codec;
    if (encoded) {
        GOSSAMER_TRY(codec, tools_.codecs->find(j.codec));
    }
    auto request = request_of(tools_, j, codec.get());
    request.start = encoded ? j.start : std::move(j.start);  // the difference needs it once more
    request.pause = &pause;
    GOSSAMER_TRY(auto product, tools_.trainer->train(std::move(request), *tools_.pool));
    using training::Product;
    if (product.product != Product::weights && !(encoded && product.product == Product::encoded))
        return fail(
            ErrorCode::kTrainingFailed,
            "the trainer gave what was not asked of it in round " + std::to_string(j.round));
    const bool weights = product.product == Product::weights;
    const bool plain_difference = encoded && codec->traits().identity;  // checked as it is made
    const auto not_finite = [&] {
        return fail(ErrorCode::kModelNotFinite,
                    "training gave values that are not finite in round " + std::to_string(j.round) +
                        " on peer " + tools_.self.short_string());
    };
    if (!std::isfinite(product.loss) ||
        (weights && !plain_difference && !tools_.trainer->checks_finite() &&
         !tensor::all_finite(std::as_const(product.weights).floats())))
        return not_finite();
    job::TrainDone done{.sample_count = product.sample_count,
                        .step_count = product.step_count,
                        .loss = product.loss,
                        .state = std::move(product.state)};
    if (!encoded) {
        j.out.fill(std::move(product.weights), tensor::Values::finite);
        return done;
    }
    codec::Encoded update{std::move(product.weights), std::move(product.residual)};
    if (weights) {
        const auto trained = std::as_const(update.bytes).floats();
        auto difference = encode_difference(*codec, std::move(update.bytes), trained,
                                            j.start.values(), j.residual, j.round);
        if (!difference && difference.error().code == ErrorCode::kUpdateNotFinite)
            return not_finite();
        GOSSAMER_TRY(update, std::move(difference));
    }
    done.byte_count = update.bytes.size_bytes();
    done.residual = std::move(update.residual);
    j.encoded.fill(std::move(update.bytes));
    return done;
}

Result<job::MixDone> Workshop::perform(job::MixJob& j, const Pause&) const {
    job::MixDone done;
    auto count = j.self.layout()->parameter_count();
    std::ranges::sort(j.inputs, {}, &job::MixInput::from);
    double self_weight = j.self_weight;
    const auto leave_out = [&](const job::MixInput& input, Error error) {
        error.what = "the update of " + input.from.short_string() + ": " + error.what;
        self_weight += input.weight;
        done.refused.emplace_back(input.from, std::move(error));
    };
    std::vector<codec::CodecRef> codecs;  // keeps what the inputs point to
    std::vector<codec::MixInput> parts;
    std::vector<const job::MixInput*> inputs;  // behind the parts; null: our own
    GOSSAMER_TRY(auto plain, tools_.codecs->find("f32"));
    codec::MixCheck check;
    check.layout = j.self.layout().get();
    for (const auto& input : j.inputs) {
        auto codec = tools_.codecs->find(input.codec);
        auto fits =
            codec ? (*codec)->check(input.payload.bytes(), count) : Status(fail(codec.error()));
        if (!fits) {
            leave_out(input, std::move(fits).error());
            continue;
        }
        if (input.from < j.self_id) check.self = parts.size() + 1;
        codecs.push_back(*codec);
        parts.push_back({codec->get(), input.payload.bytes(), input.weight, {}});
        inputs.push_back(&input);
    }
    const auto self = static_cast<long>(check.self);
    parts.insert(parts.begin() + self, {plain.get(), j.self.bytes(), 0, {}});
    inputs.insert(inputs.begin() + self, nullptr);
    auto out = tools_.pool->take_floats(count);
    // Again without the one whose value is not finite, until none is left.
    while (true) {
        parts[check.self].weight = self_weight;
        auto mixed = codec::mix_encoded(out.floats(), parts, check);
        if (mixed) break;
        leave_out(*inputs[check.bad], std::move(mixed).error());
        parts.erase(parts.begin() + static_cast<long>(check.bad));
        inputs.erase(inputs.begin() + static_cast<long>(check.bad));
        check.self -= check.bad < check.self;
    }
    j.out.fill(std::move(out));
    done.distance = check.distance;
    return done;
}

}  // namespace

Perform make_perform(Tools tools) { return Workshop(std::move(tools)); }

std::shared_ptr<const void> foresee(const Tools& tools, const job::TrainJob& job) {
    codec::CodecRef codec;
    if (job.product == job::TrainedAs::encoded) {
        auto found = tools.codecs->find(job.codec);
        if (!found) return nullptr;
        codec = std::move(*found);
    }
    auto request = request_of(tools, job, codec.get());
    request.start = job.start;
    return tools.trainer->foresee(request, *tools.pool);
}

}  // namespace gossamer::work
