#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <limits>

#include "gossamer/base/rng.hpp"
#include "records/config/config.hpp"

using namespace gossamer;
using namespace gossamer::config;

namespace {

OptionTable gossip_table() {
    return {
        {.key = "gossip.local_steps",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{5},
         .unit = "steps",
         .reason = "Steps between two exchanges.",
         .least = 1,
         .most = 1000},
        {.key = "gossip.order",
         .kind = OptionKind::choice,
         .fallback = std::string("mix-first"),
         .reason = "Which comes first.",
         .choices = {"mix-first", "step-first"}},
        {.key = "gossip.patience",
         .kind = OptionKind::duration,
         .fallback = Duration{2s},
         .unit = "s",
         .reason = "How long to wait.",
         .least = 0.001,
         .most = 3600},
    };
}

OptionTable run_table() {
    return {
        {.key = "run.name",
         .kind = OptionKind::text,
         .fallback = std::string("run"),
         .reason = "Its name."},
        {.key = "run.rate",
         .kind = OptionKind::real,
         .fallback = 0.05,
         .reason = "Step size.",
         .least = 0},
        {.key = "run.staging",
         .kind = OptionKind::bytes,
         .fallback = std::int64_t{64 << 20},
         .unit = "bytes",
         .reason = "Room for what arrives."},
        {.key = "run.resume", .kind = OptionKind::boolean, .fallback = false, .reason = "Go on."},
        {.key = "run.peers",
         .kind = OptionKind::text_list,
         .fallback = std::vector<std::string>{},
         .reason = "Whom to dial."},
        {.key = "run.milestones",
         .kind = OptionKind::real_list,
         .fallback = std::vector<double>{},
         .reason = "When the rate falls."},
        {.key = "run.limits.rounds",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{10},
         .reason = "How many rounds."},
    };
}

SchemaRef schema() {
    std::vector<OptionTable> tables{gossip_table(), run_table()};
    auto merged = Schema::merge(tables);
    REQUIRE(merged);
    return std::make_shared<const Schema>(std::move(*merged));
}

Error error_of(std::string text, Environment environment = {}, std::vector<std::string> sets = {}) {
    auto config = Config::resolve(
        schema(), {"peer.toml", std::move(text), std::move(environment), std::move(sets)});
    REQUIRE_FALSE(config);
    return config.error();
}

}  // namespace

TEST_CASE("flags win over environment, environment over file, file over defaults") {
    Layers layers{
        .file_name = "peer.toml",
        .file_text =
            "[gossip]\nlocal_steps = 2\npatience = \"1.5s\"\n[run]\nrate = 1\n"
            "name = \"from file\"\n",
        .environment = {{"GOSSAMER_GOSSIP_LOCAL_STEPS", "3"}, {"GOSSAMER_RUN_RATE", "0.25"}},
        .sets = {"gossip.local_steps=4", "run.peers=a:1, b:2"}};
    auto config = Config::resolve(schema(), layers);
    REQUIRE(config);
    CHECK(config->integer("gossip.local_steps") == 4);
    CHECK(config->source_of("gossip.local_steps") == "--set");
    CHECK(config->real("run.rate") == 0.25);
    CHECK(config->source_of("run.rate") == "environment GOSSAMER_RUN_RATE");
    CHECK(config->text("run.name") == "from file");
    CHECK(config->source_of("run.name") == "file peer.toml:6");
    CHECK(config->duration("gossip.patience") == 1500ms);
    CHECK(config->integer("run.staging") == 64 << 20);
    CHECK(config->source_of("run.staging") == "default");
    CHECK_FALSE(config->is_set("run.staging"));
    CHECK(config->text_list("run.peers") == std::vector<std::string>{"a:1", "b:2"});
}

TEST_CASE("an unknown key is named with line, column and the key that was probably meant") {
    auto error = error_of("[gossip]\n  local_step = 2\n");
    CHECK(error.code == ErrorCode::kConfigUnknownKey);
    CHECK(error.what == "peer.toml:2:3: unknown key \"gossip.local_step\"");
    CHECK(error.hint == "did you mean \"gossip.local_steps\"?");
    CHECK(error_of("[gosip]\norder = \"x\"\n").hint == "did you mean \"gossip.order\"?");
    CHECK(error_of("[gossip]\nstaging = 1\n").hint == "did you mean \"run.staging\"?");
    CHECK(error_of("", {}, {"run.nam=x"}).hint == "did you mean \"run.name\"?");
    CHECK(error_of("[entirely]\ndifferent = 1\n").hint.empty());
    CHECK(error_of("", {{"GOSSAMER_RUN_RATES", "1"}}).hint ==
          "did you mean \"GOSSAMER_RUN_RATE\"?");
    CHECK(Config::resolve(schema(), {.environment = {{"GOSSAMER_SOMETHING_OF_OTHERS", "1"}}}));
}

