#include "records/telemetry/service_notifier.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

ServiceNotifier::ServiceNotifier(std::string socket) : socket_(std::move(socket)) {
    bool usable = !socket_.empty() && socket_.size() < sizeof(sockaddr_un::sun_path) &&
                  (socket_[0] == '/' || socket_[0] == '@');
    if (usable) fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

ServiceNotifier ServiceNotifier::from_environment() {
    const char* socket = std::getenv("NOTIFY_SOCKET");
    return ServiceNotifier(socket ? socket : "");
}

ServiceNotifier::~ServiceNotifier() {
    if (fd_ >= 0) ::close(fd_);
}

bool ServiceNotifier::status(std::string_view line) {
    return send("STATUS=" + harmless(line, 512));
}

bool ServiceNotifier::send(std::string_view text) {
    if (fd_ < 0) return false;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(socket_, address.sun_path);
    if (socket_[0] == '@') address.sun_path[0] = '\0';
    auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
    return ::sendto(fd_, text.data(), text.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), length) >= 0;
}

}  // namespace gossamer::telemetry
