// A daemon with a trainer and a codec of its own, on public headers alone. From the round on that
// `fault.round` names, its trainer hands out NaN as if nothing were wrong, or, where `fault.sends`
// says so, its codec "careless" sends NaN that was never in the model. Built twice: as a peer and
// as an aggregator.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "gossamer/program.hpp"

using namespace gossamer;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
std::atomic<bool> spoil_what_is_sent = false;

// Every weight goes a tenth of the way to 1 a round.
class TowardsOne final : public training::Trainer {
public:
    TowardsOne(std::uint64_t fault_round, bool fault_sends)
        : fault_round_(fault_round), fault_sends_(fault_sends) {
        auto layout = std::make_shared<tensor::Layout>();
        layout->add("weights", {64});
        layout_ = std::move(layout);
    }
    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return 100; }
    void initialise(std::span<float> parameters, RunSeed) const override {
        std::ranges::fill(parameters, 0.0f);
    }
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        training::TrainProduct product;
        auto start = request.start.values();
        product.weights = pool.take_floats(start.size());
        auto weights = product.weights.floats();
        for (std::size_t i = 0; i < start.size(); ++i)
            weights[i] = start[i] + 0.1f * (1 - start[i]);
        if (fault_round_ && request.round >= fault_round_) {
            if (fault_sends_)
                spoil_what_is_sent = true;
            else
                weights[17] = kNaN;
        }
        product.sample_count = sample_count();
        product.step_count = 1;
        return product;
    }
    Result<training::Evaluation> evaluate(std::span<const float> parameters,
                                          training::EvaluationSet,
                                          const training::Pause&) override {
        double distance = 0;
        for (float w : parameters) distance += (1.0 - w) * (1.0 - w);
        return training::Evaluation{distance, 0, 1};
    }

private:
    const std::uint64_t fault_round_;
    const bool fault_sends_;
    tensor::LayoutRef layout_;
};

class Careless final : public codec::Codec {
public:
    codec::CodecTraits traits() const override {
        return {.name = "careless", .wire_id = 200, .block_bytes = codec::kBlock * sizeof(float)};
    }
    std::size_t bytes_max(std::size_t count) const override { return count * sizeof(float); }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const codec::EncodeState&) const override {
        std::memcpy(out.data(), values.data(), values.size_bytes());
        if (spoil_what_is_sent) std::memcpy(out.data() + 17 * sizeof kNaN, &kNaN, sizeof kNaN);
        return values.size_bytes();
    }
    Status check(ByteView encoded, std::size_t count) const override {
        if (encoded.size() == bytes_max(count)) return {};
        return fail(ErrorCode::kUpdateSize, "not an encoding of so many values");
    }
    void decode(std::span<float> out, ByteView encoded, std::size_t,
                std::size_t first) const override {
        std::memcpy(out.data(), encoded.data() + first * sizeof(float), out.size_bytes());
    }
};

}  // namespace

int main(int argc, char** argv) {
    Extensions mine;
    mine.options = {{.key = "fault.round",
                     .kind = OptionKind::integer,
                     .fallback = std::int64_t{0},
                     .reason = "The first round whose training gives NaN; 0: none.",
                     .least = 0},
                    {.key = "fault.sends",
                     .kind = OptionKind::boolean,
                     .fallback = false,
                     .reason = "The training is sound, and the codec sends NaN."}};
    mine.trainer = [](const OptionSource& options) -> Result<std::shared_ptr<training::Trainer>> {
        return std::make_shared<TowardsOne>(
            static_cast<std::uint64_t>(options.integer("fault.round")),
            options.flag("fault.sends"));
    };
    mine.codecs.push_back(std::make_shared<Careless>());
    return GOSSAMER_RUN(argc, argv, mine);
}
