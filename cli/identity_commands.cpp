// `gossamer federation create | renew` and `gossamer identity create | sign | show`.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "drivers/assembly/federation_folder.hpp"
#include "drivers/assembly/key_files.hpp"

namespace gossamer::cli {
namespace {

using namespace security;
using namespace assembly;
using program::ExitCode;
using Json = nlohmann::ordered_json;

// ---- federation ---------------------------------------------------------------------------------

struct CreateFederation {
    std::string folder, name;
    double years = 10;
};

Result<ExitCode> create_federation_here(Console& console, const CreateFederation& how) {
    GOSSAMER_TRY(
        const auto trust,
        create_federation_folder(
            {.folder = how.folder, .name = how.name, .years = how.years, .now = console.now()}));
    const std::string at = how.folder + "/", id = trust.federation().to_string();
    const std::string name = trust.federation_name();
    console.answer(
        {{"federation", id}, {"name", name}, {"folder", how.folder}},
        fmt::format("Federation \"{}\" ({}) is in {}.\n"
                    "  Move {}root-key.pem to a safe place offline; only `federation renew` needs "
                    "it.\n"
                    "  Give trust.pem to everyone; keep issuing-key.pem to sign requests.\n",
                    name, id, how.folder, at));
    return ExitCode::ok;
}

Result<ExitCode> renew_federation_folder(Console& console, const std::string& folder,
                                         const std::string& root_key_file) {
    const std::string at = folder + "/";
    GOSSAMER_TRY(const auto root_key,
                 read_private_key(root_key_file.empty() ? at + "root-key.pem" : root_key_file));
    GOSSAMER_TRY(const auto issuing_key, read_private_key(at + "issuing-key.pem"));
    GOSSAMER_TRY(const auto root, read_certificate(at + "root.pem"));
    GOSSAMER_TRY(const auto issuing,
                 sign_issuing(root_key, root, issuing_key.public_key(), {.now = console.now()}));
    GOSSAMER_TRY(const auto trust, TrustBundle::from_certificates({root, issuing}));
    GOSSAMER_CHECK(replace_public_file(at + "issuing.pem", as_bytes(issuing.to_pem())));
    GOSSAMER_CHECK(replace_public_file(at + "trust.pem", as_bytes(trust.to_pem())));
    GOSSAMER_TRY(const auto info, issuing.describe());
    const auto until = format_wall_time(info.not_after);
    console.answer({{"federation", trust.federation().to_string()}, {"issuing_until", until}},
                   fmt::format("The issuing certificate of \"{}\" is valid until {}.\n",
                               trust.federation_name(), until));
    return ExitCode::ok;
}

// ---- identity -----------------------------------------------------------------------------------

Result<ExitCode> create_identity_here(Console& console, const std::string& folder) {
    GOSSAMER_TRY(const auto peer, create_identity_folder(folder));
    const std::string id = peer.to_string(), request = folder + "/request.pem";
    console.answer({{"peer_id", id}, {"folder", folder}, {"request", request}},
                   fmt::format("Peer {} has its key in {}/key.pem; it never leaves this machine.\n"
                               "  Let the federation's operator sign {}:\n"
                               "  gossamer identity sign {} --federation DIR --role peer\n",
                               id, folder, request, request));
    return ExitCode::ok;
}

struct SignFlags {
    std::string request, federation, role = "peer", out;
    double days = 7;
};

Result<ExitCode> sign_request_file(Console& console, const SignFlags& how) {
    GOSSAMER_TRY(const auto done, sign_identity({.request = how.request,
                                                 .federation = how.federation,
                                                 .role = *parse_role(how.role),
                                                 .days = how.days,
                                                 .out = how.out,
                                                 .now = console.now()}));
    const auto until = format_wall_time(done.until);
    const std::string id = done.peer.to_string();
    console.answer({{"peer_id", id},
                    {"role", how.role},
                    {"federation", done.trust.federation().to_string()},
                    {"valid_until", until},
                    {"certificate", done.folder + "/certificate.pem"}},
                   fmt::format("Peer {} is {} {} of \"{}\" until {}.\n  {}/certificate.pem, "
                               "{}/trust.pem\n",
                               id, how.role == "peer" ? "a" : "an", how.role,
                               done.trust.federation_name(), until, done.folder, done.folder));
    return ExitCode::ok;
}

struct Shown {
    Json fields;
    std::string text;
};

std::string state_of(const CertificateInfo& info, WallTime now) {
    if (now < info.not_before) return "not yet valid";
    if (now >= info.not_after) return "expired";
    const auto left = info.not_after - now;
    return left >= 48h ? fmt::format("valid, {} days left", left / 24h)
                       : fmt::format("valid, {} hours left", left / 1h);
}

Result<Shown> show_certificate(const Certificate& certificate, WallTime now) {
    GOSSAMER_TRY(const auto info, certificate.describe());
    const char* kind = info.kind == CertificateKind::root      ? "root certificate"
                       : info.kind == CertificateKind::issuing ? "issuing certificate"
                                                               : "certificate";
    const auto state = state_of(info, now);
    const auto from = format_wall_time(info.not_before), until = format_wall_time(info.not_after);
    Shown shown{{{"kind", kind}}, std::string(kind) + "\n"};
    const auto add = [&](const char* key, const std::string& value) {
        shown.fields[key] = value;
        shown.text += fmt::format("  {:<12}{}\n", key, value);
    };
    if (info.name.holder) {
        add("peer_id", info.name.holder->peer.to_string());
        add("role", std::string(to_string(info.name.holder->role)));
    } else {
        add("name", info.common_name);
    }
    add("federation", info.name.federation.to_string());
    add("valid_from", from);
    add("valid_until", until);
    add("state", state);
    add("serial", info.serial);
    return shown;
}

Result<std::vector<Shown>> show_file(const std::string& path, WallTime now) {
    GOSSAMER_TRY(const auto pem, read_public_file(path));
    const auto text = as_text(pem);
    if (text.find("PRIVATE KEY-----") != std::string_view::npos) {
        GOSSAMER_TRY(const auto key, read_private_key(path));
        const auto id = key.peer_id().to_string();
        return std::vector{
            Shown{{{"kind", "private key"}, {"peer_id", id}}, "private key of peer " + id + "\n"}};
    }
    if (text.find("CERTIFICATE REQUEST-----") != std::string_view::npos) {
        GOSSAMER_TRY(const auto request, parse_request(pem));
        const auto id = request.peer.to_string();
        return std::vector{Shown{{{"kind", "certificate request"}, {"peer_id", id}},
                                 "certificate request of peer " + id + "\n"}};
    }
    GOSSAMER_TRY(const auto certificates,
                 Certificate::from_pem(pem, TrustBundle::kCertificatesMax));
    std::vector<Shown> all;
    for (const auto& certificate : certificates) {
        GOSSAMER_TRY(auto shown, show_certificate(certificate, now));
        all.push_back(std::move(shown));
    }
    return all;
}

Result<ExitCode> show_identity(Console& console, const std::string& path) {
    std::error_code error;  // told by the file, which then cannot be read either
    const bool folder = std::filesystem::is_directory(path, error);
    GOSSAMER_TRY(const auto all,
                 show_file(folder ? path + "/certificate.pem" : path, console.now()));
    auto fields = Json::array();
    std::string text;
    for (const auto& shown : all) {
        fields.push_back(shown.fields);
        text += shown.text;
    }
    console.answer(fields, text);
    return ExitCode::ok;
}

}  // namespace

void add_federation_commands(CLI::App& app, CommandLine& line) {
    auto* group =
        app.add_subcommand("federation", "Create and renew the authority of a federation");
    group->require_subcommand(1)->fallthrough()->footer("  gossamer federation create meadow");

    auto* create = group->add_subcommand("create", "Make root key, issuing key and trust bundle");
    auto how = std::make_shared<CreateFederation>();
    create->fallthrough()->footer(
        "  gossamer federation create meadow\n"
        "  gossamer federation create /secure/meadow --name \"Meadow hospitals\"");
    create->add_option("DIR", how->folder, "the new federation's folder")->required();
    create->add_option("--name", how->name, "for people; default: the folder's name");
    create->add_option("--years", how->years, "validity of the root certificate")
        ->check(CLI::Range(0.1, 100.0))
        ->capture_default_str();
    create->callback([&line, how] {
        line.chosen = [how](Console& c) { return create_federation_here(c, *how); };
    });

    auto* renew = group->add_subcommand("renew", "Make the issuing certificate valid for longer");
    auto folder = std::make_shared<std::string>(), root_key = std::make_shared<std::string>();
    renew->fallthrough()->footer(
        "  gossamer federation renew meadow --root-key /media/safe/root-key.pem");
    renew->add_option("DIR", *folder, "the federation's folder")->required();
    renew->add_option("--root-key", *root_key, "the root key, when it is kept elsewhere");
    renew->callback([&line, folder, root_key] {
        line.chosen = [folder, root_key](Console& c) {
            return renew_federation_folder(c, *folder, *root_key);
        };
    });
}

void add_identity_commands(CLI::App& app, CommandLine& line) {
    auto* group = app.add_subcommand("identity", "Make, certify and look at peers' identities");
    group->require_subcommand(1)->fallthrough()->footer(
        "  gossamer identity create peer-1\n"
        "  gossamer identity sign peer-1/request.pem --federation meadow --role peer\n"
        "  gossamer identity show peer-1");

    auto* create = group->add_subcommand("create", "Make a key and a certificate request");
    auto folder = std::make_shared<std::string>();
    create->fallthrough()->footer("  gossamer identity create peer-1");
    create->add_option("DIR", *folder, "the new identity's folder")->required();
    create->callback([&line, folder] {
        line.chosen = [folder](Console& c) { return create_identity_here(c, *folder); };
    });

    auto* sign = group->add_subcommand("sign", "Make a peer's request a short-lived certificate");
    auto how = std::make_shared<SignFlags>();
    sign->fallthrough()->footer(
        "  gossamer identity sign peer-1/request.pem --federation meadow --role peer\n"
        "  gossamer identity sign hub/request.pem --federation meadow --role aggregator --days 30");
    sign->add_option("REQUEST", how->request, "the peer's request.pem")->required();
    sign->add_option("--federation", how->federation, "the federation's folder")->required();
    sign->add_option("--role", how->role, "peer, aggregator or operator")
        ->check(CLI::IsMember({"peer", "aggregator", "operator"}))
        ->capture_default_str();
    sign->add_option("--days", how->days, "validity; short, since a renewal is cheap")
        ->capture_default_str();
    sign->add_option("--out", how->out, "folder of the result; default: beside the request");
    sign->callback(
        [&line, how] { line.chosen = [how](Console& c) { return sign_request_file(c, *how); }; });

    auto* show = group->add_subcommand("show", "What a key, request, certificate or bundle says");
    auto path = std::make_shared<std::string>();
    show->fallthrough()->footer(
        "  gossamer identity show peer-1\n"
        "  gossamer identity show meadow/trust.pem --format json");
    show->add_option("FILE", *path, "a PEM file, or an identity folder")->required();
    show->callback(
        [&line, path] { line.chosen = [path](Console& c) { return show_identity(c, *path); }; });
}

}  // namespace gossamer::cli