TEST_CASE("an empty section is known or named, with its place and the one probably meant") {
    for (auto text : {"[run]\n", "[run.limits]\n", "[gossip]\n[run]\nrate = 1\n", "run = {}\n"}) {
        CAPTURE(text);
        CHECK(Config::resolve(schema(), {"peer.toml", text, {}, {}}));
    }
    const auto error = error_of("[gossip]\n\n  [gosip]\n");
    CHECK(error.code == ErrorCode::kConfigUnknownKey);
    CHECK(error.what == "peer.toml:3:4: unknown section \"gosip\"");
    CHECK(error.hint == "did you mean \"gossip\"?");
    CHECK(error_of("[run.limit]\n").hint == "did you mean \"run.limits\"?");
    CHECK(error_of("elsewhere = {}\n").code == ErrorCode::kConfigUnknownKey);
    CHECK(error_of("[run]\nrate = {}\n").what ==
          "peer.toml:2:1: run.rate is a section, not a number");
}

TEST_CASE("an error that speaks of keys gets the places where they are set") {
    const auto config = *Config::resolve(
        schema(), {.file_name = "peer.toml",
                   .file_text = "[run]\n  name = \"a\"\nrate = 1\n[gossip]\nlocal_steps = 2\n",
                   .environment = {{"GOSSAMER_RUN_STAGING", "1"}},
                   .sets = {"run.resume=true"}});
    CHECK(config.place_of("run.name") == "peer.toml:2:3");
    CHECK(config.place_of("run.staging") == "environment GOSSAMER_RUN_STAGING");
    CHECK(config.place_of("run.resume") == "--set");
    CHECK(config.place_of("run.peers").empty());
    const auto located = [&](std::string what) {
        return config.located({ErrorCode::kConfigConflict, std::move(what), "hint"}).what;
    };
    CHECK(located("run.rate is 1, but gossip.local_steps is 2") ==
          "peer.toml:3:1: run.rate is 1, but gossip.local_steps is 2 "
          "(gossip.local_steps: peer.toml:5:1)");
    CHECK(located("run.resume without run.peers.") == "--set: run.resume without run.peers.");
    // Keys by default, longer keys and paths are none of them.
    for (const std::string what : {"run.peers is empty", "run.rates", "run.rate.x", "my-run.rate-2",
                                   "my.run.rate", "/tmp/run.rate: not found", "nothing"})
        CHECK(located(what) == what);
    CHECK(config.located({ErrorCode::kConfigConflict, "run.rate", "hint"}).hint == "hint");
}

TEST_CASE("the error of what an option names begins with its key, once") {
    const auto named = [](const char* what) {
        return of_key("run.name", Result<int>(fail(ErrorCode::kUsage, what, "hint"))).error();
    };
    CHECK(named("no such run").what == "run.name: no such run");
    CHECK(named("no such run").hint == "hint");
    CHECK(named("run.name is empty").what == "run.name is empty");
    CHECK(of_key("run.name", Result<int>(7)) == 7);
}

TEST_CASE("an ill-typed value is named with line, column and the form wanted") {
    auto error = error_of("[gossip]\npatience = 5\n");
    CHECK(error.code == ErrorCode::kConfigType);
    CHECK(error.what.starts_with("peer.toml:2:1: gossip.patience is the number 5, not a duration"));
    for (auto text :
         {"[gossip]\nlocal_steps = \"3\"\n", "[gossip]\nlocal_steps = 3.5\n", "[run]\nname = 3\n",
          "[run]\nresume = \"yes\"\n", "[run]\nstaging = \"1XB\"\n", "[run]\npeers = \"a\"\n",
          "[run]\npeers = [1]\n", "[run]\nrate = nan\n", "[run]\nmilestones = [1, \"a\"]\n",
          "[run]\nname = 2020-01-01\n", "[run]\nrate = [[1]]\n", "gossip = 3\n",
          "run.name.x = 3\n"}) {
        CAPTURE(text);
        auto code = error_of(text).code;
        CHECK((code == ErrorCode::kConfigType || code == ErrorCode::kConfigUnknownKey));
    }
    CHECK(error_of("", {}, {"gossip.local_steps=many"}).code == ErrorCode::kConfigType);
    CHECK(error_of("", {}, {"gossip.local_steps"}).code == ErrorCode::kUsage);
}

