#include <algorithm>

#include "connection/transport/address.hpp"
#include "connection/transport/transport.hpp"

namespace gossamer::transport {

namespace {

Option bytes_option(std::string key, std::int64_t fallback, double least, std::string reason) {
    return {.key = std::move(key),
            .kind = OptionKind::bytes,
            .fallback = fallback,
            .unit = "bytes",
            .reason = std::move(reason),
            .least = least};
}
Option count_option(std::string key, std::int64_t fallback, std::string unit, std::string reason) {
    return {.key = std::move(key),
            .kind = OptionKind::integer,
            .fallback = fallback,
            .unit = std::move(unit),
            .reason = std::move(reason),
            .least = 1,
            .most = 1e6};
}
Option time_option(std::string key, Duration fallback, std::string reason) {
    return {.key = std::move(key),
            .kind = OptionKind::duration,
            .fallback = fallback,
            .unit = "s",
            .reason = std::move(reason),
            .least = 0.1,
            .most = 3600};
}

}  // namespace

OptionTable transport_options() {
    const TransportConfig d;
    const auto integer = [](auto n) { return static_cast<std::int64_t>(n); };
    return {
        {.key = "listen.address",
         .kind = OptionKind::text,
         .fallback = std::string("0.0.0.0:7400"),
         .reason = "host:port to listen on; port 0 lets the system choose, empty only dials out."},
        {.key = "listen.advertise",
         .kind = OptionKind::text,
         .fallback = std::string(),
         .reason =
             "host:port, or a host, that others are told to dial. Empty: listen.address, with "
             "this machine's name where that is 0.0.0.0; it must resolve everywhere."},
        {.key = "membership.banned",
         .kind = OptionKind::text_list,
         .fallback = std::vector<std::string>(),
         .reason = "PeerIds that are let in by no certificate, as `gossamer identity show` prints "
                   "them; read at the start."},
        {.key = "transport.threads",
         .kind = OptionKind::integer,
         .fallback = integer(d.threads),
         .unit = "threads",
         .reason = "Threads that seal, open and move bytes; 0: one for every two links, "
                   "at most four and one for each core.",
         .least = 0,
         .most = 64},
        bytes_option("transport.staging_bytes", integer(d.staging_bytes), 1 << 20,
                     "Memory for arriving transfers of all links together; one transfer must fit. "
                     "Grants beyond it wait."),
        bytes_option("transport.credit_window_bytes", integer(d.link.credit_window_bytes), 65536,
                     "Bytes of one transfer under way; raise it where bandwidth times round trip "
                     "exceeds it."),
        count_option("transport.connections_max", integer(d.connections_max), "links",
                     "Links at one time; more are told to come back later."),
        count_option("transport.handshakes_max", integer(d.handshakes_max), "sockets",
                     "Sockets that have not shown who they are; the oldest makes room."),
        count_option("transport.handshakes_per_address_max", integer(d.handshakes_per_address_max),
                     "sockets", "The same for one address; raise it where many peers share one."),
        time_option("transport.handshake_deadline", d.handshake_deadline,
                    "Time for a whole TLS handshake, however busily the other side talks."),
        time_option("transport.hello_deadline", d.link.hello_deadline,
                    "Time for HELLO and WELCOME after the TLS handshake."),
        time_option("transport.dial_deadline", d.dial_deadline,
                    "Time to resolve a name and connect to it."),
    };
}

Result<std::string> advertised_address(const OptionSource& options) {
    const auto& told = options.text("listen.advertise");
    const auto& listen = options.text("listen.address");
    if (told.empty()) return told;
    if (listen.empty())
        return fail(ErrorCode::kConfigConflict,
                    "listen.advertise is set, and listen.address is empty",
                    "Nobody could dial it: set both, or none.");
    if (parse_address(told)) return told;
    const auto port = listen.substr(std::min(listen.rfind(':'), listen.size()));
    if (port != ":0" && parse_address(told + port)) return told + port;
    return fail(ErrorCode::kNetAddress, "listen.advertise: \"" + told + "\" is not host:port",
                port == ":0" ? "Name the port too: the system chooses the one listened on." : "");
}

Result<security::BanList> banned_peers(const OptionSource& options) {
    security::BanList banned;
    for (const auto& text : options.text_list("membership.banned")) {
        const auto peer = PeerId::parse(text);
        if (!peer)
            return fail(ErrorCode::kConfigType, "membership.banned: \"" + text + "\" is no PeerId",
                        "Name peers as `gossamer identity show` prints them: 64 hex digits.");
        banned.push_back(*peer);
    }
    std::ranges::sort(banned);
    return banned;
}

Result<TransportConfig> transport_config(const OptionSource& options) {
    const auto size = [&](const char* key) {
        return static_cast<std::size_t>(options.integer(key));
    };
    TransportConfig c;
    c.listen_address = options.text("listen.address");
    GOSSAMER_TRY(c.advertise, advertised_address(options));
    GOSSAMER_TRY(auto banned, banned_peers(options));
    if (!banned.empty()) c.banned = std::make_shared<security::BanList>(std::move(banned));
    c.threads = size("transport.threads");
    c.staging_bytes = size("transport.staging_bytes");
    c.link.credit_window_bytes = size("transport.credit_window_bytes");
    c.connections_max = size("transport.connections_max");
    c.handshakes_max = size("transport.handshakes_max");
    c.handshakes_per_address_max = size("transport.handshakes_per_address_max");
    c.handshake_deadline = options.duration("transport.handshake_deadline");
    c.link.hello_deadline = options.duration("transport.hello_deadline");
    c.dial_deadline = options.duration("transport.dial_deadline");
    return c;
}

}  // namespace gossamer::transport
