#include "support/transcript.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gossamer/base/options.hpp"

namespace gossamer::testing {

namespace {

Words split(const std::string& line) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

std::string read_all(const std::string& path) {
    std::ifstream in(path);
    REQUIRE_MESSAGE(in.good(), "no story at " << path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// The same text with every answer replaced by what the handler says.
std::string retell(const std::string& text, const StoryHandler& handler) {
    std::istringstream in(text);
    std::string told;
    bool answer = false;
    for (std::string line; std::getline(in, line);) {
        const bool command = line.starts_with("> ");
        if (!command && answer && !line.empty() && line[0] != '#') continue;
        told += line + "\n";
        answer = command;
        if (!command) continue;
        std::string said = handler(split(line.substr(2)));
        if (!said.empty() && said.back() != '\n') said += '\n';
        told += said;
    }
    return told;
}

std::string peers(const std::vector<PeerId>& ids) {
    std::string text;
    for (const PeerId& id : ids) text += (text.empty() ? "" : ",") + peer_name(id);
    return "[" + text + "]";
}

std::string describe(const message::MemberRecord& record) {
    std::string text = peer_name(record.id) + "=" + std::string(to_string(record.state)) + "@" +
                       std::to_string(record.incarnation);
    for (const auto address : record.addresses) text += "," + std::string(address);
    return text;
}

std::string describe_news(const std::vector<message::MemberRecord>& news) {
    std::string text;
    for (const auto& record : news) text += " " + describe(record);
    return text;
}

std::string describe(const Error& error) { return std::string(gossamer::describe(error.code).id); }

struct MessageText {
    std::string operator()(const message::Heartbeat& m) const {
        return " #" + std::to_string(m.sequence) + " @" + std::to_string(m.incarnation) +
               (m.busy ? " busy" : "") +
               (m.echo ? " after #" + std::to_string(m.echo) : std::string()) +
               describe_news(m.news);
    }
    std::string operator()(const message::Leave& m) const { return " " + m.reason; }
    std::string operator()(const message::Join& m) const {
        return " " + m.run_name + " round " + std::to_string(m.round);
    }
    std::string operator()(const message::JoinReply& m) const {
        return m.accepted ? " accepted"
                          : " refused " + std::string(gossamer::describe(m.code).id) + " " + m.what;
    }
    std::string operator()(const message::Progress& m) const {
        return " round " + std::to_string(m.round) + " phase " +
               std::to_string(static_cast<int>(m.phase));
    }
    std::string operator()(const message::RoundClosed& m) const {
        return " " + std::to_string(m.round) + " " + std::string(gossamer::describe(m.code).id);
    }
    std::string operator()(const message::RunFinished& m) const {
        return " " + std::to_string(m.round) + " " + m.reason + (m.reached ? "" : " (given up)");
    }
    template <class M>
    std::string operator()(const M& m) const {
        return " " + std::to_string(m.round);
    }
};

struct NoticeText {
    std::string operator()(const message::RunStarted& n) const {
        return " " + n.run + " from round " + std::to_string(n.round);
    }
    std::string operator()(const message::RunEnded& n) const {
        return " round " + std::to_string(n.round) + ": " + n.reason;
    }
    std::string operator()(const message::Waiting& n) const {
        return " for " + n.what + " " + peers(n.whom) + " since " + describe_time(n.since) +
               " until " + describe_time(n.until);
    }
    std::string operator()(const message::MemberChanged& n) const {
        return " " + peer_name(n.peer) + " " + std::string(to_string(n.from)) + " -> " +
               std::string(to_string(n.to)) + ": " + n.reason;
    }
    std::string operator()(const message::LinkChanged& n) const {
        return " " + peer_name(n.peer) + " " + n.address + (n.up ? " up" : " down") +
               (n.up ? "" : " " + describe(n.error));
    }
    std::string operator()(const message::Mixed& n) const {
        return " step " + std::to_string(n.step) + " with " + peers(n.mixed) + " without " +
               peers(n.left_out);
    }
    std::string operator()(const message::RoundFinished& n) const {
        return " " + std::to_string(n.round) + " accepted " + peers(n.accepted) + " late " +
               std::to_string(n.late) + " refused " + std::to_string(n.refused);
    }
    std::string operator()(const message::UpdateRefused& n) const {
        return " " + peer_name(n.peer) + " round " + std::to_string(n.round) + " " +
               describe(n.error);
    }
    std::string operator()(const message::CaughtUp& n) const {
        return " from " + peer_name(n.from) + " " + std::to_string(n.from_round) + " -> " +
               std::to_string(n.to_round);
    }
    std::string operator()(const message::Resumed& n) const {
        return " after " + format_duration(n.asleep);
    }
    std::string operator()(const message::Warning& n) const { return " " + n.error.to_string(); }
    template <class N>
    std::string operator()(const N& n) const {
        return " " + std::to_string(n.round);
    }
};

}  // namespace

void run_story(const std::string& name, const StoryHandler& handler) {
    const std::string path = std::string(GOSSAMER_TRANSCRIPTS) + "/" + name + ".txt";
    const std::string expected = read_all(path);
    const std::string told = retell(expected, handler);
    if (std::getenv("GOSSAMER_RECORD") != nullptr) {
        std::ofstream(path) << told;
        FAIL_CHECK(path << " is recorded, not compared");
        return;
    }
    std::istringstream want(expected), got(told);
    std::string want_line, got_line;
    for (int number = 1;; ++number) {
        const bool more_wanted = bool(std::getline(want, want_line));
        const bool more_got = bool(std::getline(got, got_line));
        if (!more_wanted && !more_got) return;
        if (!more_wanted) want_line = "(the end)";
        if (!more_got) got_line = "(the end)";
        INFO("story " << name << ", line " << number);
        REQUIRE(want_line == got_line);
    }
}

std::string peer_name(const PeerId& id) {
    if (id.is_zero()) return "?";
    for (std::uint64_t n = 0; n < 100; ++n)
        if (id == PeerId::of_number(n)) return "p" + std::to_string(n);
    return id.short_string();
}

PeerId peer_named(const std::string& name) {
    if (name == "?") return {};
    REQUIRE_MESSAGE(name.starts_with("p"), "not the name of a peer: " << name);
    return PeerId::of_number(std::stoull(name.substr(1)));
}

std::string describe_time(Instant t) {
    if (t.is_never()) return "never";
    const auto ms = t.ns / 1'000'000;
    std::string rest = std::to_string(ms % 1000);
    return std::to_string(ms / 1000) + "." + std::string(3 - rest.size(), '0') + rest + "s";
}

std::string describe(const message::Message& m) {
    return std::string(message::name_of(m)) + std::visit(MessageText{}, m);
}

std::string describe(const message::Notice& n) {
    return std::string(message::name_of(n)) + std::visit(NoticeText{}, n);
}

std::string describe(const message::Manifest& m) {
    constexpr const char* kKinds[] = {"gossip_model", "catch_up", "global_model", "update"};
    return std::string(kKinds[static_cast<std::size_t>(m.kind)]) + " round " +
           std::to_string(m.round) + " bytes " + std::to_string(m.byte_count);
}

std::string describe(const job::Turn& turn) {
    std::string text;
    for (const auto& order : turn.jobs)
        text += "job " + std::to_string(order.id.value) + " " +
                std::string(job::name_of(order.job)) + "\n";
    for (const auto& id : turn.cancels) text += "cancel " + std::to_string(id.value) + "\n";
    for (const auto& send : turn.sends)
        text += "send " + peer_name(send.to) + " " + describe(send.message) + "\n";
    for (const auto& offer : turn.offers)
        text += "offer " + peer_name(offer.to) + " #" + std::to_string(offer.id.value) + " " +
                describe(offer.manifest) + "\n";
    for (const auto& [to, id] : turn.withdrawn)
        text += "withdraw #" + std::to_string(id.value) + "\n";
    for (const auto& grant : turn.grants)
        text += (grant.refused ? "refuse " : "grant ") + peer_name(grant.from) + " #" +
                std::to_string(grant.id.value) +
                (grant.refused ? " " + std::string(to_string(*grant.refused)) : "") + "\n";
    for (const auto& link : turn.links) {
        const bool dial = link.kind == job::LinkOrder::Kind::dial;
        text += (dial ? "dial " : "close ") + (link.peer ? peer_name(*link.peer) : "?") +
                (dial ? " " + link.address : "") + " (" + link.reason + ")\n";
    }
    for (const auto& notice : turn.notices) text += "notice " + describe(notice) + "\n";
    return text;
}

}  // namespace gossamer::testing