TEST_CASE("values outside their bounds or choices are refused") {
    auto error = error_of("[gossip]\nlocal_steps = 0\n");
    CHECK(error.code == ErrorCode::kConfigRange);
    CHECK(error.what == "peer.toml:2:1: gossip.local_steps is 0, allowed: 1 to 1000 steps");
    CHECK(error_of("[gossip]\norder = \"none\"\n").what ==
          "peer.toml:2:1: gossip.order is \"none\", allowed: mix-first | step-first");
    CHECK(error_of("[gossip]\npatience = \"2h\"\n").code == ErrorCode::kConfigRange);
    CHECK(error_of("[run]\nrate = -1\n").code == ErrorCode::kConfigRange);
    CHECK(error_of("[run]\nrate = inf\n").code == ErrorCode::kConfigType);
}

TEST_CASE("a file that is no TOML is refused with line and column") {
    auto error = error_of("[gossip]\nlocal_steps = = 2\n");
    CHECK(error.code == ErrorCode::kConfigSyntax);
    CHECK(error.what.starts_with("peer.toml:2:"));
    for (auto text : {"[=", "[= 1.5\n", "[\x01]\n", "a = \"", "\x7f = 1\n", "é = 1\n",
                      "a = 1.b\xef\xbb\xbc\n"}) {
        CAPTURE(text);
        CHECK(error_of(text).code == ErrorCode::kConfigSyntax);
    }
    CHECK(error_of(std::string("[\0]\n, \".6]\n", 11)).code == ErrorCode::kConfigSyntax);
    CHECK(error_of("a = \"\xff\"\n").code == ErrorCode::kConfigSyntax);
}

TEST_CASE("comments may hold anything that can be read, a second # as well") {
    const char* text =
        "## Größe des Laufs\n"
        "[run] # \"\n"
        "limits.rounds = 5 # see issue #7: café '''\n"
        "# \\\" #\" é ''\n"
        "name = \"a # b é\" ### é\n"
        "rate = 0.25 # 1.2.3\n";
    auto config = Config::resolve(schema(), {"p", text, {}, {}});
    REQUIRE(config);
    CHECK(config->integer("run.limits.rounds") == 5);
    CHECK(config->text("run.name") == "a # b é");
    CHECK(config->real("run.rate") == 0.25);
}

TEST_CASE("size and nesting of a file are bounded") {
    CHECK(error_of(std::string(kFileBytesMax + 1, '\n')).code == ErrorCode::kConfigSyntax);
    std::string deep = "a";
    for (int i = 0; i < 200000; ++i) deep += ".a";
    CHECK(error_of(deep + " = 1\n").code == ErrorCode::kConfigSyntax);
    CHECK(error_of("[" + deep + "]\n").code == ErrorCode::kConfigSyntax);
    CHECK(error_of("a = " + std::string(100000, '[') + "\n").code == ErrorCode::kConfigSyntax);
    std::string dotted = "a";
    for (int i = 0; i < 100; ++i) dotted += ".a";
    CHECK(error_of(dotted + " = 1\n").code == ErrorCode::kConfigSyntax);
    CHECK(Config::resolve(schema(), {"p", "# " + std::string(5000, '.') + "\n", {}, {}}));
    // What only seems to be in a comment or a text.
    const auto below = "\n" + deep + " = 1\n";
    for (const std::string start : {R"(## """)",
                                    R"(# ' ''' #)",
                                    "#",
                                    "##",
                                    R"(# \)",
                                    R"(run.name = "#")",
                                    R"(run.name = '\')",
                                    R"(run.name = "\"#")",
                                    R"(run.name = "" # ")",
                                    "run.name = '''#'''",
                                    "run.name = \"\"\"\n#\\\"\"\"\"\"\"",
                                    "run.name = '''''''' # '''",
                                    R"(run.name = """""""")",
                                    R"("#" = 1)",
                                    "x = [ # \"\n]",
                                    "#\r",
                                    "# \xc0\x8a",
                                    "# \xc2\x85",
                                    "# \xe2\x80\xa8",
                                    "run.name = \"\"\"\\  "}) {
        CAPTURE(start);
        CHECK(error_of(start + below).code == ErrorCode::kConfigSyntax);
        CHECK(error_of(start + "\r" + below).code == ErrorCode::kConfigSyntax);
    }
    std::string inner = "1";
    for (int i = 0; i < 1000; ++i) inner = "{" + dotted.substr(0, 121) + " = " + inner + "}";
    CHECK(error_of("a = " + inner + "\n").code == ErrorCode::kConfigSyntax);
    for (int i = 0; i < 1000; ++i) inner = "[" + inner + "]";
    CHECK(error_of("a = " + inner + "\n").code == ErrorCode::kConfigSyntax);
    deep.resize(2000);
    std::string texts = "[run]\nname = \"\"\"" + deep + "é\\\"\"\"\"\"\npeers = ['\"', \"\", '" +
                        deep + "'] # é" + deep + "\n";
    auto config = Config::resolve(schema(), {"p", texts, {}, {}});
    REQUIRE(config);
    CHECK(config->text("run.name") == deep + "é\"\"");
    CHECK(config->text_list("run.peers")[2] == deep);
}

