#include "drivers/program/daemon_program.hpp"

#include <sys/utsname.h>

#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <sodium.h>

#include "drivers/assembly/claimed_folder.hpp"
#include "drivers/assembly/member.hpp"
#include "drivers/assembly/records.hpp"
#include "drivers/program/config_check.hpp"
#include "drivers/program/daemon_flags.hpp"
#include "drivers/program/exit_code.hpp"
#include "drivers/program/version.hpp"
#include "drivers/runtime/control.hpp"
#include "drivers/runtime/daemon.hpp"
#include "drivers/runtime/status_json.hpp"
#include "records/telemetry/service_notifier.hpp"

namespace gossamer::program {
namespace {

using runtime::boot_time;
using runtime::wall_time;

std::string host_name() {
    utsname name{};
    return ::uname(&name) == 0 ? name.nodename : "localhost";
}

// What others are told to dial: what was configured; else nothing when this daemon does not listen
// or the system chooses its port, and this machine's name where it listens on all addresses.
std::vector<std::string> dialable(const transport::TransportConfig& config) {
    if (!config.advertise.empty()) return {config.advertise};
    const auto& listen = config.listen_address;
    bool wildcard = listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:") ||
                    listen.starts_with("*:") || listen.starts_with(":");
    if (listen.empty() || listen.ends_with(":0")) return {};
    if (wildcard) return {host_name() + listen.substr(listen.rfind(':'))};
    return {listen};
}

// Tells all of them: the last one by returning it.
tl::unexpected<Error> fail_with(const std::vector<Error>& errors) {
    for (std::size_t i = 0; i + 1 < errors.size(); ++i)
        fmt::print(stderr, "{}\n", telemetry::harmless(errors[i].to_string()));
    return fail(errors.back());
}

class Program {
public:
    Program(Role role, const Extensions& extensions) : role_(role), extensions_(extensions) {}

    Result<ExitCode> run(const DaemonFlags& flags);

private:
    Status configure(const DaemonFlags& flags);
    Status check_only();
    Status open_records();
    Result<runtime::DaemonParts> parts();
    // What data and model find wrong with a key says where it is set.
    template <class T>
    Result<T> located(Result<T> result) const {
        if (!result) return fail(config_->located(std::move(result).error()));
        return result;
    }
    Result<std::unique_ptr<runtime::ControlSocket>> open_control(runtime::Daemon& daemon);

