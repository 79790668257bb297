#include <sys/stat.h>

#include <doctest/doctest.h>

#include <fstream>

#include "connection/security/tls_context.hpp"
#include "tests/cli/command.hpp"

using namespace gossamer;
using namespace gossamer::cli_test;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

Bytes content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto view = as_bytes(text);
    return Bytes(view.begin(), view.end());
}

unsigned mode(const std::string& path) {
    return static_cast<unsigned>(fs::status(path).permissions()) & 0777u;
}

}  // namespace

TEST_CASE("a federation, a request and a signature make a folder a daemon can start from") {
    const Folder f;
    const auto federation = f / "meadow", peer = f / "peer";
    const auto made = as_json({"federation", "create", federation});
    REQUIRE(made.code == 0);
    CHECK(made.json()["name"] == "meadow");
    const auto identity = as_json({"identity", "create", peer});
    REQUIRE(identity.code == 0);
    const auto sign = as_json({"identity", "sign", peer + "/request.pem", "--federation",
                               federation, "--role", "aggregator", "--days", "2"});
    REQUIRE(sign.code == 0);
    CHECK(sign.json()["peer_id"] == identity.json()["peer_id"]);

    const auto key = content(peer + "/key.pem"), chain = content(peer + "/certificate.pem"),
               trust = content(peer + "/trust.pem");
    const WallTime now = [] {
        std::ostringstream out, err;
        return cli::Console(out, err).now();
    }();
    const auto context = security::TlsContext::from_pem({key, chain, trust}, now).value();
    CHECK(context.self().id.to_string() == identity.json()["peer_id"]);
    CHECK(context.self().role == Role::aggregator);
    CHECK(context.self().federation.to_string() == made.json()["federation"]);
    CHECK(context.self().not_after < now + 49h);

    CHECK(mode(peer + "/key.pem") == 0600);
    CHECK(mode(federation + "/root-key.pem") == 0600);
    CHECK(mode(federation + "/issuing-key.pem") == 0600);
    const auto mask = ::umask(0);
    ::umask(mask);
    CHECK(mode(peer + "/certificate.pem") == (0644 & ~mask));
}

TEST_CASE("show says what each file is, and never a secret") {
    const Folder f;
    const auto federation = f / "meadow", peer = f / "peer";
    REQUIRE(gossamer_command({"federation", "create", federation, "--name", "Two meadows"}).code ==
            0);
    const auto id = as_json({"identity", "create", peer}).json()["peer_id"];
    REQUIRE(
        gossamer_command({"identity", "sign", peer + "/request.pem", "--federation", federation})
            .code == 0);
    const auto show = [&](const std::string& path) {
        const auto answer = as_json({"identity", "show", path});
        REQUIRE(answer.code == 0);
        return answer.json();
    };
    CHECK(show(peer + "/key.pem")[0] == Json{{"kind", "private key"}, {"peer_id", id}});
    CHECK(show(peer + "/request.pem")[0]["peer_id"] == id);
    const auto chain = show(peer);
    REQUIRE(chain.size() == 2);
    CHECK(chain[0]["role"] == "peer");
    CHECK(chain[0]["peer_id"] == id);
    CHECK(chain[0]["state"] == "valid, 6 days left");
    CHECK(chain[1]["kind"] == "issuing certificate");
    CHECK(show(peer + "/trust.pem")[0]["name"] == "Two meadows");
    const auto text = gossamer_command({"identity", "show", peer}).out;
    CHECK(text.find("role        peer\n") != std::string::npos);
}

TEST_CASE("no key is overwritten, and one that others can read is not used") {
    const Folder f;
    const auto federation = f / "meadow", peer = f / "peer";
    REQUIRE(gossamer_command({"federation", "create", federation}).code == 0);
    REQUIRE(gossamer_command({"identity", "create", peer}).code == 0);
    const auto key = content(peer + "/key.pem"), root = content(federation + "/root-key.pem");
    for (const auto& again :
         {as_json({"federation", "create", federation}), as_json({"identity", "create", peer})}) {
        CHECK(again.code == 2);
        CHECK(again.error_code() == "KEY-04");
    }
    CHECK(content(peer + "/key.pem") == key);
    CHECK(content(federation + "/root-key.pem") == root);

    fs::permissions(federation + "/issuing-key.pem", fs::perms::group_read, fs::perm_options::add);
    const auto refused =
        as_json({"identity", "sign", peer + "/request.pem", "--federation", federation});
    CHECK(refused.code == 2);
    CHECK(refused.error_code() == "KEY-03");
    CHECK_FALSE(fs::exists(peer + "/certificate.pem"));
}

