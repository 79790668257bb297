// Sockets for sessions: listens, dials when told, and carries messages and transfers over mutual
// TLS. It decides nothing that a core decides: whom to dial and when, what to grant.
//
// Commands may be called from any one thread; those for one peer are carried out in order. Events
// come through the sink on the I/O threads: those of one link in order and one at a time, those of
// several links at the same time, a peer's next link only after the end of its last. The sink must
// not block for long and must not call back into the Transport but for its commands.
//
// Two links between the same peers: the one opened by the smaller PeerId stays; a peer that dials
// again after more than five seconds has lost its old link, and the new one replaces it.
//
// A link lasts no longer than the certificate of its peer: soon after, it is closed (kTlsExpired).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "connection/link/limits.hpp"
#include "connection/security/tls_context.hpp"
#include "gossamer/base/options.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::transport {

struct TransportConfig {
    std::string listen_address;  // host:port; empty: only dials out
    std::string advertise;       // host:port to dial; empty: what follows from listen_address
    std::size_t threads = 0;     // for I/O; 0: one for two links, at most four and the cores
    std::uint64_t staging_bytes = 512 << 20;  // of all arriving transfers together
    std::size_t connections_max = 1024;       // links
    std::size_t handshakes_max = 512;         // sockets that have not shown who they are
    std::size_t handshakes_per_address_max = 64;
    Duration handshake_deadline = 10s;  // absolute
    Duration dial_deadline = link::kDialDeadline;
    Duration look_every = 10s;  // at what lies idle, and at certificates that run out
    // Certificates are judged by it, on I/O threads; null: the system's.
    std::function<WallTime()> wall_clock;
    // Who may be linked with, whatever else a certificate says: others get no further than TLS.
    security::RoleSet roles = security::RoleSet::all();
    std::shared_ptr<const security::BanList> banned;  // null: nobody
    link::LinkLimits link;
};
OptionTable transport_options();
// A host alone is told with the port that is listened on. Empty where nothing was set; errors:
// kConfigConflict, kNetAddress.
Result<std::string> advertised_address(const OptionSource& options);
Result<security::BanList> banned_peers(const OptionSource& options);  // sorted; kConfigType
// Errors: theirs.
Result<TransportConfig> transport_config(const OptionSource& options);

// An incoming connection that came to nothing; at most one a minute for each code, with the number
// of those that were not reported.
struct IncomingRefused {
    std::string address;
    Error error;
    std::uint64_t unreported = 0;
};
// Bytes came from the peer, but no message for a while (at most one each half second).
struct SignOfLife {};
struct TransferNews {
    message::TransferId id;
    message::TransferEvent event;
};
struct Event {
    PeerId peer;  // zero while nobody knows who is there
    std::variant<job::LinkEvent, message::Message, TransferNews, SignOfLife, IncomingRefused> what;
};
using EventSink = std::function<void(Event)>;

struct Traffic {
    std::uint64_t received_bytes = 0, sent_bytes = 0;  // on the socket, TLS and all
};
struct TransportStats {
    Traffic traffic;  // of all links so far
    std::uint64_t staging_used_bytes = 0;
    std::size_t link_count = 0, incoming_refused_count = 0;
};

class Transport {
public:
    // `codecs`: those this node can decode.
    Transport(TransportConfig config, security::TlsContext context,
              const std::vector<std::uint8_t>& codecs, const tensor::PoolRef& pool, EventSink sink);
    ~Transport();  // as stop()
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    // Gives the bound host:port (port 0 in `address` lets the system choose). Errors: kNetAddress,
    // kNetAddressInUse, kNetListen. Blocks; for the start of a program.
    Result<std::string> listen(const std::string& address);

    // Ends in exactly one LinkUp or DialFailed.
    void dial(const std::string& address, std::optional<PeerId> expected);
    void close(const PeerId& peer, const std::string& reason);
    void send(const PeerId& to, message::Message message, message::Lane lane);
    // REQUIRES payload.filled(). Ends in exactly one delivered, refused or lost, unless withdrawn.
    void offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
               tensor::Payload payload);
    void withdraw(message::TransferId id);
    void grant(const PeerId& from, message::TransferId id);
    void refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason);
    // Replaces the bans; closes links to those banned now.
    void ban(const std::shared_ptr<const security::BanList>& banned);

    // Says goodbye to all, waits at most two seconds for it to go out, ends the I/O threads.
    void stop(const std::string& reason = "stopping");
    TransportStats stats() const;  // from any thread

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gossamer::transport
