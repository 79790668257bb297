// Tells systemd how the daemon is doing (sd_notify(3)): one datagram each, lost without harm.
#pragma once

#include <string>
#include <string_view>

namespace gossamer::telemetry {

class ServiceNotifier {
public:
    // A path, or an abstract name starting with '@'; empty = nobody listens, and nothing is sent.
    explicit ServiceNotifier(std::string socket);
    static ServiceNotifier from_environment();  // NOTIFY_SOCKET
    ServiceNotifier(const ServiceNotifier&) = delete;
    ServiceNotifier& operator=(const ServiceNotifier&) = delete;
    ~ServiceNotifier();

    // False when nobody listens. Only after the listener is bound and the keys are verified:
    bool ready() { return send("READY=1"); }
    bool status(std::string_view line);  // "round 12/50, 7 peers, waiting for 1"
    bool stopping() { return send("STOPPING=1"); }

private:
    bool send(std::string_view text);
    std::string socket_;
    int fd_ = -1;
};

}  // namespace gossamer::telemetry