TEST_CASE("what cannot be signed is refused with its reason") {
    const Folder f;
    const auto federation = f / "meadow", other = f / "hill", peer = f / "peer";
    REQUIRE(gossamer_command({"federation", "create", federation}).code == 0);
    REQUIRE(gossamer_command({"federation", "create", other}).code == 0);
    REQUIRE(gossamer_command({"identity", "create", peer}).code == 0);
    const auto request = peer + "/request.pem";
    const auto sign = [&](const std::string& file, const std::string& by) {
        return as_json({"identity", "sign", file, "--federation", by});
    };
    CHECK(sign(peer + "/nothing.pem", federation).error_code() == "KEY-01");
    CHECK(sign(request, f / "nowhere").error_code() == "KEY-01");
    CHECK(sign(peer + "/key.pem", federation).error_code() == "KEY-05");
    REQUIRE(sign(request, federation).code == 0);
    REQUIRE(sign(request, federation).code == 0);  // a renewal
    const auto moved = sign(request, other);
    CHECK(moved.error_code() == "TLS-05");
    CHECK(moved.code == 2);
    CHECK(as_json({"identity", "sign", request, "--federation", federation, "--days", "0"})
              .error_code() == "USE-01");
    CHECK(
        as_json({"identity", "sign", request, "--federation", federation, "--role", "king"}).code ==
        2);
}

TEST_CASE("a federation is renewed with its root key alone") {
    const Folder f;
    const auto federation = f / "meadow", peer = f / "peer", safe = f / "safe.pem";
    REQUIRE(gossamer_command({"federation", "create", federation}).code == 0);
    REQUIRE(gossamer_command({"identity", "create", peer}).code == 0);
    fs::rename(federation + "/root-key.pem", safe);
    CHECK(as_json({"federation", "renew", federation}).error_code() == "KEY-01");
    CHECK(as_json({"federation", "renew", federation, "--root-key", peer + "/key.pem"})
              .error_code() == "TLS-10");
    CHECK(as_json({"federation", "renew", federation, "--root-key", safe}).code == 0);
    CHECK(gossamer_command({"identity", "sign", peer + "/request.pem", "--federation", federation})
              .code == 0);
}

TEST_CASE("help shows examples first, and a wrong line exits with 2") {
    for (const auto& line : {std::vector<std::string>{"--help"},
                             {"identity", "--help"},
                             {"identity", "sign", "--help"}}) {
        const auto help = gossamer_command(line);
        CHECK(help.code == 0);
        CHECK(help.out.starts_with("Examples:\n  gossamer "));
    }
    CHECK(gossamer_command({"identity", "sign", "--help"})
              .out.find("Usage: gossamer identity sign [OPTIONS] REQUEST") != std::string::npos);
    CHECK(gossamer_command({}).code == 2);
    CHECK(gossamer_command({"fly"}).code == 2);
    CHECK(gossamer_command({"identity", "create"}).code == 2);
    CHECK(as_json({"identity", "create"}).error_code() == "USE-01");
}

TEST_CASE("an error code is explained, in text and JSON, and an unknown one is an error") {
    const auto text = gossamer_command({"explain", "tls-07"});
    CHECK(text.code == 0);
    CHECK(text.out.starts_with("TLS-07  The certificate has expired.\n"));
    CHECK(as_json({"explain", "TLS-07"}).json()["code"] == "TLS-07");
    CHECK(as_json({"explain"}).json().size() == error_table().size());
    CHECK(gossamer_command({"explain", "ZZZ-01"}).code == 2);
    CHECK(as_json({"version"}).json()["version"].is_string());
}
