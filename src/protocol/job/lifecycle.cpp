#include "gossamer/job/lifecycle.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace gossamer::job {

OptionTable run_options() {
    using K = OptionKind;
    return {
        {"run.name", K::text, std::string("run"), "",
         "Names the run; all its members need the same name."},
        {"run.mode",
         K::choice,
         std::string("federated"),
         "",
         "gossip: peers average with neighbours; federated: an aggregator averages their updates.",
         {"gossip", "federated"}},
        {"run.rounds",
         K::integer,
         std::int64_t{20},
         "rounds",
         "Ends the run after so many rounds (gossip: steps); 0 = no limit.",
         {},
         0,
         1e12},
        {"run.target_accuracy",
         K::real,
         0.0,
         "",
         "Ends the run when a model reaches this test accuracy; 0 = none.",
         {},
         0,
         1},
        {"run.patience",
         K::integer,
         std::int64_t{0},
         "evaluations",
         "Ends the run after so many evaluations without a better accuracy; 0 = never.",
         {},
         0,
         1e9},
        {"run.wall_time",
         K::duration,
         Duration{0},
         "",
         "Ends the run after this time, restarts included; \"0s\" = no limit.",
         {},
         0,
         1e9},
        {"run.seed",
         K::integer,
         std::int64_t{1},
         "",
         "All randomness comes from it: the same seed and the same events give the same bits.",
         {},
         0,
         9e18},
        {"run.peers",
         K::integer,
         std::int64_t{1},
         "peers",
         "How many peers must be here before the run begins; the daemon says whom it waits for.",
         {},
         1,
         1e6},
        {"run.roster", K::text_list, std::vector<std::string>{}, "",
         "The PeerIds (64 hex digits) that take part; empty = whoever has a certificate of the "
         "federation and joins."},
        {"run.folder", K::text, std::string("runs"), "",
         "Where run folders are made, one a run and daemon, with its records and checkpoints. The "
         "peer book, of whom this peer knows, lies beside them."},
        {"run.resume", K::boolean, true, "",
         "Go on in the newest run folder of this name that this peer made itself, where its run is "
         "not over and no other process writes there: from its last checkpoint when there is one. "
         "Otherwise a new folder is begun."},
    };
}

Result<RunConfig> run_config(const OptionSource& source) {
    RunConfig run;
    auto count = [&](std::string_view key) {
        return static_cast<std::uint64_t>(source.integer(key));
    };
    run.name = source.text("run.name");
    run.mode =
        source.text("run.mode") == "gossip" ? message::Mode::gossip : message::Mode::federated;
    run.rounds = count("run.rounds");
    run.target_accuracy = source.real("run.target_accuracy");
    run.patience = count("run.patience");
    run.wall_time = source.duration("run.wall_time");
    run.seed = {count("run.seed")};
    run.peers = count("run.peers");
    run.folder = source.text("run.folder");
    run.resume = source.flag("run.resume");
    for (const auto& text : source.text_list("run.roster")) {
        auto id = PeerId::parse(text);
        if (!id)
            return fail(ErrorCode::kConfigType, "run.roster: \"" + text + "\" is no PeerId",
                        "A PeerId is 64 hex digits; `gossamer identity show` prints it.");
        run.roster.push_back(*id);
    }
    std::sort(run.roster.begin(), run.roster.end());
    run.roster.erase(std::unique(run.roster.begin(), run.roster.end()), run.roster.end());
    if (!run.roster.empty() && run.roster.size() < run.peers)
        return fail(ErrorCode::kConfigConflict,
                    fmt::format("run.peers = {}, but run.roster names only {}", run.peers,
                                run.roster.size()));
    if (run.rounds == 0 && run.target_accuracy == 0 && run.patience == 0 &&
        run.wall_time == Duration{})
        return fail(ErrorCode::kConfigConflict,
                    "run.rounds, run.target_accuracy, run.patience and run.wall_time are all 0",
                    "Set one of them, so that the run ends.");
    if (run.mode == message::Mode::gossip && run.rounds == 0)
        return fail(ErrorCode::kConfigConflict, "run.rounds = 0 with run.mode = gossip",
                    "Gossip peers need a common last step: set run.rounds.");
    return run;
}

SharedSettings::SharedSettings(const RunConfig& run, const Digest128& layout) {
    bool gossip = run.mode == message::Mode::gossip;
    add("run.name", run.name);
    add("run.mode", gossip ? "gossip" : "federated");
    add("run.seed", std::to_string(run.seed.value));
    add("model layout", layout.to_string());
    if (!gossip) return;
    add("run.rounds", std::to_string(run.rounds));
    std::string members;
    for (const auto& id : run.roster) members += id.to_string() + " ";
    add("run.roster", members);
}

void SharedSettings::add(std::string_view key, std::string_view value) {
    auto line = std::string(key) + " = " + std::string(value);
    lines_.insert(std::upper_bound(lines_.begin(), lines_.end(), line), std::move(line));
}

Digest128 SharedSettings::digest() const {
    ByteWriter out;
    for (const auto& line : lines_) out.put_text(line);
    return digest128(out.view());
}

StopRule::StopRule(const RunConfig& run)
    : rounds_(run.rounds),
      patience_(run.patience),
      target_(run.target_accuracy),
      wall_time_(run.wall_time) {}

void StopRule::end(std::string reason) {
    if (!reason_) reason_ = std::move(reason);
}

void StopRule::on_begin(Instant now) { begun_ = now; }

void StopRule::on_round(std::uint64_t completed) {
    if (rounds_ != 0 && completed >= rounds_)
        end(fmt::format("{} {} complete", completed, completed == 1 ? "round is" : "rounds are"));
}

void StopRule::on_evaluation(std::uint64_t round, double accuracy, double loss) {
    const double score = std::isnan(accuracy) ? -loss : accuracy;
    if (score > best_) {
        best_ = score, best_round_ = round, without_better_ = 0;
    } else {
        ++without_better_;
    }
    judge();
}

void StopRule::judge() {
    if (target_ > 0 && best_ >= target_)
        end(fmt::format("accuracy {:.4g} reached the target {:.4g}", best_, target_));
    if (patience_ != 0 && without_better_ >= patience_)
        end(fmt::format("no better {} than {:.4g} of round {} in {} evaluations",
                        best_ < 0 ? "loss" : "accuracy", std::abs(best_), best_round_,
                        without_better_));
}

void StopRule::on_time(Instant now) {
    if (now >= deadline())
        end(fmt::format("the wall time of {} is used up", format_duration(wall_time_)));
}

Instant StopRule::deadline() const {
    if (wall_time_ == Duration{} || begun_.is_never() || reason_) return Instant::never();
    return begun_ + (wall_time_ - used_before_);
}

Bytes StopRule::save(Instant now) const {
    ByteWriter out;
    auto used = begun_.is_never() ? used_before_ : used_before_ + (now - begun_);
    out.put(used.count()), out.put(best_), out.put(best_round_), out.put(without_better_);
    return out.take();
}

bool StopRule::load(ByteView saved) {
    ByteReader in(saved);
    auto used = in.get<Duration::rep>();
    auto best = in.get<double>();
    auto best_round = in.get<std::uint64_t>(), without_better = in.get<std::uint64_t>();
    if (!in.at_end() || used < 0) return false;
    used_before_ = Duration{used};
    best_ = best, best_round_ = best_round, without_better_ = without_better;
    judge();
    return true;
}

}  // namespace gossamer::job
