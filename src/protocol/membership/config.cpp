#include "protocol/membership/config.hpp"

#include <array>
#include <charconv>

namespace gossamer::membership {

namespace {

constexpr std::array<std::string_view, 3> kProfileNames = {"local", "lan", "wan"};

// A crash without a goodbye is known to all after at most limit_cap + suspicion: 1.5 s, 11 s, 50 s;
// when the machine still answers with "refused", after about one suspicion.
constexpr std::array<Timings, 3> kTimings = {{
    {250ms, 750ms, 1s, 500ms, 50ms, 100ms, 2s},
    {1s, 3s, 8s, 3s, 200ms, 500ms, 15s},
    {3s, 10s, 30s, 20s, 1s, 1s, 60s},
}};

bool is_port(std::string_view text) {
    unsigned port = 0;
    auto read = std::from_chars(text.data(), text.data() + text.size(), port);
    return read.ec == std::errc() && read.ptr == text.data() + text.size() && port > 0 &&
           port < 65536;
}

}  // namespace

std::string_view to_string(Profile profile) {
    return kProfileNames[static_cast<std::size_t>(profile)];
}

const Timings& timings(Profile profile) { return kTimings[static_cast<std::size_t>(profile)]; }

Result<Seed> parse_seed(std::string_view text) {
    const std::string whole(text);
    Seed seed;
    if (auto at = text.find('@'); at != std::string_view::npos) {
        seed.expected = PeerId::parse(text.substr(0, at));
        if (!seed.expected)
            return fail(ErrorCode::kNetAddress, "\"" + whole + "\": no PeerId before the @",
                        "write 64 hex digits, as `gossamer identity show` prints them");
        text.remove_prefix(at + 1);
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || !is_port(text.substr(colon + 1)))
        return fail(ErrorCode::kNetAddress, "\"" + whole + "\" is not of the form host:port");
    const auto host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos && (host.front() != '[' || host.back() != ']'))
        return fail(ErrorCode::kNetAddress, "\"" + whole + "\": write [v6]:port");
    seed.address = std::string(text);
    return seed;
}

OptionTable membership_options() {
    return {
        {.key = "membership.profile",
         .kind = OptionKind::choice,
         .fallback = std::string("lan"),
         .reason = "How far apart the members are: sets how often they show signs of life "
                   "(250ms, 1s, 3s) and how fast a crash is known (1.5s, 11s, 50s at most). Use "
                   "wan when round trips exceed 100ms or machines sleep.",
         .choices = {"local", "lan", "wan"}},
        {.key = "membership.seeds",
         .kind = OptionKind::text_list,
         .fallback = std::vector<std::string>{},
         .reason = "Addresses dialled from the start and for ever: host:port, or id@host:port to "
                   "insist on who answers. One living seed is enough to meet everybody; two or "
                   "three survive its absence."},
        {.key = "membership.mesh_max",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{64},
         .unit = "members",
         .reason = "Up to this many members everybody keeps a link with everybody, so that each "
                   "sees for itself who is alive; above, only with those it exchanges models "
                   "with. A link costs some 28 KB and the heartbeats.",
         .least = 2,
         .most = 1024},
    };
}

Result<MembershipConfig> membership_config(const OptionSource& source) {
    MembershipConfig config;
    const std::string& profile = source.text("membership.profile");
    for (std::size_t i = 0; i < kProfileNames.size(); ++i)
        if (profile == kProfileNames[i]) config.profile = static_cast<Profile>(i);
    for (const std::string& text : source.text_list("membership.seeds")) {
        auto seed = parse_seed(text);
        if (!seed) {
            auto error = std::move(seed).error();
            error.what.insert(0, "membership.seeds: ");
            return fail(std::move(error));
        }
        config.seeds.push_back(std::move(*seed));
    }
    config.mesh_max = static_cast<std::uint32_t>(source.integer("membership.mesh_max"));
    return config;
}

}  // namespace gossamer::membership