    const Role role_;
    const Extensions& extensions_;
    storage::RealDisk disk_;
    std::optional<config::Config> config_;
    ConfigFindings findings_;
    std::optional<assembly::Identity> identity_;
    std::optional<assembly::ClaimedFolder> claimed_;  // locked until this process ends
    std::optional<assembly::Member> member_;
    std::unique_ptr<assembly::Records> records_;
    telemetry::ServiceNotifier notifier_ = telemetry::ServiceNotifier::from_environment();
    bool gave_up_ = false;
};

Status Program::configure(const DaemonFlags& flags) {
    GOSSAMER_TRY(auto schema,
                 assembly::schema_for(role_, extensions_, transport::transport_options()));
    std::vector<Error> all;
    auto config = config::load_config(
        std::move(schema),
        {.path = flags.config, .sets = flags.sets, .environment = config::environment_of_process()},
        &all);
    if (!config) return fail_with(all.empty() ? std::vector{config.error()} : all);
    config_ = std::move(*config);
    findings_ = check_config(*config_, role_, extensions_);
    if (!findings_.errors.empty()) return fail_with(findings_.errors);
    GOSSAMER_TRY(identity_,
                 assembly::load_identity(config_->text("identity.folder"), role_, wall_time()));
    return {};
}

// A folder that cannot be made does not stop the run; it is reported as records lost.
Status Program::open_records() {
    GOSSAMER_TRY(auto run, job::run_config(*config_));
    auto claimed =
        assembly::claim_folder(disk_, {run.folder, run.name, identity_->self().id, run.resume});
    auto folder = claimed.map([](const assembly::ClaimedFolder& c) { return c.folder; });
    if (claimed) claimed_ = std::move(*claimed);
    records_ = std::make_unique<assembly::Records>(
        disk_, assembly::Records::Setup{
                   .run = {.name = run.name,
                           .mode = run.mode == message::Mode::gossip ? "gossip" : "federated",
                           .me = identity_->self().id,
                           .round_max = run.rounds,
                           .host = host_name()},
                   .config = telemetry::telemetry_config(*config_),
                   .folder = std::move(folder),
                   .resolved_config = config_->to_toml(),
                   .peer_book = assembly::peer_book_path(run.folder, identity_->self().id),
                   .now = wall_time});
    if (claimed_ && !claimed_->remark.empty())
        records_->log().say(wall_time(), telemetry::Level::info, "run_folder", claimed_->remark);
    return {};
}

Result<runtime::DaemonParts> Program::parts() {
    runtime::DaemonParts parts;
    GOSSAMER_TRY(parts.transport, transport::transport_config(*config_));
    GOSSAMER_TRY(member_,
                 assembly::make_member({.config = *config_,
                                        .role = role_,
                                        .self = identity_->self().id,
                                        .addresses = dialable(parts.transport),
                                        .extensions = extensions_,
                                        .disk = disk_,
                                        .now = wall_time(),
                                        .folder = claimed_ ? &claimed_->folder : nullptr}));
    // Members hear of each other through both sorts of a federated run; nobody else is linked with.
    parts.transport.roles = security::RoleSet::only(Role::peer);
    if (member_->run.mode == message::Mode::federated)
        parts.transport.roles = parts.transport.roles.with(Role::aggregator);
    parts.node = std::move(member_->node);
    parts.seed = member_->run.seed;
    parts.perform =
        work::make_perform(assembly::tools_of(*member_, identity_->self().id, identity_->key));
    auto threads = static_cast<unsigned>(config_->integer("work.threads"));
    parts.worker_count = threads ? threads : std::max(1u, std::thread::hardware_concurrency());
    parts.tls = identity_->tls;
    parts.codecs = member_->learning.codecs->ids();
    parts.pool = member_->learning.pool;
    parts.exit_when_finished = config_->flag("run.exit_when_finished");
    auto* records = records_.get();
    parts.record = [this, records](WallTime wall, const message::Notice& notice) {
        if (auto* ended = std::get_if<message::RunEnded>(&notice))
            gave_up_ = !ended->reached;  // a run may be gone on with
        records->take(wall, notice);
    };
    parts.on_refused = [records](WallTime wall, const transport::IncomingRefused& refused) {
        auto text = fmt::format("{}: {}", telemetry::harmless(refused.address, 64),
                                telemetry::harmless(refused.error.to_string()));
        if (refused.unreported) text += fmt::format(" (and {} more since)", refused.unreported);
        records->say(wall, telemetry::Level::warning, "incoming_refused", std::move(text),
                     {{"code", std::string(describe(refused.error.code).id)}});
    };
    parts.on_members = [records, epoch = member_->boot_epoch](
                           WallTime wall, const std::vector<node::MemberView>& members) {
        records->know({epoch, assembly::worth_knowing(members, wall)});
    };
    parts.on_traffic = [records](runtime::Traffic t) {
        records->on_traffic(t.sent_bytes, t.received_bytes);
    };
    parts.on_status = [this](const std::string& line) { notifier_.status(line); };
    parts.on_ready = [this, records](const std::string& address) {
        records->say(wall_time(), telemetry::Level::info, "ready",
                     address.empty() ? "ready; does not listen, only dials out"
                                     : "ready; listening on " + address,
                     {{"address", address}});
        notifier_.ready();
    };
    return parts;
}

Result<std::unique_ptr<runtime::ControlSocket>> Program::open_control(runtime::Daemon& daemon) {
    auto path = config_->text("control.socket");
    if (path.empty())
        path = member_->run.folder + "/gossamer-" + std::string(to_string(role_)) + ".sock";
    runtime::Nameplate plate{.self = identity_->self().id,
                             .role = role_,
                             .run = member_->run.name,
                             .folder = records_->folder_path(),
                             .version = version_number()};
    return runtime::ControlSocket::open(path, [plate, &daemon](std::string_view question) {
        if (runtime::command_of(question) != "status")
            return runtime::error_json(
                {ErrorCode::kUsage, "the daemon knows the command \"status\" alone", {}});
        std::string answer;
        bool heard = daemon.ask_status(
            [&](const node::NodeStatus& status, runtime::Traffic traffic) {
                answer = runtime::status_json(plate, status, traffic, boot_time());
            },
            1s);
        return heard ? answer
                     : runtime::error_json({ErrorCode::kLinkTimeout, "the daemon is busy", {}});
    });
}

Status Program::check_only() {
    GOSSAMER_TRY(const auto run, job::run_config(*config_));
    GOSSAMER_TRY(const auto learning,
                 located(assembly::make_learning(*config_, run, role_, extensions_)));
    fmt::print("{}: {} parameters, {} training samples; all is well\n",
               identity_->self().id.short_string(), learning.trainer->layout()->parameter_count(),
               learning.trainer->sample_count());
    for (const auto& warning : findings_.warnings)
        fmt::print("  warning: {}\n", telemetry::harmless(warning.to_string()));
    return {};
}

Result<ExitCode> Program::run(const DaemonFlags& flags) {
    GOSSAMER_CHECK(configure(flags));
    if (flags.check) {
        GOSSAMER_CHECK(check_only());
        return ExitCode::ok;
    }
    GOSSAMER_CHECK(open_records());
    GOSSAMER_TRY(auto daemon_parts, located(parts()));
    for (const auto& remark : member_->remarks)
        records_->log().say(wall_time(), remark.level, remark.name, remark.text);
    runtime::Daemon daemon(std::move(daemon_parts));
    auto control = open_control(daemon);
    if (!control)
        records_->log().say(wall_time(), telemetry::Level::warning, "no_control_socket",
                            control.error().to_string());
    auto finished = daemon.run();
    notifier_.stopping();
    if (control) control->reset();
    const bool lost = member_->checkpoints && member_->checkpoints->final_lost();
    const bool over = finished && *finished && !lost;
    records_->finish(!over ? "stopped" : gave_up_ ? "given up" : "finished");
    if (!finished) return fail(finished.error());
    if (lost) {
        fmt::print(stderr, "the final model could not be written; the next start goes on here\n");
        return ExitCode::partial;
    }
    return over && gave_up_ ? ExitCode::timed_out : ExitCode::ok;
}

}  // namespace

int run_daemon(int argc, char** argv, Role role, const Extensions& extensions) {
    DaemonFlags flags;
    if (auto code = parse_flags(argc, argv, role, flags)) return *code;
    if (sodium_init() < 0) return static_cast<int>(ExitCode::internal);  // picks the fast BLAKE2b
    runtime::block_signals();
    Result<ExitCode> code = ExitCode::internal;
    try {  // exceptions end a start; nothing throws once the daemon runs
        code = Program(role, extensions).run(flags);
    } catch (const std::exception& e) {
        code = fail(ErrorCode::kInternal, e.what());
    }
    if (code) return static_cast<int>(*code);
    fmt::print(stderr, "{}\n", telemetry::harmless(code.error().to_string()));
    return static_cast<int>(exit_code_of(code.error().code));
}

}  // namespace gossamer::program

namespace gossamer {

int run_peer(int argc, char** argv, const Extensions& extensions) {
    return program::run_daemon(argc, argv, Role::peer, extensions);
}
int run_aggregator(int argc, char** argv, const Extensions& extensions) {
    return program::run_daemon(argc, argv, Role::aggregator, extensions);
}

}  // namespace gossamer