TEST_CASE("every error of a configuration can be had at once") {
    std::vector<Error> all;
    auto config =
        Config::resolve(schema(), {"p.toml", "[run]\nx = 1\ny = 2\nrate = -3\n", {}, {}}, &all);
    CHECK_FALSE(config);
    CHECK(all.size() == 3);
}

TEST_CASE("the resolved configuration loads back to the same values, whatever they are") {
    const RunSeed seed{20240817};
    INFO("seed ", seed.value);
    auto rng = stream(seed, Purpose::user);
    auto shared = schema();
    for (int round = 0; round < 200; ++round) {
        auto config = *Config::resolve(shared, {});
        std::string name;
        for (int i = 0; i < 12; ++i) {
            auto c = static_cast<char>(rng.below(0x80));
            name += c;
        }
        name += "é\"\\\n";
        auto bits = rng.next_u64();
        double rate = std::abs(std::bit_cast<double>(bits & 0x7fefffffffffffff));
        REQUIRE(config.set("run.name", name, "--set"));
        if (rate < 1e300) REQUIRE(config.set("run.rate", rate, "--set"));
        REQUIRE(config.set("run.staging",
                           static_cast<std::int64_t>(rng.below(1ull << 40)) << rng.below(20), "x"));
        REQUIRE(config.set("gossip.patience",
                           Duration{1'000'000 + static_cast<std::int64_t>(rng.below(1ull << 40))},
                           "file a\nb = 3"));
        REQUIRE(config.set("run.peers", std::vector<std::string>{name, "", "a,b"}, "x"));
        REQUIRE(config.set("run.milestones", std::vector<double>{0.1, -3, 1e22}, "x"));
        REQUIRE(config.set("run.limits.rounds", static_cast<std::int64_t>(rng.next_u64()), "x"));
        auto text = config.to_toml();
        auto again = Config::resolve(schema(), {"resolved.toml", text, {}, {}});
        CAPTURE(text);
        REQUIRE(again);
        for (const auto& option : shared->options())
            CHECK(config.get(option.key) == again->get(option.key));
    }
}

TEST_CASE("show names value, source and reason in TOML and in JSON") {
    auto config = *Config::resolve(schema(), {.sets = {"gossip.patience=90s"}});
    auto text = config.to_toml();
    CHECK(text.find("# How long to wait. [0.001 to 3600 s]\npatience = \"90s\"") !=
          std::string::npos);
    CHECK(text.find("# --set\n") != std::string::npos);
    CHECK(text.find("[run.limits]\n") != std::string::npos);
    auto json = config.to_json();
    CHECK(json.find("\"value\": 90.0") != std::string::npos);
    CHECK(json.find("\"source\": \"--set\"") != std::string::npos);
}

TEST_CASE("a schema refuses keys that clash and defaults that break their own rule") {
    auto merge = [](OptionTable table) { return Schema::merge({&table, 1}); };
    Option plain{.key = "a.b", .kind = OptionKind::integer, .fallback = std::int64_t{1}};
    CHECK(merge({plain}));
    CHECK_FALSE(merge({plain, plain}));
    auto inner = plain;
    inner.key = "a.b.c";
    CHECK_FALSE(merge({plain, inner}));
    auto underscore = inner;
    underscore.key = "a.b_c";
    CHECK_FALSE(merge({inner, underscore}));
    auto wrong = plain;
    wrong.fallback = 1.5;
    CHECK_FALSE(merge({wrong}));
    auto low = plain;
    low.least = 2;
    CHECK_FALSE(merge({low}));
}

TEST_CASE("a file that cannot be read is an error of its own") {
    auto config = load_config(schema(), {.path = "/nonexistent/peer.toml"});
    REQUIRE_FALSE(config);
    CHECK(config.error().code == ErrorCode::kConfigUnreadable);
    CHECK(config.error().what.find("/nonexistent/peer.toml") != std::string::npos);
}

TEST_CASE("the process environment is read only for variables of ours") {
    ::setenv("GOSSAMER_RUN_RATE", "0.5", 1);
    auto found = environment_of_process();
    ::unsetenv("GOSSAMER_RUN_RATE");
    CHECK(found.at("GOSSAMER_RUN_RATE") == "0.5");
    CHECK_FALSE(found.contains("PATH"));
}
