#include "gossamer/training/options.hpp"

namespace gossamer::training {
namespace {

Option real(std::string key, double fallback, std::string reason, double least, double most,
            std::string unit = {}) {
    return {std::move(key),
            OptionKind::real,
            fallback,
            std::move(unit),
            std::move(reason),
            {},
            least,
            most};
}
Option whole(std::string key, std::int64_t fallback, std::string unit, std::string reason,
             double least, double most) {
    return {std::move(key),
            OptionKind::integer,
            fallback,
            std::move(unit),
            std::move(reason),
            {},
            least,
            most};
}

}  // namespace

OptionTable training_options() {
    using K = OptionKind;
    return {
        {"training.optimizer",
         K::choice,
         std::string("sgd"),
         "",
         "Plain sgd is fastest and keeps no state; adam and adamw keep two more model sizes.",
         {"sgd", "adam", "adamw"}},
        real("training.learning_rate", 0.05, "Lower it when the loss becomes NaN or jumps.", 1e-12,
             1e3),
        real("training.momentum", 0.0,
             "Of sgd; 0.9 often learns faster, and costs one more model size of memory.", 0,
             0.9999),
        {"training.nesterov", K::boolean, false, "",
         "Looks ahead along the momentum; needs training.momentum above 0."},
        real("training.weight_decay", 0.0, "Pulls weights towards 0 against overfitting.", 0, 10),
        real("training.clip_norm", 0.0,
             "Longest gradient of a batch, in the Euclidean norm; 0 = any length.", 0, 1e9),
        real("training.beta1", 0.9, "Memory of adam's mean.", 0, 0.999999),
        real("training.beta2", 0.999, "Memory of adam's variance.", 0, 0.9999999),
        real("training.epsilon", 1e-8, "Keeps adam from dividing by 0.", 1e-16, 1),
        whole("training.batch_size", 10, "samples",
              "Small batches learn most per sample seen; large ones run faster.", 1, 65536),
        {"training.schedule",
         K::choice,
         std::string("constant"),
         "",
         "How the learning rate changes: constant; step (times schedule_factor every "
         "schedule_length); cosine (down to schedule_factor over schedule_length); inverse "
         "(1 / (1 + t / schedule_length)).",
         {"constant", "step", "cosine", "inverse"}},
        whole("training.schedule_length", 1000, "batches", "See training.schedule.", 1, 1e12),
        real("training.schedule_factor", 0.1, "See training.schedule.", 0, 1),
        whole("training.warmup", 0, "batches",
              "The learning rate rises in equal steps over the first batches; steadies adam and "
              "large rates.",
              0, 1e12),
        {"training.device",
         K::choice,
         std::string("cpu"),
         "",
         "Where to train: cpu; cuda (refuses to start without a card that runs the model); auto "
         "(the "
         "card where there is one, else the processor; the log says which and why). A card pays "
         "for large models and batches; results differ in the last digits.",
         {"cpu", "cuda", "auto"}},
        whole("training.device_number", 0, "", "Which card, as nvidia-smi counts them.", 0, 1024),
    };
}

Result<TrainingConfig> training_config(const OptionSource& options) {
    TrainingConfig config;
    auto& o = config.optimiser;
    const auto& name = options.text("training.optimizer");
    o.kind = name == "adam"    ? OptimiserKind::adam
             : name == "adamw" ? OptimiserKind::adamw
                               : OptimiserKind::sgd;
    o.momentum = options.real("training.momentum");
    o.nesterov = options.flag("training.nesterov");
    o.weight_decay = options.real("training.weight_decay");
    o.clip_norm = options.real("training.clip_norm");
    o.beta1 = options.real("training.beta1");
    o.beta2 = options.real("training.beta2");
    o.epsilon = options.real("training.epsilon");
    if (o.kind != OptimiserKind::sgd && (o.momentum != 0 || o.nesterov))
        return fail(
            ErrorCode::kConfigConflict,
            "training.momentum and training.nesterov are of sgd, but training.optimizer is " + name,
            "remove them, or use training.beta1");
    if (o.nesterov && o.momentum == 0)
        return fail(ErrorCode::kConfigConflict,
                    "training.nesterov is on, but training.momentum is 0");
    auto& s = config.schedule;
    const auto& kind = options.text("training.schedule");
    s.kind = kind == "step"      ? ScheduleKind::step
             : kind == "cosine"  ? ScheduleKind::cosine
             : kind == "inverse" ? ScheduleKind::inverse
                                 : ScheduleKind::constant;
    s.rate = options.real("training.learning_rate");
    s.length = static_cast<std::uint64_t>(options.integer("training.schedule_length"));
    s.factor = options.real("training.schedule_factor");
    s.warmup = static_cast<std::uint64_t>(options.integer("training.warmup"));
    config.batch_size = static_cast<std::uint32_t>(options.integer("training.batch_size"));
    const auto& device = options.text("training.device");
    config.device = device == "cuda"   ? Device::cuda
                    : device == "auto" ? Device::automatic
                                       : Device::cpu;
    config.device_number = static_cast<std::uint32_t>(options.integer("training.device_number"));
    return config;
}

}  // namespace gossamer::training
