#include "drivers/simulation/run_records.hpp"

#include "drivers/simulation/simulation_report.hpp"

namespace gossamer::simulation {

RunRecords::RunRecords(storage::Disk& disk, const std::string& root, Simulation& simulation,
                       std::function<WallTime()> clock)
    : disk_(disk), simulation_(simulation) {
    const auto& s = simulation.scenario();
    auto folder = storage::RunFolder::create(disk, root, s.run().name);
    if (folder) {
        path_ = folder->path();
        log_file_ = std::make_unique<storage::RecordFile>(disk, folder->log());
        log_.add_sink(
            {.least = telemetry::Level::debug,
             .who = "run=" + telemetry::logfmt_value(telemetry::harmless(s.run().name, 64))},
            [this](std::string_view line) { log_file_->append_line(line); });
        const auto text = s.config().to_toml();
        if (auto written = disk.replace_file(folder->config(), {{as_bytes(text)}}); !written)
            folder = fail(written.error());
    }
    telemetry::RecordedRun run{.name = s.run().name,
                               .mode = s.federated() ? "federated" : "gossip",
                               .me = s.id(s.federated() ? s.peers() : 0),
                               .round_max = s.run().rounds,
                               .host = "simulation",
                               .clock = std::move(clock)};
    recorder_ = std::make_unique<telemetry::Recorder>(disk, log_, nullptr, std::move(folder), run,
                                                      telemetry::telemetry_config(s.config()),
                                                      kWallBeginning);
    auto& chronicle = simulation.chronicle();
    if (s.federated())  // the aggregator speaks for the run
        chronicle.also = [this, speaker = s.peers()](Instant at, PlaceIndex place,
                                                     const message::Notice& notice) {
            if (place != speaker) return;
            recorder_->take(notice, wall(at));
            if (const auto* round = std::get_if<message::RoundFinished>(&notice))
                note_traffic(round->round);
        };
    else
        chronicle.also = [this, &chronicle](Instant at, PlaceIndex place,
                                            const message::Notice& notice) {
            // What is no figure of a step is told as the first peer sees it.
            if (place == 0 && (std::holds_alternative<message::MemberChanged>(notice) ||
                               std::holds_alternative<message::CaughtUp>(notice) ||
                               std::holds_alternative<message::Warning>(notice)))
                recorder_->take(notice, wall(at));
            if (chronicle.settled() > next_row_) write_rows(chronicle.settled());
        };
}

RunRecords::~RunRecords() { simulation_.chronicle().also = nullptr; }

WallTime RunRecords::wall(Instant at) const { return kWallBeginning + (at - World::kBeginning); }

void RunRecords::follow() { recorder_->flush(wall(simulation_.world().now())); }

// With its round, not when somebody looks: records of two runs are to be alike.
void RunRecords::note_traffic(std::uint64_t round) {
    const auto& rows = simulation_.chronicle().rows();
    if (const auto row = rows.find(round); row != rows.end())
        recorder_->on_traffic(row->second.bytes, row->second.bytes, wall(row->second.at));
}

// In gossip nobody speaks for all: rows are the means over the peers.
void RunRecords::write_rows(std::uint64_t before) {
    const auto& rows = simulation_.chronicle().rows();
    for (auto it = rows.lower_bound(next_row_); it != rows.end() && it->first < before; ++it) {
        const auto& [round, row] = *it;
        const auto at = wall(row.at);
        if (row.train_loss.count)
            recorder_->take(message::Trained{.round = round, .loss = row.train_loss.mean()}, at);
        if (row.distance.count)
            recorder_->take(message::Mixed{.step = round, .distance = row.distance.mean()}, at);
        if (row.accuracy.count)
            recorder_->take(message::Evaluated{.round = round,
                                               .where = "local",
                                               .loss = row.loss.mean(),
                                               .accuracy = row.accuracy.mean(),
                                               .sample_count = row.accuracy.count},
                            at);
        note_traffic(round);
    }
    next_row_ = std::max(next_row_, before);
}

Status RunRecords::finish(const Outcome& outcome) {
    const auto& scenario = simulation_.scenario();
    const auto at = wall(simulation_.world().now());
    if (!scenario.federated()) {
        write_rows(~std::uint64_t{0});
        recorder_->take(
            message::RunEnded{simulation_.chronicle().round(), outcome.end, outcome.reached}, at);
    }
    const auto bytes = simulation_.world().counts().sent_bytes;
    recorder_->on_traffic(bytes, bytes, at);
    Status written;
    const auto keep = [&](Status status) {
        if (written && !status) written = std::move(status);
    };
    if (const auto& folder = recorder_->folder()) {
        if (auto model = simulation_.model(scenario.federated() ? scenario.peers() : 0);
            !model.empty())
            keep(assembly::save_whole(disk_, folder->final_model(), scenario.learning().plans(),
                                      *scenario.learning().layout(), model,
                                      {{"run", scenario.run().name}}));
        keep(telemetry::write_report(disk_, folder->report(), report_of(simulation_, outcome)));
    }
    recorder_->finish(at, outcome.end == "interrupted" ? "stopped" : "finished",
                      [&](auto& summary) { fill_summary(summary, scenario, outcome); });
    if (written && recorder_->first_loss()) return fail(*recorder_->first_loss());
    return written;
}

}  // namespace gossamer::simulation
